"""What a run's result depends on, kept in its folder: a run that was begun or finished otherwise is refused, not reported."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.field_trial.cohorts import CROSS_FITTED
from benchmarks.field_trial.methods import Plan
from experiments.networks import pretrained
from imaging.io.files import read_json, sha256, write_json

FILE = "protocol.json"


def images(given: argparse.Namespace, trial: str) -> int:
    """How many images the ordinary loop is shown in a trial, in each of its folds."""
    return {"T3": given.tune_images, "T4": given.images + given.tune_images}.get(trial, given.images)


def of(
    given: argparse.Namespace, trial: str, start: Path | None, weights: Path | None, planned: Plan | None
) -> dict[str, Any]:
    """The options and settings of a run, by their names, but for the seed. start: folder of the run that it goes on from."""
    found: dict[str, Any] = {
        "--size": given.size,
        "--images" if trial != "T3" else "--tune-images": images(given, trial),
    }
    if trial in CROSS_FITTED:
        found["--folds"] = given.folds
    else:
        found["--fitted"] = given.fitted
    if start is not None:
        found["--start-from"] = start.name.rpartition("-")[0]
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


def read(folder: Path) -> dict[str, Any]:
    """The protocol of a run; empty where an older version made it."""
    found: dict[str, Any] = read_json(folder / FILE) if (folder / FILE).is_file() else {}
    return found


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The first option or setting in which two protocols differ; empty where they are equal."""
    return next((key for key in sorted({*one, *other}) if one.get(key) != other.get(key)), "")


def check(folder: Path, wanted: dict[str, Any]) -> None:
    """ValueError where the folder holds a run of another protocol."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    made = read(folder)
    if not made:
        raise ValueError(f"{folder}: a run without {FILE}, made by an older version; give another --output")
    if key := difference(made, wanted):
        before, now = ("(none)" if one.get(key) is None else one[key] for one in (made, wanted))
        raise ValueError(
            f"{folder}: was run with {key} {before}, and now it is {now}; give another --name or --output"
        )


def write(folder: Path, wanted: dict[str, Any]) -> None:
    """Make the folder of a run and note its protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, wanted)
