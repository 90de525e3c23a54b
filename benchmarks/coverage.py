"""How often do the 95 % intervals of the evaluation contain the true value?

`python -m benchmarks.coverage [--repeats 1000] [--draws 400] [--sizes 200 2400] [--of lesions]` draws hold-outs of known truth,
one image or several correlated images per patient, measures each with the evaluation's own functions and prints the share of
intervals that contain the value of the whole population (300,000 images) as a Markdown table: measures of images and paired
differences, or of lesions. The standard error of a share of 95 % in 1,000 repeats is 0.7 percentage points.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from benchmarks import lesion_holdouts
from ensemble.decision.operating_points import OperatingPoint
from ensemble.evaluation import clinical, subgroups
from ensemble.evaluation.holdout_metrics import measure
from experiments.compare import measures, seed_variance
from experiments.statistics.bootstrap import PatientDraws
from experiments.statistics.intervals import plain_interval, standard_error

POPULATION = 300_000
POINT = OperatingPoint(name="half", threshold=0.5, sensitivity=1, specificity=1)
FIRST = "first"
SKIPPED = ("ece",)
"""Without an interval."""


def hold_out(random: np.random.Generator, images: int, clustered: bool) -> pd.DataFrame:
    """A table as the evaluation's per_image; calibrated probabilities, correlated within a patient where clustered."""
    patient = np.arange(images)
    if clustered:  # half of the patients have one image, the others up to six, as in SIIM-ACR
        size = random.choice([1, 1, 1, 2, 3, 6], images)
        patient = np.repeat(np.arange(images), size)[:images]
    own = random.normal(0, 1, (2, images))[:, patient]
    share = 0.6 if clustered else 0.0
    trait = np.sqrt(share) * own + np.sqrt(1 - share) * random.normal(0, 1, (2, images))
    prob = expit(-2.6 + 2.6 * trait[0])
    label = trait_to_uniform(trait[1]) < prob
    submitted = prob > 0.4
    overlap = random.beta(5, 2, images)
    dice = np.where(label, submitted * overlap, 1.0 - submitted)
    other = prob > 0.3  # another rule, and another experiment
    area = random.integers(100, 400, images)
    return pd.DataFrame(
        {
            "patient_id": patient,
            "label": label.astype(int),
            "raw": prob,
            "calibrated": prob,
            "prob": prob,
            "submitted": submitted,
            "dice": dice,
            "iou": dice / (2 - dice),
            "predicted_area": area * submitted,
            "true_area": area * label,
            "pixels": 1000,
            "sex": np.where(random.random(images) < 0.5, FIRST, "other"),
            "age": 50.0,
            "view": "PA",
            "true_share": 0.1 * label,
            "other_dice": np.where(label, other * np.clip(overlap - 0.02, 0, 1), 1.0 - other),
            "other_prob": expit(np.log(prob / (1 - prob)) + random.normal(0, 1, images)),
        }
    )


def trait_to_uniform(value: np.ndarray) -> np.ndarray:
    """Standard normal values as uniform ones, so that a patient's images share their random draws too."""
    return np.asarray(norm.cdf(value))


def intervals(table: pd.DataFrame, draws: PatientDraws) -> dict[str, tuple[float, float, float]]:
    """(value, low, high) of every interval that the report prints, by name."""
    found = {
        name: (of["value"], of["low"], of["high"])
        for name, of in measure(table, draws, 15, {"": "prob"}).items()
        if name not in SKIPPED
    }
    point = clinical.operating_points(table, [POINT], draws).iloc[0]
    found |= {name: (point[name], point[f"{name}_low"], point[f"{name}_high"]) for name in clinical.RATES}
    ends = ("number_to_flag", "number_to_flag_low", "number_to_flag_high")
    found["number needed to flag"] = tuple(point[end] for end in ends)
    found |= differences(table, draws)
    groups = subgroups.report(table, draws).set_index("group").loc[FIRST]
    found["subgroup score"] = (groups["score"], groups["low"], groups["high"])
    found["subgroup AUROC"] = (groups["auroc"], groups["auroc_low"], groups["auroc_high"])
    found["subgroup AUROC gap"] = (groups["gap"], groups["gap_low"], groups["gap_high"])
    return found


def differences(table: pd.DataFrame, draws: PatientDraws) -> dict[str, tuple[float, float, float]]:
    """Paired differences: between rules, also by bootstrap percentiles, and between experiments of one training each."""
    gap = (table["other_dice"] - table["dice"]).to_numpy()
    value, drawn, patients = float(gap.mean()), draws.mean(gap), draws.patients()
    found = {
        "difference of rules": (value, *plain_interval(value, standard_error(drawn, patients), patients)),
        "the same, percentiles": (value, *np.quantile(drawn, [0.025, 0.975])),
    }
    other = table.assign(dice=table["other_dice"], prob=table["other_prob"])
    for part in ("kaggle_dice", "dice_positive", "auroc"):
        one, base = measures.trainings([other], part), measures.trainings([table], part)
        if one is not None and base is not None:
            of = seed_variance.difference(one, base)
            ends = seed_variance.difference_interval(of, one.patients)
            found[f"difference of experiments, {part}"] = (of.value, *ends)
    return found


SETS = {"images": (hold_out, intervals), "lesions": (lesion_holdouts.hold_out, lesion_holdouts.intervals)}
"""What is simulated -> its hold-outs and their intervals."""


def truth(of: str, random: np.random.Generator, clustered: bool) -> dict[str, float]:
    """Every measure of the whole population; two draws stand in for the bootstrap, which it does not need."""
    make, measured = SETS[of]
    population = make(random, POPULATION, clustered)
    draws = PatientDraws(np.arange(POPULATION) % 2, 2, 0)
    return {name: value for name, (value, _, _) in measured(population, draws).items()}


def coverage(
    of: str, size: int, clustered: bool, true: dict[str, float], repeats: int, draws: int
) -> dict[str, float]:
    """Share of the intervals that contain the true value, by name; repeats in which a measure is undefined are left out."""
    random, hits, seen = np.random.default_rng(size + clustered), Counter[str](), Counter[str]()
    make, measured = SETS[of]
    for _ in range(repeats):
        table = make(random, size, clustered)
        drawn = PatientDraws(table["patient_id"].to_numpy(), draws, 0)
        for name, (_, low, high) in measured(table, drawn).items():
            if low is not None and not np.isnan(low):
                seen[name] += 1
                hits[name] += bool(low <= true[name] <= high)
    return {name: hits[name] / max(seen[name], 1) for name in true}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--of", choices=SETS, default="images")
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2400])
    options = parser.parse_args()
    columns = {}
    for clustered in (False, True):
        true = truth(options.of, np.random.default_rng(1), clustered)
        columns[f"truth{', clusters' if clustered else ''}"] = true
        for size in options.sizes:
            name = f"{size:,} images{', clusters' if clustered else ''}"
            columns[name] = coverage(options.of, size, clustered, true, options.repeats, options.draws)
            print(name, flush=True)
    table = pd.DataFrame(columns)
    print("| measure | " + " | ".join(table.columns) + " |\n" + "|---" * (len(table.columns) + 1) + "|")
    for measured, row in table.iterrows():
        cells = [f"{row[c]:.3f}" if c.startswith("truth") else f"{100 * row[c]:.1f} %" for c in table.columns]
        print(f"| {measured} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
