"""What each choice of quantisation does to a run's own networks, in both runtimes: `python benchmarks/int8.py --run RUN`

RUN is a folder where `dvc repro` has been through. The first U-Net answers the hold-out's positive images, the first
classifier the hold-out; every way is compared with the same file in float32. Scales are measured on 64 training images, as
`ensemble.runtimes.parity` does. What counts for use is the Dice of the whole predictor:
`python -m ensemble.onnx_export --int8 --openvino`. NNCF's ways are tried where it is installed (`pip install nncf`); the
project does without (docs/decisions/onnx-runtime.md).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ensemble import onnx_export
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Member
from ensemble.runtimes import parity, quantise
from ensemble.runtimes.onnx_runtime import Engine, ask, name_of, session
from ensemble.runtimes.openvino_runtime import without_telemetry
from ensemble.runtimes.quantise import outer
from imaging import rle
from imaging.prepared import Prepared

ENGINES: tuple[tuple[Engine, str], ...] = (("onnx", "ONNX Runtime"), ("openvino", "OpenVINO"))
WAYS: dict[str, dict[str, bool]] = {
    "all layers, bias correction": {"first_and_last": True, "bias": True},
    "all layers": {"first_and_last": True, "bias": False},
    "without the first and last, bias correction": {"first_and_last": False, "bias": True},
    "without the first and last": {"first_and_last": False, "bias": False},
}
"""NNCF's, by what is said of them."""


def nncf_file(
    source: Path, path: Path, batches: list[NDArray[np.uint8]], first_and_last: bool, bias: bool
) -> None:
    """Write a network as NNCF quantises it."""
    import onnx

    without_telemetry()
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    model = onnx.load(source)
    images = [{"image": image[None]} for batch in batches for image in batch]
    made = nncf.quantize(
        model,
        nncf.Dataset(images),
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=[] if first_and_last else outer(model), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX, disable_bias_correction=not bias
        ),
    )  # fmt: skip
    onnx.save(made, path)


def answers(runtime: Any, batches: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """A network's probabilities for all images."""
    return np.concatenate([ask(runtime, batch) for batch in batches])


def rows_of(member: Member, stage: str, files: Path, prepared: Prepared) -> Iterator[tuple[str, ...]]:
    """A row a way and runtime."""
    source, made = files / name_of("fp32", stage, member), files / "int8.onnx"
    calibration = parity.inputs(parity.calibration(prepared), member)
    asked = [
        np.asarray(prepared.images[row])
        for row in prepared.fold_rows("holdout")
        if stage == "classification" or _positive(prepared, row)
    ]
    batches = parity.inputs(asked, member)
    plain = answers(session(source), batches)
    for engine, words in ENGINES:
        quantise.quantise(source, made, calibration, engine)
        yield from _both(stage, f"ours for {words}", made, batches, plain)
    for name, way in WAYS.items() if importlib.util.find_spec("nncf") else ():
        nncf_file(source, made, calibration, **way)
        yield from _both(stage, f"NNCF's, {name}", made, batches, plain)


def _positive(prepared: Prepared, row: int) -> bool:
    about = prepared.index.iloc[row]
    code = prepared.truth[about["image_id"]]
    return bool(rle.decode(code, (int(about["height"]), int(about["width"]))).any())


def _both(
    stage: str, name: str, path: Path, batches: list[NDArray[np.uint8]], plain: NDArray[np.float32]
) -> Iterator[tuple[str, ...]]:
    for engine, words in ENGINES:
        found = answers(session(path, engine, "int8"), batches)
        moved = np.abs(found - plain)
        one, other = plain > 0.5, found > 0.5
        dice = 2 * (one & other).sum() / max(1, one.sum() + other.sum())
        yield stage, name, words, f"{moved.max():.3f}", f"{moved.mean():.5f}", f"{dice:.4f}"


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="a folder where `dvc repro` has been through")
    os.chdir(parser.parse_args().run)
    predictor, prepared = Bundle.load("models/bundle").predictor(), Prepared()
    print(
        "| network | quantised | run by | largest move | mean move | Dice of the answers above .5 |\n|---|---|---|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory() as folder:
        onnx_export.export(Path("models/bundle"), Path(folder) / "onnx")
        for member, stage in (
            (predictor.classifiers[0], "classification"),
            (predictor.masks[0], "segmentation"),
        ):
            for row in rows_of(member, stage, Path(folder) / "onnx", prepared):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
