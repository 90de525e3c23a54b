"""Steps of training and inference whose speed `benchmarks.gpu` compares: plain code as public solutions have it, and ours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_cases import Case, Objective, plain_loss
from experiments.networks import inference
from experiments.networks.normalisation import normalise
from experiments.training.learner import Learner
from imaging.data import augment_batch

PLAIN, PLAIN_BF16, STEP, WHOLE = (
    "plain fp32",
    "plain bf16 + channels last",
    "our step, batch in memory",
    "our training",
)
Step = Callable[[], object]


def seconds_each(
    steps: dict[str, Step], device: torch.device, seconds: float, rounds: int = 3
) -> dict[str, float]:
    """Median seconds of a call of each step; rounds are interleaved, and the device is synchronised at their ends only.

    A step that runs out of memory takes infinitely long."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for name in list(steps):
        try:
            for _ in range(3):  # autotuning, allocation
                steps[name]()
        except torch.OutOfMemoryError:
            times[name].append(float("inf"))
            steps = {other: step for other, step in steps.items() if other != name}
            torch.cuda.empty_cache()
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(_one(step, device, seconds))
    return {name: statistics.median(values) for name, values in times.items()}


def _one(step: Step, device: torch.device, seconds: float) -> float:
    wait(device)
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        step()
        calls += 1
        if calls % 8 == 0:  # bounds the queue
            wait(device)
    wait(device)
    return (time.perf_counter() - start) / calls


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_steps(case: Case, batch: dict[str, Tensor], device: torch.device) -> dict[str, Step]:
    """Training steps on the batch; ours augments it each time."""
    bf16 = case.settings(precision(device))
    objective = Objective(bf16)
    ours = Learner(case.ours(bf16.precision), objective, bf16).to(device)
    fast = torch.optim.AdamW(ours.parameters(), 1e-4, fused=True)
    return {
        PLAIN: plain_step(case, batch, device, torch.contiguous_format, None),
        PLAIN_BF16: plain_step(case, batch, device, torch.channels_last, torch.bfloat16),
        STEP: lambda: backward(
            lambda: _ours(ours, objective, augment_batch.changed(batch)), fast, device, torch.bfloat16
        ),
    }


def _ours(learner: Learner, objective: Objective, batch: dict[str, Tensor]) -> Tensor:
    return objective.loss(learner(batch["image"]), batch)


def plain_step(
    case: Case, batch: dict[str, Tensor], device: torch.device, order: Any, kind: torch.dtype | None
) -> Step:
    """A training step as in public solutions, without augmentation."""
    net = case.plain().to(device).to(memory_format=order).train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-4)
    image = normalise(batch["image"]).contiguous(memory_format=order)
    return lambda: backward(lambda: plain_loss(net(image), batch), optimiser, device, kind)


def backward(
    loss: Callable[[], Tensor],
    optimiser: torch.optim.Optimizer,
    device: torch.device,
    kind: torch.dtype | None,
) -> None:
    """One training step."""
    optimiser.zero_grad()
    with torch.autocast(device.type, kind) if kind else nullcontext():
        value = loss()
    value.backward()
    optimiser.step()


def inference_steps(case: Case, batch: dict[str, Tensor], device: torch.device) -> dict[str, Step]:
    """Inference steps on the batch."""
    settings = case.settings(precision(device))
    ours = case.ours(settings.precision).to(device).to(memory_format=torch.channels_last).eval()
    return {
        PLAIN: plain_inference(case, batch, device, torch.contiguous_format, None),
        PLAIN_BF16: plain_inference(case, batch, device, torch.channels_last, torch.bfloat16),
        STEP: lambda: inference.probabilities(ours, batch["image"], settings),
    }


def plain_inference(
    case: Case, batch: dict[str, Tensor], device: torch.device, order: Any, kind: torch.dtype | None
) -> Step:
    """Inference as in public solutions."""
    net = case.plain().to(device).to(memory_format=order).eval()
    image = normalise(batch["image"]).contiguous(memory_format=order)

    @torch.inference_mode()
    def run() -> Tensor:
        with torch.autocast(device.type, kind) if kind else nullcontext():
            return net(image).sigmoid()

    return run


def precision(device: torch.device) -> str:
    """Precision of our steps: bf16 on a GPU, float32 where the steps are only tried."""
    return "bf16-mixed" if device.type == "cuda" else "32-true"
