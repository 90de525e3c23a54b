"""In which numbers and in which memory order a network trains: by a rule for the hardware, or by a short measurement.

The rule is right for most networks, but not for all: depthwise convolutions gain nothing from bf16, for one. So with
`precision: measured`, and with `auto` on a GPU, a few steps of each way are tried before a training begins, and the rule is
left where another way is clearly faster. What is fastest depends on what else the machine does; on a processor, where trainings
repeat bit for bit, `auto` is therefore the rule alone. The answer is kept beside the resume states, so that a training which
goes on, and the next fold, go the same way.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.networks.normalisation import normalise
from imaging.data.dataset import Batch
from imaging.io.files import fingerprint, read_json, write_json

Loss = Callable[[Any, Batch], Tensor]
ROUNDS = 3
CLEARLY = 1.33
"""How much faster another way must be, or two measurements of one machine would disagree by chance."""
WORTH = {"cpu": 0.25, "cuda": 0.02}
"""Seconds a step from which on the choice is worth a measurement; below, the rule is taken."""
ON_CPU = 2
"""Images of a measured step on a processor, where a full batch of a large network takes minutes."""


@dataclass(frozen=True)
class Way:
    """How to train."""

    precision: str
    """In Lightning's words."""
    channels_last: bool = True

    @property
    def name(self) -> str:
        """For logs."""
        return f"{self.precision}/{'channels_last' if self.channels_last else 'nchw'}"

    @property
    def memory_format(self) -> torch.memory_format:
        """In PyTorch's words."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def choose_precision(wish: str) -> str:
    """The rule for `auto` and `measured`: bf16 where the hardware multiplies it natively, fp16 on older GPUs, else fp32."""
    if wish not in ("auto", "measured"):
        return wish
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    # Without AMX or AVX512-BF16 instructions PyTorch emulates bf16, slower than fp32.
    return "bf16-mixed" if "amx_bf16" in flags or "avx512_bf16" in flags else "32-true"


def chosen(
    net: nn.Module, loss: Loss, batch: Batch, device: torch.device, memory: Path
) -> tuple[Way, dict[str, float]]:
    """The way to train `net`, and the seconds a step of each way that was tried; none where the rule was taken unmeasured.

    batch: of the training, on any device. memory: a folder where answers are kept. Neither the network nor any generator of
    random numbers is changed.
    """
    rule = Way(choose_precision("auto"))
    if device.type == "cpu":
        batch = {key: value[:ON_CPU] for key, value in batch.items()}
    about = (str(net), tuple(batch["image"].shape), str(device), torch.__version__, torch.get_num_threads())
    place = memory / f"precision-{fingerprint(*about)}.json"
    if not place.exists():
        seconds = measured(net, loss, {key: value.to(device) for key, value in batch.items()}, rule)
        write_json(place, {"way": asdict(fastest(seconds, rule)), "seconds": seconds})
    found = read_json(place)
    return Way(**found["way"]), found["seconds"]


def fastest(seconds: dict[str, float], rule: Way) -> Way:
    """The fastest way, or the rule's where that is not clearly slower."""
    ways = {way.name: way for way in candidates(rule)}
    best = min(seconds, key=seconds.__getitem__, default=rule.name)
    return ways[best] if seconds and seconds[best] * CLEARLY < seconds[rule.name] else rule


def in_words(seconds: dict[str, float]) -> str:
    """What was measured."""
    return ", ".join(f"{value * 1000:.0f} ms in {name}" for name, value in seconds.items())


def candidates(rule: Way) -> list[Way]:
    """The rule's way first."""
    precisions = dict.fromkeys((rule.precision, "32-true"))
    return [Way(precision, last) for precision in precisions for last in (True, False)]


def measured(net: nn.Module, loss: Loss, batch: Batch, rule: Way) -> dict[str, float]:
    """Median seconds of a step, by the way's name; nothing where a step is too short for the choice to matter."""
    device = batch["image"].device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        steps = {way.name: _step(net, loss, batch, way) for way in candidates(rule)}
        steps[rule.name]()
        if _timed(steps[rule.name], device) < WORTH[device.type]:
            return {}
        for step in steps.values():
            step()
        times = [{name: _timed(step, device) for name, step in steps.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(one[name] for one in times) for name in steps}


def _step(net: nn.Module, loss: Loss, batch: Batch, way: Way) -> Callable[[], None]:
    """Forward and backward on a copy of the network; the optimiser's part is the same in all ways."""
    device = batch["image"].device
    copy = deepcopy(net).to(device).to(memory_format=way.memory_format).train()
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    kind = kinds.get(way.precision)

    def step() -> None:
        with torch.autocast(device.type, kind) if kind else nullcontext():
            output = copy(normalise(batch["image"]).contiguous(memory_format=way.memory_format))
            value = loss(output, batch)
        value.backward()
        copy.zero_grad()

    return step


def _timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds; endless where the memory does not suffice."""
    start = time.perf_counter()
    try:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        return float("inf")
    return time.perf_counter() - start
