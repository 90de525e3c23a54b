"""Every recipe builds its networks and takes a step, whole and at each scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import yaml

from classification.model import build as build_classifier
from classification.objective import Objective as ClassificationObjective
from experiments.networks.normalisation import normalise
from experiments.recipe import FOLDER, Choice, names, text_of
from experiments.settings.common import TrainingSettings
from experiments.settings.params import Params
from experiments.settings.scaling import SCALES, reduced
from experiments.settings.training import for_model, phases_of
from experiments.training.optimisation import make_optimiser
from imaging.data import augment
from imaging.data.sampler import counts
from imaging.io.config import validate
from segmentation.architectures import build as build_segmenter
from segmentation.objective import Objective as SegmentationObjective

NAMED = [
    "cad-two-stage",
    "chest-image-pneum",
    "cranium",
    "double-unet",
    "siim-best",
    "siim-first-place",
    "siim-unet",
]
PUBLISHED = [
    ("chest-image-pneum", "segmentation.lr=0.001"),
    ("chest-image-pneum", "segmentation.lr=0.0001"),
    ("cranium", "segmentation.lr=0.001"),
    ("cranium", "segmentation.lr=0.0001"),
    ("siim-unet", "segmentation.encoder=se_resnext50_32x4d"),
    (
        "siim-unet",
        "segmentation.encoder=se_resnext101_32x4d segmentation.optimiser=radam segmentation.lr=0.0001",
    ),
]
"""The published variants of a recipe, as its head and docs/recipes.md write them."""
STAGES: dict[str, Any] = {
    "classification": (build_classifier, ClassificationObjective),
    "segmentation": (build_segmenter, SegmentationObjective),
}
NETWORK = {
    "architecture", "head", "output_stride", "encoder", "attention", "decoder_channels", "base_channels", "classes",
    "image_head", "auxiliary", "loss", "optimiser", "image_size",
}  # fmt: skip


def params(name: str, scale: str) -> Params:
    return validate(Params, yaml.safe_load(text_of(Choice(name, scale=scale))), "")


def networks() -> list[Any]:
    """(recipe, stage, model) once for each network; all but the first of an architecture are slow tests."""
    cases, whole, kinds = [], set(), set()
    for recipe in names():
        tiny = params(recipe, "tiny")
        for stage in STAGES:
            section: TrainingSettings = getattr(tiny, stage)
            for model in section.models:
                settings = phases_of(for_model(section, model))[-1]
                network = settings.model_dump_json(include=NETWORK)
                kind = (stage, settings.architecture if stage == "segmentation" else settings.head)  # type: ignore[attr-defined]
                marks = [pytest.mark.slow] if kind in kinds else []
                if network not in whole:
                    cases.append(pytest.param(recipe, stage, model, marks=marks, id=f"{recipe} {model}"))
                whole.add(network)
                kinds.add(kind)
    return cases


@pytest.mark.parametrize("name", names())
def test_every_recipe_is_valid_as_it_is(name: str) -> None:
    found = validate(Params, yaml.safe_load(text_of(Choice(name))), "")
    for stage in STAGES:
        section: TrainingSettings = getattr(found, stage)
        for model in section.models:
            assert phases_of(for_model(section, model))


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("scale", SCALES)
def test_every_recipe_is_valid_at_every_scale(name: str, scale: str) -> None:
    found, whole = params(name, scale), yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert found.data.source == "phantom"
    assert found.segmentation.architecture == whole["segmentation"].get("architecture", "unet")
    assert found.segmentation.models == whole["segmentation"]["models"]
    assert found.ensemble.rule == whole["ensemble"]["rule"]
    for stage in STAGES:
        section: TrainingSettings = getattr(found, stage)
        assert section.pretrained == "none"
        assert len(section.phases) == len(whole[stage].get("phases", []))
        for model in section.models:
            for phase in phases_of(for_model(section, model)):
                assert phase.image_size <= found.data.image_size
                assert phase.epochs <= SCALES[scale].epochs
                assert phase.batch_size <= SCALES[scale].batch
                assert not phase.sampling.sources  # phantoms are one source


def test_the_published_experiments_are_all_there() -> None:
    assert set(NAMED) <= set(names())


@pytest.mark.parametrize(("recipe", "overrides"), PUBLISHED)
def test_a_published_variant_is_its_recipe_with_overrides(recipe: str, overrides: str) -> None:
    assert f'SET="{overrides}"' in (FOLDER / f"{recipe}.yaml").read_text()
    text = text_of(Choice(recipe, overrides=tuple(overrides.split())))
    section = validate(Params, yaml.safe_load(text), "").segmentation.model_dump()
    for override in overrides.split():
        key, value = override.removeprefix("segmentation.").split("=")
        assert section[key] == yaml.safe_load(value)


def test_sizes_shrink_in_proportion_and_iterations_with_the_images() -> None:
    best, chest = (
        reduced(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), SCALES["small"])["segmentation"]
        for name in ("siim-best", "chest-image-pneum")
    )
    assert [phase.get("image_size", best["image_size"]) for phase in best["phases"]] == [128, 128, 192, 256]
    # 16, 30, 24 and 20 of 90 epochs become shares of 12
    assert [phase["epochs"] for phase in best["phases"]] == [2, 4, 3, 3]
    # 3,000 phantoms, .7 of them in the folds, two thirds trained on, 16 a step
    assert (chest["epochs"], chest["iterations"]) == (12, 12 * 88)


def test_phases_of_a_variant_shrink_as_those_of_the_section() -> None:
    section = params("siim-first-place", "small").segmentation
    found = {name: phases_of(for_model(section, name)) for name in section.models}
    # 50, 48, 48 and 40 of 186 epochs become shares of 12
    assert {tuple(phase.epochs for phase in phases) for phases in found.values()} == {(3, 3, 3, 3)}
    shares = [phase.sampling.positive_share for phase in found["albunet_public"]]
    assert shares == [0.8, 0.4, 0.6, 0.4]
    assert [phase.lr for phase in found["seunet"]] == [phase.lr for phase in found["albunet_valid"]]


def rates(name: str, scale: str) -> list[float]:
    """The learning rate of each phase of a recipe's segmenter."""
    section = params(name, scale).segmentation
    return [phase.lr for phase in phases_of(for_model(section, section.models[0]))]


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("siim-unet", "cpu", [2e-3]),  # 1e-5 is made for weights of ImageNet
        ("siim-unet", "tiny", [1e-5]),
        ("siim-first-place", "cpu", [2e-3, 2e-4, 2e-4, 2e-4]),  # 1e-4 and 1e-5: a tenth stays a tenth
        ("siim-best", "cpu", [2e-3, 1e-3, 1e-3, 3e-4]),
        ("phantom", "cpu", [2e-3]),
        ("head-ct-phantom", "cpu", [3e-3]),  # high enough
        ("chest-image-pneum", "cpu", [1e-2]),  # SGD
    ],
)
def test_rates_made_for_pretrained_weights_are_raised_where_networks_begin_at_random(
    name: str, scale: str, expected: list[float]
) -> None:
    assert rates(name, scale) == pytest.approx(expected)


def test_every_recipe_trains_the_same_folds_at_the_scales_that_compare() -> None:
    for scale in ("cpu", "small"):
        assert len({tuple(params(name, scale).train_folds) for name in names()}) == 1


def test_a_random_encoder_is_not_frozen_at_first() -> None:
    section = params("siim-best", "cpu").segmentation
    assert [phase.freeze_encoder for phase in phases_of(for_model(section, section.models[0]))] == [
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("scale", ["tiny", "cpu"])
@pytest.mark.parametrize(("recipe", "stage", "model"), networks())
def test_a_network_of_a_recipe_is_built_and_takes_a_step(
    recipe: str, stage: str, model: str, scale: str
) -> None:
    section = getattr(params(recipe, scale), stage)
    settings = phases_of(for_model(section, model))[-1]
    build, objective = STAGES[stage]
    torch.manual_seed(0)
    net = build(settings).train()
    side = settings.image_size
    mask = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    mask[0, 0, 10:20, 10:20] = 1
    batch = {"image": mask * 100 + 50, "mask": mask, "label": torch.tensor([1.0, 0.0])}
    optimiser = make_optimiser(net, settings)
    before = [p.detach().clone() for p in net.parameters()]
    loss = objective(settings, np.zeros(1, np.int64)).loss(net(normalise(batch["image"], net)), batch)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert any(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))
    assert augment.build(settings.augment, side) is not None


OF_TRAINING = [1708, 6002]
"""Positive and negative images of SIIM-ACR that a network of five folds trains on, without a hold-out of a fifth."""


@pytest.mark.parametrize(
    ("recipe", "shown"),
    [
        ("siim-best", {512: 162_260, 768: 102_480, 1024: 113_867}),
        ("siim-best-24gb", {512: 162_260, 768: 102_480, 1024: 91_093}),
    ],
)
def test_the_best_recipes_show_every_positive_in_every_epoch_and_twice_the_images(
    recipe: str, shown: dict[int, int]
) -> None:
    """Twice what `siim-best` showed before: 64,000 at 512 px, 43,000 at 768 and at 1024."""
    section = params_of(recipe).segmentation
    for model in section.models:
        seen = dict.fromkeys(shown, 0)
        for phase in phases_of(for_model(section, model)):
            for epoch in range(phase.epochs):
                positive, negative = counts(*OF_TRAINING, phase.sampling, epoch, phase.epochs)  # type: ignore[call-arg]
                assert positive == OF_TRAINING[0]
                seen[phase.image_size] += positive + negative
        assert seen == pytest.approx(shown, rel=0.001)
        assert all(
            seen[side] > 2 * before for side, before in {512: 64_000, 768: 43_000, 1024: 43_000}.items()
        )


FIRST_PLACE = {
    "albunet_public": ([0.8, 0.4, 0.6, 0.4], {"cross_entropy": 1, "batch_dice": 1, "focal": 1}),
    "albunet_valid": ([0.8, 0.6, 0.4, 0.4], {"cross_entropy": 3, "batch_dice": 1, "focal": 4}),
    "seunet": ([0.8, 0.6, 0.4, 0.5], {"cross_entropy": 3, "batch_dice": 1, "focal": 4}),
    "resnet50": ([0.8, 0.6, 0.4, 0.5], {"cross_entropy": 2, "batch_dice": 1, "focal": 2}),
}
"""Shares of positives in parts 0, 1, 2 and the second stage, and the weights of the loss, of the published configurations."""


@pytest.mark.parametrize("model", FIRST_PLACE)
def test_the_first_places_recipe_is_its_published_configuration(model: str) -> None:
    whole = params_of("siim-first-place")
    shares, loss = FIRST_PLACE[model]
    chain = phases_of(for_model(whole.segmentation, model))
    assert [phase.sampling.positive_share for phase in chain] == shares
    assert {phase.image_size for phase in chain} == {1024}
    assert all(phase.loss == loss and phase.augment.preset == "winners" for phase in chain)
    assert [phase.top for phase in chain] == [1, 1, 1, 3]
    assert (chain[0].lr, chain[0].schedule, chain[0].patience) == (1e-4, "plateau", 10)
    assert [phase.lr for phase in chain[1:]] == [1e-5] * 3
    assert whole.segmentation.models == list(FIRST_PLACE)
    assert whole.classification.models == []
    assert (whole.ensemble.rule, whole.ensemble.min_component) == ("triplet", 100)


def params_of(recipe: str) -> Params:
    """A recipe as it stands in its file."""
    return validate(Params, yaml.safe_load((FOLDER / f"{recipe}.yaml").read_text()), "")
