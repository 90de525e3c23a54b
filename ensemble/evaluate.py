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
from ensemble.evaluation import clinical, external, label_only, ledger, pictures, subgroups
from ensemble.evaluation import report as evaluation_report
from ensemble.evaluation.checklists import facts
from ensemble.evaluation.checklists.fill import FILES, fill
from ensemble.evaluation.holdout_metrics import Measured, measure
from ensemble.evaluation.lesions import figure as lesion_figure
from ensemble.evaluation.lesions import per_image as lesion_table
from ensemble.evaluation.lesions import summary as lesion_summary
from ensemble.evaluation.lesions.detection import froc
from ensemble.evaluation.report import METRICS, REPORT
from ensemble.evidence import lineage, predictions
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import check_subset, gather
from experiments import tracking
from experiments.monitoring import html_report
from experiments.monitoring.pseudonyms import PSEUDONYMS, pseudonyms
from experiments.settings.decision import EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import write_json, write_text
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared
from imaging.settings import SplitSettings

PART = "holdout"
IDENTITIES = ("per_image.csv", "external_per_image.csv", "dice_by_area.csv", "lesions.csv")
"""Tables with the ids of images or patients, which do not go to MLflow."""


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
    """Log the report as one page, the metrics, the decision and the tables; of the images only pseudonyms."""
    for path in [METRICS, Path(PATH), *sorted(REPORT.glob("*.csv"))]:
        if path.name not in IDENTITIES:
            tracked.file(path)
    images = pd.read_csv(REPORT / "per_image.csv", dtype={"image_id": str, "patient_id": str})
    tracked.text(pseudonyms(images).to_csv(index=False, lineterminator="\n"), PSEUDONYMS)
    tracked.file(REPORT / "report.html")


def run(settings: EvaluationSettings, scheme: str) -> Measured:
    """Measure the decision on the hold-out; write metrics.json, tables, plots, pictures and report.md."""
    prepared, decision = Prepared(FOLDER), Decision.load(PATH)
    check_same_data(decision, prepared, scheme)
    lineage.check_files(decision.fitted["lineage"], PART)
    found = predictions.read(PART, list(decision.classifiers), list(decision.masks.weights))
    check_subset(found, prepared, locked=True)
    cases = gather(
        found, decision.classifiers, decision.masks, prepared, "hold-out masks", decision.classifier_average
    )

    table = per_image(decision, cases, found, prepared)
    draws = PatientDraws(cases.patient, settings.draws, settings.seed)
    measured, has_masks = measure(table, draws, settings.bins), bool(decision.masks.weights)
    masked = cases.with_masks()
    masked_draws = draws if masked is cases else PatientDraws(masked.patient, settings.draws, settings.seed)
    if has_masks:
        rules = rules_on_holdout(decision, masked, masked_draws)
    else:
        rules = gate_table(cases.label, table["prob"].to_numpy() >= decision.rule.least_prob(), draws)
    groups = subgroups.report(table, draws)
    points = clinical.operating_points(table, decision.operating_points, draws)

    lesion_frames = {}
    if has_masks:
        lesions, candidates = lesion_table.per_image(table[table["dice"].notna()], decision, found, prepared)
        lesion_measures, numbers = lesion_summary.measure(lesions, candidates, masked_draws)
        measured |= lesion_measures
        lesion_frames = {"lesions": lesions, "froc": froc(candidates)}

    if warning := prepared.patients.warning:
        share = prepared.patients.unknown / prepared.patients.labelled
        measured["patients_unknown"] = {"value": share, "low": None, "high": None}
    note = {"patients_unknown": {**measured["patients_unknown"], "note": warning}} if warning else {}
    if missing := prepared.masks_missing:
        positive = table["label"] == 1
        share = float((positive & table["true_area"].isna()).sum() / max(int(positive.sum()), 1))
        measured["masks_missing"] = {"value": share, "low": None, "high": None}
        note["masks_missing"] = {**measured["masks_missing"], "note": missing}
    write_json(METRICS, {**measured, **note})
    params = {"evaluation": settings.model_dump(mode="json"), "decision": decision.model_dump(mode="json")}
    score = measured["kaggle_dice" if has_masks else "auroc"]["value"]
    openings = ledger.record(prepared.fingerprint, params, float(score or 0.0))
    ledger.write_count(openings)
    frames = {
        "per_image": table,
        "rules": rules,
        "subgroups": groups,
        "operating_points": points,
        "predictive_values": clinical.by_prevalence(points),
        "decision_curve": clinical.net_benefit(table["label"].to_numpy(bool), table["prob"].to_numpy()),
        **lesion_frames,
        **pictures.curves(table, settings.bins),
    }
    outside = external.measure(decision, prepared, settings)
    pictures.write_tables(frames | outside, REPORT)
    pictures.pictures(table, measured, settings, REPORT)
    pictures.clinical_pictures(table, points, REPORT)
    warnings = evaluation_report.split_warnings(prepared)
    if has_masks:
        save(lesion_figure.draw(frames["froc"]), REPORT / "froc.png", pictures.DPI)
        pictures.overlays(table, decision, found, prepared, settings.examples, REPORT)
        section = lesion_summary.to_markdown(lesion_measures, numbers)
        report = evaluation_report.describe(
            measured, rules, groups, points, table, decision, warnings, openings, section
        )
    else:
        report = label_only.describe(measured, rules, groups, points, table, decision, warnings, openings)
    write_text(REPORT / "report.md", report + external.section(outside))
    known = facts.of_run(measured, points, table, decision, prepared, openings)
    for name in FILES:
        write_text(REPORT / f"{name}.md", fill(name, known))
    pages = [REPORT / "report.md", *(REPORT / f"{name}.md" for name in FILES)]
    write_text(REPORT / "report.html", html_report.page(*pages))
    return measured


def check_same_data(decision: Decision, prepared: Prepared, scheme: str) -> None:
    """Refuse a decision fitted on other data, and a hold-out that shares patients with the training part."""
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
            f"{FOLDER}/folds.csv: {len(shared)} patients stand both in the hold-out and in training; split again"
        )


def rules_on_holdout(decision: Decision, cases: Cases, draws: PatientDraws) -> pd.DataFrame:
    """All rules that were fitted with the chosen one, on the hold-out, with paired differences to it."""
    others = {path.stem: Decision.load(path) for path in sorted(Path(DECISIONS).glob("rules/*.json"))}
    others[decision.rule.kind] = decision
    levels = {kind: crossfit.apply(other, cases)[0] for kind, other in others.items()}
    skipped = {kind: crossfit.skipped(other, cases) for kind, other in others.items()}
    dice = {kind: cases.dice_at(level) for kind, level in levels.items()}
    submitted = {kind: submitted_at(level, cases) for kind, level in levels.items()}
    return compare(dice, submitted, skipped, cases, decision.rule.kind, draws)


if __name__ == "__main__":
    command.run(main, __doc__)
