"""What a study found, as the training stages read it: `reports/tuning/<stage>/best.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imaging.files import read_json, write_json


def path_of(stage: str) -> Path:
    """Where `<stage>.tune` writes its result."""
    return Path("reports") / "tuning" / stage / "best.json"


def values(stage: str) -> dict[str, Any]:
    """The tuned settings of a stage, {} when its study had no trials: then the params' own values stand."""
    found = read_json(path_of(stage)).get("values")
    if not isinstance(found, dict):
        raise ValueError(f"{path_of(stage)}: no `values`; run `python -m {stage}.tune` again")
    return found


def pass_through(stage: str) -> None:
    """The result of a study without trials: no value is changed."""
    write_json(path_of(stage), {"values": {}, "trials": 0})
