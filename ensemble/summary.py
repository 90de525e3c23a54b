"""Summarise a finished run, its metrics and where its results lie: `python -m ensemble.summary`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation import ledger
from ensemble.evaluation.wording import displayed
from ensemble.inference import bundle, registry
from experiments import provenance, tracking
from imaging.io import command
from imaging.io.config import load_section
from imaging.io.files import read_json, write_text
from imaging.settings import DataSettings

OUTPUT = Path("reports/summary.md")
ROWS = [
    ("kaggle_dice", "Kaggle Dice"),
    ("all_empty", "  if every mask were empty"),
    ("tnr", "  empty images left empty"),
    ("dice_positive", "  Dice of the positive images"),
    ("auroc_classifier", "AUROC: classifier"),
    ("auroc_calibrated", "AUROC: classifier, calibrated"),
    ("auroc", "AUROC: with masks"),
    ("sensitivity_at_95_specificity", "Sensitivity at 95 % specificity"),
    ("calibration_slope", "Calibration slope (1 if calibrated)"),
]
POOLED = {
    "auroc_classifier": "AUROC: pooled mask evidence",
    "auroc_calibrated": "AUROC: pooled, calibrated",
    "auroc": "AUROC: with all mask features",
}
"""Rows of another name where there is no classifier."""


def describe(
    metrics: dict[str, dict[str, Any]],
    studies: pd.DataFrame,
    source: str,
    bundle: str,
    openings: int,
    classifiers: bool = True,
) -> str:
    """The summary as text; metrics as in reports/evaluation/metrics.json, bundle: its name, openings: of the hold-out.

    classifiers: whether there are any.
    """
    what = "These are generated phantoms, not patients." if source == "phantom" else f"Source: {source}."
    lines = ["Hold-out, with 95 % intervals over patients", ""]
    names = dict(ROWS) | ({} if classifiers else POOLED)
    rows = [(key, names[key]) for key, _ in ROWS if key in displayed(metrics)]
    lines += [f"  {name:<36} {_number(metrics[key])}" for key, name in rows]
    score, empty = metrics["kaggle_dice"]["value"], metrics["all_empty"]["value"]
    gain = "No masks, so no Dice." if score is None else f"{score - empty:+.4f} over the all-empty baseline."
    masks = int((studies["area_px"] > 0).sum())
    refused = int((studies["verdict"] == "refused").sum())
    if unknown := metrics.get("patients_unknown"):
        lines += ["", f"  Warning: {unknown['note']}."]
    if missing := metrics.get("masks_missing"):
        lines += ["", f"  Note: {missing['note']}."]
    lines += [
        "",
        f"  {gain} {what}",
        f"  {ledger.sentence(openings)}",
        "",
        f"Submission: submission.csv, {len(studies)} studies, {masks} with a mask, {refused} refused",
        f"Bundle:     models/bundle ({bundle}); python -m ensemble.predict FOLDER --output OUT applies it",
        "Report:     reports/evaluation/report/report.md (the data: reports/data/dataset_card.md)",
        "Runs:       make ui, or `mlflow ui`, then http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning",
        "",
        "For research, not for diagnosis.",
    ]
    return "\n".join(lines) + "\n"


def _number(measured: dict[str, Any]) -> str:
    if measured["value"] is None or measured["low"] is None:
        return "–" if measured["value"] is None else f"{measured['value']:.3f}"
    return f"{measured['value']:.3f}  [{measured['low']:.3f}, {measured['high']:.3f}]"


def registered(parent: str) -> str:
    """Register the bundle in MLflow, in a child of the run `parent`; its name there."""
    return f"models:/{registry.NAME}/{registry.register(bundle.PATH, parent=parent)}, alias {registry.ALIAS}"


def main() -> None:
    """The DVC stage summary; `--show` prints the existing summary."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.summary", description="Summarise the finished run."
    )
    parser.add_argument("--show", action="store_true", help=f"print {OUTPUT} as it is")
    if parser.parse_args().show:
        if not OUTPUT.is_file():
            raise ValueError(f"{OUTPUT}: no such file; `make repro` writes it")
        print(f"\n{OUTPUT.read_text(encoding='utf-8')}\n{provenance.describe()}", flush=True)
        return
    metrics, studies = (
        read_json("reports/evaluation/metrics.json"),
        pd.read_csv("reports/submission/studies.csv"),
    )
    name = read_json("models/bundle/bundle.json")["name"]
    source = load_section("data", DataSettings).source
    classifiers = bool(Decision.load("models/bundle/decision.json").classifiers)
    text = describe(metrics, studies, source, name, ledger.read_count(), classifiers)
    write_text(OUTPUT, text)
    group = tracking.pipeline_run()
    if group is not None:
        group.end("FINISHED")
        run_id = group.run_id
        group.attempt(lambda _: print(f"Model:      {registered(run_id)}", flush=True))
    # Printed but not written: which files came from DVC's cache concerns this run, not the result.
    print(f"\n{text}\n{provenance.describe()}", flush=True)


if __name__ == "__main__":
    command.run(main)
