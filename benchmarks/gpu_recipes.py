"""Train every recipe's networks for a few steps at their real sizes: throughput, memory, feed and share of the matrix peak."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.flop_counter import FlopCounterMode

import classification.model
import classification.objective
import segmentation.architectures
import segmentation.objective
from benchmarks.gpu_cases import generated
from experiments.hardware import Hardware
from experiments.networks.normalisation import normalise
from experiments.networks.precision import autocast, choose_precision
from experiments.recipe import FOLDER, names
from experiments.settings.common import TrainingSettings
from experiments.settings.params import Params
from experiments.settings.training import for_model, phases_of
from experiments.training.optimisation import make_optimiser
from imaging.data import augment, augment_batch
from imaging.data.dataset import Images
from imaging.data.device_cache import Resident
from imaging.io.config import validate
from imaging.prepared import Prepared

STAGES: dict[str, Any] = {
    "classification": (classification.model.build, classification.objective.Objective),
    "segmentation": (segmentation.architectures.build, segmentation.objective.Objective),
}
WARM, BATCHES = 3, 4
COLUMNS = ("recipe", "network", "side", "batch", "images_s", "feed", "memory_gib", "peak", "fp32", "bf16")


@dataclass(frozen=True)
class RecipeCase:
    """One network of a recipe in one phase, at its real size and batch."""

    recipe: str
    stage: str
    model: str
    settings: TrainingSettings

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.stage} {self.model}"

    def plain(self) -> nn.Module:
        """The same kind of network as public code has it: smp's U-Net on the encoder, or timm's classifier; untrained."""
        settings: Any = self.settings
        if self.stage == "classification":
            return timm.create_model(settings.architecture, in_chans=1, num_classes=1)
        return smp.Unet(settings.encoder, encoder_weights=None, in_channels=1)


def cases() -> list[RecipeCase]:
    """Every network of every recipe at each of its sizes and batches, equal ones once; nothing is fetched."""
    found: dict[str, RecipeCase] = {}
    for recipe in names():
        params = validate(Params, yaml.safe_load((FOLDER / f"{recipe}.yaml").read_text()), recipe)
        for stage in STAGES:
            section: TrainingSettings = getattr(params, stage)
            for model in section.models:
                for phase in phases_of(for_model(section, model)):
                    settings = phase.model_copy(update={"pretrained": "none", "devices": 1, "nodes": 1})
                    own = {
                        "models",
                        "variants",
                        "lr",
                        "lr_end",
                        "seed",
                        "epochs",
                        "sampling",
                        "freeze_encoder",
                        "cycles",
                    }
                    found.setdefault(
                        settings.model_dump_json(exclude=own), RecipeCase(recipe, stage, model, settings)
                    )
    return list(found.values())


def measure(case: RecipeCase, hardware: Hardware, peak_tflops: float, seconds: float) -> dict[str, Any]:
    """One row of the table; `seconds` is shared by the four measurements. Out of memory is a row with an error."""
    row: dict[str, Any] = {
        "recipe": case.recipe, "network": case.name, "side": case.settings.image_size, "batch": case.settings.batch_size,
    }  # fmt: skip
    hardware.reset_peak_memory()
    try:
        with tempfile.TemporaryDirectory() as folder:
            side, batch = case.settings.image_size, case.settings.batch_size
            row |= _ours(
                case, generated(Path(folder), BATCHES * batch, side), hardware, peak_tflops, seconds / 4
            )
        row["memory_gib"] = hardware.peak_memory() / 2**30
        row |= {
            "fp32": _plain(case, hardware, None, seconds / 4),
            "bf16": _plain(case, hardware, torch.bfloat16, seconds / 4),
        }
    except torch.OutOfMemoryError:
        row["error"] = "out of memory"
    hardware.release_memory()
    return row


def _ours(
    case: RecipeCase, prepared: Prepared, hardware: Hardware, peak: float, seconds: float
) -> dict[str, float]:
    """Images per second of our step on a batch in memory, and the share that remains with the device-resident feed."""
    build, objective = STAGES[case.stage]
    settings = case.settings
    torch.manual_seed(0)
    net = build(settings).to(hardware.device).to(memory_format=torch.channels_last).train()
    loss, optimiser = objective(settings, np.zeros(1, np.int64)).loss, make_optimiser(net, settings, hardware)
    precision = choose_precision(settings.precision, hardware)
    scaler = torch.amp.GradScaler(hardware.device.type, enabled=precision == "16-mixed")

    def step(batch: dict[str, Tensor]) -> None:
        optimiser.zero_grad()
        with autocast(precision, hardware):
            image = normalise(batch["image"], net).contiguous(memory_format=torch.channels_last)
            value = loss(net(image), batch)
        scaler.scale(value).backward()
        if settings.gradient_clip:
            scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_clip)
        scaler.step(optimiser)
        scaler.update()

    fused = (
        settings.augment.model_copy(update={"engine": "fused"})
        if settings.augment.engine == "fused"
        else None
    )
    change = augment.build(fused, settings.image_size) if fused else None
    images = Resident(
        Images(prepared, range(len(prepared.index)), settings.image_size, change), hardware.device
    )
    size = settings.batch_size
    orders = [range(start, start + size) for start in range(0, BATCHES * size, size)]
    still = augment_batch.changed(_on(images.__getitems__(orders[0]), hardware))
    alone = _rate(lambda number: step(still), size, hardware, seconds)

    def fed(number: int) -> None:
        step(augment_batch.changed(_on(images.__getitems__(orders[number % BATCHES]), hardware)))

    feed = _rate(fed, size, hardware, seconds) / alone
    flops = 3 * _flops(net, settings.image_size, hardware)  # backward multiplies twice as often as forward
    return {"images_s": alone, "feed": feed, "peak": flops * alone / 1e12 / peak}


def _plain(case: RecipeCase, hardware: Hardware, dtype: torch.dtype | None, seconds: float) -> float:
    """Images per second of plain public code: unchanged in float32, or bf16 in channels-last."""
    order = torch.contiguous_format if dtype is None else torch.channels_last
    net: Any = case.plain().to(hardware.device).to(memory_format=order).train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-4)
    side, size = case.settings.image_size, case.settings.batch_size
    image = torch.randn(size, 1, side, side, device=hardware.device).contiguous(memory_format=order)

    def step(number: int) -> None:
        optimiser.zero_grad()
        with torch.autocast(hardware.device.type, dtype) if dtype else nullcontext():
            output = net(image)
        binary_cross_entropy_with_logits(
            output.float(), torch.zeros_like(output, dtype=torch.float32)
        ).backward()
        optimiser.step()

    return _rate(step, size, hardware, seconds)


def _on(batch: dict[str, Tensor], hardware: Hardware) -> dict[str, Tensor]:
    return {name: value.to(hardware.device, non_blocking=True) for name, value in batch.items()}


def _rate(step: Callable[[int], None], images: int, hardware: Hardware, seconds: float) -> float:
    """Images per second, after warm-up steps; at least one step, at most `seconds`."""
    for number in range(WARM if seconds else 1):
        step(number)
    hardware.synchronise()
    start, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - start < seconds:
        step(steps)
        steps += 1
        if steps % 4 == 0:  # otherwise the queue would grow
            hardware.synchronise()
    hardware.synchronise()
    return steps * images / (time.perf_counter() - start)


def _flops(net: nn.Module, side: int, hardware: Hardware) -> float:
    """Multiplications and additions of one image forward."""
    net.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, side, side, device=hardware.device))
    net.train()
    return float(counter.get_total_flops())


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: images per second of our step, share left with the feed, memory, share of the matrix peak, plain code's
    rates."""
    lines = [
        "| recipe | network | side | batch | images/s | with feed | GiB | of peak | plain fp32 | plain bf16 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    formats = ("{}", "{}", "{}", "{}", "{:,.0f}", "{:.0%}", "{:.1f}", "{:.0%}", "{:,.0f}", "{:,.0f}")
    for row in rows:
        cells = [
            form.format(row[name]) if name in row else "–"
            for name, form in zip(COLUMNS, formats, strict=True)
        ]
        lines.append(f"| {' | '.join(cells)} |" + (f" {row['error']}" if "error" in row else ""))
    return "\n".join(lines) + "\n"
