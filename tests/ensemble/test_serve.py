"""The served model: its answers are the predictor's, and no input breaks a request."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest

from ensemble.inference import mlflow_model, triage
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor
from ensemble.inference.registry import register
from imaging import rle
from imaging.phantom.chest.render import render
from imaging.phantom.dicom_writer import save
from imaging.settings import PhantomSettings


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A DICOM file and a PNG that is not square."""
    folder = tmp_path_factory.mktemp("studies")
    phantom = render(0, 0, PhantomSettings())
    save(folder / "a.dcm", phantom, 0)
    cv2.imwrite(str(folder / "b.png"), cv2.resize(phantom.pixels, (300, 200)))
    return [folder / "a.dcm", folder / "b.png"]


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Bundle.load(tiny_bundle).predictor()


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


def check(rows: list[dict[str, Any]], predictor: Predictor, studies: list[Path]) -> None:
    """Each row is what the predictor and the triage table say of the file."""
    for row, file in zip(rows, predictor.files(studies), strict=True):
        assert file.prediction is not None
        said = triage.row("", file)
        for key in ("verdict", "decision", "reason", "area_px", "side"):
            assert row[key] == said[key]
        assert row["probability"] == pytest.approx(file.prediction.prob, abs=1e-6)
        assert (row["area_mm2"] is None) == (said["area_mm2"] is None)
        mask = rle.decode(row["rle"], (row["height"], row["width"]))
        assert np.array_equal(mask, file.prediction.mask)
        assert mask.any()


def test_answers_are_the_predictors(predictor: Predictor, studies: list[Path]) -> None:
    table = pd.DataFrame({"image": [sent(path.read_bytes()) for path in studies], "name": ["a", "b"]})
    found = mlflow_model.predict_table(predictor, table)
    assert list(found["name"]) == ["a", "b"]
    check(found.to_dict("records"), predictor, studies)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (None, "`image` is not text"),
        (7, "`image` is not text"),
        ("%%%", "`image` is not base64"),
        ("é", "`image` is not base64"),
        ("", "empty|neither a DICOM"),
        (sent(b"hello"), "neither a DICOM"),
        (sent(b"\x89PNG\r\n\x1a\n" + bytes(50)), "PNG picture is damaged"),
        ("A" * 3000, "larger than"),
    ],
)
def test_what_cannot_be_read_is_a_row_among_the_others(
    predictor: Predictor, studies: list[Path], image: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = sent(studies[1].read_bytes())
    if isinstance(image, str) and len(image) == 3000:
        image = "A" * (4 * mlflow_model.MAX_BYTES // 3 + 8)
    found = mlflow_model.predict_table(predictor, pd.DataFrame({"image": [image, good]})).to_dict("records")
    assert [row["verdict"] for row in found] == ["refused", "read"]
    assert re.search(words, found[0]["reason"])
    assert {key for key, value in found[0].items() if value is not None} == {"verdict", "reason"}


def test_more_images_than_a_batch(
    predictor: Predictor, studies: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_model, "BATCH", 2)
    texts = [sent(studies[1].read_bytes()), "%", sent(studies[0].read_bytes()), "%", "%"]
    found = mlflow_model.predict_table(predictor, pd.DataFrame({"image": texts, "name": list("abcde")}))
    assert "".join(found["name"]) == "abcde"
    assert list(found["verdict"]) == ["read", "refused", "read", "refused", "refused"]
    assert list(found["height"].iloc[[0, 2]]) == [200, 1024]


@pytest.fixture(scope="module")
def registry(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an MLflow database in which the bundle is registered, twice."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        assert [register(tiny_bundle), register(tiny_bundle)] == ["1", "1"]
        yield folder
    mlflow.set_tracking_uri(None)


def test_registered_once_with_alias_signature_and_metrics(registry: Path, tiny_bundle: Path) -> None:
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias("pneumothorax", "champion")
    assert version.tags["bundle"] == Bundle.load(tiny_bundle).sha256
    assert len(client.search_model_versions("name='pneumothorax'")) == 1
    assert client.get_run(version.run_id).data.metrics["kaggle_dice"] == 0.5
    about = mlflow.models.get_model_info("models:/pneumothorax@champion")
    assert [spec.name for spec in about.signature.inputs.inputs] == ["image", "name"]
    assert not list(registry.rglob("*.pkl"))


def test_loaded_by_mlflow_it_answers_the_same(
    registry: Path, predictor: Predictor, studies: list[Path]
) -> None:
    model = mlflow.pyfunc.load_model("models:/pneumothorax@champion")
    found = model.predict(pd.DataFrame({"image": [sent(path.read_bytes()) for path in studies]}))
    check(found.to_dict("records"), predictor, studies)


@pytest.mark.slow  # starts a server: a minute on a busy machine
def test_mlflow_serves_it(registry: Path, predictor: Predictor, studies: list[Path]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["mlflow", "models", "serve", "-m", "models:/pneumothorax@champion", "--env-manager", "local"]
    environment = {**os.environ, "PATH": paths, "MLFLOW_TRACKING_URI": f"sqlite:///{registry}/mlflow.db"}
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=registry,
        env=environment,
        start_new_session=True,
    )
    try:
        await_ping(f"http://127.0.0.1:{port}/ping", server)
        records = [{"image": sent(path.read_bytes()), "name": path.name} for path in studies]
        answer = post(f"http://127.0.0.1:{port}/invocations", [*records, {"image": "%", "name": "c"}])
        check(answer[:2], predictor, studies)
        assert [row["name"] for row in answer] == ["a.dcm", "b.png", "c"]
        assert answer[2]["verdict"] == "refused"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def await_ping(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not come up (exit status {server.poll()})")


def post(address: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = json.dumps({"dataframe_records": records}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.loads(response.read())["predictions"]
