"""The work of a cluster's nodes: tasks decode files, actors that hold the networks predict on batches of them.

A row is a batch of `BATCH` files, the same batches as in the local engine, so that both compute the same numbers. Only the actors
import torch: a task needs a tenth of the memory without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble.cluster.archive import SCHEMA
from imaging import rle
from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.formats import reader
from imaging.io.config import without_passwords
from imaging.io.walk import printable
from imaging.resize import resize_image

BATCH = 16  # ensemble.inference.predictor.BATCH, whose import would load torch
KEPT = ("height", "width", "spacing_mm", "age", "view", "body_part", "orientation", "sop_class", "warnings")
"""The facts of an image that are passed on: nothing that names a patient leaves the task."""
Row = dict[str, Any]
PLACED = pa.schema([("shard", pa.int64()), ("place", pa.int64()), *SCHEMA])
"""SCHEMA with a row's shard and its place in it."""


def table(number: int, names: Sequence[str], addresses: Sequence[str]) -> pa.Table:
    """A shard's files, one row per batch: shard, place of the batch's first file, printable names, addresses."""
    places = range(0, len(names), BATCH)
    return pa.table(
        {
            "shard": [number] * len(places),
            "first": list(places),
            "names": [
                json.dumps([printable(without_passwords(name)) for name in names[i : i + BATCH]])
                for i in places
            ],
            "addresses": [json.dumps(addresses[i : i + BATCH]) for i in places],
        }
    )


def decode(row: Row, side: int) -> Row:
    """Read a row's files: `squares` uint8 (BATCH, side, side), zero for refused files; `found`, facts or refusal of each."""
    squares, found = np.zeros((BATCH, side, side), np.uint8), []
    for place, address in enumerate(json.loads(row["addresses"])):
        try:
            radiograph = reader.read(address, side)
            squares[place] = resize_image(to_uint8(radiograph.pixels), side)
        except RefusedFile as refusal:
            found.append({"refused": [refusal.code, refusal.reason]})
        else:
            found.append({key: getattr(radiograph.facts, key) for key in KEPT})
    kept = {key: row[key] for key in ("shard", "first", "names")}
    return {**kept, "squares": squares, "found": json.dumps(found)}


class Scorer:
    """An actor: the bundle's networks, loaded once."""

    def __init__(
        self, folder: str, sha256: str, cascade: bool, exported: tuple[str, Any, Any] | None
    ) -> None:
        """folder, sha256: of the bundle as this node sees it. exported: folder, precision and engine of exported networks."""
        from ensemble.inference.bundle import Bundle
        from ensemble.runtimes import onnx_runtime

        bundle = Bundle.load(folder)
        if bundle.sha256 != sha256:
            raise ValueError(
                f"{folder}: this node's bundle differs from the one that the run was started with; copy that one to all nodes"
            )
        self.cascade, self.predictor, self.warning = cascade, bundle.predictor(), bundle.warning
        if exported is not None:
            self.predictor = onnx_runtime.use(self.predictor, *exported, bundle=bundle.sha256)

    def __call__(self, rows: dict[str, Any]) -> pa.Table:
        """Predict on a batch of rows: one row per file, with its shard and place."""
        predicted: list[Row] = []
        for shard, first, names, squares, found in zip(
            *(rows[key] for key in ("shard", "first", "names", "squares", "found")), strict=True
        ):
            for place, row in enumerate(self._predict(json.loads(names), squares, json.loads(found))):
                predicted.append({"shard": int(shard), "place": int(first) + place, **row})
        return pa.Table.from_pylist(predicted, PLACED)

    def _predict(self, names: list[str], squares: Any, found: list[Row]) -> list[Row]:
        from pathlib import Path

        from ensemble.inference import triage
        from ensemble.inference.predictor import Scored

        batch: list[tuple[Scored, Any]] = []
        for name, square, facts in zip(names, squares, found, strict=False):
            if "refused" in facts:
                batch.append((Scored(Path(name), refusal=RefusedFile(*facts["refused"])), None))
            else:
                batch.append((Scored(Path(name), _facts(facts)), np.asarray(square, np.uint8)))
        scored = self.predictor.decide(batch, self.cascade)
        return [
            {**triage.row(name, one, warning=self.warning), **_mask(one.prediction)}
            for name, one in zip(names, scored, strict=True)
        ]


def _facts(kept: Row) -> Facts:
    """Facts from JSON, which has no tuples."""
    spacing = kept["spacing_mm"]
    return Facts(
        **{
            **kept,
            "spacing_mm": None if spacing is None else tuple(spacing),
            "orientation": tuple(kept["orientation"]),
            "warnings": tuple(kept["warnings"]),
        }
    )


def _mask(prediction: Any) -> Row:
    if prediction is None:
        return {"height": None, "width": None, "mask": None, "probability": None}
    height, width = prediction.mask.shape
    return {"height": height, "width": width, "mask": rle.encode(prediction.mask)}
