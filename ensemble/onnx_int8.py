"""Networks in 8-bit whole numbers, kept only where they say the same.

Static quantisation in ONNX's QDQ form: weights int8, one scale a channel; activations uint8, their ranges measured on
training images. Convolutions alone are quantised: they take the time, and a map's faint background, which the rules look at,
keeps its floats. The decision was fitted on float32 outputs, so the whole predictor answers the hold-out both ways, and int8 is
kept only if no Dice moved by more than `ALLOWED`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble.metrics import breakdown, kaggle_dice
from ensemble.onnx_engine import INDEX, File, Index, ask, name_of, session, use
from ensemble.predictor import BATCH, Member, Predictor
from imaging import rle
from imaging.files import sha256, write_json
from imaging.prepared import Prepared
from imaging.resize import resize_image

ALLOWED = 0.002
"""Largest change of the hold-out's Dice, of all images and of the positive ones, that int8 may make."""
CALIBRATION = 64
"""Training images whose activations set the scales."""

Squares = list[NDArray[np.uint8]]


def add(index: Index, predictor: Predictor, folder: Path, data: str) -> Index:
    """Quantise every network of an exported folder, compare both on the hold-out, and keep int8 or remove it."""
    prepared = Prepared()
    if prepared.fingerprint != data:
        raise ValueError(
            f"--int8: the bundle was trained on data {data}, {prepared.folder} holds {prepared.fingerprint}: what is "
            "hold-out here may have been trained on; run from the run that made the bundle"
        )
    rows = np.sort(prepared.rows(prepared.folds.index[prepared.folds != "holdout"]))
    chosen = rows[np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).round().astype(int)]
    squares = [np.asarray(prepared.images[row]) for row in chosen]
    files = {}
    stages = {"classification": predictor.classifiers, "segmentation": predictor.masks}
    pairs = [(stage, member) for stage, members in stages.items() for member in members]
    for stage, member in tqdm(pairs, "quantise", disable=None, unit="network"):
        source, path = (folder / name_of(kind, stage, member) for kind in ("fp32", "int8"))
        quantise(source, path, inputs(squares, member))
        files[name_of("int8", stage, member)] = _file(source, path, member, squares)
    tried = index.model_copy(update={"files": {**index.files, **files}})
    write_json(folder / INDEX, tried.model_dump(mode="json"))
    found = compare(use(predictor, folder), use(predictor, folder, "int8"), prepared)
    if found["accepted"]:
        return tried.model_copy(update={"int8": found})
    for name in files:
        (folder / name).unlink()
    return index.model_copy(update={"int8": found})


def quantise(source: Path, path: Path, batches: list[NDArray[np.uint8]]) -> None:
    """Write the int8 form of an ONNX file, its scales measured on batches uint8 (B, 1, s, s)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> Any:
            batch = next(self.left, None)
            return None if batch is None else {"image": batch}

    path.parent.mkdir(parents=True, exist_ok=True)
    prepared = path.with_suffix(".pre.onnx")
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # the tool advises the preparation that has just been made
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, path, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"], per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)


def inputs(squares: Squares, member: Member) -> list[NDArray[np.uint8]]:
    """Batches (B, 1, s, s) of squares at a network's own size."""
    side = member.settings.image_size
    sized = np.stack([resize_image(square, side) for square in squares])[:, None]
    return [sized[start : start + BATCH] for start in range(0, len(sized), BATCH)]


def compare(plain: Predictor, quantised: Predictor, prepared: Prepared) -> dict[str, Any]:
    """The hold-out's Dice by both predictors, and whether int8 may take the place."""
    scores = {name: score(p, prepared) for name, p in (("fp32", plain), ("int8", quantised))}
    moved = {
        key: abs(getattr(scores["int8"][0], key) - getattr(scores["fp32"][0], key))
        for key in ("score", "dice_positive")
    }
    return {
        "kaggle_dice": {name: parts.score for name, (parts, _) in scores.items()},
        "dice_positive": {name: parts.dice_positive for name, (parts, _) in scores.items()},
        "probability_moved": float(np.abs(scores["int8"][1] - scores["fp32"][1]).max()),
        "images": len(scores["fp32"][1]),
        "allowed": ALLOWED,
        "accepted": max(moved.values()) <= ALLOWED,
    }


def score(predictor: Predictor, prepared: Prepared) -> tuple[Any, NDArray[np.float64]]:
    """Breakdown of the hold-out's Dice, and each image's probability (N,)."""
    dice, label, prob = [], [], []
    for batch in _batches(prepared.fold_rows("holdout")):
        about = prepared.index.iloc[batch]
        shapes = list(zip(about["height"].astype(int), about["width"].astype(int), strict=True))
        answers = predictor.answers([np.asarray(prepared.images[row]) for row in batch], shapes)
        for answer, image_id in zip(answers, about["image_id"], strict=True):
            true = rle.decode(prepared.truth[image_id], answer.mask.shape)
            dice.append(kaggle_dice(answer.mask, true))
            label.append(bool(true.any()))
            prob.append(answer.prob)
    return breakdown(np.array(dice), np.array(label)), np.array(prob)


def in_words(found: dict[str, Any]) -> str:
    """What `compare` found, in a sentence."""
    both = found["dice_positive"]
    kept = "kept" if found["accepted"] else f"not kept: more than {found['allowed']:g}"
    return (
        f"int8 on {found['images']} hold-out images: Kaggle Dice {found['kaggle_dice']['fp32']:.4f} -> "
        f"{found['kaggle_dice']['int8']:.4f}, of the positive ones {both['fp32']:.4f} -> {both['int8']:.4f}; {kept}"
    )


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _file(source: Path, path: Path, member: Member, squares: Squares) -> File:
    batch = inputs(squares[:BATCH], member)[0]
    difference = float(np.abs(ask(session(path), batch) - ask(session(source), batch)).max())
    return File(sha256=sha256(path), weights_sha256=member.sha256, difference=difference)
