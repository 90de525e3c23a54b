"""Tables of a field trial from its result files: means over seeds, intervals over patients and seeds, pairs against a peer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.field_trial import protocol
from ensemble.metrics import auroc, sensitivity_at_specificity
from experiments.statistics.arrays import Floats
from experiments.statistics.bootstrap import PatientDraws
from imaging.io.files import read_json

DRAWS = 1000
MEASURES = {
    "AUROC": "raw",
    "calibrated": "calibrated",
    "with masks": "prob",
    "sensitivity at 95 %": "sensitivity",
    "Kaggle": "kaggle",
    "D⁺": "dice_positive",
    "TNR": "tnr",
    "pixels": "pixels",
}
Results = dict[tuple[str, str], dict[int, tuple[pd.DataFrame, dict[str, float]]]]


def read(folder: Path) -> Results:
    """(trial, method) -> seed -> (studies, facts) of all finished runs; ValueError where seeds differ in more than the seed."""
    found: Results = {}
    first: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.glob("*/facts.json")):
        facts = read_json(path)
        other = first.setdefault((facts["trial"], facts["method"]), path.parent)
        if key := protocol.difference(protocol.read(other), protocol.read(path.parent)):
            raise ValueError(
                f"{other} and {path.parent}: seeds of one method with different {key}; move one of them elsewhere"
            )
        studies = pd.read_csv(path.with_name("studies.csv"), dtype={"image_id": str, "patient_id": str})
        found.setdefault((facts["trial"], facts["method"]), {})[int(facts["seed"])] = (studies, facts)
    return found


def measures(studies: pd.DataFrame) -> dict[str, float]:
    """All measures of one run, or of one bootstrap draw of it."""
    label = studies["label"].to_numpy() == 1
    dice = studies["dice"].to_numpy()
    return {
        **{name: auroc(label, studies[name].to_numpy()) for name in ("raw", "calibrated", "prob")},
        "sensitivity": sensitivity_at_specificity(label, studies["raw"].to_numpy()),
        "kaggle": float(dice.mean()),
        "dice_positive": float(dice[label].mean()) if label.any() else math.nan,
        "tnr": float(dice[~label].mean()) if not label.all() else math.nan,
        "pixels": float(studies["pixels"].mean()),
    }


def intervals(
    runs: list[pd.DataFrame], peers: list[pd.DataFrame] | None = None, draws: int = DRAWS
) -> dict[str, tuple[float, float, float]]:
    """Mean and 95 % percentile interval of every measure: patients and seeds are drawn with replacement.

    peers: of the same seeds; then of the differences to them, the same patients and seeds being drawn on both sides.
    """
    bootstrap = PatientDraws(runs[0]["patient_id"].to_numpy(), draws, 0)
    seeds = np.random.default_rng(0).integers(0, len(runs), (draws, len(runs)))
    points, samples = [measures(one) for one in runs], [_drawn(one, bootstrap) for one in runs]
    if peers is not None:
        points = [_minus(one, measures(peer)) for one, peer in zip(points, peers, strict=True)]
        samples = [_minus(one, _drawn(peer, bootstrap)) for one, peer in zip(samples, peers, strict=True)]
    found = {}
    for name in points[0]:
        by_seed = np.stack([one[name] for one in samples], axis=1)
        drawn = np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1)
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        found[name] = (float(np.mean([one[name] for one in points])), float(low), float(high))
    return found


def _drawn(studies: pd.DataFrame, bootstrap: PatientDraws) -> dict[str, Floats]:
    """The measures (draws,) of one run."""
    label, dice = studies["label"].to_numpy() == 1, studies["dice"].to_numpy()
    ranks = {
        name: bootstrap.rank_measures(label, studies[name].to_numpy())
        for name in ("raw", "calibrated", "prob")
    }
    return {
        **{name: one["auroc"] for name, one in ranks.items()},
        "sensitivity": ranks["raw"]["sensitivity_at_95_specificity"],
        "kaggle": bootstrap.mean(dice),
        "dice_positive": bootstrap.ratio(dice * label, label),
        "tnr": bootstrap.ratio(dice * ~label, ~label),
        "pixels": bootstrap.ratio(
            studies["pixels"].fillna(0).to_numpy(), studies["pixels"].notna().to_numpy()
        ),
    }


def _minus(one: Any, other: Any) -> Any:
    return {name: one[name] - other[name] for name in one}


def markdown(found: Results, peer: str, draws: int = DRAWS) -> str:
    """The table of all runs, and that of paired differences to the peer."""
    head = ["trial", "method", "seeds", "images", "PFLOP", "minutes", *MEASURES]
    lines, pairs = [_row(head), _row(["---"] * len(head))], []
    for (trial, method), runs in sorted(found.items()):
        studies = [runs[seed][0] for seed in sorted(runs)]
        facts = [runs[seed][1] for seed in sorted(runs)]
        values = intervals(studies, draws=draws)
        cost = [
            f"{np.mean([one['images'] for one in facts]):,.0f}",
            f"{np.mean([one['flop'] for one in facts]) / 1e15:.3f}",
            f"{np.mean([one['seconds'] for one in facts]) / 60:.0f}",
        ]
        lines.append(
            _row([trial, method, str(len(runs)), *cost, *[_cell(values[key]) for key in MEASURES.values()]])
        )
        both = sorted(set(runs) & set(found.get((trial, peer), {})))
        if method != peer and both:
            against = [found[trial, peer][seed][0] for seed in both]
            difference = intervals([runs[seed][0] for seed in both], against, draws)
            pairs.append(
                _row(
                    [
                        trial,
                        method,
                        str(len(both)),
                        *[_cell(difference[key], "+") for key in MEASURES.values()],
                    ]
                )
            )
    head = ["trial", f"method minus {peer}", "seeds", *MEASURES]
    return "\n".join([*lines, "", _row(head), _row(["---"] * len(head)), *pairs, ""])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: tuple[float, float, float], sign: str = "") -> str:
    point, low, high = (f"{one:{sign}.3f}".replace("0.", ".", 1) for one in value)
    return f"{point} [{low}, {high}]"
