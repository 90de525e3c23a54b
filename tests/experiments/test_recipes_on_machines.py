"""Every recipe trains two steps of each phase with the choices of each machine, with its own losses, optimisers, clipping,
accumulation, averages, freezing, sampling and augmentation: small networks in `make test`, the real ones in `make test-slow`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import imaging.prepare
from classification.model import build as build_classifier
from classification.objective import Objective as ClassificationObjective
from experiments.hardware import Hardware
from experiments.recipe import FOLDER, names
from experiments.settings.common import TrainingSettings
from experiments.settings.params import Params
from experiments.settings.scaling import DECODER, ENCODER
from experiments.settings.training import for_model, phases_of
from experiments.training import micro_batch, phases, train_fold
from imaging import rle, split
from imaging.io.config import validate
from imaging.prepared import Prepared
from imaging.settings import SplitSettings
from segmentation.architectures import build as build_segmenter
from segmentation.objective import Objective as SegmentationObjective
from tests.experiments.hardware_cases import MACHINES
from tests.imaging.conftest import SiimFolder

STAGES: dict[str, Any] = {
    "classification": (build_classifier, ClassificationObjective),
    "segmentation": (build_segmenter, SegmentationObjective),
}
SHORT: dict[str, Any] = {
    "epochs": 1, "iterations": 2, "validate_every": 1, "workers": 0, "pretrained": "none", "encoder_from": None,
}  # fmt: skip
"""Two steps of each phase; nothing is fetched."""
SIDE, LOCALISING_SIDE = 32, 64  # a localising head needs a map of at least 2 x 2 cells
MOST = 2
"""Images of a pass at the real size: a processor has neither the memory nor the speed for 16 images of 1024 px."""
FAST = ["h200"]
"""Processors emulate fp16, the T4's, a hundred times slower than bf16: test_machines.py has it for a tiny network."""


def shortened(settings: TrainingSettings, **changes: Any) -> TrainingSettings:
    """The settings and all phases with `changes`; an encoder that thaws later is frozen throughout."""
    own = {**settings.model_dump(), **SHORT, **changes}
    own["phases"] = [{**phase, **SHORT, **changes} for phase in settings.phases]
    fields = type(settings).model_fields
    own = {key: value for key, value in own.items() if key in fields}
    own["phases"] = [{key: value for key, value in phase.items() if key in fields} for phase in own["phases"]]
    for part in (own, *own["phases"]):
        if "sampling" in part:  # the phantoms here are one source
            part["sampling"] = {**part["sampling"], "sources": {}}
    return validate(type(settings), own, "")


def small(stage: str, settings: Any) -> TrainingSettings:
    """A recipe's settings with a small network, small images and batches of four."""
    changes: dict[str, Any] = {"image_size": SIDE, "batch_size": 4, "evaluation_batch_size": None}
    if stage == "classification":
        side = LOCALISING_SIDE if settings.head == "localising" else SIDE
        return shortened(settings, **{**changes, "image_size": side}, architecture=ENCODER)
    unet = settings.architecture in ("unet", "unetplusplus")
    return shortened(
        settings,
        **changes,
        encoder=f"tu-{ENCODER}",
        base_channels=4,
        decoder_channels=DECODER[: len(settings.decoder_channels or DECODER)] if unet else None,
    )


def cases(shrink: bool) -> list[Any]:
    """(stage, settings), each different training once; shrunk, the further models of a recipe are slow tests."""
    found: dict[str, Any] = {}
    seen: set[tuple[str, str]] = set()
    for recipe in names():
        params = validate(Params, yaml.safe_load((FOLDER / f"{recipe}.yaml").read_text()), "")
        for stage in STAGES:
            section: TrainingSettings = getattr(params, stage)
            for model in section.models:
                settings = for_model(section, model)
                settings = small(stage, settings) if shrink else settings
                alike = settings.model_dump_json(exclude={"models", "variants", "lr", "seed"})
                marks = [pytest.mark.slow] if shrink and (recipe, stage) in seen else []
                if alike not in found:
                    found[alike] = pytest.param(stage, settings, marks=marks, id=f"{recipe} {model}")
                    seen.add((recipe, stage))
    return list(found.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


def prepared(folder: Path, side: int) -> Prepared:
    """Twelve images, every second with a square, prepared at `side`."""
    place = folder / str(side)
    if not place.exists():
        source = SiimFolder(place / "siim")
        for number in range(12):
            mask = np.zeros((64, 64), np.uint8)
            mask[:20, number : number + 20] = number % 2
            source.add(f"i{number:02}", rle.encode(mask), patient=f"p{number}")
        source.write_labels()
        imaging.prepare.run(
            source.settings().model_copy(update={"image_size": side}), place / "prepared", place / "reports"
        )
        split.run(SplitSettings(folds=2), place / "prepared", place / "reports")
    return Prepared(place / "prepared")


def train(stage: str, settings: TrainingSettings, data: Prepared, resume: Path, hardware: Hardware) -> None:
    """Train on this processor as the hardware would, and look for the signs of a training."""
    build, objective = STAGES[stage]
    torch.manual_seed(0)
    net = build(phases_of(settings)[0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    groups = train_fold.validation_groups(data, train_fold.datasets(data, 0, settings)[1])
    done = phases.fit(
        net, settings, lambda phase: objective(phase, groups), lambda phase: train_fold.datasets(data, 0, phase),
        title="recipe", resume=resume, hardware=hardware,
    )  # fmt: skip
    assert len(done.history) == len(phases_of(settings))
    assert all(torch.isfinite(value).all() for value in done.state.values() if value.is_floating_point())
    trained = {re.sub(r"^checkpoints\.\d+\.", "", name): value for name, value in done.state.items()}
    assert any(not torch.equal(before[name], value) for name, value in trained.items())
    assert "kaggle" in done.metrics


@pytest.mark.parametrize(
    "machine", FAST + [pytest.param(name, marks=pytest.mark.slow) for name in MACHINES if name not in FAST]
)
@pytest.mark.parametrize(("stage", "settings"), cases(shrink=True))
def test_two_steps_of_each_phase(
    folder: Path, tmp_path: Path, stage: str, settings: TrainingSettings, machine: str
) -> None:
    train(stage, settings, prepared(folder, settings.image_size), tmp_path, MACHINES[machine])


def planned(stage: str, settings: TrainingSettings, hardware: Hardware) -> TrainingSettings:
    """Two steps of the batch that fits into the memory, at most MOST images and two passes a step: this is a processor."""
    build, objective = STAGES[stage]
    loss = objective(settings, np.zeros(1, np.int64)).loss
    whole = micro_batch.divided(build(settings, trained=True), loss, settings, hardware)
    batch = min(whole.batch_size, MOST)
    return shortened(
        settings,
        batch_size=batch,
        accumulate=min(whole.accumulate, 2),
        micro_batch=None,
        evaluation_batch_size=MOST,
    )


SCHEDULES = {
    "models", "variants", "phases", "seed", "lr", "lr_end", "epochs", "iterations", "schedule", "cycles", "warmup",
    "lr_patience", "patience", "validate_every", "keep", "top", "weight_decay", "sampling", "workers", "batch_size",
    "accumulate", "evaluation_batch_size", "encoder_from", "pretrained", "loss", "alpha", "gamma", "flip_tta",
    "scales", "mask_dice", "mask_weight", "inference_precision", "data_on_device", "freeze_encoder",
}  # fmt: skip
"""Settings that change neither the network nor what a step at its real size needs; the small networks are trained with each."""


def real_sizes() -> list[Any]:
    """(stage, settings of the last phase, the largest) of each network at its image size, once: recipes that share it, with the
    same terms of the loss, share the case."""
    found: dict[tuple[str, str], Any] = {}
    for case in cases(shrink=False):
        stage, settings = case.values
        last = phases_of(settings)[-1].model_copy(update={"devices": 1, "nodes": 1})
        key = (last.model_dump_json(exclude=SCHEDULES), str(sorted(getattr(last, "loss", None) or {})))
        found.setdefault(key, pytest.param(stage, last, id=f"{case.id} {last.image_size} px"))
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "settings"), real_sizes())
def test_two_steps_at_the_real_size(
    folder: Path, tmp_path: Path, stage: str, settings: TrainingSettings
) -> None:
    """The largest phase, with its own network, image size, loss and augmentation, under the choices of a 24 GB card.

    An H200 makes the same choices (bf16, channels_last, fused optimiser) and divides a batch into fewer passes. fp32 and fp16
    are tested with small networks above.
    """
    card = MACHINES["24gb"]
    data = prepared(folder, settings.image_size)
    train(stage, planned(stage, settings, card), data, tmp_path, card)
