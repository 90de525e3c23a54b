"""Recalibrate a bundle to other data: its networks with the new decision, and a record of its origin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ensemble.decision.decision import Decision
from ensemble.evaluation.holdout_metrics import Measured
from ensemble.evidence.evidence import Cases
from ensemble.inference import bundle
from ensemble.inference.bundle import INDEX, Bundle
from ensemble.validation import recalibration
from ensemble.validation.results import Results
from experiments.settings.decision import EnsembleSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging.io.config import load_section
from imaging.io.files import atomic_folder, read_json, sha256, write_json, write_text

PARENT_METRICS = "parent_metrics.json"
NOTE = """> **Recalibrated.** Networks of `{parent}` with a decision refitted to other data ({images:,} images of
> {patients:,} patients, {positives:,} positive). `metrics.json` has its measures there, cross-fitted by patient; the
> parent's hold-out, which the rest of this card describes, is in `parent_metrics.json`.

"""


def recalibrate(
    made: Results, cases: Cases, decision: Decision, draws: PatientDraws, bins: int, refit: bool, out: Path
) -> None:
    """Refit, compare, and write the new bundle to OUT/bundle."""
    label = made.table["label"].to_numpy(bool)
    if refit and made.table["dice"].isna().any():
        raise ValueError(
            "--refit-decision needs the masks of all positive images; leave it out, or add the masks"
        )
    settings = load_section("ensemble", EnsembleSettings, made.bundle.folder / "params.yaml")
    found = recalibration.fit(decision, cases, label, settings, refit)
    made.recalibration, after = recalibration.compare(made.table, found, cases, draws, bins)
    facts: dict[str, Any] = {
        "data": made.external.fingerprint,
        "images": len(label),
        "positives": int(label.sum()),
        "patients": draws.patients(),
        "refitted": ["calibration", "decision"] if refit else ["calibration"],
        "slope": found.line.slope,
        "intercept": found.line.intercept,
    }
    new = write(out / "bundle", made.bundle, found.decision, facts, after)
    what = "Calibration, rule, floor and operating points were" if refit else "The calibration was"
    made.recalibrated = (
        f"{what} refitted to these images (logit of the probability times {found.line.slope:.3f} "
        f"{found.line.intercept:+.3f}). `after` is cross-fitted: five groups of patients, each measured by a refit "
        f"to the other four. The new bundle, refitted to all, is `bundle/` ({new.name}); it keeps the parent's "
        "lineage and names it."
    )
    low = made.measured["calibration_slope"]["low"]
    if low is None or low <= 0:
        made.recalibrated += (
            " **Warning: the interval of the calibration slope includes 0: on these data the bundle's probability may be "
            "meaningless, and the recalibrated one little more than the prevalence.**"
        )


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
