"""One training in several processes: who they are, how they begin and how they end together.

A stage whose settings ask for several devices becomes a watcher: it starts one process for each, all with its own command
line, and when one of them ends badly it stops the others and says which. Over several nodes torchrun does this. Either way
a process finds its place in RANK, LOCAL_RANK and WORLD_SIZE, and without those it is the only one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import MethodType
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from experiments.ranks import count, rank
from experiments.settings.training import TrainingSettings

STORE = "PNEUMOTHORAX_STORE"
"""Environment variable with the file through which the processes of one machine find each other: no port is opened for it."""
PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others before it gives up: longer than any look at the validation images takes."""
GRACE = 10.0
"""Seconds between asking a process to end and killing it; one that waits for a dead one does not hear."""


def device() -> torch.device:
    """Its GPU, or the processor where there is none."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def to_be_started(settings: TrainingSettings) -> bool:
    """Whether this process is to start those that train, and watch; a ValueError says why they cannot be started here."""
    if "RANK" in os.environ:
        if count() != settings.processes:
            raise ValueError(
                f"devices {settings.devices} x nodes {settings.nodes} are {settings.processes} processes, but "
                f"{count()} were started: give torchrun --nproc-per-node {settings.devices} --nnodes {settings.nodes}"
            )
        return False
    if settings.nodes > 1:
        raise ValueError(
            f"nodes {settings.nodes}: start this command with torchrun on every node (docs/cluster.md), or set nodes to 1"
        )
    gpus = torch.cuda.device_count()
    if settings.devices > gpus > 0:
        raise ValueError(f"devices {settings.devices}: this machine has {gpus}; lower devices")
    return settings.devices > 1


def start(number: int) -> None:
    """Run this very command in `number` processes until all have ended well.

    ChildProcessError when one has not: the others are stopped within `GRACE` seconds. They end as well if this process does.
    """
    module = sys.modules["__main__"].__spec__
    if module is None:
        raise ValueError("devices above 1 needs the command `python -m <stage>.train`")
    command = [sys.executable, "-m", module.name, *sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        shared = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), STORE: f"{folder}/store"}
        shared |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
        shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(_threads(number)))}
        members = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                env={**os.environ, **shared, "RANK": str(one), "LOCAL_RANK": str(one)},
            )
            for one in range(number)
        ]
        try:
            _watch(members)
        finally:
            _stop(members)


def _threads(number: int) -> int:
    """Cores for each process, so that together they have as many threads as one would."""
    return max(1, (os.cpu_count() or 1) // number)


def _watch(members: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all have ended; ChildProcessError as soon as one has ended badly."""
    codes: list[int | None] = [None]
    while None in codes and not any(codes):
        time.sleep(0.1)
        codes = [member.poll() for member in members]
    # One that was killed comes first: the others may have failed for want of it.
    if bad := sorted((code, number) for number, code in enumerate(codes) if code):
        code, number = bad[0]
        raise ChildProcessError(
            f"process {number} of {len(members)} {_end(code)}, so the others were stopped. The same command goes on at the "
            "epoch after the last one that was saved."
        )


def _end(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _stop(members: list[subprocess.Popen[bytes]]) -> None:
    """Ask the living to end, and kill those that do not."""
    for member in members:
        member.terminate()
    end = time.monotonic() + GRACE
    for member in members:
        try:
            member.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.kill()
            member.wait()
        if member.stdin is not None:
            member.stdin.close()


@contextmanager
def together() -> Iterator[None]:
    """The processes of one training joined; nothing for a process that is alone."""
    if count() == 1:
        yield
        return
    store = os.environ.get(STORE)
    if store is not None:
        threading.Thread(target=_end_with_the_watcher, daemon=True).start()
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method="env://" if store is None else f"file://{store}",
        rank=rank(),
        world_size=count(),
        timeout=PATIENCE,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def all_of(mine: Tensor) -> Tensor:
    """Every process' tensor of one shape (…), as (processes, …)."""
    found = [torch.empty_like(mine) for _ in range(count())]
    distributed.all_gather(found, mine.contiguous())
    return torch.stack(found)


def _end_with_the_watcher() -> None:
    """Its end of the pipe closes when it ends, however it ends."""
    os.read(0, 1)  # not sys.stdin, whose lock would be held for ever in loaders forked meanwhile
    os.kill(os.getpid(), signal.SIGKILL)


def over_all_processes(net: nn.Module) -> nn.Module:
    """The same network, with the same names of its weights, whose batch statistics are those of all processes' images.

    On GPUs PyTorch's SyncBatchNorm, put in by timm, since PyTorch's own converter loses the activation that timm's layers
    hold. PyTorch has none for the CPU: there the layers get `_forward`.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    if any(isinstance(norm, nn.SyncBatchNorm) for norm in norms):  # of an earlier phase
        return net
    if torch.cuda.is_available():
        return convert_sync_batchnorm(net)
    for norm in norms:
        norm.forward = MethodType(_forward, norm)  # type: ignore[method-assign]
    return net


class _Sum(torch.autograd.Function):
    """The sum over all processes; each one's gradient is the sum of all of theirs."""

    @staticmethod
    def forward(context: Any, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(part: Tensor) -> Tensor:
    whole = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(whole)
    return whole


def _forward(norm: Any, batch: Tensor) -> Tensor:
    """What the layer gives in a process with a part of the batch (b, C, …): Ioffe 2015 over all parts."""
    if not norm.training:
        return type(norm).forward(norm, batch)
    axes = [0, *range(2, batch.ndim)]
    shape = [1, -1] + [1] * (batch.ndim - 2)
    part = batch.float()
    pixels = _summed(torch.tensor(float(part.numel() // part.shape[1])))
    mean = _Sum.apply(part.sum(axes)) / pixels
    centred = part - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / pixels
    _remember(norm, mean.detach(), variance.detach() * pixels / (pixels - 1))
    scaled = centred * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        scaled = scaled * norm.weight.view(shape) + norm.bias.view(shape)
    after = [getattr(norm, name, nn.Identity()) for name in ("drop", "act")]  # of timm's BatchNormAct2d
    return after[1](after[0](scaled.to(batch.dtype)))


def _remember(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, in place, as BatchNorm does."""
    if not norm.track_running_stats:
        return
    norm.num_batches_tracked += 1
    share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)
