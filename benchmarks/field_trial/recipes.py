"""Run a recipe by the project's own functions: networks, losses, training loop, checkpoints, inference."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor, nn

from benchmarks.field_trial.budget import Budget, budgeted, flops_of, shown_by
from benchmarks.field_trial.cohorts import SIMULATED, Cohort
from benchmarks.field_trial.methods import Plan
from classification import model as classification
from classification.objective import Objective as ClassificationObjective
from ensemble.evidence.probability import ensemble_probability
from experiments.networks import checkpoint_mean, inference, weights
from experiments.networks.normalisation import normalisation_of, set_normalisation
from experiments.settings.common import TrainingSettings
from experiments.settings.training import ClassificationSettings, phases_of
from experiments.training import phases, train_fold
from imaging.data import augment
from imaging.data.dataset import Images
from imaging.io.config import validate
from segmentation import architectures as segmentation
from segmentation.architectures import encoder_weights
from segmentation.objective import Objective as SegmentationObjective
from segmentation.pooled import LOGIT_RANGE, pooled_probability

VALIDATED = 24
"""Images that `keep: last` is validated on, which decides nothing."""


@dataclass
class Outputs:
    """What one fold's networks give: the image's probability (N,) and maps of probabilities float32 (N, s, s), not rounded."""

    prob: NDArray[np.float64]
    maps: NDArray[np.float32]


@dataclass
class Cost:
    """What a run has cost so far."""

    images: dict[str, int]
    flop: float = 0.0
    seconds: float = 0.0


def train(
    plan: Plan,
    cohort: Cohort,
    fold: int,
    budget: Budget,
    seed: int,
    folder: Path,
    start: Path | None,
    cost: Cost,
    mix: float | None,
    lengths: tuple[int, ...] = (),
) -> tuple[nn.Module | None, nn.Module]:
    """Train the classifier (None without one) and the segmentation network of one fold; a finished one is loaded.

    start: folder of the networks to go on from. mix: in T3, the share of the simulated images that an epoch draws from; None
    elsewhere. lengths: of a recipe's phases, where they are as many; else as their epochs.
    """
    begun = time.perf_counter()
    settings = {"classification": plan.classification, "segmentation": plan.segmentation}
    shares = {"classification": plan.share, "segmentation": 1 - plan.share}
    nets: dict[str, nn.Module] = {}
    for stage, share in shares.items():
        if not share:
            continue
        one: Any = settings[stage].model_copy(update={"seed": seed})
        if mix is not None:
            one = tuned(one, mix)
        path = folder / f"{stage}{fold}.safetensors"
        torch.manual_seed(seed)
        net = _begin(stage, one, folder, fold, start)
        flops = flops_of(net, one.image_size)
        images = budget.images if plan.same_images else budget.shown(flops, share)
        one = budgeted(one, images, lengths)
        cost.images[stage] = cost.images.get(stage, 0) + shown_by(one)
        cost.flop += 3 * flops * shown_by(one)
        if not path.exists():
            found = _fit(stage, net, one, cohort, fold, folder / f"{stage}{fold}-resume")
            facts = {"settings": one.model_dump(mode="json"), "normalisation": normalisation_of(net)}
            state = {name: value.contiguous() for name, value in found.items()}
            weights.save(path, state, {"stage": stage, **facts})
            shutil.rmtree(folder / f"{stage}{fold}-resume", ignore_errors=True)
        # Several checkpoints, where the recipe averages their predictions.
        nets[stage] = weights.restore(net, path)
    cost.seconds += time.perf_counter() - begun
    return nets.get("classification"), nets["segmentation"]


def tuned(settings: Any, share: float) -> Any:
    """Settings with which T3 goes on: half the rate, no phases, no weights to fetch; an epoch draws from `share` of the simulated
    images and from all real ones, mixed in every batch."""
    last = phases_of(settings)[-1]
    sampling = {
        **last.sampling.model_dump(),
        "sources": {SIMULATED: share},
        "batches": "mixed",
    }
    change = {
        "phases": [],
        "pretrained": "none",
        "lr": last.lr / 2,
        "lr_end": min(last.lr_end, last.lr / 2),
        "sampling": sampling,
        "freeze_encoder": 0,
    }
    if hasattr(last, "encoder_from"):
        change["encoder_from"] = None
    return validate(type(settings), {**last.model_dump(), **change}, "T3")


def _begin(stage: str, settings: Any, folder: Path, fold: int, start: Path | None) -> nn.Module:
    net = (classification if stage == "classification" else segmentation).build(settings)
    path = None
    if start is not None:
        path = start / f"{stage}0.safetensors"
        net.load_state_dict(checkpoint_mean.best(weights.load_state(path)))
    elif getattr(settings, "encoder_from", None) is not None:
        path = folder / f"classification{fold}.safetensors"
        encoder: nn.Module = net.encoder
        encoder.load_state_dict(
            encoder_weights.fitting(
                checkpoint_mean.best(weights.load_state(path)), encoder.state_dict(), str(path)
            )
        )
    return net if path is None else set_normalisation(net, weights.load_facts(path)["normalisation"])


def _fit(
    stage: str, net: nn.Module, settings: TrainingSettings, cohort: Cohort, fold: int, resume: Path
) -> dict[str, Tensor]:
    """The trained state: one network's, or that of several checkpoints."""
    objective: Callable[..., Any] = (
        ClassificationObjective if stage == "classification" else SegmentationObjective
    )
    prepared = cohort.prepared
    rows = train_fold.training_rows(prepared, fold, settings.needs_masks)
    held_back = np.sort(train_fold.validation_rows(prepared, fold, settings.needs_masks))
    if all(phase.keep == "last" for phase in phases_of(settings)):
        held_back = _few(prepared.index["label"].to_numpy(float)[held_back], held_back)
    contrast = settings.contrast
    validation = Images(prepared, held_back, settings.image_size, None, seed=settings.seed, contrast=contrast)
    groups = train_fold.validation_groups(prepared, validation)

    def data(phase: TrainingSettings) -> tuple[Images, Images]:
        change = augment.build(phase.augment, phase.image_size)
        training = Images(prepared, rows, phase.image_size, change, seed=phase.seed, contrast=contrast)
        return training, validation

    done = phases.fit(
        net,
        settings,
        lambda phase: objective(phase, groups),
        data,
        title=f"{stage} fold {fold}",
        resume=resume,
    )
    return done.state


def _few(label: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some rows of each class."""
    half = VALIDATED // 2
    return np.sort(np.concatenate([rows[label == 1][:half], rows[label == 0][:half]]))


def predict(
    nets: tuple[nn.Module | None, nn.Module], plan: Plan, cohort: Cohort, rows: NDArray[np.int64]
) -> Outputs:
    """Outputs for some rows."""
    classifier, segmenter = nets
    maps, probs = [], []
    for one in _over(segmenter, plan.segmentation, cohort, rows):
        maps.append(one[:, 0].numpy())
        probs.append(pooled_probability(one).numpy())
    if classifier is not None:
        probs = [one[:, 0].numpy() for one in _over(classifier, plan.classification, cohort, rows)]
    return Outputs(np.concatenate(probs).astype(np.float64), np.concatenate(maps))


def averaged(outputs: list[Outputs]) -> Outputs:
    """The mean logit of several networks' outputs; of one network, its own exactly."""
    if len(outputs) == 1:
        return outputs[0]
    prob = ensemble_probability(
        np.stack([one.prob for one in outputs], axis=1), np.full(len(outputs), 1 / len(outputs))
    )
    logits = [logit(np.clip(one.maps, *LOGIT_RANGE, dtype=np.float64)) for one in outputs]
    return Outputs(prob, expit(np.mean(logits, axis=0)).astype(np.float32))


def _over(
    net: nn.Module, settings: ClassificationSettings | Any, cohort: Cohort, rows: NDArray[np.int64]
) -> Any:
    images = Images(
        cohort.prepared, rows, settings.image_size, None, seed=0, masks=False, contrast=settings.contrast
    )
    return inference.over(net, images, settings)
