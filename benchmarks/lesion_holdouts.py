"""Simulated hold-outs for the coverage of lesion measures: tables as ensemble.evaluation.lesions makes them, of known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from ensemble.evaluation.lesions import summary
from ensemble.evaluation.lesions.detection import Match
from experiments.statistics.bootstrap import PatientDraws


def hold_out(random: np.random.Generator, images: int, clustered: bool) -> pd.DataFrame:
    """One row per image; every fifth has one or two lesions. The images of a patient are correlated where clustered."""
    patient = np.arange(images)
    if clustered:
        patient = np.repeat(np.arange(images), random.choice([1, 1, 1, 2, 3, 6], images))[:images]
    share = 0.6 if clustered else 0.0
    own = random.normal(0, 1, (3, images))[:, patient]
    trait = np.sqrt(share) * own + np.sqrt(1 - share) * random.normal(0, 1, (3, images))
    lesions = np.where(norm.cdf(trait[0]) < 0.2, random.choice([1, 1, 2], images), 0)
    found = random.binomial(lesions, np.clip(norm.cdf(trait[1] + 0.5), 0, 1))
    false = random.poisson(0.15 * np.exp(0.5 * trait[2]))
    drawn = (lesions > 0) & (found > 0)
    true = np.exp(8 + 0.7 * trait[1])
    right = random.random(images) < 0.9
    return pd.DataFrame(
        {
            "patient_id": patient,
            "lesions": lesions,
            "lesions_found": found,
            "false_lesions": false,
            "surface_dice": np.where(lesions > 0, drawn * random.beta(4, 2, images), np.nan),
            "hd95_mm": np.where(drawn, random.gamma(2, 8, images) * np.exp(0.3 * trait[2]), np.nan),
            "true_half": np.where(lesions > 0, "left", ""),
            "predicted_half": np.where(drawn, np.where(right, "left", "right"), ""),
            "true_mm2": true * (lesions > 0),
            "predicted_mm2": true * drawn * random.lognormal(-0.1, 0.4, images),
        }
    )


def intervals(table: pd.DataFrame, draws: PatientDraws) -> dict[str, tuple[float, float, float]]:
    """(value, low, high) of every lesion measure but the FROC, whose candidates are drawn from the same lesions."""
    nothing = Match(np.zeros(0), np.zeros(0))
    candidates = [nothing] * len(table)
    measured, _ = summary.measure(table, candidates, draws)
    return {
        name: tuple(np.nan if end is None else end for end in (of["value"], of["low"], of["high"]))
        for name, of in measured.items()
        if not name.startswith("froc")
    }
