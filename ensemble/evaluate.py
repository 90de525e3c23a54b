"""Stage `evaluate`: measure the fitted decision on the locked hold-out, which no stage before has read.

python -m ensemble.evaluate
Applies decision.json to the hold-out's predictions and writes reports/evaluation/. No other module reads these predictions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ensemble import metrics
from ensemble.decision import crossfit
from ensemble.decision.comparison import compare, submitted_at
from ensemble.decision.decision import FOLDER as DECISIONS
from ensemble.decision.decision import PATH, Decision
from ensemble.evaluation import clinical, figures, ledger, overlay_sheets, subgroups
from ensemble.evaluation import report as evaluation_report
from ensemble.evaluation.holdout_metrics import Measured, measure
from ensemble.evaluation.report import METRICS, REPORT
from ensemble.evidence import lineage, predictions
from ensemble.evidence.calibration import calibration_steps
from ensemble.evidence.evidence import Cases
from ensemble.evidence.gather import check_subset, gather, original_maps
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.predictions import Predictions
from experiments import tracking
from experiments.monitoring import html_report
from experiments.monitoring.pseudonyms import PSEUDONYMS, pseudonyms
from experiments.settings.decision import EvaluationSettings
from experiments.statistics.bootstrap import PatientDraws
from imaging import rle
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import atomic, write_json, write_text
from imaging.plotting import save
from imaging.prepared import FOLDER, Prepared
from imaging.settings import SplitSettings

PART = "holdout"
IDENTITIES = ("per_image.csv", "dice_by_area.csv")
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
    tracked.text(html_report.page(REPORT / "report.md"), "report.html")


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
    measured, rules = measure(table, draws, settings.bins), rules_on_holdout(decision, cases, draws)
    groups = subgroups.report(table, draws)
    points = clinical.operating_points(table, decision.operating_points, draws)

    if warning := prepared.patients.warning:
        share = prepared.patients.unknown / prepared.patients.labelled
        measured["patients_unknown"] = {"value": share, "low": None, "high": None}
    note = {"patients_unknown": {**measured["patients_unknown"], "note": warning}} if warning else {}
    write_json(METRICS, {**measured, **note})
    params = {"evaluation": settings.model_dump(mode="json"), "decision": decision.model_dump(mode="json")}
    openings = ledger.record(prepared.fingerprint, params, float(measured["kaggle_dice"]["value"] or 0.0))
    for name, frame in {
        "per_image": table,
        "rules": rules,
        "subgroups": groups,
        "operating_points": points,
        "predictive_values": clinical.by_prevalence(points),
        "decision_curve": clinical.net_benefit(table["label"].to_numpy(bool), table["prob"].to_numpy()),
        **plots(table, settings.bins),
    }.items():
        with atomic(REPORT / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    pictures(table, measured, settings)
    clinical_pictures(table, points)
    overlays(table, decision, found, prepared, settings.examples)
    report = evaluation_report.describe(
        measured, rules, groups, points, table, decision, evaluation_report.split_warnings(prepared), openings
    )
    write_text(REPORT / "report.md", report)
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


def per_image(decision: Decision, cases: Cases, found: Predictions, prepared: Prepared) -> pd.DataFrame:
    """One row an image: its facts, its probabilities, what was submitted, and its Dice."""
    level, prob = crossfit.apply(decision, cases)
    rows = prepared.index.iloc[prepared.rows(cases.image_id)].reset_index(drop=True)
    predicted = cases.evidence.above[np.arange(len(cases)), level].astype(np.int64)
    dice = cases.dice_at(level)
    if not decision.post_processing.idle:
        predicted, dice = post_processed(decision, level, predicted, dice, cases, found, prepared)
    return pd.DataFrame(
        {
            "image_id": cases.image_id,
            "patient_id": cases.patient,
            "sex": rows["sex"],
            "age": rows["age"],
            "view": rows["view"],
            "label": cases.label.astype(int),
            "raw": cases.evidence.raw,
            "calibrated": decision.calibrator(cases.evidence.raw),
            "prob": prob,
            "skipped": crossfit.skipped(decision, cases),
            "submitted": predicted > 0,
            "level": level,
            "true_area": cases.hit[:, 0],
            "predicted_area": predicted,
            "pixels": cases.evidence.pixels,
            "true_share": cases.hit[:, 0] / cases.evidence.pixels,
            "agreement": cases.evidence.agreement,
            "dice": dice,
            "iou": metrics.iou_of_dice(dice),
        }
    )


def post_processed(
    decision: Decision,
    level: NDArray[np.int64],
    predicted: NDArray[np.int64],
    dice: NDArray[np.float64],
    cases: Cases,
    found: Predictions,
    prepared: Prepared,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Area and Dice (N,) after post-processing, which needs the submitted masks' pixels."""
    place = {image_id: i for i, image_id in enumerate(cases.image_id)}
    submitted = {image_id for image_id, i in place.items() if level[i] < NOTHING}
    predicted, dice, truth = (
        predicted.copy(),
        dice.copy(),
        prepared.truth[prepared.truth.index.isin(submitted)],
    )
    for image_id, pixels, _ in original_maps(found, decision.masks, prepared, submitted):
        i = place[image_id]
        mask = decision.post_processing(pixels >= level[i])
        predicted[i] = np.count_nonzero(mask)
        dice[i] = metrics.kaggle_dice(mask, rle.decode(truth[image_id], pixels.shape))
    return predicted, dice


def rules_on_holdout(decision: Decision, cases: Cases, draws: PatientDraws) -> pd.DataFrame:
    """All rules that were fitted with the chosen one, on the hold-out, with paired differences to it."""
    others = {path.stem: Decision.load(path) for path in sorted(Path(DECISIONS).glob("rules/*.json"))}
    others[decision.rule.kind] = decision
    levels = {kind: crossfit.apply(other, cases)[0] for kind, other in others.items()}
    skipped = {kind: crossfit.skipped(other, cases) for kind, other in others.items()}
    dice = {kind: cases.dice_at(level) for kind, level in levels.items()}
    submitted = {kind: submitted_at(level, cases) for kind, level in levels.items()}
    return compare(dice, submitted, skipped, cases, decision.rule.kind, draws)


def plots(table: pd.DataFrame, bins: int) -> dict[str, pd.DataFrame]:
    """The curves as tables, for `dvc plots`."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    fpr, tpr, _ = metrics.roc(label, prob)
    precision, recall, _ = metrics.precision_recall(label, prob)
    mean, observed, count = metrics.reliability(label, prob, bins)
    positive = table[table["label"] == 1].sort_values("true_area")
    return {
        "roc": pd.DataFrame({"fpr": fpr, "tpr": tpr}),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}),
        "calibration": pd.DataFrame({"predicted": mean, "observed": observed, "images": count})[count > 0],
        "dice_by_area": positive[["image_id", "true_area", "dice"]],
    }


def pictures(table: pd.DataFrame, measured: Measured, settings: EvaluationSettings) -> None:
    """The curves as pictures."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    words = evaluation_report.in_words
    save(figures.roc(label, prob, words(measured["auroc"])), REPORT / "roc.png")
    save(figures.precision_recall(label, prob, words(measured["average_precision"])), REPORT / "pr.png")
    steps = calibration_steps(*(table[name].to_numpy() for name in ("raw", "calibrated", "prob")))
    save(figures.reliability(label, steps, settings.bins), REPORT / "calibration.png")
    positive = table[table["label"] == 1]
    share, dice = positive["true_share"].to_numpy(), positive["dice"].to_numpy()
    save(figures.dice_by_area(share, dice, positive["submitted"].to_numpy(bool)), REPORT / "dice_by_area.png")


def clinical_pictures(table: pd.DataFrame, points: pd.DataFrame) -> None:
    """Predictive values against prevalence, and the decision curve."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    curves = clinical.by_prevalence(points)
    save(figures.predictive_values(curves, float(label.mean())), REPORT / "predictive_values.png")
    save(figures.decision_curve(clinical.net_benefit(label, prob)), REPORT / "decision_curve.png")


def overlays(
    table: pd.DataFrame, decision: Decision, found: Predictions, prepared: Prepared, examples: int
) -> None:
    """Sheets of radiographs with the annotated and the submitted outline."""
    chosen = overlay_sheets.choose(table, examples)
    wanted = {image_id for sheet in chosen.values() for ids in sheet.values() for image_id in ids}
    rows = table[table["image_id"].isin(wanted)].set_index("image_id")
    pictures, truth = {}, prepared.truth[prepared.truth.index.isin(wanted)]
    for image_id, level, _ in original_maps(found, decision.masks, prepared, wanted):
        true = rle.decode(truth[image_id], level.shape)
        cut = int(rows["level"][image_id])
        predicted = (
            decision.post_processing(level >= cut) if cut < NOTHING else np.zeros(level.shape, np.bool_)
        )
        pictures[image_id] = overlay_sheets.draw(
            prepared.images[int(prepared.rows([image_id])[0])], true, predicted
        )
    captions = {i: evaluation_report.caption(*rows.loc[i, ["prob", "label", "dice"]]) for i in wanted}
    for name, sheet in chosen.items():
        save(
            overlay_sheets.sheet(sheet, pictures, captions, evaluation_report.SHEETS[name]),
            REPORT / f"{name}.png",
        )


if __name__ == "__main__":
    command.run(main, __doc__)
