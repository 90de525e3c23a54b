"""The facts of an external validation that the checklists name, as words."""

from __future__ import annotations

from ensemble.evaluation import ledger
from ensemble.evaluation.checklists.facts import of_networks, of_rule
from ensemble.evaluation.wording import in_words
from ensemble.validation.report import Results


def of_validation(made: Results) -> dict[str, str]:
    """Fact's name -> words. Facts of the training are the bundle's, all others those of the data at hand."""
    table, fitted, external = made.table, made.decision.fitted, made.external
    unknown = external.prepared.patients.warning
    numbers = {
        "labelled": len(table),
        "holdout": len(table),
        "patients": table["patient_id"].nunique(),
        "all_patients": table["patient_id"].nunique(),
        "positives": int(table["label"].sum()),
        "rejected": len(external.rejected),
    }
    training = {
        name: fitted.get(key, "–")
        for name, key in (("training", "images"), ("training_positives", "positives"))
    }
    measures = ("kaggle_dice", "auroc", "calibration_slope", "observed_expected", "prevalence")
    return {
        **{name: f"{number:,}" for name, number in numbers.items()},
        **{name: str(number) for name, number in training.items()},
        **of_networks(made.decision, made.bundle.folder / "params.yaml"),
        **of_rule(made.points),
        **{name: in_words(made.measured[name]) for name in measures},
        "nested": in_words(fitted["nested_score"]) if "nested_score" in fitted else "–",
        "bundle": f"`{made.bundle.name}` (SHA-256 {made.bundle.sha256[:12]})",
        "data": f"`{external.description}`",
        "command": f"`{made.command}`",
        "commit": f"`{ledger.commit()}`",
        "size": str(external.prepared.size),
        "unknown": f"{unknown[0].upper()}{unknown[1:]}." if unknown else "",
        "missing": _missing(made),
        "recalibration": _recalibration(made),
    }


def _missing(made: Results) -> str:
    note, unlabelled = made.external.prepared.masks_missing, made.external.unlabelled
    labels = (
        f"{unlabelled:,} images have no label and are left out. "
        if unlabelled
        else "Every image has a label. "
    )
    masks = f"{note[0].upper()}{note[1:]}." if note else "Every positive image has a mask."
    return f"{labels}{masks} Unknown sex, age and view form groups of their own; nothing is imputed."


def _recalibration(made: Results) -> str:
    return (
        "Calibration refitted to these data, cross-fitted: `Recalibration`." if made.recalibrated else "None."
    )
