"""What predictions were made from, passed on from stage to stage: data, networks' weights, and the files themselves.

`<stage>.predict` writes `seal.json`; `ensemble.fit` copies it into the decision without opening the hold-out; `ensemble.evaluate`
checks that the hold-out it opens is the one that was meant, and prediction that the networks are those of the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ensemble.evidence.predictions import FOLDER
from imaging.io.files import read_json, sha256

Seals = dict[str, dict[str, Any]]
"""By `<stage>/<model>`: `data`, `weights` (SHA-256 by fold) and `files` (SHA-256 by path below the model's folder)."""


def read(names: Mapping[str, list[str]], folder: str | Path = FOLDER) -> Seals:
    """The seals of these models by stage; ValueError when they speak of different data."""
    paths = {
        f"{stage}/{name}": Path(folder) / stage / name / "seal.json"
        for stage in names
        for name in names[stage]
    }
    found: Seals = {model: read_json(path) for model, path in paths.items()}
    first = next(iter(found))
    for model, seal in found.items():
        if seal["data"] != found[first]["data"]:
            raise ValueError(f"{folder}: {first} and {model} were trained on different data; run `dvc repro`")
    return found


def check_files(sealed: Seals, part: str, folder: str | Path = FOLDER) -> None:
    """ValueError when a prediction file of this part is not the one that was there when the decision was fitted."""
    for model, seal in sealed.items():
        for name, digest in seal["files"].items():
            path = Path(folder) / model / name
            if name.startswith(f"{part}/") and (not path.exists() or sha256(path) != digest):
                raise ValueError(
                    f"{path}: missing or changed since the decision was fitted; run `dvc repro` again"
                )


def check_weights(sealed: Seals, stage: str, model: str, fold: int, digest: str) -> None:
    """ValueError when a network is not the one whose predictions the decision was fitted on."""
    wanted = sealed.get(f"{stage}/{model}", {}).get("weights", {}).get(str(fold))
    if wanted != digest:
        raise ValueError(
            f"models/{stage}/{model}/fold{fold}: the decision was fitted on the predictions of other weights "
            f"({str(wanted)[:12]}…, these are {digest[:12]}…); run `dvc repro`"
        )
