"""The rules of the house: imports run one way, dvc.yaml lists what its commands load, nothing phones home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments import imports

STAGES = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
ORDER = [
    "phantom", "prepare", "split", "check", "tune_classification", "tune_segmentation", "train_classification",
    "start_segmentation", "train_segmentation", "predict_classification", "predict_segmentation", "fit_ensemble", "evaluate",
    "export", "submit", "summary",
]  # fmt: skip


def test_imports_run_one_way() -> None:
    assert imports.arrows_back() == []


def test_an_arrow_that_runs_back_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for package in imports.LAYERS:
        (tmp_path / package).mkdir()
    (tmp_path / "experiments" / "fold.py").write_text("x = 1\n")
    (tmp_path / "segmentation" / "losses.py").write_text("x = 1\n")
    (tmp_path / "imaging" / "dataset.py").write_text("def f():\n    from experiments.training.train_fold import x\n")
    (tmp_path / "classification" / "train.py").write_text(
        "import experiments.training.train_fold\nimport segmentation.losses\n"
    )
    assert imports.arrows_back() == [
        "imaging/data/dataset.py imports experiments/training/train_fold.py: imaging may not depend on experiments",
        "classification/train.py imports segmentation/losses.py: classification may not depend on segmentation",
    ]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_module_it_loads(name: str) -> None:
    assert imports.faults_of(name, STAGES[name]) == []


def test_a_missing_dep_is_seen_and_mended() -> None:
    text = Path("dvc.yaml").read_text()
    cut = text.replace("      - imaging/data/dataset.py\n", "", 1)
    stages = yaml.safe_load(cut)["stages"]
    faults = [fault for name, stage in stages.items() for fault in imports.faults_of(name, stage)]
    assert len(faults) == 1
    assert faults[0].endswith("misses dep imaging/data/dataset.py")
    assert imports.rewrite(cut) == text


def test_the_stages_are_those_of_the_design() -> None:
    assert list(STAGES) == ORDER


NO_NETWORK = """
import socket
def refused(*args, **kwargs):
    raise AssertionError(f"network: {args[:2]}")
socket.socket.connect = refused
socket.getaddrinfo = refused
import importlib
for name in %r:
    importlib.import_module(name)
import os
assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
"""


def test_importing_the_pipeline_asks_no_server() -> None:
    modules = [
        "experiments",
        "classification.train",
        "segmentation.predict",
        "ensemble.submit",
        "experiments.tuning.study",
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "NO_ALB", "DO_NOT"))}
    code = NO_NETWORK % (modules,)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_dvc_sends_no_analytics() -> None:
    config = Path(".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
