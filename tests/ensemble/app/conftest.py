"""A bundle of untrained networks, the page served from it by the real command, and files to drop on it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread

import classification.model
import segmentation.architectures
from ensemble.decision.decision import Decision
from ensemble.decision.operating_points import OperatingPoint
from ensemble.evidence.calibration import Sigmoid
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import Calibrated
from ensemble.inference import bundle
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor
from ensemble.rules.gate import Gate
from experiments.networks import weights
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.io.files import sha256
from imaging.phantom import dicom_writer, render
from imaging.settings import PhantomSettings

SIDE = 64
LIMIT_MB = 2
PHANTOMS = PhantomSettings(train=20, test=2, prevalence=0.5, difficulty=0.0, least_area=6000)
PATIENT = "Doe^Jane"


@dataclass
class Page:
    """The page as it is served."""

    url: str
    temporary: Path
    """The server's TMPDIR."""
    log: Path
    """Its output."""

    def uploads(self) -> list[Path]:
        """What lies there of requests."""
        return list(self.temporary.glob("*/upload-*"))


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three phantoms with a patient's name in their headers."""
    folder = tmp_path_factory.mktemp("phantoms")
    paths = [folder / f"chest{index}.dcm" for index in range(3)]
    for index, path in enumerate(paths):
        dicom_writer.save(path, render(0, index, PHANTOMS), 0)
        header = dcmread(path)
        header.PatientName, header.PatientID = PATIENT, "identity-4711"
        header.save_as(path)
    return paths


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory, phantoms: list[Path]) -> Bundle:
    """One classifier with a localising head and one plain U-Net, untrained; a gate that lets every image pass."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    look = ClassificationSettings(models=["c"], architecture="resnet10t", head="localising", image_size=SIDE)
    draw = SegmentationSettings(models=["u"], architecture="plain", base_channels=4, image_size=SIDE)
    torch.manual_seed(0)
    nets = {
        "classification/c": (classification.model.build(look), look),
        "segmentation/u": (segmentation.architectures.build(draw), draw),
    }
    sealed = {}
    for name, (net, settings) in nets.items():
        path = folder / name / "fold0.safetensors"
        path.parent.mkdir(parents=True)
        facts = {"fold": 0, "prepared_size": SIDE, "settings": settings.model_dump(mode="json")}
        weights.save(path, vivid(net.state_dict()), facts)
        sealed[name] = {"weights": {"0": sha256(path)}}
    for name in ("params.yaml", "metrics.json", "README.md"):
        (folder / name).write_text("{}\n")
    shutil.copy("LICENSE", folder)
    decision(1, sealed).save(folder / "decision.json")
    level = middle(Predictor.load(folder, folder / "decision.json"), phantoms[0])
    decision(level, sealed).save(folder / "decision.json")
    return bundle.write_index(folder, "phantom", {"data": "x", "decision": "y"})


def vivid(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An untrained U-Net's map is nearly of one level: stretch it over many."""
    change = {"head.weight": 600.0, "head.bias": 0.0}
    return {key: value * change.get(".".join(key.split(".")[-2:]), 1.0) for key, value in state.items()}


def decision(level: int, sealed: dict[str, dict[str, dict[str, str]]]) -> Decision:
    same = Sigmoid(kind="none", slope=1.0, intercept=0.0)
    return Decision(
        classifiers={"c": 1.0},
        masks=MaskEnsemble(weights={"u": 1.0}),
        probability=Calibrated(calibrator=same),
        calibrator=same,
        rule=Gate(cut=0.0, level=level),
        operating_points=[
            OperatingPoint(name="rule", threshold=None, sensitivity=1.0, specificity=0.0),
            OperatingPoint(name="95 % specificity", threshold=0.9999, sensitivity=0.2, specificity=0.95),
            OperatingPoint(name="95 % sensitivity", threshold=0.0001, sensitivity=0.95, specificity=0.4),
        ],
        fitted={"lineage": sealed},
    )


def middle(predictor: Predictor, path: Path) -> int:
    """A level that an untrained network's map reaches here and there: nine tenths of its pixels stay below."""
    scored = next(iter(predictor.files([path], cascade=False)))
    assert scored.prediction is not None
    assert scored.prediction.map is not None
    level = int(np.quantile(scored.prediction.map, 0.9))
    assert 10 < level < int(scored.prediction.map.max()) - 10  # with room above and below for the sliders
    return level


@pytest.fixture(scope="session")
def predictor(small_bundle: Bundle) -> Predictor:
    return small_bundle.predictor()


@pytest.fixture(scope="session")
def page(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """`python -m ensemble.app` on a free port, with small limits."""
    with serving(small_bundle.folder, tmp_path_factory.mktemp("t")) as (served, process):
        yield served
        process.terminate()
        process.wait(60)
        assert list(served.temporary.iterdir()) == []


@contextmanager
def serving(bundle: Path, folder: Path) -> Iterator[tuple[Page, subprocess.Popen[bytes]]]:
    """The page of a bundle and its process, as `answering` gives them."""
    limits = ["--max-mb", str(LIMIT_MB), "--max-files", "5"]
    with answering(["--bundle", str(bundle), *limits], folder) as found:
        yield found


@contextmanager
def answering(options: list[str], folder: Path) -> Iterator[tuple[Page, subprocess.Popen[bytes]]]:
    """The command's page and process; `folder` becomes its TMPDIR, and its log lies beside it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ensemble.app", "--port", str(port), *options]
    log = folder.parent / f"{folder.name}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(folder)}
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(3000):  # on a busy machine its imports alone take minutes
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError(f"{url} does not answer\n{log.read_text()}")
        yield Page(url, folder, log), server
    finally:
        server.kill()
        server.wait(60)
