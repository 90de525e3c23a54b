"""Distributed training: launch workers, join them in a process group, stop them together.

A stage whose settings ask for several devices becomes a launcher: it starts one worker for each, with its own command line,
and when one fails it stops the others and names it. Over several nodes torchrun does this. Either way a worker reads RANK,
LOCAL_RANK and WORLD_SIZE from its environment; without them it is the only one.

torchrun is not used on one machine: workers survive when it is killed (docs/decisions/launcher.md).
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

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from experiments.hardware import Hardware
from experiments.ranks import count, rank
from experiments.settings.common import TrainingSettings

STORE = "PNEUMOTHORAX_STORE"
"""Environment variable: the file that is the workers' store on one machine, in place of a TCP port."""
TIMEOUT = timedelta(minutes=10)
"""Timeout of a collective operation: longer than any validation of one process takes."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL; a worker that waits in a collective operation does not react to the first."""


def needs_launch(settings: TrainingSettings, hardware: Hardware) -> bool:
    """Whether this process has to launch the workers; ValueError when the settings do not fit the machine or torchrun."""
    if "RANK" in os.environ:
        if count() != settings.processes:
            raise ValueError(
                f"devices {settings.devices} x nodes {settings.nodes} are {settings.processes} processes, but "
                f"{count()} were started; run torchrun --nproc-per-node {settings.devices} --nnodes {settings.nodes}"
            )
        return False
    if settings.nodes > 1:
        raise ValueError(
            f"nodes {settings.nodes}: start this command with torchrun on every node (docs/cluster.md), or set nodes to 1"
        )
    if settings.devices > hardware.gpus > 0:
        raise ValueError(f"devices {settings.devices}: this machine has {hardware.gpus} GPUs; lower devices")
    return settings.devices > 1


def launch(number: int) -> None:
    """Run this command in `number` workers until all have finished.

    ChildProcessError when one fails: the others are stopped within `GRACE` seconds. All end if this process ends.
    """
    module = sys.modules["__main__"].__spec__
    if module is None:
        raise ValueError("devices above 1 works only with the command `python -m <stage>.train`")
    command = [sys.executable, "-m", module.name, *sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        shared = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), STORE: f"{folder}/store"}
        shared |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
        shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(_threads(number)))}
        workers = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                env={**os.environ, **shared, "RANK": str(one), "LOCAL_RANK": str(one)},
            )
            for one in range(number)
        ]
        try:
            _watch(workers)
        finally:
            _stop(workers)


def _threads(number: int) -> int:
    """Threads of each worker: together as many as one process would have."""
    return max(1, (os.cpu_count() or 1) // number)


def _watch(workers: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all have finished; ChildProcessError as soon as one has failed."""
    codes: list[int | None] = [None]
    while None in codes and not any(codes):
        time.sleep(0.1)
        codes = [worker.poll() for worker in workers]
    # A killed worker (negative code) first: the others may have failed because of it.
    if bad := sorted((code, number) for number, code in enumerate(codes) if code):
        code, number = bad[0]
        raise ChildProcessError(
            f"process {number} of {len(workers)} {_end(code)}, so the others were stopped. The same command resumes "
            "after the last saved epoch."
        )


def _end(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _stop(workers: list[subprocess.Popen[bytes]]) -> None:
    """Terminate the workers that still run, and kill those that do not react."""
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + GRACE
    for worker in workers:
        try:
            worker.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()


@contextmanager
def process_group(hardware: Hardware) -> Iterator[None]:
    """Join the workers of one training (NCCL on GPUs, Gloo on a processor); nothing for a single process."""
    if count() == 1:
        yield
        return
    store = os.environ.get(STORE)
    if store is not None:
        threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    distributed.init_process_group(
        "nccl" if hardware.on_gpu else "gloo",
        init_method="env://" if store is None else f"file://{store}",
        rank=rank(),
        world_size=count(),
        timeout=TIMEOUT,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def all_gather(tensor: Tensor) -> Tensor:
    """The tensors (…) of all processes, of one shape, as (processes, …)."""
    found = [torch.empty_like(tensor) for _ in range(count())]
    distributed.all_gather(found, tensor.contiguous())
    return torch.stack(found)


def _end_with_the_launcher() -> None:
    """Block on the launcher's pipe, which closes however the launcher ends; then end as well."""
    os.read(0, 1)  # not sys.stdin: its lock would stay held in loaders that are forked meanwhile
    os.kill(os.getpid(), signal.SIGKILL)


def synchronise_batch_norm(net: nn.Module, hardware: Hardware) -> nn.Module:
    """The same network, with the same names of its weights, whose batch statistics are those of all processes' images.

    timm's converter, since PyTorch's loses the activation that timm's layers hold. ValueError on a processor, for which
    PyTorch has no SyncBatchNorm; a network without batch normalisation is returned as it is.
    """
    if not any(isinstance(module, _BatchNorm) for module in net.modules()):
        return net
    if hardware.kind != "cuda":
        raise ValueError(
            "sync_batchnorm true: PyTorch synchronises batch statistics on GPUs only; on a CPU set devices to 1, or "
            "sync_batchnorm to false (each process then normalises by its own images)"
        )
    return convert_sync_batchnorm(net)
