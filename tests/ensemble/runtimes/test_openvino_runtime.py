"""The ONNX files through OpenVINO: the same answers, only when they were found to be, and no usage data is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ensemble.inference.predictor import Predictor
from ensemble.runtimes import onnx_runtime, openvino_runtime, parity, quantise
from ensemble.runtimes.onnx_runtime import Engine, Precision, ask, session
from imaging.io.files import read_json, write_json
from tests.ensemble.runtimes.conftest import SQUARES


@pytest.mark.parametrize("count", [1, 5])
def test_the_same_probabilities_at_any_batch_size(predictor: Predictor, exported: Path, count: int) -> None:
    other = onnx_runtime.use(predictor, exported, engine="openvino", untried=True)
    pairs = zip([*predictor.classifiers, *predictor.masks], [*other.classifiers, *other.masks], strict=True)
    for mine, theirs in pairs:
        a, b = mine(SQUARES[:count]), theirs(SQUARES[:count])
        assert a.shape == b.shape
        assert float((a - b).abs().max()) < 1e-3  # a quarter of an 8-bit level
        assert count == 1 or float(a.std()) > 2e-5  # no network that says the same of everything


def test_images_worked_on_side_by_side_keep_their_places(exported: Path) -> None:
    network = openvino_runtime.Session(exported / "fp32/segmentation/u/fold0.onnx", threads=2)
    batch = np.stack(SQUARES)[:, None]
    together = network.run(None, {"image": batch})[0]
    apart = [network.run(None, {"image": square[None]})[0] for square in batch]
    np.testing.assert_allclose(together, np.concatenate(apart), atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-5


@pytest.mark.parametrize("network", ["segmentation/u", "classification/c"])
def test_its_int8_moves_no_more_than_onnx_runtimes(
    predictor: Predictor, exported: Path, tmp_path: Path, network: str
) -> None:
    """It keeps more floats; and the engine reads the file as ONNX Runtime does, which judges it here."""
    source = exported / f"fp32/{network}/fold0.onnx"
    batches = parity.inputs(SQUARES, predictor.masks[0])
    plain, moved = ask(session(source), batches[0]), {}
    for engine in onnx_runtime.ENGINES:
        quantise.quantise(source, tmp_path / engine, batches, engine)
        found = ask(session(tmp_path / engine, engine, "int8"), batches[0])
        moved[engine] = np.abs(found - plain).max()
    judged = ask(session(tmp_path / "openvino"), batches[0])
    assert 0 < moved["openvino"] < 1.5 * moved["onnx"]
    np.testing.assert_allclose(found, judged, atol=max(moved["openvino"] / 2, 1e-3))


SIGNALS = """
import signal, subprocess, sys
import numpy as np
from ensemble.runtimes.openvino_runtime import Session, has_bf16
ended = []
signal.signal(signal.SIGCHLD, lambda *_: ended.append(1))
has_bf16()
first, second = Session(sys.argv[1]), Session(sys.argv[1])
for network in (first, second):
    network.run(None, {"image": np.zeros((1, 1, 64, 64), np.uint8)})
del first
del second
subprocess.run(["true"])
assert ended
"""


def test_signals_are_handled_after_networks_are_gone(exported: Path) -> None:
    """Their memory is that of the handlers' stack: see `openvino_runtime.core`."""
    code = [sys.executable, "-c", SIGNALS, str(exported / "fp32/segmentation/u/fold0.onnx")]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("engine", "precision", "found", "words"),
    [
        ("openvino", "fp32", None, "has not been tried .*python -m ensemble.onnx_export --openvino`"),
        ("openvino", "int8", None, "has not been tried .*--openvino --int8`"),
        ("onnx", "int8", None, "has not been tried .*onnx_export --int8`"),
        ("onnx", "bf16", None, "onnx has no bf16; it has fp32, int8"),
        (
            "openvino",
            "fp32",
            False,
            "changed the hold-out's Dice by more than 0.002 and was not accepted; use fp32",
        ),
        ("openvino", "fp32", True, None),
    ],
)
def test_only_what_was_accepted_is_used(
    predictor: Predictor,
    exported: Path,
    engine: Engine,
    precision: Precision,
    found: bool | None,
    words: str | None,
) -> None:
    index = read_json(exported / onnx_runtime.INDEX)
    verdict = {} if found is None else {f"{engine}/{precision}": {"accepted": found, "allowed": 0.002}}
    write_json(exported / onnx_runtime.INDEX, {**index, "compared": verdict})
    if words is None:
        assert onnx_runtime.use(predictor, exported, precision, engine).predict(SQUARES, [(70, 90)] * 5)
    else:
        with pytest.raises(ValueError, match=words):
            onnx_runtime.use(predictor, exported, precision, engine)


def test_what_was_accepted_with_another_bundle_does_not_count(predictor: Predictor, exported: Path) -> None:
    index = read_json(exported / onnx_runtime.INDEX)
    verdict = {"openvino/fp32": {"accepted": True, "allowed": 0.002}}
    write_json(exported / onnx_runtime.INDEX, {**index, "compared": verdict})
    assert onnx_runtime.use(predictor, exported, "fp32", "openvino", bundle=index["bundle"])
    with pytest.raises(ValueError, match="was tried with another bundle, not with this one"):
        onnx_runtime.use(predictor, exported, "fp32", "openvino", bundle="another")
    assert onnx_runtime.use(
        predictor, exported, bundle="another"
    )  # compared with PyTorch itself, file by file


SILENT = """
import pathlib, socket, sys, threading
asked = []
def refused(*args, **kwargs):
    asked.append(str(args[:2]))
    raise OSError("no network")
socket.socket.connect = refused
socket.getaddrinfo = refused
import numpy as np
from ensemble.runtimes import openvino_runtime
openvino_runtime.Session(pathlib.Path(sys.argv[1])).run(None, {"image": np.zeros((1, 1, 64, 64), np.uint8)})
[thread.join(10) for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
assert not asked, asked
assert sys.modules["openvino_telemetry"] is None
assert "openvino" in sys.modules
"""


def test_it_tells_nobody(exported: Path, tmp_path: Path) -> None:
    """Neither over the network nor in a file of client numbers at home, as its package would unasked."""
    home = tmp_path / "home"
    home.mkdir()
    source = exported / "fp32/classification/c/fold0.onnx"
    command = [sys.executable, "-c", SILENT, str(source)]
    environment = {"PATH": "", "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not [path for path in home.rglob("*") if "intel" in path.name.lower()]
