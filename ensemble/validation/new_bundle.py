"""The bundle of a recalibration: the parent's networks with the new decision, and where it comes from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ensemble.decision.decision import Decision
from ensemble.evaluation.holdout_metrics import Measured
from ensemble.inference import bundle
from ensemble.inference.bundle import INDEX, Bundle
from imaging.io.files import atomic_folder, read_json, sha256, write_json, write_text

PARENT_METRICS = "parent_metrics.json"
NOTE = """> **Recalibrated.** Networks of `{parent}` with a decision that was refitted to other data ({images:,} images of
> {patients:,} patients, {positives:,} positive). `metrics.json` has what it measured there, cross-fitted by patient; the
> parent's hold-out, which the rest of this card describes, is in `parent_metrics.json`.

"""


def write(
    folder: Path, parent: Bundle, decision: Decision, facts: dict[str, Any], measured: Measured
) -> Bundle:
    """Write the bundle; `facts` (images, positives, patients, data, refitted) go into the decision beside the lineage."""
    record = {"parent": {"name": parent.name, "sha256": parent.sha256}, **facts}
    history = [*decision.fitted.get("recalibrations", []), record]
    made = decision.model_copy(update={"fitted": {**decision.fitted, "recalibrations": history}})
    with atomic_folder(folder, mark=INDEX) as part:
        for name in parent.index.files:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(parent.folder / name, part / name)
        made.save(part / "decision.json")
        write_json(part / PARENT_METRICS, read_json(parent.folder / "metrics.json"))
        write_json(part / "metrics.json", measured)
        write_text(
            part / "README.md",
            _card((parent.folder / "README.md").read_text(encoding="utf-8"), parent, facts),
        )
        fingerprints = parent.index.fingerprints | {
            "decision": sha256(part / "decision.json"), "parent": parent.sha256, "recalibration_data": facts["data"]
        }  # fmt: skip
        bundle.write_index(part, parent.source, fingerprints).predictor()
    return Bundle.load(folder)


def _card(card: str, parent: Bundle, facts: dict[str, Any]) -> str:
    """The parent's card with the note above its first heading, below the front matter."""
    note = NOTE.format(
        parent=parent.name, **{name: facts[name] for name in ("images", "patients", "positives")}
    )
    front, found, rest = card.partition("\n# ")
    return f"{front}\n{note}# {rest}" if found else note + card
