"""Training speed on a GPU: every recipe's networks at their real sizes for a few steps, in under four minutes.

    python -m benchmarks.gpu [--output reports/gpu.json]        writes reports/gpu.json and reports/gpu.md; without a GPU nothing
    python -m benchmarks.gpu --networks                         then five networks in detail, some minutes more
    python -m benchmarks.gpu --device cpu --tiny                the same steps on a processor, to see that they run

For each network and size, in interleaved rounds of one run: segmentation-models-pytorch as it comes (float32, NCHW), the same in
bf16 and channels last, our step on a batch that lies in the GPU's memory already, and our whole training with its data,
augmentation and logs. Goal: whole training reaches 95 % of the step alone. Shares of the matrix peak count the multiplications
of PyTorch's FLOP counter against a bf16 product of 8192² matrices in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import gpu_recipes, timing
from benchmarks.gpu_cases import CASES, TINY, Case, Objective, flops, generated, in_memory, plain_loss
from experiments import hardware
from experiments.networks import inference
from experiments.networks.normalisation import normalise
from experiments.training import loop
from experiments.training.learner import Learner
from imaging.data import augment, augment_batch
from imaging.data.dataset import Images
from imaging.io.files import write_json, write_text

PLAIN, PLAIN_BF16, STEP, WHOLE = (
    "plain fp32",
    "plain bf16 + channels last",
    "our step, batch in memory",
    "our training",
)
Step = Callable[[], object]


def main() -> None:
    """Measure the recipes, then with --networks the networks in detail; print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks, one step each, no recipes")
    parser.add_argument("--minutes", type=float, default=3.5, help="for all recipes together (default: 3.5)")
    parser.add_argument(
        "--networks",
        action="store_true",
        help="then measure five networks in training and inference in detail",
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each way in each round, with --networks"
    )
    parser.add_argument("--output", type=Path, default=Path("reports/gpu.json"))
    given = parser.parse_args()
    if given.device == "cuda" and hardware.current().kind != "cuda":
        return print(
            "No GPU is visible to PyTorch here, so there is nothing to measure. `--device cpu --tiny` tries the steps."
        )
    device = torch.device(given.device)
    torch.backends.cudnn.benchmark = True  # as in training
    found: dict[str, Any] = {
        "machine": facts(device), "limits": limits(device, 256 if given.tiny else 8192), "recipes": [], "cases": [],
    }  # fmt: skip
    print(json.dumps({key: found[key] for key in ("machine", "limits")}, indent=2), flush=True)
    if not given.tiny:
        measure_recipes(found, 60 * given.minutes, given.output)
    if given.tiny or given.networks:
        measure_networks(
            found, TINY if given.tiny else CASES, device, 0.0 if given.tiny else given.seconds, given.output
        )
    return None


def measure_recipes(found: dict[str, Any], seconds: float, output: Path) -> None:
    """Every network of every recipe within `seconds`; what there is no time for is listed as such."""
    end, cases = time.monotonic() + seconds, gpu_recipes.cases()
    for number, case in enumerate(cases):
        share = (end - time.monotonic()) / (len(cases) - number)
        # about half of a case's time goes into building, cuDNN's search and warm-up
        row = gpu_recipes.measure(
            case, hardware.current(), found["limits"]["matrix_tflops"], max(1.0, share / 2)
        )
        found["recipes"].append(row)
        write_json(output, found)  # after each, should a later one fail
        if time.monotonic() > end:
            found["no_time_for"] = [f"{one.recipe} {one.name}" for one in cases[number + 1 :]]
            break
    text = gpu_recipes.table(found["recipes"])
    write_text(output.with_suffix(".md"), text)
    write_json(output, found)
    print(text, flush=True)


def measure_networks(
    found: dict[str, Any], cases: list[Case], device: torch.device, seconds: float, output: Path
) -> None:
    """Five networks in training and inference, each beside plain code and the whole training, and a profile of the first."""
    for case in cases:
        row = measure(case, device, seconds, found["limits"]["matrix_tflops"])
        found["cases"].append(row)
        print(in_words(row), flush=True)
        write_json(output, found)
    found["profile"] = profile(cases[0], device)
    print(found["profile"])
    write_json(output, found)


def facts(device: torch.device) -> dict[str, Any]:
    """What it was measured on."""
    about = {"processor": timing.machine(), "torch": torch.__version__, "python": sys.version.split()[0]}
    if device.type == "cpu":
        return {**about, "device": "cpu"}
    card = torch.cuda.get_device_properties(device)
    return {
        **about,
        "device": card.name,
        "memory_gib": round(card.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
    }


def limits(device: torch.device, side: int) -> dict[str, float]:
    """The matrix product in bf16, in TFLOP/s, and copying device memory, in GB/s read and written."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    memory = torch.empty(side * side * 16, dtype=torch.uint8, device=device)
    target = torch.empty_like(memory)
    product = seconds_each({"": lambda: matrix @ matrix}, device, 0.5)[""]
    copy = seconds_each({"": lambda: target.copy_(memory)}, device, 0.5)[""]
    return {"matrix_tflops": 2 * side**3 / product / 1e12, "copy_gb_s": 2 * memory.numel() / copy / 1e9}


def seconds_each(
    ways: dict[str, Step], device: torch.device, seconds: float, rounds: int = 3
) -> dict[str, float]:
    """Median seconds a call of each way; rounds are interleaved, and the device is waited for at their ends only.

    A way for which the memory does not suffice takes endless."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for name in list(ways):
        try:
            for _ in range(3):  # autotuning, allocation
                ways[name]()
        except torch.OutOfMemoryError:
            times[name].append(float("inf"))
            ways = {other: way for other, way in ways.items() if other != name}
            torch.cuda.empty_cache()
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(_one(way, device, seconds))
    return {name: statistics.median(values) for name, values in times.items()}


def _one(way: Step, device: torch.device, seconds: float) -> float:
    wait(device)
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        way()
        calls += 1
        if calls % 8 == 0:  # lest the queue grow for minutes
            wait(device)
    wait(device)
    return (time.perf_counter() - start) / calls


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(case: Case, device: torch.device, seconds: float, peak: float) -> dict[str, Any]:
    """Images a second of all ways, shares of the peak, and the share that the whole training reaches."""
    torch.use_deterministic_algorithms(False)  # Lightning has left it on after the case before
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    batch = in_memory(case, device)
    train = seconds_each(training_ways(case, batch, device), device, seconds)
    infer = seconds_each(inference_ways(case, batch, device), device, seconds)
    forward = flops(case)
    rates = {name: case.batch / value for name, value in train.items()}
    rates[WHOLE] = whole(case, device)
    return {
        "network": case.name, "side": case.side, "batch": case.batch, "gflop_forward": forward / 1e9,
        "training_images_s": rates,
        "inference_images_s": {name: case.batch / value for name, value in infer.items()},
        # backward multiplies twice as often as forward
        "training_share_of_peak": 3 * forward * rates[STEP] / 1e12 / peak,
        "inference_share_of_peak": forward * case.batch / infer[STEP] / 1e12 / peak,
        "whole_of_step": rates[WHOLE] / rates[STEP],
        "peak_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
    }  # fmt: skip


def training_ways(case: Case, batch: dict[str, Tensor], device: torch.device) -> dict[str, Step]:
    """A step of each way on the batch; ours changes it anew each time."""
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
    """As public solutions train, without augmentation."""
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
    """One step of training."""
    optimiser.zero_grad()
    with torch.autocast(device.type, kind) if kind else nullcontext():
        value = loss()
    value.backward()
    optimiser.step()


def inference_ways(case: Case, batch: dict[str, Tensor], device: torch.device) -> dict[str, Step]:
    """Probabilities of the batch."""
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
    """As public solutions predict."""
    net = case.plain().to(device).to(memory_format=order).eval()
    image = normalise(batch["image"]).contiguous(memory_format=order)

    @torch.inference_mode()
    def run() -> Tensor:
        with torch.autocast(device.type, kind) if kind else nullcontext():
            return net(image).sigmoid()

    return run


def precision(device: torch.device) -> str:
    """Of our ways: bf16 on a GPU, float32 where the steps are only tried."""
    return "bf16-mixed" if device.type == "cuda" else "32-true"


def whole(case: Case, device: torch.device) -> float:
    """Images a second of `experiments.training.loop.fit` in its last epoch, with data, augmentation and logs."""
    settings = case.settings(precision(device), epochs=3)
    told: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = generated(
            Path(folder), 32 * case.batch if device.type == "cuda" else 2 * case.batch, case.side
        )
        everything = np.arange(len(prepared.index))
        change = augment.build(settings.augment, case.side)
        train = Images(prepared, everything, case.side, change, masks=not case.classifier)
        look = Images(prepared, everything[:4], case.side, masks=not case.classifier)
        loop.fit(
            case.ours(settings.precision), Objective(settings), train, look, settings,
            title=case.name, resume=Path(folder, "resume"), report=lambda row, epoch: told.append(row),
        )  # fmt: skip
    return told[-1]["speed/images_per_second"]


def profile(case: Case, device: torch.device) -> str:
    """What dominates a training step of ours: the ten longest operations."""
    step = training_ways(case, in_memory(case, device), device)[STEP]
    for _ in range(3):
        step()
    kind = torch.profiler.ProfilerActivity
    activities = [kind.CPU, *([kind.CUDA] if device.type == "cuda" else [])]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(5):
            step()
        wait(device)
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return profiler.key_averages().table(sort_by=order, row_limit=10, max_name_column_width=60)


def in_words(row: dict[str, Any]) -> str:
    """One case."""
    lines = [
        f"{row['network']} at {row['side']}², batches of {row['batch']}, {row['gflop_forward']:.1f} GFLOP forward"
    ]
    for kind in ("training", "inference"):
        rates = row[f"{kind}_images_s"]
        parts = (
            f"{name} {value:,.0f}/s ({value / rates[PLAIN]:.2f}x)" if rates[PLAIN] else name
            for name, value in rates.items()
        )
        lines.append(f"  {kind}: {'; '.join(parts)}; {row[f'{kind}_share_of_peak']:.0%} of the matrix peak")
    verdict = "reached" if row["whole_of_step"] >= 0.95 else "missed"
    return "\n".join(
        [*lines, f"  whole training: {row['whole_of_step']:.0%} of the step alone (goal 95 %: {verdict})"]
    )


if __name__ == "__main__":
    main()
