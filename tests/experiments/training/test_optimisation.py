"""Options of a training besides its loop: averages, frozen encoders, iterations, plateaus; killed and resumed too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

import segmentation.architectures
from classification.model import build
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from experiments.training import train_fold
from experiments.training.checkpoints import mean_of
from experiments.training.optimisation import averaging, encoder_parts, layer_numbers, make_optimiser
from imaging.prepared import Prepared
from tests.experiments.training.test_loop import Quits, prepared, run, same

__all__ = ["prepared"]
KINDS: list[dict[str, Any]] = [
    {"ema": 0.9},
    {"ema": 0.9, "keep": "best"},
    {"keep": "best", "top": 2},
    {"schedule": "plateau", "warmup": 0, "lr_patience": 0, "optimiser": "radam"},
    {"schedule": "cosine", "cycles": 2, "optimiser": "sgd", "accumulate": 2},
    {"iterations": 20, "workers": 2, "optimiser": "adam"},
    {"sampling": {"scheme": "sliding", "positive_share": 0.8, "last_share": 0.4}, "schedule": "poly"},
    {"sampling": {"scheme": "bounded", "difference": 1}, "augment": {"preset": "winners"}, "workers": 2},
]


@pytest.mark.parametrize("changes", KINDS, ids=[" ".join(kind) for kind in KINDS])
def test_a_killed_run_ends_as_one_that_was_not(
    prepared: Prepared, tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole = run(prepared, tmp_path / "whole", **changes)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(prepared, tmp_path / "killed", [Quits(2)], **changes)
    resumed = run(prepared, tmp_path / "killed", **changes)
    assert same(whole, resumed)
    assert whole.history[-1]["train/loss"] == resumed.history[-1]["train/loss"]


def test_a_length_in_iterations_shows_so_many_images_each_changed_afresh(prepared: Prepared) -> None:
    from imaging.data.sampler import EpochSampler

    settings = ClassificationSettings(models=["c"], image_size=32, batch_size=4)
    images, _ = train_fold.datasets(prepared, 0, settings)
    sampler = EpochSampler(images, settings.sampling, seed=1, epochs=2, length=40)
    sampler.set_epoch(1)
    shown = list(sampler)
    assert len(shown) == len(sampler) == 40
    assert len(set(shown)) == 40  # the same image has another number at its second turn
    row = [index for index in shown if index % len(images) == shown[0] % len(images)]
    assert len(row) >= 2
    assert images[row[0]]["row"] == images[row[1]]["row"]
    assert not torch.equal(images[row[0]]["image"], images[row[1]]["image"])


def test_ema_by_hand() -> None:
    """(1 + n) / (10 + n) at first: 2/11, later the decay itself."""
    (callback,) = averaging(ClassificationSettings(models=["c"], ema=0.5))
    for number, expected in ((1, 2 / 11), (1000, 0.5)):
        average, counter = [torch.tensor(1.0)], [torch.tensor(3)]
        callback._kwargs["multi_avg_fn"](average, [torch.tensor(0.0)], torch.tensor(number))
        callback._kwargs["multi_avg_fn"](counter, [torch.tensor(4)], torch.tensor(number))
        assert average[0].item() == pytest.approx(expected)
        assert counter[0].item() == 4


def test_the_average_lives_on_the_device_that_trains() -> None:
    """The callback is set up before the module moves there."""
    (callback,) = averaging(ClassificationSettings(models=["c"], ema=0.5), torch.device("meta"))
    module = pl.LightningModule()
    module.layer = torch.nn.Linear(2, 2)
    callback.setup(pl.Trainer(logger=False, enable_checkpointing=False), module, "fit")
    assert {value.device.type for value in callback._average_model.module.state_dict().values()} == {"meta"}


def test_the_average_is_what_is_kept(prepared: Prepared, tmp_path: Path) -> None:
    plain, averaged = run(prepared, tmp_path / "a"), run(prepared, tmp_path / "b", ema=0.99)
    assert not same(plain, averaged)
    assert [row["train/loss"] for row in plain.history] == [row["train/loss"] for row in averaged.history]


def test_mean_of_checkpoints(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 4.0)):
        state = {"net.w": torch.full((2,), value), "net.n": torch.tensor(int(value))}
        torch.save({"state_dict": state}, tmp_path / f"{name}.ckpt")
    mean = mean_of(sorted(tmp_path.glob("*.ckpt")))
    assert mean["w"].tolist() == [2.5, 2.5]
    assert mean["n"].item() == 1


class WithEncoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
        self.head = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x).mean(dim=(2, 3)))


@pytest.mark.parametrize(("epochs", "still"), [(4, True), (3, False)])
def test_a_frozen_encoder_keeps_weights_and_statistics(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, still: bool
) -> None:
    torch.manual_seed(0)
    net = WithEncoder()
    before = {name: value.clone() for name, value in net.encoder.state_dict().items()}
    monkeypatch.setattr("tests.experiments.training.test_loop.network", lambda: net)
    after = run(prepared, tmp_path, freeze_encoder=epochs).state
    assert all(torch.equal(before[name], after[f"encoder.{name}"]) for name in before) == still


def test_encoder_of_a_timm_classifier_is_all_but_its_last_layer() -> None:
    import timm

    parts = encoder_parts(timm.create_model("resnet10t", num_classes=1))
    assert not any(isinstance(module, torch.nn.Linear) for part in parts for module in part.modules())
    localising = build(ClassificationSettings(models=["c"], architecture="resnet10t", head="localising"))
    assert encoder_parts(localising) == [localising.backbone]
    with pytest.raises(ValueError, match="Linear has no encoder of its own"):
        encoder_parts(torch.nn.Linear(1, 1))


LAYERED: list[tuple[str, str, str]] = [
    ("classification", "test_vit", "blocks.0.norm1.weight"),
    ("classification", "convnext_atto", "stages.0.blocks.0.norm.weight"),
    ("segmentation", "tu-test_vit", "body.encoder.model.blocks.0.norm1.weight"),
    ("segmentation", "tu-convnext_atto", "body.encoder.model.stages_0.blocks.0.norm.weight"),
]


@pytest.mark.parametrize(("stage", "name", "early"), LAYERED)
def test_layers_learn_the_slower_the_deeper_they_lie(stage: str, name: str, early: str) -> None:
    common: dict[str, Any] = {
        "models": ["m"],
        "image_size": 64,
        "lr": 1.0,
        "layer_decay": 0.5,
        "weight_decay": 0.1,
    }
    settings: Any
    if stage == "classification":
        settings = ClassificationSettings(architecture=name, **common)
        net = build(settings)
    else:
        settings = SegmentationSettings(encoder=name, **common)
        net = segmentation.architectures.build(settings)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    groups = make_optimiser(net, settings).param_groups
    rates = {names[id(one)]: group["lr"] for group in groups for one in group["params"]}
    decays = {names[id(one)]: group["weight_decay"] for group in groups for one in group["params"]}
    numbers = layer_numbers(net)
    assert rates.keys() == dict(net.named_parameters()).keys()
    assert 0 < rates[early] < 0.25
    head = next(name for name in rates if name not in numbers)
    assert rates[head] == 1.0
    last = max(numbers.values())
    for one, number in numbers.items():
        assert rates[one] == pytest.approx(0.5 ** (last + 1 - number))
    assert decays[early] == 0.0
    assert set(decays.values()) == {0.0, 0.1}


def test_layer_decay_needs_an_encoder_of_timm() -> None:
    settings = SegmentationSettings(models=["m"], encoder="resnet18", image_size=64, layer_decay=0.5)
    with pytest.raises(ValueError, match="layer_decay: the network has no timm encoder"):
        make_optimiser(segmentation.architectures.build(settings), settings)


@pytest.mark.parametrize("stage", ["classification", "segmentation"])
def test_the_whole_encoder_learns_at_its_own_rate(stage: str) -> None:
    common: dict[str, Any] = {
        "models": ["m"],
        "image_size": 64,
        "lr": 1.0,
        "encoder_rate": 0.25,
        "weight_decay": 0.1,
    }
    settings: Any
    if stage == "classification":
        settings = ClassificationSettings(architecture="resnet10t", head="localising", **common)
        net = build(settings)
    else:
        settings = SegmentationSettings(encoder="tu-resnet10t", **common)
        net = segmentation.architectures.build(settings)
    inside = {id(one) for part in encoder_parts(net) for one in part.parameters()}
    groups = make_optimiser(net, settings).param_groups
    rates = {id(one): group["lr"] for group in groups for one in group["params"]}
    decays = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    assert len(rates) == len(list(net.parameters()))
    for one in net.parameters():
        assert rates[id(one)] == (0.25 if id(one) in inside else 1.0)
        assert decays[id(one)] == (0.1 if one.ndim > 1 else 0.0)


def test_two_ways_to_slow_the_encoder_exclude_each_other() -> None:
    with pytest.raises(
        ValueError, match=r"encoder_rate 0\.5 and layer_decay 0\.5 both lower the encoder's rate"
    ):
        SegmentationSettings(models=["m"], encoder="tu-resnet10t", encoder_rate=0.5, layer_decay=0.5)
