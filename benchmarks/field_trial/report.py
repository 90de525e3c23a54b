"""Tables of a field trial from its result files: means over seeds, intervals over patients and seeds, pairs against a peer."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ensemble.metrics import auroc, sensitivity_at_specificity
from experiments.statistics.arrays import Ints
from imaging.io.files import read_json

DRAWS = 1000
MEASURES = {
    "AUROC, classifier": "raw",
    "calibrated": "calibrated",
    "with masks": "prob",
    "sensitivity at 95 %": "sensitivity",
    "Kaggle": "kaggle",
    "D⁺": "dice_positive",
    "TNR": "tnr",
}
Results = dict[tuple[str, str], dict[int, tuple[pd.DataFrame, dict[str, float]]]]


def read(folder: Path) -> Results:
    """(trial, method) -> seed -> (studies, facts) of all finished runs."""
    found: Results = {}
    for path in sorted(folder.glob("*/facts.json")):
        facts = read_json(path)
        studies = pd.read_csv(path.with_name("studies.csv"), dtype={"image_id": str, "patient_id": str})
        found.setdefault((facts["trial"], facts["method"]), {})[int(facts["seed"])] = (studies, facts)
    return found


def measures(studies: pd.DataFrame) -> dict[str, float]:
    """All measures of one run, or of one bootstrap draw of it."""
    label = studies["label"].to_numpy() == 1
    dice = studies["dice"].to_numpy()
    return {
        **{name: auroc(label, studies[name].to_numpy()) for name in ("raw", "calibrated", "prob")},
        "sensitivity": sensitivity_at_specificity(label, studies["prob"].to_numpy()),
        "kaggle": float(dice.mean()),
        "dice_positive": float(dice[label].mean()) if label.any() else math.nan,
        "tnr": float(dice[~label].mean()) if not label.all() else math.nan,
    }


def intervals(
    runs: list[pd.DataFrame], peers: list[pd.DataFrame] | None = None, draws: int = DRAWS
) -> dict[str, tuple[float, float, float]]:
    """Mean and 95 % percentile interval of every measure: patients and seeds are drawn with replacement.

    peers: of the same seeds; then of the differences to them, the same patients and seeds being drawn on both sides.
    """
    rng = np.random.default_rng(0)
    patients = np.unique(runs[0]["patient_id"])
    rows = {name: np.flatnonzero(runs[0]["patient_id"] == name) for name in patients}

    def value(of: Callable[[pd.DataFrame], pd.DataFrame], seeds: Ints) -> dict[str, float]:
        ours = _mean([measures(of(runs[seed])) for seed in seeds])
        if peers is None:
            return ours
        theirs = _mean([measures(of(peers[seed])) for seed in seeds])
        return {name: ours[name] - theirs[name] for name in ours}

    point = value(lambda studies: studies, np.arange(len(runs)))
    drawn = []
    for _ in range(draws):
        chosen = np.concatenate([rows[name] for name in rng.choice(patients, len(patients))])
        drawn.append(value(lambda s: s.iloc[chosen], rng.integers(0, len(runs), len(runs))))  # noqa: B023
    low, high = np.nanpercentile(pd.DataFrame(drawn).to_numpy(), [2.5, 97.5], axis=0)
    return {name: (point[name], low[i], high[i]) for i, name in enumerate(point)}


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in values) / len(values) for name in values[0]}


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
