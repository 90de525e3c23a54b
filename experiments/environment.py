"""What a run was made with: the commit, the experiment's name, the machine and the packages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

GIB = 2**30


RESULTS = ("dvc.lock", "reports")
"""Tracked files that runs write: changing them does not change what produced a run."""


def names() -> dict[str, str]:
    """Tags by which runs are grouped: experiment, DVC's stage, git commit, and whether code or params differ from it.

    The experiment's name is EXPERIMENT (`make repro NAME=…` sets it), else that of `dvc exp run -n`, else the commit's.
    """
    tags, commit = {}, git("rev-parse", "HEAD")
    if os.environ.get("DVC_STAGE"):
        tags["dvc_stage"] = os.environ["DVC_STAGE"]
    name = os.environ.get("EXPERIMENT") or os.environ.get("DVC_EXP_NAME")
    if commit:
        results = [f":(exclude){path}" for path in RESULTS]
        dirty = bool(git("status", "--porcelain", "--untracked-files=no", "--", ".", *results))
        tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(dirty).lower()}
        name = name or f"{commit[:7]}{'-dirty' if dirty else ''}"
    return {**tags, "experiment": name or "unnamed"}


def git(*arguments: str, folder: str | Path = ".") -> str:
    """What git prints, stripped; "" without git, without a repository and after any failure."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, no commit yet, or no repository
        return ""
    return done.stdout.strip()


def packages() -> str:
    """Installed packages as `pip freeze` writes them, sorted."""
    found = {
        f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions() if one.metadata["Name"]
    }
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def machine() -> dict[str, Any]:
    """Python, system, processor, memory, and the GPUs when torch is loaded (it is not imported for this)."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
    }
    if "torch" in sys.modules:
        from experiments import hardware

        facts |= hardware.current().describe()
    return facts
