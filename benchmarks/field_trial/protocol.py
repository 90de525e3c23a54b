"""What a run's result depends on, kept in its folder: a run that was begun or finished otherwise is refused, not reported."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.field_trial.arguments import run_name
from benchmarks.field_trial.cohorts import CROSS_FITTED, STARTS
from benchmarks.field_trial.methods import Plan
from experiments.networks import pretrained
from imaging.io.files import read_json, sha256, write_json

FILE = "protocol.json"


def images(given: argparse.Namespace, trial: str) -> int:
    """How many images the ordinary loop is shown in a trial, in each of its folds."""
    return {"T3": given.tune_images, "T4": given.images + given.tune_images}.get(trial, given.images)


def of(
    given: argparse.Namespace, trial: str, method: str, weights: Path | None, planned: Plan | None
) -> dict[str, Any]:
    """The options and settings of a run, by their names; the seed is in the folder's name."""
    found: dict[str, Any] = {
        "--size": given.size,
        "--images" if trial != "T3" else "--tune-images": images(given, trial),
    }
    if trial in CROSS_FITTED:
        found["--folds"] = given.folds
    else:
        found["--fitted"] = given.fitted
    if trial in STARTS:
        found["--start-from"] = given.start_from or run_name(given, method)
    if weights is not None:
        found["--weights"] = sha256(pretrained.find(str(weights), "--weights").path)
    if planned is not None:
        for section in ("classification", "segmentation", "ensemble"):
            settings = getattr(planned, section).model_dump(mode="json")
            found |= {f"{section}.{key}": value for key, value in settings.items()}
        found |= {"share": planned.share, "contrasts": list(planned.contrasts)}
        if trial == "T3":
            found["--mix"] = given.mix
    as_read: dict[str, Any] = json.loads(json.dumps(found))
    return as_read


def check(folder: Path, wanted: dict[str, Any]) -> None:
    """ValueError where the folder holds a run of another protocol."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / FILE).is_file():
        raise ValueError(f"{folder}: a run without {FILE}, made by an older version; give another --output")
    made = read_json(folder / FILE)
    for key in sorted({*made, *wanted}):
        if made.get(key) != wanted.get(key):
            raise ValueError(
                f"{folder}: was run with {key} {_told(made.get(key))}, and now it is {_told(wanted.get(key))}; give another"
                " --name or --output"
            )


def write(folder: Path, wanted: dict[str, Any]) -> None:
    """Make the folder of a run and note its protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, wanted)


def _told(value: Any) -> str:
    return "(none)" if value is None else str(value)
