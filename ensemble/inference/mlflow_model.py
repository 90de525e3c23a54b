"""The model that MLflow serves: this file is stored as its code, nothing is pickled.

Input: a table with one file's content in base64 per row. Output: one row per image, in the same order, with the columns of
`ensemble.predict`. A file that cannot be read gives a row with the verdict `refused` and the reason, never an error for the
whole request and never an empty mask.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, Schema
from numpy.typing import NDArray

from ensemble.inference import triage
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import BATCH, Predictor, Scored
from imaging import rle
from imaging.decoding.radiograph import RefusedFile, to_uint8
from imaging.formats import reader

MAX_BYTES = 64 * 2**20
"""Largest file of a request; 4,300 x 3,500 pixels of 16 bits take 29 MiB."""

INPUT = Schema([ColSpec(DataType.string, "image"), ColSpec(DataType.string, "name", required=False)])
"""image: base64 of a DICOM, PNG or JPEG file; name: any text, returned unchanged."""
OUTPUT = Schema(
    [
        ColSpec(DataType.string, "name", required=False),
        ColSpec(DataType.string, "verdict"),
        ColSpec(DataType.double, "probability", required=False),
        ColSpec(DataType.string, "decision", required=False),
        ColSpec(DataType.string, "reason"),
        ColSpec(DataType.string, "warning", required=False),
        ColSpec(DataType.long, "area_px", required=False),
        ColSpec(DataType.double, "area_mm2", required=False),
        ColSpec(DataType.string, "side", required=False),
        ColSpec(DataType.string, "rle", required=False),
        ColSpec(DataType.long, "height", required=False),
        ColSpec(DataType.long, "width", required=False),
    ]
)
"""As in ensemble/inference/triage.py; rle: the mask in the image's own pixels, -1 for none.
A refused row is empty after its reason."""

Read = tuple[Scored, NDArray[np.uint8] | None]


class Served(PythonModel):
    """A bundle as MLflow calls it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Verify the bundle and load its networks."""
        bundle = Bundle.load(context.artifacts["bundle"])
        self.predictor, self.warning = bundle.predictor(), bundle.warning

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """See `predict_table`."""
        return predict_table(self.predictor, model_input, self.warning)


def predict_table(predictor: Predictor, table: pd.DataFrame, warning: str = "") -> pd.DataFrame:
    """Predict on a table in the form INPUT: one row per image, in its order, in the form OUTPUT.

    warning: the bundle's, for the rows of images that were read.
    """
    rows: list[dict[str, Any]] = []
    for start in range(0, len(table), BATCH):
        found = [_read(text, predictor) for text in table["image"].iloc[start : start + BATCH]]
        rows += [_row(file, warning) for file in predictor.decide(found)]
    names = table["name"] if "name" in table else [None] * len(table)
    table_out = pd.DataFrame(rows, columns=[spec.name for spec in OUTPUT.inputs], dtype=object)
    table_out["name"] = pd.Series(list(names), dtype=object)
    return table_out.where(table_out.notna(), None)  # JSON has no NaN


def _read(text: Any, predictor: Predictor) -> Read:
    """Facts and network input of a file in base64, or the refusal."""
    try:
        found = reader.decode(_decoded(text), predictor.side)
    except RefusedFile as refusal:
        return Scored(Path(), refusal=refusal), None
    return Scored(Path(), found.facts), predictor.prepare(to_uint8(found.pixels))


def _decoded(text: Any) -> bytes:
    """A file's content; RefusedFile when the text is not base64 or too long."""
    if not isinstance(text, str):
        raise RefusedFile("REQUEST-TEXT", "`image` is not text; send the file's content in base64")
    if len(text) > 4 * MAX_BYTES // 3 + 4:
        raise RefusedFile("REQUEST-SIZE", f"larger than {MAX_BYTES / 2**20:.0f} MiB, the limit")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RefusedFile("REQUEST-BASE64", f"`image` is not base64: {error}") from None


def _row(file: Scored, warning: str) -> dict[str, Any]:
    row: dict[str, Any] = triage.row("", file, warning=warning)
    if file.prediction is not None:
        height, width = file.prediction.mask.shape
        row |= {"rle": rle.encode(file.prediction.mask), "height": height, "width": width}
    return row


set_model(Served())
