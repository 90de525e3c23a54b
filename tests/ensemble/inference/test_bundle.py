"""A bundle is whole and unchanged, or it is refused by the name of the file at fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ensemble.inference import bundle
from ensemble.inference.bundle import Bundle
from imaging.io.files import sha256


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_loads_and_answers(tiny_bundle: Path) -> None:
    loaded = Bundle.load(tiny_bundle)
    assert loaded.name.startswith("pneumothorax-test-")
    assert loaded.sha256 == sha256(tiny_bundle / "bundle.json")
    assert loaded.metrics["kaggle_dice"]["value"] == 0.5
    answer = loaded.predictor().predict([np.full((64, 64), 90, np.uint8)], [(80, 100)])[0]
    assert answer.mask.shape == (80, 100)


def test_equal_content_has_an_equal_name(tiny_bundle: Path, folder: Path) -> None:
    before = Bundle.load(tiny_bundle)
    again = bundle.write_index(folder, "test", dict(before.index.fingerprints))
    assert (again.name, again.sha256) == (before.name, before.sha256)
    (folder / "README.md").write_text("another\n")
    assert bundle.write_index(folder, "test", {}).name != before.name


def test_changed_missing_and_unlisted_files_are_named(folder: Path) -> None:
    weights = folder / "segmentation/u/fold0.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (folder / "metrics.json").unlink()
    (folder / "segmentation/u/fold7.safetensors").write_bytes(b"x")
    message = r"missing: metrics\.json; changed: segmentation/u/fold0\.safetensors; not listed: segmentation/u/fold7"
    with pytest.raises(ValueError, match=message):
        Bundle.load(folder)


def test_what_a_bundle_needs_cannot_be_left_out(folder: Path) -> None:
    (folder / "decision.json").unlink()
    with pytest.raises(ValueError, match=r"missing: decision\.json"):
        bundle.write_index(folder, "test", {})


def test_other_programs_hidden_files_do_no_harm(folder: Path) -> None:
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.json").write_text("{}")
    Bundle.load(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../b", "a\\..\\b", "c:/x", "./decision.json", "a//b"]
)
def test_no_path_leaves_the_folder(folder: Path, name: str) -> None:
    index = json.loads((folder / "bundle.json").read_text())
    index["files"][name] = "0" * 64
    (folder / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="not a plain path inside the bundle"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "bundles of version 2, found 'list'"),
        ('{"version": 1}', "bundles of version 2, found 1; version 1 encodes maps differently"),
        ('{"version": 2, "name": "a b", "fingerprints": {}, "files": {}}', "name"),
        ('{"version": 2, "name": "pneumothorax-a-b", "fingerprints": {}}', "`files` is missing"),
        (
            '{"version": 2, "name": "pneumothorax-a-b", "fingerprints": {}, "files": {}}',
            r"not listed: .*decision\.json",
        ),
    ],
)
def test_a_damaged_index_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "bundle.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        Bundle.load(folder)


def test_a_folder_without_an_index_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no bundle\.json.*`make repro` writes one"):
        Bundle.load(tmp_path)


def fitted_in(folder: Path, precision: str) -> Bundle:
    """The bundle as if its decision had been fitted on predictions in another precision."""
    decision = json.loads((folder / "decision.json").read_text())
    for facts in decision["fitted"]["lineage"].values():
        facts["precision"] = precision
    (folder / "decision.json").write_text(json.dumps(decision))
    return bundle.write_index(folder, "test", {})


def test_predictions_are_float32_whatever_the_training_was(tiny_bundle: Path) -> None:
    """Or the same bundle would predict differently on a processor with bf16."""
    loaded = Bundle.load(tiny_bundle)
    assert loaded.index.precision == loaded.predictor().precision == "32-true"
    assert {member.settings.precision for member in loaded.predictor().members} == {"auto"}


def test_the_precision_that_the_decision_was_fitted_in_is_recorded_and_used(folder: Path) -> None:
    before = Bundle.load(folder).predictor()
    loaded = fitted_in(folder, "bf16-mixed")
    assert loaded.index.precision == loaded.predictor().precision == "bf16-mixed"
    square = [np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)]
    exact, coarse = before.masks[0](square), loaded.predictor().masks[0](square)
    assert not torch.equal(exact, coarse)
    assert float((exact - coarse).abs().max()) < 0.05


def test_an_index_that_states_another_precision_is_refused(folder: Path) -> None:
    index = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**index, "precision": "16-mixed"}))
    with pytest.raises(ValueError, match="precision 16-mixed, but the decision was fitted in 32-true"):
        Bundle.load(folder).predictor()
