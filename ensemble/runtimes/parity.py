"""Acceptance of exported networks in another precision or runtime: int8, bf16, OpenVINO.

The decision was fitted on PyTorch's float32 outputs. So the hold-out is predicted twice: by the predictor that `predict` uses,
and by the same predictor in the other runtime. That one is accepted only if no Dice changed by more than `ALLOWED`. int8 scales
are measured on training images, never on the hold-out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble.inference.predictor import BATCH, Member, Predictor
from ensemble.metrics import breakdown, kaggle_dice
from ensemble.runtimes import quantise
from ensemble.runtimes.onnx_runtime import (
    ENGINES,
    INDEX,
    Engine,
    File,
    Index,
    Precision,
    ask,
    key_of,
    kind_of,
    name_of,
    session,
    use,
)
from imaging import rle
from imaging.io.files import sha256, write_json
from imaging.prepared import Prepared

ALLOWED = 0.002
"""Largest accepted change of the hold-out's Dice, of all images and of the positive ones, in either direction."""
CALIBRATION = 64
"""Number of training images whose activations set the scales of int8."""


def add(
    index: Index, predictor: Predictor, folder: Path, data: str, engine: Engine, precision: Precision
) -> Index:
    """Try a runtime and precision on an exported folder: quantise for int8, compare on the hold-out, add the result to the index.

    predictor: as `predict` uses it, in PyTorch.
    """
    prepared = Prepared()
    if prepared.fingerprint != data:
        raise ValueError(
            f"the bundle was trained on data {data}, {prepared.folder} has {prepared.fingerprint}: the hold-out here "
            "may have been trained on; try int8 and OpenVINO in the folder of the run that made the bundle"
        )
    if precision == "int8":
        made = _quantised(predictor, folder, prepared, engine)
        index = index.model_copy(update={"files": {**index.files, **made}})
        write_json(folder / INDEX, index.model_dump(mode="json"))
    found = compare(predictor, use(predictor, folder, precision, engine, untried=True), prepared)
    return index.model_copy(update={"compared": {**index.compared, key_of(engine, precision): found}})


def without_refused(index: Index, folder: Path) -> Index:
    """Remove the int8 files of an engine that was not accepted with them; returns the index of what is left."""
    refused = [
        kind_of("int8", engine)
        for engine in ENGINES
        if not index.compared.get(key_of(engine, "int8"), {}).get("accepted")
    ]
    kept = {name: file for name, file in index.files.items() if name.split("/")[0] not in refused}
    for name in index.files.keys() - kept.keys():
        (folder / name).unlink()
    return index.model_copy(update={"files": kept})


def _quantised(predictor: Predictor, folder: Path, prepared: Prepared, engine: Engine) -> dict[str, File]:
    """Write every network in an engine's int8; returns the files by their name in the folder."""
    squares = calibration(prepared)
    stages = {"classification": predictor.classifiers, "segmentation": predictor.masks}
    pairs = [(stage, member) for stage, members in stages.items() for member in members]
    files = {}
    for stage, member in tqdm(pairs, f"int8 for {engine}", disable=None, unit="network"):
        source = folder / name_of("fp32", stage, member)
        name = name_of(kind_of("int8", engine), stage, member)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        quantise.quantise(source, folder / name, inputs(squares, member), engine)
        batch = inputs(squares[:BATCH], member)[0]
        difference = np.abs(
            ask(session(folder / name, engine, "int8"), batch) - ask(session(source), batch)
        ).max()
        files[name] = File(
            sha256=sha256(folder / name), weights_sha256=member.sha256, difference=float(difference)
        )
    return files


def calibration(prepared: Prepared) -> list[NDArray[np.uint8]]:
    """Training images, spread evenly over all of them, on which the scales of int8 are measured."""
    rows = np.sort(prepared.rows(prepared.folds.index[prepared.folds != "holdout"]))
    chosen = rows[np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).round().astype(int)]
    return [np.asarray(prepared.images[row]) for row in chosen]


def inputs(squares: list[NDArray[np.uint8]], member: Member) -> list[NDArray[np.uint8]]:
    """Batches (B, 1, s, s) of squares at a network's own size."""
    sized = np.stack([member.input(square) for square in squares])[:, None]
    return [sized[start : start + BATCH] for start in range(0, len(sized), BATCH)]


def compare(plain: Predictor, other: Predictor, prepared: Prepared) -> dict[str, Any]:
    """The hold-out's Dice by both predictors, `plain` as `predict` runs it, and whether the other may replace it."""
    scores = {name: score(p, prepared) for name, p in (("torch", plain), ("other", other))}
    moved = {
        key: abs(getattr(scores["other"][0], key) - getattr(scores["torch"][0], key))
        for key in ("score", "dice_positive")
    }
    return {
        "kaggle_dice": {name: parts.score for name, (parts, _) in scores.items()},
        "dice_positive": {name: parts.dice_positive for name, (parts, _) in scores.items()},
        "probability_moved": float(np.abs(scores["other"][1] - scores["torch"][1]).max()),
        "images": len(scores["torch"][1]),
        "allowed": ALLOWED,
        "accepted": max(moved.values()) <= ALLOWED,
    }


def score(predictor: Predictor, prepared: Prepared) -> tuple[Any, NDArray[np.float64]]:
    """Breakdown of the hold-out's Dice, and each image's probability (N,)."""
    dice, label, prob = [], [], []
    for batch in _batches(prepared.fold_rows("holdout")):
        about = prepared.index.iloc[batch]
        shapes = list(zip(about["height"].astype(int), about["width"].astype(int), strict=True))
        answers = predictor.predict([np.asarray(prepared.images[row]) for row in batch], shapes)
        for answer, image_id in zip(answers, about["image_id"], strict=True):
            true = rle.decode(prepared.truth[image_id], answer.mask.shape)
            dice.append(kaggle_dice(answer.mask, true))
            label.append(bool(true.any()))
            prob.append(answer.prob)
    return breakdown(np.array(dice), np.array(label)), np.array(prob)


def in_words(key: str, found: dict[str, Any]) -> str:
    """The result of `compare` for a runtime and precision, such as `onnx/int8`, in a sentence."""
    both = found["dice_positive"]
    verdict = "accepted" if found["accepted"] else f"not accepted: more than {found['allowed']:g}"
    return (
        f"{key} on {found['images']} hold-out images: Kaggle Dice {found['kaggle_dice']['torch']:.4f} -> "
        f"{found['kaggle_dice']['other']:.4f}, of the positive ones {both['torch']:.4f} -> {both['other']:.4f}; {verdict}"
    )


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
