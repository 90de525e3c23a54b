"""Count what a run of a params file will do: images shown, floating-point operations, memory, bytes on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.hardware import CPU, Hardware
from experiments.networks.precision import choose_precision
from experiments.plan.batch import Fit, fit_batch
from experiments.plan.cost import BACKWARD, StepCost, step_cost
from experiments.plan.stages import STAGES, named
from experiments.settings.common import TrainingSettings
from experiments.settings.params import Params
from experiments.settings.training import for_model, phases_of
from imaging.data import device_cache
from imaging.data.sampler import counts
from imaging.io import map_archive
from imaging.settings import DataSettings, PhantomSettings

SIIM = (12_047, 2_669)
"""Labelled and positive images of SIIM-ACR."""
SCHEDULE = {
    "models", "variants", "epochs", "iterations", "batch_size", "accumulate", "lr", "lr_end", "weight_decay", "schedule",
    "cycles", "lr_patience", "warmup", "validate_every", "keep", "top", "top_average", "patience", "sampling", "seed", "workers",
    "augment",
}  # fmt: skip
"""Settings that change nothing about the cost of a step."""
_measured: dict[tuple[str, str, str, int], StepCost] = {}


@dataclass(frozen=True)
class Phase:
    """One phase of the training of one model on one fold."""

    stage: str
    model: str
    number: int
    image_size: int
    precision: str
    parameters: int
    batch: int
    accumulate: int
    memory: int
    """Bytes of the card, allowances included."""
    fits: bool
    images: int
    """Images shown in all epochs."""
    positives: int
    """Positive ones among them."""
    flop: float
    """Training and validation of one fold."""
    flop_per_image: float
    """Forward and backward."""


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    phases: list[Phase]
    folds: int
    prediction_flop: float
    """Out-of-fold and hold-out predictions of all models and folds."""
    disk: dict[str, int]
    """Bytes by what they hold; mask maps: the room that is asked for before they are written."""
    holdout: int
    """Images that the run is evaluated on."""

    @property
    def flop(self) -> float:
        """Training of all folds, and predictions."""
        return self.folds * sum(phase.flop for phase in self.phases) + self.prediction_flop

    @property
    def fits(self) -> bool:
        """Whether every phase fits into the card's memory."""
        return all(phase.fits for phase in self.phases)

    def hours(self, tflops: float) -> float:
        """Hours at a sustained rate of `tflops`, 10^12 FLOP per second."""
        return self.flop / tflops / 1e12 / 3600

    def as_json(self, tflops: float) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {**asdict(self), "flop": self.flop, "tflops": tflops, "hours": self.hours(tflops)}


def card(gigabytes: float) -> Hardware:
    """A GPU of `gigabytes` (10^9 bytes); one of 16 GB or less is taken for a T4, which has no bfloat16."""
    return Hardware("cuda", "GPU", int(gigabytes * 1e9), gigabytes > 16, 8, 1, CPU)


def data_size(data: DataSettings, phantom: PhantomSettings) -> tuple[int, int]:
    """Labelled and positive images of a source; ValueError for a source whose size is not known beforehand."""
    if data.source == "phantom":
        return phantom.train, round(phantom.train * phantom.prevalence)
    if data.source == "siim":
        return SIIM
    raise ValueError(
        f"data.source {data.source}: give the number of its images with --images and --positives"
    )


def plan(params: Params, images: int, positives: int, hardware: Hardware) -> Plan:
    """Plan every phase of every model, each with the largest batch that fits."""
    split, folds = params.split, len(params.train_folds)
    of_fold = [round(n * (1 - split.holdout) / split.folds) for n in (positives, images - positives)]
    holdout = round(images * split.holdout)
    predicted = folds * (sum(of_fold) + holdout)  # each network: its fold and the hold-out
    phases: list[Phase] = []
    flop, maps, weights = 0.0, 0, 0
    for stage in STAGES:
        section = getattr(params, stage)
        for model in section.models:
            chain = phases_of(for_model(section, model))
            own = [
                _phase(stage, model, i, one, of_fold, split.folds, hardware) for i, one in enumerate(chain)
            ]
            phases += own
            last, settings = own[-1], chain[-1]
            views = (1 + settings.flip_tta) * sum(scale**2 for scale in settings.scales)
            checkpoints = settings.top if settings.top_average == "predictions" else 1
            flop += predicted * views * checkpoints * last.flop_per_image / (1 + BACKWARD)
            maps += predicted * settings.image_size**2 if stage == "segmentation" else 0
            weights += 4 * last.parameters * folds * checkpoints
    prepared = (images + positives) * params.data.image_size**2
    disk = {"prepared data": prepared, "mask maps": maps // map_archive.SHARE, "weights": weights}
    return Plan(phases, folds, flop, disk, holdout)


def _phase(
    stage: str,
    model: str,
    number: int,
    settings: TrainingSettings,
    of_fold: list[int],
    folds: int,
    hardware: Hardware,
) -> Phase:
    shown = images_shown(settings, [n * (folds - 1) for n in of_fold])
    cost = costs(stage, settings, hardware)
    fit = fitted(stage, settings, hardware, resident(settings, of_fold, folds, hardware))
    step = cost(fit.batch)
    per_image = step.flop / fit.batch
    validated = settings.epochs // settings.validate_every * sum(of_fold)
    return Phase(
        stage, model, number, settings.image_size, choose_precision(settings.precision, hardware), step.parameters,
        fit.batch, fit.accumulate, fit.bytes, fit.fits, int(sum(shown)), int(shown[0]),
        per_image * (sum(shown) + validated / (1 + BACKWARD)), per_image,
    )  # fmt: skip


def images_shown(settings: TrainingSettings, training: list[int]) -> list[int]:
    """Positive and negative images that all epochs of a phase show, of (positive, negative) training images."""
    epochs = range(settings.epochs)
    positives, negatives = training
    each = np.array([counts(positives, negatives, settings.sampling, e, settings.epochs) for e in epochs])
    total = each.sum(axis=0)
    if settings.iterations is None:
        return [int(n) for n in total]
    length = settings.iterations * settings.accumulate * settings.batch_size
    return [int(n) for n in np.round(total / total.sum() * length)]


def fitted(stage: str, settings: TrainingSettings, hardware: Hardware, held: int = 0) -> Fit:
    """The batch of one process that fits on the card together with `held` bytes of images, and accumulation for the rest."""
    batch = settings.batch_size // settings.processes
    return fit_batch(costs(stage, settings, hardware), batch, settings.accumulate, hardware.memory, held)


def resident(settings: TrainingSettings, of_fold: list[int], folds: int, hardware: Hardware) -> int:
    """Bytes of the training and validation images that a phase keeps in the card's memory; masks are those of positives."""
    if hardware.kind == "cpu":
        return 0
    validation = (2 * of_fold[0] + of_fold[1]) * settings.image_size**2
    fused = settings.augment.preset == "none" or settings.augment.engine == "fused"
    return device_cache.planned(
        [(folds - 1) * validation, validation], settings.data_on_device, fused, settings.loader_processes,
        hardware.memory,
    )  # fmt: skip


def costs(stage: str, settings: TrainingSettings, hardware: Hardware) -> Callable[[int], StepCost]:
    """A function of the batch that measures a step on fake tensors; results are remembered for all phases and cards."""
    precision = choose_precision(settings.precision, hardware)
    key = settings.model_dump_json(exclude=SCHEDULE)

    def cost(batch: int) -> StepCost:
        known = (stage, key, precision, batch)
        if known not in _measured:
            build, objective = (named(name) for name in STAGES[stage])
            loss = objective(settings, np.zeros(1, np.int64)).loss
            _measured[known] = step_cost(
                build(settings, trained=True), loss, settings, precision, hardware, batch
            )
        return _measured[known]

    return cost
