"""Networks as ONNX files: the same probabilities, checked files, int8 only where it keeps the Dice."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from ensemble import onnx_export, predict
from ensemble.decision.decision import Prediction
from ensemble.inference.bundle import Bundle
from ensemble.inference.inputs import find
from ensemble.inference.predictor import Member, Predictor
from ensemble.runtimes import onnx_runtime, openvino_runtime, parity, quantise
from imaging import rle
from imaging.io.files import sha256, write_json
from imaging.prepared import Prepared
from tests.ensemble.runtimes.conftest import SIDE, SQUARES


@pytest.mark.parametrize("count", [1, 5])
def test_the_same_probabilities_at_any_batch_size(predictor: Predictor, exported: Path, count: int) -> None:
    other = onnx_runtime.use(predictor, exported)
    for mine, theirs in zip(
        [*predictor.classifiers, *predictor.masks], [*other.classifiers, *other.masks], strict=True
    ):
        a, b = mine(SQUARES[:count]), theirs(SQUARES[:count])
        assert a.shape == b.shape
        assert float((a - b).abs().max()) <= onnx_runtime.TOLERANCE
        assert count == 1 or float(a.std()) > 2e-5  # no network that says the same of everything


def test_the_same_answers(predictor: Predictor, exported: Path) -> None:
    shapes = [(70, 90)] * len(SQUARES)
    mine = predictor.predict(SQUARES, shapes)
    theirs = onnx_runtime.use(predictor, exported).predict(SQUARES, shapes)
    for a, b in zip(mine, theirs, strict=True):
        assert a.prob == pytest.approx(b.prob, abs=onnx_runtime.TOLERANCE)
        assert np.abs(a.map.astype(int) - b.map.astype(int)).max() <= 1


def test_a_folder_is_read_the_same_way(tiny_bundle: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k, square in enumerate(SQUARES[:2]):
        cv2.imwrite(str(tmp_path / "in" / f"{k}.png"), square)
    loaded = Bundle.load(tiny_bundle)
    mine = predict.predict(find(tmp_path / "in"), tmp_path / "a", loaded, ())
    other = onnx_runtime.use(loaded.predictor(), exported)
    theirs = predict.predict(find(tmp_path / "in"), tmp_path / "b", loaded, (), predictor=other)
    assert list(mine["decision"]) == list(theirs["decision"]) == ["mask", "mask"]
    assert np.allclose(mine["probability"], theirs["probability"], atol=onnx_runtime.TOLERANCE)


def test_a_file_says_what_it_is(predictor: Predictor, exported: Path) -> None:
    model = onnx.load(exported / "fp32/segmentation/u/fold0.onnx")
    facts = {item.key: item.value for item in model.metadata_props}
    assert facts["stage"] == "segmentation"
    assert facts["weights_sha256"] == predictor.masks[0].sha256
    assert facts["input"].startswith(f"uint8 (batch, 1, {SIDE}, {SIDE})")
    assert facts["contrast"] == "as it is"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", onnx_runtime.OPSET)]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_network_that_does_not_export_faithfully_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    class Moody(torch.nn.Module):  # the tracer sees one branch alone
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * (1.0 if float(image.std()) < 0.01 else -1.0)

    member = Member("m", 0, Moody(), predictor.masks[0].settings, "m0")
    with pytest.raises(ValueError, match=r"segmentation/m: probabilities differ from PyTorch's by"):
        onnx_export.write(member, "segmentation", tmp_path / "m.onnx")


def changed(folder: Path, index: dict[str, Any]) -> None:
    with (folder / "fp32/segmentation/u/fold0.onnx").open("ab") as file:
        file.write(b"x")


def missing(folder: Path, index: dict[str, Any]) -> None:
    (folder / "fp32/segmentation/u/fold0.onnx").unlink()


def outside(folder: Path, index: dict[str, Any]) -> None:
    index["files"]["../u.onnx"] = index["files"].pop("fp32/segmentation/u/fold0.onnx")


def other_weights(folder: Path, index: dict[str, Any]) -> None:
    index["files"]["fp32/segmentation/u/fold0.onnx"]["weights_sha256"] = "another"


def of_later(folder: Path, index: dict[str, Any]) -> None:
    index["version"] = 2


def of_no_verdict(folder: Path, index: dict[str, Any]) -> None:
    index["compared"] = {"openvino/fp32": {}}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (changed, "fold0.onnx: missing or changed"),
        (missing, "fold0.onnx: missing or changed"),
        (outside, "not a path inside the folder"),
        (other_weights, "not made from the bundle's weights"),
        (of_later, "onnx.json: version is missing or damaged; export again"),
        (of_no_verdict, "onnx.json: compared.openvino/fp32 is missing or damaged; export again"),
    ],
)
def test_foreign_files_are_refused(
    predictor: Predictor, exported: Path, tmp_path: Path, damage: Any, words: str
) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(exported, folder)
    index = onnx_runtime.load(folder).model_dump(mode="json")
    damage(folder, index)
    write_json(folder / onnx_runtime.INDEX, index)
    with pytest.raises(ValueError, match=words):
        onnx_runtime.use(predictor, folder)


@pytest.mark.parametrize("content", [[], {}, {"version": 1}])
def test_an_index_that_is_none_is_refused(exported: Path, tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / onnx_runtime.INDEX, content)
    with pytest.raises(ValueError, match=r"onnx\.json: .* is missing or damaged; export again"):
        onnx_runtime.load(tmp_path)


@pytest.mark.parametrize(
    ("opened", "package", "extra"),
    [
        (lambda: onnx_runtime.session("any.onnx"), "onnxruntime", "onnx"),
        (openvino_runtime.core.__wrapped__, "openvino", "openvino"),
    ],
)
def test_a_runtime_that_is_not_installed_is_named(
    opened: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"is not installed: pip install '\.\[{extra}\]'"):
        opened()


def test_an_engine_that_was_not_exported(predictor: Predictor, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no int8-onnx/classification/c/fold0.onnx \(it holds fp32\)"):
        onnx_runtime.use(predictor, exported, "int8", untried=True)
    with pytest.raises(ValueError, match=r"python -m ensemble\.onnx_export"):
        onnx_runtime.load(tmp_path)


def test_int8_has_int8_weights_and_says_about_the_same(
    predictor: Predictor, exported: Path, tmp_path: Path
) -> None:
    source, path = exported / "fp32/segmentation/u/fold0.onnx", tmp_path / "int8.onnx"
    batches = parity.inputs(SQUARES, predictor.masks[0])
    quantise.quantise(source, path, batches)
    kinds = {weights.data_type for weights in onnx.load(path).graph.initializer if len(weights.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}  # the first and last layers keep floats
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]
    change = np.abs(
        onnx_runtime.ask(onnx_runtime.session(path), batches[0])
        - onnx_runtime.ask(onnx_runtime.session(source), batches[0])
    )
    assert 0 < change.max() < 0.1


class Said:
    """Stands where a predictor does in `score`: answers with these masks."""

    def __init__(self, masks: list[np.ndarray]) -> None:
        self.left = list(masks)

    def predict(self, squares: list[Any], shapes: list[Any]) -> list[Any]:
        return [Prediction(self.left.pop(0), 0.5, 0.5, 128, False, "") for _ in squares]


@pytest.mark.parametrize(("lost", "accepted"), [(0, True), (1, True), (40, False)])
def test_int8_is_kept_only_if_the_dice_stays(world, lost: int, accepted: bool) -> None:
    """Of one positive image's mask `lost` pixels less: its Dice falls from 1 to (2a - 2·lost)/(2a - lost)."""
    prepared = Prepared()
    rows = prepared.fold_rows("holdout")
    about = prepared.index.iloc[rows]
    truth = [
        rle.decode(prepared.truth[i], (h, w)) for i, h, w in about[["image_id", "height", "width"]].values
    ]
    other = [mask.copy() for mask in truth]
    ill = next(mask for mask in other if mask.sum() > 100)
    area = int(ill.sum())
    ill.flat[np.flatnonzero(ill)[:lost]] = False
    found = parity.compare(Said(truth), Said(other), prepared)  # type: ignore[arg-type]
    assert found["kaggle_dice"]["torch"] == 1
    positives = int(about["label"].sum())
    moved = 1 - (2 * area - 2 * lost) / (2 * area - lost)
    assert found["dice_positive"]["other"] == pytest.approx(1 - moved / positives)
    assert found["accepted"] == (moved / positives <= parity.ALLOWED) == accepted
    assert ("; accepted" in parity.in_words("onnx/int8", found)) == accepted


def test_int8_needs_the_very_run(world, predictor: Predictor, exported: Path) -> None:
    with pytest.raises(ValueError, match="the hold-out here may have been trained on"):
        parity.add(onnx_runtime.load(exported), predictor, exported, "another", "onnx", "int8")


@pytest.mark.parametrize(
    ("ways", "kept"),
    [
        ({"onnx/int8": False}, set()),
        ({"onnx/int8": False, "openvino/fp32": True}, set()),
        ({"onnx/int8": False, "openvino/int8": True}, {"int8-openvino"}),
        ({"onnx/int8": True, "openvino/int8": False}, {"int8-onnx"}),
        ({"onnx/int8": True, "openvino/int8": True}, {"int8-onnx", "int8-openvino"}),
    ],
)
def test_int8_files_stay_where_their_engine_may_use_them(
    exported: Path, tmp_path: Path, ways: dict[str, bool], kept: set[str]
) -> None:
    index, names = (
        onnx_runtime.load(exported),
        {kind: f"{kind}/a.onnx" for kind in ("int8-onnx", "int8-openvino")},
    )
    for name in names.values():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    files = {**index.files, **dict.fromkeys(names.values(), next(iter(index.files.values())))}
    found = {way: {"accepted": accepted} for way, accepted in ways.items()}
    left = parity.without_refused(index.model_copy(update={"files": files, "compared": found}), tmp_path)
    assert {kind for kind, name in names.items() if (tmp_path / name).exists()} == kept
    assert set(left.files) == {*index.files, *(names[kind] for kind in kept)}


def test_checksums_are_of_the_files(exported: Path) -> None:
    for name, file in onnx_runtime.load(exported).files.items():
        assert file.sha256 == sha256(exported / name)
