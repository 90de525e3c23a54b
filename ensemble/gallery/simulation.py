"""Compare the decision rules on generated images whose best possible rule is known (`python -m ensemble.simulate`).

Each image has a known probability p of a pneumothorax and a mask whose expected Dice, if there is one,
is a known function g of its area. No rule can beat "submit iff p > 1/(1 + g)". All rules are fitted on one
sample and scored on another, by their expectation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit

from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import LEVELS, NOTHING
from ensemble.rules import RULES
from ensemble.rules.expected_value import worth_it
from experiments.statistics.arrays import Floats
from imaging.map_levels import encode
from imaging.plotting import INK, NEGATIVE, POSITIVE, UNLABELLED, new_figure

PIXELS = 1024**2
RIM = 60
"""Level of a mask's outer half (0.2); its inner half is at p, the most that a map can reveal of it."""


def expected_dice(area: NDArray[np.int64]) -> Floats:
    """g: Expected Dice grows with the area, from about 0.1 at 300 pixels to 0.9 at 80,000."""
    return expit(0.78 * (np.log(area) - np.log(5000)))


def sample(images: int, seed: int) -> tuple[Cases, Floats]:
    """Sample images; return them and the expected Dice (N,) of each one's mask."""
    random = np.random.Generator(np.random.PCG64(seed))
    prob = random.beta(0.35, 0.8, images)
    area = np.rint(np.exp(random.uniform(np.log(300), np.log(80_000), images))).astype(np.int64)
    mean = expected_dice(area)
    dice = random.beta(20 * mean, 20 * (1 - mean))
    label = random.random(images) < prob
    return _cases(prob, area, dice, label), mean


def _cases(prob: Floats, area: NDArray[np.int64], dice: Floats, label: NDArray[np.bool_]) -> Cases:
    """Maps of two levels, and true masks of equal area that overlap them by `dice`."""
    level = np.arange(LEVELS)
    inner = np.maximum(encode(prob), RIM + 1)[:, None]
    above = np.where(level == 0, PIXELS, np.where(level <= RIM, area[:, None], 0))
    above = np.where((level > RIM) & (level <= inner), area[:, None] // 2, above)
    overlap = np.rint(dice[:, None] * above).astype(np.int64)
    hit = np.where(level == 0, area[:, None], overlap) * label[:, None]
    n = len(prob)
    evidence = Evidence(prob=prob, raw=prob, members=prob[:, None], above=above, agreement=np.ones(n))
    return Cases(
        evidence=evidence,
        hit=hit,
        fold=np.arange(n) % 5,
        patient=np.arange(n),
        image_id=np.array([f"{i:07d}" for i in range(n)]),
    )


def expectation(cases: Cases, mean: Floats, level: NDArray[np.int64]) -> float:
    """Expected score of cutting the masks at these levels: mean of p·Dice where there is a mask, of 1 − p
    elsewhere.

    The inner half alone holds half the overlap on half the area: its Dice is 2·½/(1 + ½) = 2/3 of the whole
    mask's."""
    prob, empty = cases.evidence.prob, cases.evidence.above[np.arange(len(cases)), level] == 0
    dice = np.where(level <= RIM, mean, mean * 2 / 3)
    return float(np.where(empty, 1 - prob, prob * dice).mean())


def compare(images: int, seed: int) -> pd.DataFrame:
    """Expected score of each rule on new images, and its regret against the best possible rule."""
    fitted, (fresh, mean) = sample(images, seed)[0], sample(images, seed + 1)
    ideal = np.where(worth_it(fresh.evidence.prob, mean), RIM, NOTHING)
    best = expectation(fresh, mean, ideal)
    rows = [("(best possible)", best), ("(all empty)", expectation(fresh, mean, np.full(images, NOTHING)))]
    for name, rule in RULES.items():
        level = rule.fit(fitted, PIXELS).for_batch(fresh.evidence).thresholds(fresh.evidence)
        rows.append((name, expectation(fresh, mean, level)))
    table = pd.DataFrame(rows, columns=["rule", "expected score"])
    return table.assign(regret=best - table["expected score"])


def picture(table: pd.DataFrame, images: int, seed: int) -> Figure:
    """Left: for which images a mask pays, with the boundary. Right: the regret of each rule."""
    cases, mean = sample(images, seed)
    prob, worth = cases.evidence.prob, worth_it(cases.evidence.prob, mean)
    figure, (left, right) = new_figure(10.5, 4.3, 1, 2)
    label: dict[str, Any] = {
        "ha": "center",
        "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.5},
    }
    for chosen, colour, words, at in (
        (worth, POSITIVE, "submit", (0.75, 0.8)),
        (~worth, NEGATIVE, "leave empty", (0.5, 0.3)),
    ):
        left.scatter(mean[chosen], prob[chosen], s=6, color=colour, alpha=0.35, linewidths=0)
        left.text(*at, words, color=colour, fontweight="bold", **label)
    dice = np.linspace(0, 1, 200)
    left.plot(dice, 1 / (1 + dice), color=INK)
    left.text(0.36, 0.87, "p = 1/(1 + D)", **label)
    left.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="expected Dice D of the mask",
        ylabel="probability p of a pneumothorax",
    )
    left.set_title("A poorer mask needs a higher probability")
    rules = table[~table["rule"].str.startswith("(")].sort_values("regret", ascending=False)
    own = rules["rule"].str.startswith("expected")
    lost = 1000 * rules["regret"]
    bars = right.barh(
        rules["rule"].str.replace("_", " "), lost, color=[POSITIVE if o else UNLABELLED for o in own]
    )
    right.bar_label(bars, fmt="%.1f", padding=3)
    right.grid(axis="y", visible=False)
    right.set(xlabel="thousandths of the score", xlim=(0, lost.max() * 1.12))
    right.set_title("Regret against the best possible rule")
    return figure
