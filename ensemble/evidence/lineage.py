"""Lineage: checksums of the data, weights and prediction files that a result was made from, passed from stage to stage.

`<stage>.predict` writes `lineage.json`; `ensemble.fit` copies it into the decision without opening the hold-out;
`ensemble.evaluate` checks the hold-out files against it, and prediction checks the networks' weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ensemble.evidence.predictions import FOLDER
from imaging.io.files import read_json, sha256

Lineage = dict[str, dict[str, Any]]
"""By `<stage>/<model>`: `data`, `weights` (SHA-256 by fold) and `files` (SHA-256 by path below the model's folder)."""


def read(names: Mapping[str, list[str]], folder: str | Path = FOLDER) -> Lineage:
    """Read the lineage of these models; ValueError when they were trained on different data."""
    paths = {
        f"{stage}/{name}": Path(folder) / stage / name / "lineage.json"
        for stage in names
        for name in names[stage]
    }
    found: Lineage = {model: read_json(path) for model, path in paths.items()}
    first = next(iter(found))
    for model, facts in found.items():
        if facts["data"] != found[first]["data"]:
            raise ValueError(f"{folder}: {first} and {model} were trained on different data; run `dvc repro`")
    return found


def check_files(lineage: Lineage, part: str, folder: str | Path = FOLDER) -> None:
    """ValueError when a prediction file of this part is not the one that was there when the decision was fitted."""
    for model, facts in lineage.items():
        for name, digest in facts["files"].items():
            path = Path(folder) / model / name
            if name.startswith(f"{part}/") and (not path.exists() or sha256(path) != digest):
                raise ValueError(
                    f"{path}: missing or changed since the decision was fitted; run `dvc repro` again"
                )


def check_weights(lineage: Lineage, stage: str, model: str, fold: int, digest: str) -> None:
    """ValueError when a network is not the one whose predictions the decision was fitted on."""
    wanted = lineage.get(f"{stage}/{model}", {}).get("weights", {}).get(str(fold))
    if wanted != digest:
        raise ValueError(
            f"models/{stage}/{model}/fold{fold}: the decision was fitted on the predictions of other weights "
            f"({str(wanted)[:12]}…, these are {digest[:12]}…); run `dvc repro`"
        )
