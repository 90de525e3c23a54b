"""Weights on disk: what was saved comes back; what was changed is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experiments.networks import weights
from experiments.networks.normalisation import NORMALISATION

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, -1.0])}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = weights.path_of("classification", "net", 0, tmp_path)
    weights.save(path, STATE, {"settings": {"lr": 1}})
    return path


def test_round_trip(saved: Path) -> None:
    found = weights.load_state(saved)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)
    assert weights.load_facts(saved)["settings"] == {"lr": 1}


def test_restore_gives_a_network_its_weights(saved: Path) -> None:
    net = weights.restore(torch.nn.Linear(3, 2), saved)
    assert torch.equal(net.bias, STATE["bias"])
    assert not net.training
    with pytest.raises(ValueError, match="do not fit the architecture"):
        weights.restore(torch.nn.Linear(2, 2), saved)


def test_a_changed_file_is_refused(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ValueError, match=r"fold0\.safetensors: SHA-256 .* truncated, changed or swapped"):
        weights.load_state(saved)


def test_a_cut_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-5])
    with pytest.raises(ValueError, match="truncated, changed or swapped"):
        weights.load_state(saved)


def test_what_is_missing_is_named(saved: Path) -> None:
    saved.unlink()
    with pytest.raises(ValueError, match="weights are missing"):
        weights.load_state(saved)
    saved.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"fold0\.json: no such file"):
        weights.load_state(saved)


def test_another_format_is_refused(saved: Path) -> None:
    side = saved.with_suffix(".json")
    side.write_text(json.dumps({**json.loads(side.read_text()), "format": 9}))
    with pytest.raises(ValueError, match="format 9, this version reads 3"):
        weights.load_facts(saved)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": {"image_size": 512}}, r'fold0\.safetensors: trained for input .*"image_size": 256'),
        ({"settings": {}}, "the .json was changed or belongs to another file"),
        (
            {"settings": {"image_size": 256}},
            r'trained for input .*"contrast": "clahe".* but its .json says \{"image_size',
        ),
        ({"settings": {"image_size": 256, "contrast": "plain"}}, r'trained for input .*"contrast": "clahe"'),
        (
            {"normalisation": {"mean": 0.5, "std": 0.5}},
            r'trained for input .*"mean": 0.449.* but its .json says .*"mean": 0.5',
        ),
    ],
)
def test_another_input_than_the_sidecars_is_refused(tmp_path: Path, changed: dict, message: str) -> None:
    path = tmp_path / "fold0.safetensors"
    settings = {"image_size": 256, "contrast": "clahe"}
    weights.save(path, STATE, {"settings": settings, "normalisation": NORMALISATION})
    side = path.with_suffix(".json")
    side.write_text(json.dumps({**json.loads(side.read_text()), **changed}))
    with pytest.raises(ValueError, match=message):
        weights.load_state(path)


def test_weights_older_than_the_setting_contrast_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "fold0.safetensors"
    weights.save(path, STATE, {"settings": {"image_size": 256}, "normalisation": NORMALISATION})
    side = path.with_suffix(".json")
    for contrast, fine in (("plain", True), ("clahe", False)):
        settings = {"image_size": 256, "contrast": contrast}
        side.write_text(json.dumps({**json.loads(side.read_text()), "settings": settings}))
        if fine:
            weights.load_state(path)
        else:
            with pytest.raises(ValueError, match=r'its \.json says .*"contrast": "clahe"'):
                weights.load_state(path)


def test_a_pickle_is_not_opened(saved: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"weight": Evil()}, saved)
    side = saved.with_suffix(".json")
    facts = json.loads(side.read_text())
    from imaging.io.files import sha256

    side.write_text(json.dumps({**facts, "weights_sha256": sha256(saved)}))
    with pytest.raises(Exception, match=r"(?i)header|safetensor|invalid"):
        weights.load_state(saved)
    assert not (tmp_path / "executed").exists()
