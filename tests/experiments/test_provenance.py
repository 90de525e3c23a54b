"""Files and the runs that made them: now, earlier, or by nobody known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from experiments import provenance, tracking


def test_a_restored_file_is_told_from_one_just_made(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fold in range(3):
        path = tmp_path / f"models/segmentation/unet/fold{fold}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(fold))
        if fold < 2:
            with tracking.start(f"t{fold}", {}, {}) as run:
                run.made(path)
        if fold == 0:
            time.sleep(0.01)
            between = time.time()
    monkeypatch.setattr(provenance, "start_time", lambda: between)
    line = provenance.describe().splitlines()[1]
    assert line.startswith("  train_segmentation    1 by this run; 1 by earlier runs until 20")
    assert " UTC (kept, or restored by DVC); " in line
    assert line.endswith("1 without a run in this MLflow: restored by DVC, or made elsewhere")


def test_outside_dvc_there_is_no_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert provenance.start_time() is None


def test_without_a_server_the_summary_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models/ensemble").mkdir(parents=True)
    (tmp_path / "models/ensemble/decision.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert provenance.describe(tmp_path).startswith("MLflow does not answer")
