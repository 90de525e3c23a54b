"""The curves of a set of images as tables and pictures, and its sheets of radiographs, written into one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble import metrics
from ensemble.decision.decision import Decision
from ensemble.evaluation import clinical, figures, overlay_sheets
from ensemble.evaluation.holdout_metrics import Measured
from ensemble.evaluation.report import SHEETS, caption
from ensemble.evaluation.wording import in_words
from ensemble.evidence.calibration import calibration_steps
from ensemble.evidence.gather import original_maps
from ensemble.evidence.histograms import NOTHING
from ensemble.evidence.predictions import Predictions
from experiments.settings.decision import EvaluationSettings
from imaging import rle
from imaging.io.files import atomic
from imaging.plotting import save
from imaging.prepared import Prepared

DPI = 200
"""Pictures are displayed at half their pixel size."""


def write_tables(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write each table as NAME.csv."""
    for name, frame in frames.items():
        with atomic(folder / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def curves(table: pd.DataFrame, bins: int) -> dict[str, pd.DataFrame]:
    """The curves as tables, for `dvc plots`."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    fpr, tpr, _ = metrics.roc(label, prob)
    precision, recall, _ = metrics.precision_recall(label, prob)
    mean, observed, count = metrics.reliability(label, prob, bins)
    positive = table[(table["label"] == 1) & table["dice"].notna()].sort_values("true_area")
    return {
        "roc": pd.DataFrame({"fpr": fpr, "tpr": tpr}),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}),
        "calibration": pd.DataFrame({"predicted": mean, "observed": observed, "images": count})[count > 0],
        "dice_by_area": positive[["image_id", "true_area", "dice"]],
    }


def pictures(table: pd.DataFrame, measured: Measured, settings: EvaluationSettings, folder: Path) -> None:
    """The curves as pictures."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    save(figures.roc(label, prob, in_words(measured["auroc"])), folder / "roc.png", DPI)
    save(
        figures.precision_recall(label, prob, in_words(measured["average_precision"])), folder / "pr.png", DPI
    )
    steps = calibration_steps(*(table[name].to_numpy() for name in ("raw", "calibrated", "prob")))
    save(figures.reliability(label, steps, settings.bins), folder / "calibration.png", DPI)
    positive = table[(table["label"] == 1) & table["dice"].notna()]  # a label alone has no Dice
    share, dice = positive["true_share"].to_numpy(), positive["dice"].to_numpy()
    if len(positive):
        save(
            figures.dice_by_area(share, dice, positive["submitted"].to_numpy(bool)),
            folder / "dice_by_area.png",
            DPI,
        )


def clinical_pictures(table: pd.DataFrame, points: pd.DataFrame, folder: Path) -> None:
    """Predictive values against prevalence, and the decision curve."""
    label, prob = table["label"].to_numpy(bool), table["prob"].to_numpy()
    curves = clinical.by_prevalence(points)
    save(figures.predictive_values(curves, float(label.mean())), folder / "predictive_values.png", DPI)
    save(figures.decision_curve(clinical.net_benefit(label, prob)), folder / "decision_curve.png", DPI)


def overlays(
    table: pd.DataFrame,
    decision: Decision,
    found: Predictions,
    prepared: Prepared,
    examples: int,
    folder: Path,
) -> None:
    """Sheets of radiographs with the annotated and the submitted outline."""
    chosen = overlay_sheets.choose(table[table["dice"].notna()], examples)
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
    captions = {i: caption(*rows.loc[i, ["prob", "label", "dice"]]) for i in wanted}
    for name, sheet in chosen.items():
        save(
            overlay_sheets.sheet(sheet, pictures, captions, SHEETS[name]),
            folder / f"{name}.png",
            DPI,
        )
