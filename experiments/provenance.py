"""Which MLflow runs made the files that lie here, and which files DVC brought back instead.

A stage that DVC takes from its cache does not run, so MLflow shows nothing of it. Files lead to their runs by SHA-256.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
from mlflow.tracking import MlflowClient

from experiments import tracking
from experiments.compare.runs import search
from imaging.io.files import sha256

FILES = {
    "train_classification": "models/classification/*/fold*.safetensors",
    "train_segmentation": "models/segmentation/*/fold*.safetensors",
    "fit_ensemble": "models/ensemble/decision.json",
    "evaluate": "reports/evaluation/metrics.json",
}


def began() -> float | None:
    """When the `dvc repro` began that runs this process, in seconds since 1970; None outside DVC."""
    if "DVC_STAGE" not in os.environ:
        return None
    above = [one for one in psutil.Process().parents() if any("dvc" in part for part in _command(one)[:2])]
    return above[-1].create_time() if above else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return [Path(part).name for part in process.cmdline()]
    except psutil.Error:
        return []


def describe(root: Path = Path()) -> str:
    """A line a stage: how many of its files were made just now, earlier, or by no run that this MLflow knows."""
    try:
        lines = list(_lines(MlflowClient(tracking_uri=tracking.tracking_uri()), root, began()))
    except Exception as error:  # of any database driver or server: the files are what counts
        return f"MLflow cannot be asked which runs made these files ({type(error).__name__})\n"
    return "\n".join(["Made by", *lines]) + "\n"


def _lines(client: MlflowClient, root: Path, start: float | None) -> Iterator[str]:
    for stage, pattern in FILES.items():
        times = [_made(client, path) for path in sorted(root.glob(pattern))]
        known = [time for time in times if time is not None]
        earlier = [time for time in known if start is None or time < start]
        said = [f"{len(known) - len(earlier)} run now"] if len(known) > len(earlier) else []
        if earlier:
            taken = "kept, or restored from DVC's cache: " if start is not None else ""
            last = pd.Timestamp(max(earlier), unit="s").strftime("%Y-%m-%d %H:%M")
            said.append(f"{taken}{len(earlier)} of a run of {last} UTC or before")
        if len(known) < len(times):
            said.append(
                f"{len(times) - len(known)} without a run in this MLflow: restored by DVC, or made elsewhere"
            )
        if times:
            yield f"  {stage:<22}{'; '.join(said)}"


def _made(client: MlflowClient, path: Path) -> float | None:
    """When the newest run with this very output began, in seconds since 1970."""
    found = search(client, f"tags.output_sha256 = '{sha256(path)}'")
    return found[0].info.start_time / 1000 if found else None
