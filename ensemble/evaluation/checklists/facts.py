"""The facts of a run that the checklists name, as words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ensemble.decision.decision import Decision
from ensemble.evaluation import ledger
from ensemble.evaluation.wording import in_words
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.io.config import PARAMS_FILE, load_section
from imaging.prepared import Prepared
from imaging.settings import DataSettings, SplitSettings

DESIGN = {"phantom": "Neither: generated phantoms, no patients."}
DATA = {
    "phantom": "Generated chest phantoms (imaging.phantom): drawings, not patients.",
    "siim": "SIIM-ACR Pneumothorax 2019: radiographs of NIH ChestX-ray14, outlined again by SIIM-ACR's readers.",
}
OPEN = "<mark>Authors: {}</mark>"


def of_run(
    measured: Mapping[str, Mapping[str, float | None]],
    points: pd.DataFrame,
    table: pd.DataFrame,
    decision: Decision,
    prepared: Prepared,
    openings: int,
) -> dict[str, str]:
    """Fact's name -> words; measured: metrics.json, points: the operating points, table: one row per hold-out image."""
    data, split = load_section("data", DataSettings), load_section("split", SplitSettings)
    return {
        **_of_partitions(table, decision, prepared),
        **of_networks(decision),
        **of_rule(points),
        "missing": _missing(prepared),
        "design": DESIGN.get(data.source, OPEN.format("prospective or retrospective")),
        "data": DATA.get(data.source, f"Data of the kind `{data.source}`; " + OPEN.format("their origin")),
        "size": str(data.image_size),
        "scheme": split.scheme,
        "split_seed": f"seed {split.seed}",
        "disjoint": _disjoint(prepared),
        "commit": f"`{ledger.commit()}`",
        "openings": "once" if openings == 1 else f"{openings} times",
        "nested": in_words(decision.fitted["nested_score"]),
        **{
            name: in_words(measured[name])
            for name in ("kaggle_dice", "auroc", "calibration_slope", "observed_expected", "prevalence")
        },
    }


def _of_partitions(table: pd.DataFrame, decision: Decision, prepared: Prepared) -> dict[str, str]:
    labelled = prepared.index[prepared.index["label"].notna()]
    rejected = prepared.folder / "rejected.csv"
    numbers = {
        "labelled": len(labelled),
        "all_patients": labelled["patient_id"].nunique(),
        "rejected": len(pd.read_csv(rejected)) if rejected.is_file() and rejected.stat().st_size > 1 else 0,
        "holdout": len(table),
        "patients": table["patient_id"].nunique(),
        "positives": int(table["label"].sum()),
        "training": decision.fitted["images"],
        "training_positives": decision.fitted["positives"],
        "folds": len(decision.fitted["folds"]),
    }
    warning = prepared.patients.warning
    unknown = {"unknown": f"{warning[0].upper()}{warning[1:]}." if warning else ""}
    return {name: f"{number:,}" for name, number in numbers.items()} | unknown


def of_networks(decision: Decision, params: str | Path = PARAMS_FILE) -> dict[str, str]:
    """Networks, initial weights, weights in the ensemble, and rule; params: the file that they were trained with."""
    first = load_section("classification", ClassificationSettings, params)
    second = load_section("segmentation", SegmentationSettings, params)
    classifiers = f"classifiers {', '.join(decision.classifiers)} at {first.image_size}² pixels"
    alone = "no classifier (the probability is pooled from the masks)"
    weights = {**decision.classifiers, **decision.masks.weights}
    masks = (
        f"segmentation {', '.join(decision.masks.weights)} ({second.architecture}) at {second.image_size}²"
    )
    return {
        "networks": f"{classifiers if decision.classifiers else alone}; "
        + (masks if decision.masks.weights else "no segmentation network"),
        "pretrained": (
            f"Classifiers: {first.pretrained}; segmentation" if decision.classifiers else "Segmentation"
        )
        + f": {second.pretrained} (`none`: random).",
        "weights": ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items()),
        "rule": decision.rule.kind,
    }


def of_rule(points: pd.DataFrame) -> dict[str, str]:
    """Sensitivity, specificity and errors of the first operating point, the rule."""
    if points.empty:
        return dict.fromkeys(("sensitivity", "specificity", "false_positives", "misses"), "–")
    row = points.iloc[0]
    rates = {
        name: in_words(
            {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
            if pd.notna(row[name])
            else {"value": None, "low": None, "high": None}
        )
        for name in ("sensitivity", "specificity")
    }
    return rates | {"false_positives": f"{row['fp']:,}", "misses": f"{row['fn']:,}"}


def _missing(prepared: Prepared) -> str:
    """How missing labels, masks and properties were handled."""
    unlabelled = int(prepared.index["label"].isna().sum())
    labels = (
        f"{unlabelled:,} images have no label and are left out. "
        if unlabelled
        else "Every image has a label. "
    )
    note = prepared.masks_missing
    masks = f"{note[0].upper()}{note[1:]}." if note else "Every positive image has a mask."
    return f"{labels}{masks} Unknown sex, age and view form groups of their own; nothing is imputed."


def _disjoint(prepared: Prepared) -> str:
    if prepared.shared_patients:
        return f"Image: {prepared.shared_patients:,} patients are in more than one partition."
    return (
        "Patient: none is in two partitions."
        if not prepared.patients.unknown
        else "Image, where patients are unknown."
    )
