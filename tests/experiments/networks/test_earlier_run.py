"""Start a training from the networks of an earlier run: which network, which tensors, and which overlaps are refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import classification.model
import segmentation.architectures
from experiments.networks import earlier_run, leak_check, pretrained, state_dicts, weights
from experiments.networks.normalisation import normalisation_of
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.identity import identities
from imaging.io.files import sha256, write_json

SMALL: dict[str, Any] = {"models": ["m"], "image_size": 64}
RESNET = {**SMALL, "architecture": "resnet10t"}
ENCODER = {**SMALL, "architecture": "unet", "encoder": "tu-resnet10t"}


def network(stage: str, **settings: Any) -> nn.Module:
    torch.manual_seed(settings.pop("seed", 1))
    if stage == "classification":
        return classification.model.build(ClassificationSettings(**settings))
    return segmentation.architectures.build(SegmentationSettings(**settings))


def bundle(folder: Path, *networks: str, name: str = "pneumothorax-table-0", **known: Any) -> Path:
    """A bundle with small networks, each named `stage/model/fold`, and hashes of its training data."""
    for number, one in enumerate(networks):
        stage, model, fold = one.split("/")
        settings = RESNET if stage == "classification" else ENCODER
        net = network(stage, seed=number, **settings)
        facts = {"settings": {"image_size": 64}, "normalisation": {"mean": 0.4, "std": 0.2}}
        weights.save(weights.path_of(stage, model, int(fold), folder), net.state_dict(), facts)
    write_json(folder / "training_data.json", {"version": 1, "profile": {}, "salt": "s", **known})
    files = [path for path in folder.rglob("*") if path.is_file()]
    index = {"name": name, "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files}}
    write_json(folder / "bundle.json", index)
    return folder


def state(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return weights.load_state(folder / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("networks", "wish", "stage", "model", "fold", "expected"),
    [
        (["classification/a/0", "classification/a/1"], "", "classification", "b", 1, "classification/a/1"),
        (["classification/a/0", "classification/a/2"], "", "classification", "b", 1, "classification/a/2"),
        (["classification/a/0", "classification/b/0"], "", "classification", "b", 0, "classification/b/0"),
        (["classification/a/0"], "", "segmentation", "u", 0, "classification/a/0"),
        (["classification/a/0", "segmentation/u/0"], "", "segmentation", "v", 0, "segmentation/u/0"),
        (["classification/a/0", "segmentation/u/0"], "#classification/a", "segmentation", "u", 0,
         "classification/a/0"),
        (["classification/a/0", "classification/a/1"], "#classification/a/fold0", "classification", "a", 1,
         "classification/a/0"),
    ],
    ids=["same fold", "fold by number", "same name", "classifier", "own stage", "named", "named fold"],
)  # fmt: skip
def test_the_network_is_chosen(tmp_path, networks, wish, stage, model, fold, expected) -> None:
    folder = bundle(tmp_path / "b", *networks)
    found = earlier_run.resolve(f"{folder}{wish}", stage, model, fold)
    assert f"{found.stage}/{found.model}/{found.fold}" == expected


def test_a_run_stands_for_its_bundle(tmp_path: Path) -> None:
    bundle(tmp_path / "run/models/bundle", "classification/a/0")
    settings = ClassificationSettings(**{**RESNET, "pretrained": str(tmp_path / "run")})
    named = earlier_run.for_fold(settings, "classification", "m", 0).pretrained
    assert named == f"{tmp_path / 'run'}#classification/a/fold0"
    assert (
        earlier_run.for_fold(ClassificationSettings(**RESNET), "classification", "m", 0).pretrained == "none"
    )


@pytest.mark.parametrize(
    ("networks", "wish", "message"),
    [
        (["classification/a/0", "classification/b/0"], "", "name one: .*#classification/a"),
        (["classification/a/0"], "#classification/c", "the bundle has classification/a"),
        (["classification/a/0"], "#classification/a/fold3", "the bundle has classification/a"),
    ],
)
def test_an_unclear_choice_is_an_error(tmp_path, networks, wish, message) -> None:
    folder = bundle(tmp_path / "b", *networks)
    with pytest.raises(ValueError, match=message):
        earlier_run.resolve(f"{folder}{wish}", "classification", "m", 0)


def test_a_run_without_a_bundle_and_a_changed_bundle_are_errors(tmp_path: Path) -> None:
    (tmp_path / "run/models").mkdir(parents=True)
    with pytest.raises(ValueError, match="dvc repro export"):
        earlier_run.bundle_of(str(tmp_path / "run"), "classification.pretrained")
    folder = bundle(tmp_path / "b", "classification/a/0")
    (folder / "classification/a/fold0.json").write_text("{}")
    with pytest.raises(ValueError, match=r"fold0\.json is missing or changed"):
        network("classification", **RESNET, pretrained=f"{folder}#classification/a/fold0")


def test_a_network_of_the_same_form_is_loaded_whole(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", "classification/a/0")
    wish = f"{folder}#classification/a/fold0"
    net = network("classification", **RESNET, pretrained=wish)
    for name, value in state(folder, "classification/a/fold0").items():
        assert torch.equal(net.state_dict()[name], value), name
    assert normalisation_of(net) == {"mean": 0.4, "std": 0.2}
    assert pretrained.origin(net) == {
        "source": wish,
        "sha256": sha256(folder / "classification/a/fold0.safetensors"),
        "bundle": "pneumothorax-table-0",
        "loaded": "network",
    }


@pytest.mark.parametrize("stage", ["classification", "segmentation"])
def test_another_form_gets_the_encoder(tmp_path: Path, stage: str) -> None:
    """A classifier for a localising one and for a U-Net's encoder; the U-Net's for a classifier is in the test below."""
    folder = bundle(tmp_path / "b", "classification/a/0")
    more = {**RESNET, "head": "localising"} if stage == "classification" else ENCODER
    net = network(stage, **more, pretrained=f"{folder}#classification/a/fold0")
    assert pretrained.origin(net)["loaded"] == "encoder"
    given = {
        state_dicts.plain(name): value for name, value in state(folder, "classification/a/fold0").items()
    }
    encoder: Any = net.backbone if stage == "classification" else net.encoder.model
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, given[state_dicts.plain(name)]), name


def test_a_decoder_is_left_where_the_stage_is_another(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", "segmentation/u/0")
    net = network("classification", **RESNET, pretrained=f"{folder}#segmentation/u/fold0")
    given = state(folder, "segmentation/u/fold0")
    assert torch.equal(net.conv1[0].weight, given["body.encoder.model.conv1.0.weight"])


def test_another_architecture_is_an_error(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", "classification/a/0")
    with pytest.raises(ValueError, match="use the architecture that it was trained for"):
        network("classification", **{**RESNET, "architecture": "resnet18"},
                pretrained=f"{folder}#classification/a/fold0")  # fmt: skip


def prepared(ids: str, folds: list[str], salt: int = 0) -> Any:
    """Images a, b, c …, one patient each; the same letter is the same image."""
    index = pd.DataFrame({"image_id": list(ids), "patient_id": [f"p{one}" for one in ids]})
    rng = [np.random.default_rng(ord(one)) for one in ids]
    images = np.stack([one.integers(0, 256, (64, 64)).astype(np.uint8) for one in rng])
    parts = np.array(folds)
    return SimpleNamespace(
        index=index, images=images, fingerprint="s", external="external" in folds,
        fold_rows=lambda fold: np.flatnonzero(parts == str(fold)),
    )  # fmt: skip


TRAINED = prepared("abcd", ["0", "0", "1", "1"])


def trained_bundle(folder: Path, **more: Any) -> ClassificationSettings:
    known = identities.record(TRAINED, np.arange(4), [0, 0, 1, 1]).model_dump()
    made = bundle(folder, "classification/a/0", "classification/a/1", **{**known, **more})
    return ClassificationSettings(**RESNET, pretrained=f"{made}#classification/a/fold0")


@pytest.mark.parametrize(
    ("ids", "folds", "pictures", "patients"),
    [
        ("abxy", ["0", "0", "1", "holdout"], 0, 0),
        ("xyzc", ["0", "0", "1", "holdout"], 1, 1),
        ("xcyz", ["0", "0", "1", "holdout"], 1, 1),
        ("xycz", ["0", "0", "1", "holdout"], 0, 0),
        ("xyzd", ["0", "1", "holdout", "external"], 1, 1),
    ],
    ids=["its own fold", "hold-out", "validated fold", "trained on again", "external source"],
)
def test_what_a_network_is_judged_by_must_be_new_to_it(tmp_path, ids, folds, pictures, patients) -> None:
    """The network of fold 0 was trained on c and d."""
    settings = trained_bundle(tmp_path / "b")
    data = prepared(ids, folds)
    if not pictures:
        found = leak_check.check("classification", settings, data, 0)
        assert (found["checked"], found["pictures"], found["patients"]) == (True, 0, 0)
        return
    with pytest.raises(ValueError, match=r"1 with a picture, 1 with a patient .*pretrained_overlaps: accept"):
        leak_check.check("classification", settings, data, 0)
    accepting = settings.model_copy(update={"pretrained_overlaps": "accept"})
    found = leak_check.check("classification", accepting, data, 0)
    assert (found["pictures"], found["patients"]) == (pictures, patients)


def test_the_same_patient_with_another_picture_is_found(tmp_path: Path) -> None:
    data = prepared("xyz", ["0", "1", "holdout"])
    data.index.loc[2, "patient_id"] = "pd"
    with pytest.raises(ValueError, match="0 with a picture, 1 with a patient"):
        leak_check.check("classification", trained_bundle(tmp_path / "b"), data, 0)


def test_a_bundle_without_hashes_is_refused(tmp_path: Path) -> None:
    settings = trained_bundle(tmp_path / "b", patients=[], patient_folds=[], pictures="", picture_folds=[])
    with pytest.raises(ValueError, match="no hashes of its training data"):
        leak_check.check("classification", settings, prepared("xyz", ["0", "1", "holdout"]), 0)


def test_no_earlier_run_has_nothing_to_check() -> None:
    assert leak_check.check("classification", ClassificationSettings(**RESNET), TRAINED, 0) is None
