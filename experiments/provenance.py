"""List which MLflow runs made the files of the working folder, and which files DVC restored.

A stage that DVC restores from its cache does not run, so MLflow has no run of it. Files are matched to runs by SHA-256.
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


def start_time() -> float | None:
    """Start of the `dvc repro` that runs this process, in seconds since 1970; None outside DVC."""
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
    """One line a stage: how many of its files were made by this run, by earlier ones, or by none that this MLflow knows."""
    try:
        lines = list(_lines(MlflowClient(tracking_uri=tracking.tracking_uri()), root, start_time()))
    except Exception as error:  # database drivers raise classes of their own
        return (
            f"MLflow does not answer, so the runs behind these files are unknown ({type(error).__name__})\n"
        )
    return "\n".join(["Made by", *lines]) + "\n"


def _lines(client: MlflowClient, root: Path, start: float | None) -> Iterator[str]:
    for stage, pattern in FILES.items():
        times = [_time_made(client, path) for path in sorted(root.glob(pattern))]
        known = [time for time in times if time is not None]
        earlier = [time for time in known if start is None or time < start]
        parts = [f"{len(known) - len(earlier)} by this run"] if len(known) > len(earlier) else []
        if earlier:
            before, kept = ("earlier ", " (kept, or restored by DVC)") if start is not None else ("", "")
            last = pd.Timestamp(max(earlier), unit="s").strftime("%Y-%m-%d %H:%M")
            parts.append(f"{len(earlier)} by {before}runs until {last} UTC{kept}")
        if len(known) < len(times):
            parts.append(
                f"{len(times) - len(known)} without a run in this MLflow: restored by DVC, or made elsewhere"
            )
        if times:
            yield f"  {stage:<22}{'; '.join(parts)}"


def _time_made(client: MlflowClient, path: Path) -> float | None:
    """Start of the newest run with this output, in seconds since 1970."""
    found = search(client, f"tags.output_sha256 = '{sha256(path)}'")
    return found[0].info.start_time / 1000 if found else None
