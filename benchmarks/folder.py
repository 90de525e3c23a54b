"""A folder of studies to a submission: the cascade in int8 against a plain loop. `python -m benchmarks.folder`

22 % of the studies pass the classifier, as many as have a pneumothorax in the competition's data. The plain loop is pydicom, a
U-Net in eager float32 on every image, and the copied run-length code. Both networks are the same untrained U-Net ResNet-34 at
512²; our classifier is a ResNet-18 at 256², its cut set so that exactly these pass. No test-time augmentation on either side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import torch

import classification.model
from benchmarks import timing
from benchmarks.networks import infer, plain, unet
from benchmarks.rle import copied_encode
from benchmarks.timing import Row, table
from ensemble import submit
from ensemble.decision.decision import Decision
from ensemble.evidence.calibration import Sigmoid
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import Calibrated
from ensemble.inference.predictor import Member, Predictor
from ensemble.onnx_export import write as export
from ensemble.rules.gate import Gate
from ensemble.runtimes import parity, quantise
from ensemble.runtimes.onnx_runtime import OnnxMember, session
from experiments.settings.training import ClassificationSettings
from imaging.decoding.radiograph import to_uint8
from imaging.formats.reader import read
from imaging.io.threads import cores
from imaging.map_levels import HALF
from imaging.phantom.dataset import write
from imaging.settings import PhantomSettings

STUDIES, PASSING, SIDE, BATCH, ROUNDS = 18, 4, 512, 6, 2
PEER = "pydicom + eager fp32 U-Net on every image + plain RLE"


def main() -> None:
    """Print the row."""
    print(timing.machine(), table(rows()), sep="\n\n")


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    torch.set_num_threads(cores())
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder / "phantom", PhantomSettings(train=20, test=1))
        paths = sorted((folder / "phantom" / "dicom-images-train").rglob("*.dcm"))[:STUDIES]
        ours, theirs = cascade(paths, folder), plain_loop(folder)
        ours(paths), theirs(paths[:BATCH])
        seconds = timing.medians({PEER: (theirs, [paths]), "ours": (ours, [paths])}, ROUNDS)
    note = f"OpenVINO int8, {seconds['ours'] / STUDIES * 1e3:.0f} ms a study against {seconds[PEER] / STUDIES * 1e3:.0f}"
    what = f"folder of studies → submission, cascade at {PASSING / STUDIES:.0%} positive"
    return [Row(what, PEER, seconds[PEER] / seconds["ours"], 30, note)]


def cascade(paths: list[Path], folder: Path) -> Callable[[list[Path]], None]:
    """Our way: files, submission and verdicts as `python -m ensemble.submit` writes them."""
    squares = [to_uint8(read(path, SIDE).pixels) for path in paths]
    look, draw = (in_int8(member, squares, folder) for member in (classifier(), unet(SIDE)))
    decision = Decision(
        classifiers={"c": 1.0},
        masks=MaskEnsemble(weights={"u": 1.0}),
        probability=Calibrated(calibrator=SAME),
        calibrator=SAME,
        rule=Gate(cut=0.0, level=HALF),
    )
    probs = sorted(float(look([square])[0, 0]) for square in squares)
    cut = (probs[-PASSING] + probs[-PASSING - 1]) / 2
    predictor = Predictor(
        decision.model_copy(update={"rule": Gate(cut=cut, level=HALF)}), [look], [draw], SIDE
    )

    def run(paths: list[Path]) -> None:
        found = submit.score(predictor, {path.stem: path for path in paths})
        submit.write(found, folder / "ours.csv", folder / "studies.csv")

    run(paths)
    assert predictor.segmented == PASSING, predictor.segmented
    return run


SAME = Sigmoid(kind="none", slope=1.0, intercept=0.0)


def classifier() -> Member:
    settings = ClassificationSettings(models=["c"], architecture="resnet18", image_size=256, flip_tta=False)
    torch.manual_seed(0)
    return Member("c", 0, classification.model.build(settings).eval(), settings, "")


def in_int8(member: Member, squares: list[np.ndarray], folder: Path) -> OnnxMember:
    """The same network in OpenVINO, int8."""
    float32, int8 = folder / f"{member.name}.onnx", folder / f"{member.name}-int8.onnx"
    export(member, "segmentation" if member.name == "u" else "classification", float32)
    quantise.quantise(float32, int8, parity.inputs(squares[:8], member), "openvino")
    runtime = session(int8, "openvino", "int8")
    return OnnxMember(member.name, 0, member.net, member.settings, "", runtime)


def plain_loop(folder: Path) -> Callable[[list[Path]], None]:
    """The usual script."""
    net = plain().eval()

    def run(paths: list[Path]) -> None:
        lines = []
        for start in range(0, len(paths), BATCH):
            pixels = [pydicom.dcmread(path).pixel_array for path in paths[start : start + BATCH]]
            batch = np.stack([cv2.resize(image, (SIDE, SIDE)) for image in pixels])
            maps = infer(net, torch.from_numpy(batch)[:, None])[:, 0].numpy()
            for path, prob, image in zip(paths[start:], maps, pixels, strict=False):
                mask = (cv2.resize(prob, image.shape[::-1]) > 0.5).astype(np.uint8) * 255
                lines.append((path.stem, copied_encode(mask.T) or "-1"))
        pd.DataFrame(lines, columns=["ImageId", "EncodedPixels"]).to_csv(folder / "plain.csv", index=False)

    return run


if __name__ == "__main__":
    main()
