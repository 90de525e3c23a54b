"""What the nodes of a cluster do: decode files in tasks, and answer for batches of them in actors that hold the networks.

A row is a batch of `BATCH` files, the same ones as the local engine puts together, so that both compute the same numbers. Torch
is imported by the actors alone: a task needs a tenth of the memory without it.
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

BATCH = 16  # ensemble.inference.predictor.BATCH, which would bring torch
KEPT = ("height", "width", "spacing_mm", "view", "orientation")
"""What of an image's facts goes on: nothing that names a patient leaves the task."""
Row = dict[str, Any]
PLACED = pa.schema([("shard", pa.int64()), ("place", pa.int64()), *SCHEMA])
"""The same with the shard that a row belongs to and its place there."""


def table(number: int, names: Sequence[str], addresses: Sequence[str]) -> pa.Table:
    """A shard's files, a row a batch: shard, place of the batch's first file in it, printable names, addresses."""
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
    """Read a row's files: `squares` uint8 (BATCH, side, side), zero where there is none, and `found`, facts or a refusal each."""
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
                f"{folder}: another bundle on this node than where the run began; copy it to all nodes"
            )
        self.cascade, self.predictor, self.warning = cascade, bundle.predictor(), bundle.warning
        if exported is not None:
            self.predictor = onnx_runtime.use(self.predictor, *exported)

    def __call__(self, rows: dict[str, Any]) -> pa.Table:
        """The answers to a batch of rows, one row a file, with its shard and place."""
        answers: list[Row] = []
        for shard, first, names, squares, found in zip(
            *(rows[key] for key in ("shard", "first", "names", "squares", "found")), strict=True
        ):
            for place, answer in enumerate(self._answers(json.loads(names), squares, json.loads(found))):
                answers.append({"shard": int(shard), "place": int(first) + place, **answer})
        return pa.Table.from_pylist(answers, PLACED)

    def _answers(self, names: list[str], squares: Any, found: list[Row]) -> list[Row]:
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
    """From JSON, which knows no tuples."""
    spacing = kept["spacing_mm"]
    return Facts(
        **{
            **kept,
            "spacing_mm": None if spacing is None else tuple(spacing),
            "orientation": tuple(kept["orientation"]),
        }
    )


def _mask(answer: Any) -> Row:
    if answer is None:
        return {"height": None, "width": None, "mask": None, "probability": None}
    height, width = answer.mask.shape
    return {"height": height, "width": width, "mask": rle.encode(answer.mask)}
