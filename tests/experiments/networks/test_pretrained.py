"""Pretrained weights: files with the names and shapes of real ones end up in the right tensors, or are refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import classification.model
from experiments.networks import pretrained, state_dicts
from experiments.networks.normalisation import NORMALISATION, from_channels, normalisation_of, normalise
from experiments.settings.training import ClassificationSettings
from imaging.io.files import sha256
from tests.experiments.networks.pretrained_files import State, classifier, of_timm, random, saved, segmenter
from tests.experiments.networks.test_state_dicts import radiograph_dino


@pytest.mark.parametrize("architecture", ["resnet10t", "convnext_atto", "test_vit", "densenet121"])
def test_a_classifier_starts_from_a_file_of_timm(tmp_path: Path, architecture: str) -> None:
    state = of_timm(architecture, **({"img_size": 64} if architecture == "test_vit" else {}))
    path = saved(
        tmp_path, state, config={"pretrained_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}}
    )
    net = classifier(architecture, path.parent)
    own = net.state_dict()
    head = {id(one) for one in net.get_classifier().state_dict(keep_vars=True).values()}
    for name, value in net.state_dict(keep_vars=True).items():
        if id(value) in head or "num_batches_tracked" in name:
            continue
        expected = state[name].sum(1, keepdim=True) if state[name].shape != value.shape else state[name]
        assert torch.allclose(own[name], expected, atol=1e-5), name
    assert normalisation_of(net) == pytest.approx({"mean": 0.5, "std": 0.2})
    assert pretrained.origin(net) == {"source": str(path.parent), "sha256": sha256(path)}


@pytest.mark.parametrize(
    ("encoder", "architecture"),
    [("tu-convnext_atto", "convnext_atto"), ("resnet18", "resnet18"), ("tu-test_vit", "test_vit")],
)
def test_a_segmenters_encoder_starts_from_the_same_file(
    tmp_path: Path, encoder: str, architecture: str
) -> None:
    state = of_timm(architecture, **({"img_size": 64} if architecture == "test_vit" else {}))
    net = segmenter(encoder, saved(tmp_path, state))
    values = {state_dicts.plain(name): value for name, value in state.items()}
    inner = net.encoder.model if hasattr(net.encoder, "model") else net.encoder
    for name, value in inner.state_dict().items():
        if "num_batches_tracked" not in name:
            expected = values[state_dicts.plain(name)]
            assert torch.allclose(
                value, expected if expected.shape == value.shape else expected.sum(1, keepdim=True), atol=1e-5
            )
    assert normalisation_of(net) == NORMALISATION  # no config beside the weights


@pytest.mark.slow
def test_rad_dino_starts_both_stages_at_its_real_size(tmp_path: Path) -> None:
    path = saved(
        tmp_path, radiograph_dino(), preprocessor_config={"image_mean": [0.53] * 3, "image_std": [0.25] * 3}
    )
    net = segmenter("tu-vit_base_patch14_dinov2", path.parent, image_size=512)
    assert net.encoder.input_side(512) == 518
    assert normalisation_of(net) == {"mean": 0.53, "std": 0.25}
    assert net.eval()(torch.zeros(1, 1, 512, 512)).shape == (1, 1, 512, 512)
    assert classifier("vit_base_patch14_dinov2", path, image_size=518).eval()(
        torch.zeros(1, 1, 518, 518)
    ).shape == (1, 1)


def test_a_position_embedding_is_resampled_to_the_image(tmp_path: Path) -> None:
    path = saved(tmp_path, of_timm("test_vit"))  # 160 px, 10 x 10 patches
    net = classifier("test_vit", path)
    assert net.pos_embed.shape[1] == net.num_prefix_tokens + 16


def x_ray_vision() -> State:
    """Names and shapes of torchxrayvision's DenseNet-121: one channel, 18 findings, thresholds beside."""
    state = random(timm.create_model("densenet121", in_chans=1, num_classes=18).state_dict())
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value for name, value in state.items()
    }
    return {**old, "op_threshs": torch.rand(18)}


@pytest.mark.parametrize("stage", ["classification", "segmentation"])
def test_torchxrayvisions_densenet(tmp_path: Path, stage: str) -> None:
    state = x_ray_vision()
    path = saved(tmp_path, state)
    net = classifier("densenet121", path) if stage == "classification" else segmenter("densenet121", path)
    own = {state_dicts.plain(name): value for name, value in net.state_dict().items()}
    wanted = state["features.denseblock2.denselayer3.conv.1.weight"]
    assert any(value.shape == wanted.shape and torch.equal(value, wanted) for value in own.values())
    image = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert normalise(image, net).flatten().tolist() == pytest.approx([-1024, 1024], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer3.0.conv1.weight"), "the file lacks layer3.0.conv1.weight"),
        (
            lambda state: state.update({"layer9.weight": torch.ones(1)}),
            "has, beyond the encoder, layer9.weight",
        ),
        (
            lambda state: state.update({"layer1.0.conv1.weight": torch.ones(2, 2)}),
            "the file lacks layer1.0.conv1.weight",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path, change: Any, message: str) -> None:
    state = of_timm("resnet10t")
    change(state)
    with pytest.raises(ValueError, match=f"classification.pretrained .*{message}"):
        classifier("resnet10t", saved(tmp_path, state))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/such.safetensors", "no such file; docs/pretrained.md"),
        ("model.pt", "pickled weights"),
        ("empty", "has 0 safetensors files"),
    ],
)
def test_a_file_that_is_not_there_or_pickled_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "model.pt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        classifier("resnet10t", tmp_path / name)


def test_a_trained_network_is_rebuilt_without_its_pretrained_file() -> None:
    settings = ClassificationSettings(
        models=["c"], architecture="resnet10t", pretrained="gone/model.safetensors", image_size=64
    )
    assert pretrained.origin(classification.model.build(settings, trained=True)) is None


def test_a_localising_head_passes_the_notes_on(tmp_path: Path) -> None:
    path = saved(tmp_path, of_timm("resnet10t"), config={"mean": [0.5], "std": [0.5]})
    net = classifier("resnet10t", path, head="localising")
    assert normalisation_of(net) == {"mean": 0.5, "std": 0.5}
    assert pretrained.origin(net)["sha256"] == sha256(path)


def test_timms_own_weights_say_how_they_are_normalised() -> None:
    facts = timm.get_pretrained_cfg("tf_efficientnetv2_s")
    assert from_channels(facts.mean, facts.std) == {"mean": 0.5, "std": 0.5}
    facts = timm.get_pretrained_cfg("resnet50")
    assert from_channels(facts.mean, facts.std) == pytest.approx({"mean": 0.449, "std": 0.226})


@pytest.mark.parametrize(
    ("stage", "name"), [("classification", "resnet10t"), ("segmentation", "tu-resnet10t")]
)
def test_the_command_checks_a_file(tmp_path: Path, stage: str, name: str) -> None:
    path = saved(tmp_path, of_timm("resnet10t"))
    command = [sys.executable, "-m", f"{stage}.pretrained", name, str(path), "--image-size", "64"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"SHA-256: {sha256(path)}" in done.stdout
    small = subprocess.run([*command[:-1], "7"], capture_output=True, text=True)
    assert (small.returncode, small.stderr) == (
        1,
        "--image-size 7: Input should be greater than or equal to 32\n",
    )
    command[3] = name.replace("10t", "18")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the file lacks" in done.stderr
    assert "Traceback" not in done.stderr
