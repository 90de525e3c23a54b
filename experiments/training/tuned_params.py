"""What a study found, as the training stages read it: `reports/tuning/<stage>/best.json`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from imaging.io.files import read_json, write_json
from imaging.prepared import FOLDER


def path_of(stage: str) -> Path:
    """Where `<stage>.tune` writes its result."""
    return Path("reports") / "tuning" / stage / "best.json"


def values(stage: str) -> dict[str, Any]:
    """The tuned settings of a stage, {} when its study had no trials: then the params' own values apply."""
    found = read_json(path_of(stage)).get("values")
    if not isinstance(found, dict):
        raise ValueError(f"{path_of(stage)}: no `values`; run `python -m {stage}.tune` again")
    return found


def data(stage: str) -> dict[str, str]:
    """Fingerprints of the prepared data at the time of the study: see imaging.split.fingerprints."""
    return read_json(path_of(stage))["data"]


def write(stage: str, found: dict[str, Any]) -> None:
    """Write the result of a study on the data as it is now."""
    write_json(path_of(stage), {**found, "data": read_json(Path(FOLDER) / "fingerprint.json")})


def pass_through(stage: str) -> None:
    """The result of a study without trials: no value is changed."""
    write(stage, {"values": {}, "trials": 0})


def joins(stage: str) -> bool:
    """Whether `python -m <stage>.tune` was called with --join."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage}.tune", description="Search the stage's settings with Optuna."
    )
    parser.add_argument(
        "--join",
        action="store_true",
        help="work on the study that another process began, and write no report",
    )
    return parser.parse_args().join
