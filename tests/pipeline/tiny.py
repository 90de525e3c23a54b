"""The smallest pipeline that has every part, and copies of the repository to run it in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "data": {
        "source": "phantom",
        "folder": "data/phantom",
        "patients": "data/phantom",
        "image_size": 64,
    },
    "phantom": {"train": 120, "test": 5, "prevalence": 0.5, "difficulty": 0.0, "least_area": 8000, "seed": 0},
    "split": {"scheme": "patient", "folds": 2, "holdout": 0.3},
    "train_folds": [0, 1],
    "classification": {
        "models": ["small"],
        "variants": {"small": {"architecture": "resnet10t"}},
        "image_size": 64,
        "epochs": 1,
    },
    "segmentation": {
        "models": ["unet"],
        "architecture": "plain",
        "base_channels": 4,
        "image_size": 64,
        "epochs": 3,
        "validate_every": 1,
    },
    "tune_classification": {"trials": 0},
    "tune_segmentation": {
        "trials": 2,
        "space": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "gamma": {"low": 1, "high": 3}},
    },
    "ensemble": {"rule": "expected_value"},
    "evaluation": {"draws": 200},
    "submit": {"images": "data/phantom", "sample": "data/phantom"},
}


class Repository:
    """A folder in which commands run as a user runs them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def copy(cls, root: Path) -> Repository:
        """The tracked files of this repository, new to git."""
        made = cls(root)
        tracked = subprocess.run(
            ["git", "ls-files"], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        for name in tracked:
            if name and Path(name).is_file() and not name.startswith(("docs/", "tests/", "benchmarks/")):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, root / name)
        (root / "dvc.lock").unlink(missing_ok=True)
        made.run("git", "init", "-q")
        return made

    def params(self, params: dict[str, Any]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def environment(self) -> dict[str, str]:
        """That of a user who has the project's .venv on the path, whatever runs these tests."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        foreign = ("MLFLOW_TRACKING", "DVC_", "EXPERIMENT")
        return {**{k: v for k, v in os.environ.items() if not k.startswith(foreign)}, "PATH": path}

    def attempt(self, *command: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command here, whatever comes of it; `path` in the place of PATH."""
        env = self.environment() | ({"PATH": path} if path else {})
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=env)

    def run(self, *command: str) -> str:
        """What a command prints; AssertionError with the end of its output when it fails."""
        done = self.attempt(*command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def executed(self, *stages: str) -> list[str]:
        """Run `dvc repro`, of these stages alone where some are given; return the stages that were not skipped."""
        return re.findall(r"Running stage '([^']+)'", self.run("dvc", "repro", *stages))

    def commit(self) -> None:
        """Everything that git does not ignore, dvc.lock included, as a user does after a run."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "-qm", "A run")

    def changed(self) -> set[str]:
        """Stages that `dvc repro` would run, without what follows from them and without `inputs`, which runs each time."""
        stages = {name.split("@")[0] for name in json.loads(self.run("dvc", "status", "--json"))}
        return stages - {"inputs"}
