"""Training speed on a GPU: every recipe's networks at their real sizes for a few steps, in under four minutes.

    python -m benchmarks.gpu [--output reports/gpu.json]        writes reports/gpu.json and reports/gpu.md; nothing without a
    GPU python -m benchmarks.gpu --networks                         then five networks in detail, some minutes more python -m
    benchmarks.gpu --device cpu --tiny                the same steps on a CPU, to check that they run

For each network and size, in interleaved rounds of one run: segmentation-models-pytorch as it comes (float32, NCHW), the same
in bf16 and channels last, our step on a batch already in the GPU's memory, and our whole training with its data, augmentation
and logs. Goal: whole training reaches 95 % of the step alone. Shares of the matrix peak count the multiplications of PyTorch's
FLOP counter against a bf16 product of 8192² matrices in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import gpu_recipes, timing
from benchmarks.gpu_cases import CASES, TINY, Case, Objective, flops, generated, in_memory
from benchmarks.gpu_steps import (
    PLAIN,
    STEP,
    WHOLE,
    inference_steps,
    precision,
    seconds_each,
    training_steps,
    wait,
)
from experiments import hardware
from experiments.training import loop
from imaging.data import augment
from imaging.data.dataset import Images
from imaging.io.files import write_json, write_text


def main() -> None:
    """Measure the recipes, then, with --networks, the networks in detail; print a table, write JSON and Markdown."""
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
        "--seconds", type=float, default=2.0, help="of each step in each round, with --networks"
    )
    parser.add_argument("--output", type=Path, default=Path("reports/gpu.json"))
    given = parser.parse_args()
    if given.device == "cuda" and hardware.current().kind != "cuda":
        return print(
            "No GPU is visible to PyTorch here, so there is nothing to measure. `--device cpu --tiny` runs on a processor."
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
    """Every network of every recipe within `seconds`; those for which there is no time are listed as such."""
    end, cases = time.monotonic() + seconds, gpu_recipes.cases()
    for number, case in enumerate(cases):
        share = (end - time.monotonic()) / (len(cases) - number)
        # about half of a case's time goes into building, cuDNN's search and warm-up
        row = gpu_recipes.measure(
            case, hardware.current(), found["limits"]["matrix_tflops"], max(1.0, share / 2)
        )
        found["recipes"].append(row)
        write_json(output, found)  # after each, in case a later one fails
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
    """The machine."""
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


def measure(case: Case, device: torch.device, seconds: float, peak: float) -> dict[str, Any]:
    """Images per second of all steps, shares of the peak, and the share that the whole training reaches."""
    torch.use_deterministic_algorithms(False)  # Lightning left it on after the previous case
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    batch = in_memory(case, device)
    train = seconds_each(training_steps(case, batch, device), device, seconds)
    infer = seconds_each(inference_steps(case, batch, device), device, seconds)
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


def whole(case: Case, device: torch.device) -> float:
    """Images per second of `experiments.training.loop.fit` in its last epoch, with data, augmentation and logs."""
    settings = case.settings(precision(device), epochs=3)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = generated(
            Path(folder), 32 * case.batch if device.type == "cuda" else 2 * case.batch, case.side
        )
        everything = np.arange(len(prepared.index))
        change = augment.build(settings.augment, case.side)
        train = Images(prepared, everything, case.side, change, masks=not case.classifier)
        validation = Images(prepared, everything[:4], case.side, masks=not case.classifier)
        loop.fit(
            case.ours(settings.precision), Objective(settings), train, validation, settings,
            title=case.name, resume=Path(folder, "resume"), report=lambda row, epoch: rows.append(row),
        )  # fmt: skip
    return rows[-1]["speed/images_per_second"]


def profile(case: Case, device: torch.device) -> str:
    """What dominates a training step of ours: the ten longest operations."""
    step = training_steps(case, in_memory(case, device), device)[STEP]
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
