"""Stage `evaluate`: measure the fitted decision on the locked hold-out, which no stage before has read.

python -m ensemble.evaluate
Applies decision.json to the hold-out's predictions and writes reports/evaluation/. No other module reads these predictions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ensemble.decision import crossfit
from ensemble.decision.comparison import compare, submitted_at
from ensemble.decision.decision import FOLDER as DECISIONS
from ensemble.decision.decision import PATH, Decision
from ensemble.decision.image_table import per_image
from ensemble.decision.label_only import gate_table
from ensemble.evaluation import clinical, external, ledger, pictures, subgroups
from ensemble.evaluation import report as evaluation_report
from ensemble.evaluation.checklists import facts
from ensemble.evaluation.checklists.fill import FILES, fill
from ensemble.evaluation.holdout_metrics import Measured, measure, over_exposure
from ensemble.evaluation.lesions import figure as lesion_figure
from ensemble.evaluation.lesions import per_image as lesion_table
from ensemble.evaluation.lesions import summary as lesion_summary
from ensemble.evaluation.lesions.detection import froc
from ensemble.evaluation.report import METRICS, REPORT, HoldoutResults
from ensemble.evidence import lineage, predictions
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import check_subset, gather
from ensemble.evidence.predictions import Predictions
from experiments import tracking
from experiments.monitoring import html_report
from experiments.monitoring.pseudonyms import PSEUDONYMS, pseudonyms
from experiments.settings.decision import EvaluationSettings
from experiments.statistics.arrays import Floats
from experiments.statistics.bootstrap import PatientDraws
from imaging.domain import exposure
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import write_json, write_text
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared
from imaging.settings import DataSettings, SplitSettings

PART = "holdout"
IDENTITIES = ("per_image.csv", "external_per_image.csv", "dice_by_area.csv", "lesions.csv")
"""Tables with ids of images or patients, which are not logged to MLflow."""


def main() -> None:
    """Read params.yaml and evaluate."""
    settings, scheme = (
        load_section("evaluation", EvaluationSettings),
        load_section("split", SplitSettings).scheme,
    )
    params = {"evaluation": settings.model_dump(mode="json"), "split": {"scheme": scheme}}
    with tracking.start("evaluate", {"stage": "evaluate"}, params) as tracked:
        measured = run(settings, scheme)
        tracked.results(measured)
        tracked.made(METRICS)
        log_files(tracked)


def log_files(tracked: tracking.Run) -> None:
    """Log the report as one page, the metrics, the decision and the tables; images only under pseudonyms."""
    for path in [METRICS, Path(PATH), *sorted(REPORT.glob("*.csv"))]:
        if path.name not in IDENTITIES:
            tracked.file(path)
    images = pd.read_csv(REPORT / "per_image.csv", dtype={"image_id": str, "patient_id": str})
    tracked.text(pseudonyms(images).to_csv(index=False, lineterminator="\n"), PSEUDONYMS)
    tracked.file(REPORT / "report.html")


def run(settings: EvaluationSettings, scheme: str) -> Measured:
    """Measure the decision on the hold-out; write metrics.json, tables, plots, pictures and reports."""
    prepared, decision = Prepared(FOLDER), Decision.load(PATH)
    check_same_data(decision, prepared, scheme)
    lineage.check_files(decision.fitted["lineage"], PART)
    found = predictions.read(PART, list(decision.classifiers), list(decision.masks.weights))
    check_subset(found, prepared, locked=True)
    cases = gather(
        found, decision.classifiers, decision.masks, prepared, "hold-out masks", decision.classifier_average
    )
    results, lesion_frames = measure_all(decision, cases, found, prepared, settings)
    results.openings = record_opening(results, settings, prepared)

    outside = external.measure(decision, prepared, settings)
    pictures.write_tables(tables(results, settings.bins) | lesion_frames | outside, REPORT)
    pictures.pictures(results.table, results.measured, settings, REPORT)
    pictures.clinical_pictures(results.table, results.points, REPORT)
    if decision.masks.weights:
        save(lesion_figure.draw(lesion_frames["froc"]), REPORT / "froc.png", pictures.DPI)
        pictures.overlays(results.table, decision, found, prepared, settings.examples, REPORT)
    write_reports(results, prepared, external.section(outside))
    return results.measured


def measure_all(
    decision: Decision, cases: Cases, found: Predictions, prepared: Prepared, settings: EvaluationSettings
) -> tuple[HoldoutResults, dict[str, pd.DataFrame]]:
    """All measures of the hold-out, and the tables of lesions ({} without masks)."""
    table = per_image(decision, cases, found, prepared)
    draws = PatientDraws(cases.patient, settings.draws, settings.seed)
    results = HoldoutResults(
        measured=measure(table, draws, settings.bins)
        | shares_unknown(table, prepared)
        | over_exposure(table, exposure_alone(prepared, table), draws),
        rules=pd.DataFrame(),
        groups=subgroups.report(table, draws),
        points=clinical.operating_points(table, decision.operating_points, draws),
        table=table,
        decision=decision,
        warnings=evaluation_report.data_warnings(prepared, load_section("data", DataSettings).source),
    )
    if not decision.masks.weights:
        called = table["prob"].to_numpy() >= decision.rule.least_prob()
        results.rules = gate_table(cases.label, called, draws)
        return results, {}
    masked = cases.with_masks()
    draws = draws if masked is cases else PatientDraws(masked.patient, settings.draws, settings.seed)
    results.rules = rules_on_holdout(decision, masked, draws)
    lesions, candidates = lesion_table.per_image(table[table["dice"].notna()], decision, found, prepared)
    measures, numbers = lesion_summary.measure(lesions, candidates, draws)
    results.measured |= measures
    results.lesions = lesion_summary.to_markdown(measures, numbers)
    return results, {"lesions": lesions, "froc": froc(candidates)}


def exposure_alone(prepared: Prepared, table: pd.DataFrame) -> Floats:
    """The probability (N,) of the hold-out images from their exposure alone, fitted on the images of the folds."""
    known = prepared.rows(prepared.folds.index[prepared.folds != PART])
    label = prepared.index["label"].to_numpy(float)[known] == 1
    asked = prepared.rows(table["image_id"])
    known_features = exposure.features(prepared.images[row] for row in known)
    return exposure.probability(
        known_features, label, exposure.features(prepared.images[row] for row in asked)
    )


def shares_unknown(table: pd.DataFrame, prepared: Prepared) -> Measured:
    """Shares of images whose patient, and of positives whose mask, is unknown; only those above 0."""
    shares = {}
    if prepared.patients.warning:
        shares["patients_unknown"] = prepared.patients.unknown / prepared.patients.labelled
    if prepared.masks_missing:
        positive = table["label"] == 1
        missing = positive & table["true_area"].isna()
        shares["masks_missing"] = float(missing.sum() / max(int(positive.sum()), 1))
    return {name: {"value": share, "low": None, "high": None} for name, share in shares.items()}


def record_opening(results: HoldoutResults, settings: EvaluationSettings, prepared: Prepared) -> int:
    """Write metrics.json and the ledger's line; return how often this hold-out has been opened."""
    measured, decision = results.measured, results.decision
    words = {"patients_unknown": prepared.patients.warning, "masks_missing": prepared.masks_missing}
    notes = {name: {**measured[name], "note": note} for name, note in words.items() if note}
    write_json(METRICS, {**measured, **notes})
    params = {"evaluation": settings.model_dump(mode="json"), "decision": decision.model_dump(mode="json")}
    score = measured["kaggle_dice" if decision.masks.weights else "auroc"]["value"]
    openings = ledger.record(prepared.fingerprint, params, float(score or 0.0))
    ledger.write_count(openings)
    return openings


def tables(results: HoldoutResults, bins: int) -> dict[str, pd.DataFrame]:
    """Name of each CSV file of the report -> its table."""
    label, prob = results.table["label"].to_numpy(bool), results.table["prob"].to_numpy()
    return {
        "per_image": results.table,
        "rules": results.rules,
        "subgroups": results.groups,
        "operating_points": results.points,
        "predictive_values": clinical.by_prevalence(results.points),
        "decision_curve": clinical.net_benefit(label, prob),
        **pictures.curves(results.table, bins),
    }


def write_reports(results: HoldoutResults, prepared: Prepared, external_section: str) -> None:
    """Write report.md, the filled checklists, and report.html with all of them."""
    has_masks = bool(results.decision.masks.weights)
    describe = evaluation_report.describe if has_masks else evaluation_report.describe_label_only
    write_text(REPORT / "report.md", describe(results) + external_section)
    known = facts.of_run(
        results.measured, results.points, results.table, results.decision, prepared, results.openings
    )
    for name in FILES:
        write_text(REPORT / f"{name}.md", fill(name, known))
    pages = [REPORT / "report.md", *(REPORT / f"{name}.md" for name in FILES)]
    write_text(REPORT / "report.html", html_report.page(*pages))


def check_same_data(decision: Decision, prepared: Prepared, scheme: str) -> None:
    """Refuse a decision fitted on other data, and a hold-out that shares patients with the training folds."""
    fitted = decision.fitted.get("data_fingerprint")
    if fitted != prepared.fingerprint:
        raise ValueError(
            f"{PATH}: fitted on data {fitted}, the prepared data is {prepared.fingerprint}; run `python -m ensemble.fit`"
        )
    patient, _ = pd.factorize(prepared.index["patient_id"].iloc[prepared.rows(prepared.folds.index)])
    locked = (prepared.folds == PART).to_numpy()
    shared = np.intersect1d(patient[locked], patient[~locked])
    if len(shared) and scheme == "patient":
        raise ValueError(
            f"{FOLDER}/folds.csv: {len(shared)} patients are both in the hold-out and in training; split again"
        )


def rules_on_holdout(decision: Decision, cases: Cases, draws: PatientDraws) -> pd.DataFrame:
    """All rules that were fitted with the chosen one, on the hold-out, with paired differences from it."""
    others = {path.stem: Decision.load(path) for path in sorted(Path(DECISIONS).glob("rules/*.json"))}
    others[decision.rule.kind] = decision
    levels = {kind: crossfit.apply(other, cases)[0] for kind, other in others.items()}
    skipped = {kind: crossfit.skipped(other, cases) for kind, other in others.items()}
    dice = {kind: cases.dice_at(level) for kind, level in levels.items()}
    submitted = {kind: submitted_at(level, cases) for kind, level in levels.items()}
    return compare(dice, submitted, skipped, cases, decision.rule.kind, draws)


if __name__ == "__main__":
    command.run(main, __doc__)
