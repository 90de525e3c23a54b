"""What an input tells the program to do is not done: every file that is read gets a payload that would leave a mark."""

from __future__ import annotations

import io
import os
import pickle
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
import yaml

from ensemble.decision.decision import Decision
from ensemble.evidence import predictions
from experiments.networks import weights
from experiments.settings import params
from experiments.settings.training import SegmentationSettings
from imaging.io.config import read_yaml, validate
from imaging.io.files import read_json, sha256, write_json
from imaging.prepared import Prepared
from segmentation import architectures


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The folder that a payload makes; it must not exist after the test."""
    path = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.is_dir(), "the payload works"
    path.rmdir()
    return path


def npy_with(payload: Payload, dtype: str = "|u1", shape: str = "(2, 4, 4)") -> bytes:
    """An array of objects, and one that lies about being uint8 and goes on with a pickle."""
    if dtype == "|O":
        buffer = io.BytesIO()
        np.save(buffer, np.array([payload], dtype=object), allow_pickle=True)
        return buffer.getvalue()
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(payload)


def network(folder: Path) -> Path:
    """A tiny trained network as the training stage leaves it."""
    settings = SegmentationSettings(models=["u"], architecture="plain", base_channels=4, image_size=32)
    net = architectures.build(settings)
    path = weights.path_of("segmentation", "u", 0, folder)
    weights.save(
        path, net.state_dict(), {"settings": settings.model_dump(mode="json"), "fold": 0, "prepared_size": 32}
    )
    return path


@pytest.mark.parametrize("vouched_for", [False, True], ids=["swapped", "swapped with its checksum"])
def test_weights_are_never_unpickled(tmp_path: Path, mark: Path, vouched_for: bool) -> None:
    path = network(tmp_path)
    torch.save({"weight": Payload(mark)}, path)
    if vouched_for:
        sidecar = path.with_suffix(".json")
        write_json(sidecar, {**read_json(sidecar), "weights_sha256": sha256(path)})
    with pytest.raises(ValueError, match=r"fold0\.safetensors"):
        architectures.load(path)
    assert not mark.exists()


def test_resume_state_is_never_unpickled(tmp_path: Path, mark: Path) -> None:
    """Lightning's own checkpoint format is a pickle; it is loaded with weights_only, as `experiments.training.loop` does."""
    torch.save({"epoch": 0, "state_dict": Payload(mark)}, tmp_path / "last.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert not mark.exists()
    for source in Path().glob("*/**/*.py"):
        if source.parts[0] in ("imaging", "experiments", "classification", "segmentation", "ensemble"):
            text = source.read_text()
            assert "import pickle" not in text, source
            assert "allow_pickle=True" not in text, source
            assert text.count("torch.load(") == text.count("weights_only=True, map_location"), source


@pytest.mark.parametrize("dtype", ["|O", "|u1"])
def test_arrays_are_never_unpickled(tmp_path: Path, mark: Path, dtype: str) -> None:
    pd.DataFrame({"image_id": ["a", "b"], "mask_row": [-1, -1]}).to_parquet(tmp_path / "index.parquet")
    pd.DataFrame({"image_id": ["a", "b"], "fold": [0, 0], "prob": [0.5, 0.5]}).to_parquet(
        tmp_path / "ids.parquet"
    )
    for name in ("images.npy", "maps.zip"):
        (tmp_path / name).write_bytes(npy_with(Payload(mark), dtype))
    with pytest.raises(ValueError, match=r"maps\.zip: not a zip file"):
        predictions.read_maps(tmp_path)
    for read in (lambda: Prepared(tmp_path).images.sum(),):
        # bytes that claim to be pixels are taken for pixels, objects are refused
        with nullcontext() if dtype == "|u1" else pytest.raises(ValueError, match=r"\.npy"):
            read()
    assert not mark.exists()


def test_tables_are_never_unpickled(tmp_path: Path, mark: Path) -> None:
    """Arrow's Python extension types carried a pickle in the schema (CVE-2023-47248)."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Payload(mark)),
    }
    column = pa.field("image_id", pa.string(), metadata=metadata)
    table = pa.table([pa.array(["a"]), pa.array([-1])], schema=pa.schema([column, ("mask_row", pa.int64())]))
    pyarrow.parquet.write_table(table, tmp_path / "index.parquet")
    with suppress(ValueError, RuntimeError):  # whether Arrow reads it as text or refuses the type
        assert list(Prepared(tmp_path).index["image_id"]) == ["a"]
    assert not mark.exists()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.mkdir"]
)
def test_yaml_makes_no_objects(tmp_path: Path, mark: Path, tag: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"data: {tag} ['{mark}']\n")
    with pytest.raises(ValueError, match=r"params\.yaml: not valid YAML"):
        params.load(file)
    assert not mark.exists()


def test_a_yaml_bomb_is_refused(tmp_path: Path) -> None:
    """Ten levels of ten aliases are 10^10 values for whoever writes them out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    file = tmp_path / "params.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="aliases"):
        params.load(file)
    file.write_text("a: &a [1, 2]\nb: [*a, *a]\nc: &c {d: *a}\n")
    assert read_yaml(file) == {"a": [1, 2], "b": [[1, 2], [1, 2]], "c": {"d": [1, 2]}}


def test_a_decision_is_numbers(tmp_path: Path, mark: Path) -> None:
    file = tmp_path / "decision.json"
    file.write_text(yaml.safe_dump({"version": 1, "rule": f"__import__('os').mkdir('{mark}')"}))
    with pytest.raises(ValueError, match=r"decision\.json"):
        Decision.load(file)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../up", "/absolute", "a/b", "a\\b", ".hidden", "", "c:"])
def test_a_model_name_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a folder name"):
        validate(SegmentationSettings, {"models": [name]}, "segmentation")
