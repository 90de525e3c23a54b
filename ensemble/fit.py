"""Stage `fit_ensemble`: learn from out-of-fold predictions how the two stages are combined, and write decision.json.

python -m ensemble.fit
Reads the out-of-fold predictions of all models and the prepared tables; never the predictions of the hold-out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ensemble.decision import crossfit, label_only, mask_weights, operating_points, report
from ensemble.decision.comparison import compare, submitted_at
from ensemble.decision.decision import FOLDER as DECISIONS
from ensemble.decision.decision import PATH, Decision
from ensemble.evaluation import figures
from ensemble.evidence import lineage, predictions
from ensemble.evidence.calibration import calibration_steps
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import check_subset, gather
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.predictions import Predictions
from ensemble.rules import RULES
from experiments import tracking
from experiments.monitoring.pseudonyms import OUT_OF_FOLD, pseudonyms
from experiments.settings.decision import EnsembleSettings, EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import atomic, write_text
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared

REPORTS = Path("reports/ensemble")


GATE = "gate"
LEAST = 2  # images of each kind: with fewer, none can be held back to check the fit


def main() -> None:
    """Read params.yaml and fit."""
    names = {stage: sorted(predictions.model_names(stage)) for stage in predictions.STAGES}
    settings = load_section("ensemble", EnsembleSettings)
    evaluation = load_section("evaluation", EvaluationSettings)
    params = {"ensemble": settings.model_dump(mode="json")}
    with tracking.start("fit_ensemble", {"stage": "fit_ensemble"}, params) as tracked:
        fitted = run(settings, evaluation, names).fitted
        tracked.tags({"data_fingerprint": fitted["data_fingerprint"]})
        tracked.results({"nested_score": fitted["nested_score"]})
        tracked.made(PATH)
        for path in [Path(PATH), *sorted(REPORTS.iterdir())]:
            if path.name != OUT_OF_FOLD:
                tracked.file(path)
        images = pd.read_csv(REPORTS / OUT_OF_FOLD, dtype={"image_id": str, "patient_id": str})
        tracked.text(pseudonyms(images).to_csv(index=False, lineterminator="\n"), OUT_OF_FOLD)


def run(settings: EnsembleSettings, evaluation: EvaluationSettings, names: dict[str, list[str]]) -> Decision:
    """Fit all rules, measure them nested, write the chosen decision and the reports."""
    prepared = Prepared(FOLDER)
    found = predictions.read("oof", names["classification"], names["segmentation"])
    check_subset(found, prepared, locked=False)
    classifiers, kinds, fitted_on = (
        names["classification"],
        list(RULES),
        mask_ensembles(found, prepared, settings),
    )
    masks, cases = fitted_on(np.ones(len(found.ids), np.bool_))
    check_both_kinds(cases)
    if not masks.weights:
        return fit_to_labels(cases, classifiers, fitted_on, settings, evaluation, prepared)
    check_both_kinds(cases.with_masks(), "whose mask is known, ")

    decisions, losses = crossfit.fit(cases, classifiers, kinds, masks, settings)
    nested = crossfit.nested(cases, classifiers, kinds, fitted_on, settings)
    masked = nested.with_masks()
    score = {kind: masked.cases.score(level) for kind, level in masked.levels.items()}
    chosen = max(kinds, key=score.__getitem__) if settings.rule == "best" else settings.rule
    draws = PatientDraws(masked.cases.patient, evaluation.draws, evaluation.seed)
    table = table_of_rules(cases.with_masks(), decisions, masked, chosen, draws)

    fitted = {**facts(cases, prepared, table, chosen), "lineage": lineage.read(names)}
    points = nested_points(nested, chosen, settings)
    decision = decisions[chosen].model_copy(update={"operating_points": points, "fitted": fitted})
    decision.save(PATH)
    for kind, other in decisions.items():  # `evaluate` compares them on the hold-out
        other.save(f"{DECISIONS}/rules/{kind}.json")
    probs = calibration_steps(nested.raw, nested.calibrated, nested.prob)
    write_frames({"rules.csv": table, OUT_OF_FOLD: out_of_fold(nested, chosen)})
    write_text(
        REPORTS / "rules.md", report.describe(table, decision, losses, cases, probs, prepared.masks_missing)
    )
    save(
        figures.search_surface(cases.with_masks(), decisions["triplet"].rule), REPORTS / "search_surface.png"
    )
    save(figures.reliability(cases.label, probs, evaluation.bins), REPORTS / "reliability.png")
    return decision


def write_frames(frames: dict[str, pd.DataFrame]) -> None:
    """Write tables into the reports."""
    for name, frame in frames.items():
        with atomic(REPORTS / name) as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def fit_to_labels(
    cases: Cases,
    classifiers: list[str],
    fitted_on: crossfit.FittedOn,
    settings: EnsembleSettings,
    evaluation: EvaluationSettings,
    prepared: Prepared,
) -> Decision:
    """Without segmentation networks: calibration, and a gate on the probability, measured nested by balanced accuracy."""
    settings = settings.model_copy(update={"image_score": "classifier"})  # there are no masks to stack
    masks, _ = fitted_on(np.ones(len(cases), np.bool_))
    decisions, losses = crossfit.fit(cases, classifiers, [GATE], masks, settings)
    nested = crossfit.nested(cases, classifiers, [GATE], fitted_on, settings)
    called = nested.levels[GATE] < NOTHING
    points = operating_points.fit(nested.cases.label, nested.prob, called, settings.operating_points)
    gate = decisions[GATE]
    points[0] = points[0].model_copy(update={"threshold": gate.rule.least_prob()})
    draws = PatientDraws(cases.patient, evaluation.draws, evaluation.seed)
    table = label_only.gate_table(cases.label, called, draws)
    fitted = {
        **facts(cases, prepared, table, GATE),
        "lineage": lineage.read({"classification": classifiers, "segmentation": []}),
    }
    decision = gate.model_copy(update={"operating_points": points, "fitted": fitted})
    decision.save(PATH)
    probs = calibration_steps(nested.raw, nested.calibrated, nested.prob)
    write_frames({"rules.csv": table, OUT_OF_FOLD: out_of_fold(nested, GATE, has_masks=False)})
    write_text(
        REPORTS / "rules.md", label_only.describe_fit(table, decision, losses, cases, prepared.masks_missing)
    )
    save(figures.reliability(cases.label, probs, evaluation.bins), REPORTS / "reliability.png")
    return decision


def mask_ensembles(found: Predictions, prepared: Prepared, settings: EnsembleSettings) -> crossfit.FittedOn:
    """Training rows -> ensemble of mask models and cases; the maps are read again only where it was refitted."""
    ids = np.array(found.ids, dtype=object)
    statistics = (
        mask_weights.map_statistics(found, prepared)
        if mask_weights.needs_maps(list(found.segmentation), settings)
        else []
    )
    equal = {name: 1 / len(found.classification) for name in found.classification}
    known: list[tuple[MaskEnsemble, Cases]] = []

    def fitted_on(train: NDArray[np.bool_]) -> tuple[MaskEnsemble, Cases]:
        wanted = set(ids[train])
        masks = mask_weights.fit([one for one in statistics if one.image_id in wanted], found, settings)
        if not known or masks != known[0][0]:
            known[:] = [
                (
                    masks,
                    gather(found, equal, masks, prepared, "out-of-fold masks", settings.classifier_average),
                )
            ]
        return known[0]

    return fitted_on


def check_both_kinds(cases: Cases, kind: str = "") -> None:
    """A decision needs images with and without a finding. kind: of images, in words."""
    positives = int(cases.label.sum())
    if min(positives, len(cases) - positives) < LEAST:
        raise ValueError(
            f"{len(cases)} out-of-fold images, {kind}{positives} with a pneumothorax: "
            f"at least {LEAST} with and {LEAST} without one are needed to fit a decision"
        )


def table_of_rules(
    cases: Cases,
    decisions: dict[str, Decision],
    nested: crossfit.Nested,
    chosen: str,
    draws: PatientDraws,
) -> pd.DataFrame:
    """Nested score of every rule, and its in-sample score; their difference is the optimism of the latter."""
    dice = {kind: nested.cases.dice_at(level) for kind, level in nested.levels.items()}
    submitted = {kind: submitted_at(level, nested.cases) for kind, level in nested.levels.items()}
    table = compare(dice, submitted, nested.skipped, cases, chosen, draws)
    apparent = {kind: cases.score(crossfit.apply(decision, cases)[0]) for kind, decision in decisions.items()}
    table["apparent"] = table["rule"].map(apparent)
    return table.assign(optimism=table["apparent"] - table["score"])


def out_of_fold(nested: crossfit.Nested, chosen: str, has_masks: bool = True) -> pd.DataFrame:
    """One row per image, predicted by a decision that was fitted without it: label, fold, probabilities, mask or none, Dice.

    The Dice is NaN for a positive whose mask is not known, and for all images without segmentation networks (`has_masks`
    false).
    """
    cases, level = nested.cases, nested.levels[chosen]
    dice = np.where(cases.has_mask & has_masks, cases.dice_at(level), np.nan)
    return pd.DataFrame(
        {
            "image_id": cases.image_id,
            "patient_id": cases.patient,
            "fold": cases.fold,
            "label": cases.label.astype(int),
            "raw": nested.raw,
            "calibrated": nested.calibrated,
            "prob": nested.prob,
            "submitted": submitted_at(level, cases),
            "dice": dice,
        }
    )


def nested_points(
    nested: crossfit.Nested, chosen: str, settings: EnsembleSettings
) -> list[operating_points.OperatingPoint]:
    """Operating points on the nested probabilities; as in prediction, a skipped image has that of its classifiers."""
    prob = np.where(nested.skipped[chosen], nested.calibrated, nested.prob)
    submitted = submitted_at(nested.levels[chosen], nested.cases)
    return operating_points.fit(nested.cases.label, prob, submitted, settings.operating_points)


def facts(cases: Cases, prepared: Prepared, table: pd.DataFrame, chosen: str) -> dict[str, object]:
    """The images, patients and data that the decision was fitted on, and its nested score."""
    row = table[table["rule"] == chosen].iloc[0]
    return {
        "images": len(cases),
        "positives": int(cases.label.sum()),
        "patients": len(set(cases.patient)),
        "folds": sorted({int(fold) for fold in cases.fold}),
        "data_fingerprint": prepared.fingerprint,
        "nested_score": {"value": float(row["score"]), "low": float(row["low"]), "high": float(row["high"])},
    }


if __name__ == "__main__":
    command.run(main, __doc__)
