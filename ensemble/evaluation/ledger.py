"""The ledger of hold-out openings: one line for each evaluation, appended and never rewritten, with the data's fingerprint.

A hold-out whose score influenced what was tried next is no longer independent. The ledger counts how often that could have
happened.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import environment
from imaging.io.files import fingerprint, read_json, write_json
from imaging.prepared import FOLDER

NAME = "holdout_openings.jsonl"
COUNT = Path("reports/evaluation/report/openings.json")
"""The count at the time of the report, for the model card and the summary."""


def record(data: str, params: dict[str, Any], score: float, folder: str | Path = FOLDER) -> int:
    """Append one opening (time, commit, digest of the params, score) and return how many there are for this data.

    The last evaluation repeated, with the same decision, settings and score, shows nothing new and is not counted again."""
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        "commit": commit(),
        "params": fingerprint(params),
        "score": round(score, 6),
    }
    known = _of(data, folder)
    if known and all(known[-1][key] == entry[key] for key in ("params", "score")):
        return len(known)
    with (Path(folder) / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    return len(known) + 1


def count(data: str, folder: str | Path = FOLDER) -> int:
    """How often the hold-out of this data (fingerprint) has been opened."""
    return len(_of(data, folder))


def _of(data: str, folder: str | Path) -> list[dict[str, Any]]:
    path = Path(folder) / NAME
    if not path.exists():
        return []
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [entry for entry in entries if entry["data"] == data]


def write_count(openings: int) -> None:
    """Write the count beside the report."""
    write_json(COUNT, {"openings": openings})


def read_count() -> int:
    """The count beside the report; a ValueError names the missing file."""
    return int(read_json(COUNT)["openings"])


def commit() -> str:
    """The working folder's git commit, with `+` for uncommitted changes; `unknown` outside a repository."""
    tags = environment.names()
    changed = "+" if tags.get("git_dirty") == "true" else ""
    return tags.get("mlflow.source.git.commit", "unknown")[:12] + changed


def sentence(openings: int) -> str:
    """The count in words, for reports."""
    times = "once" if openings == 1 else f"{openings} times"
    return (
        f"The hold-out of this data has been opened {times} (data/prepared/{NAME}). Choose between experiments "
        "by their out-of-fold scores."
    )
