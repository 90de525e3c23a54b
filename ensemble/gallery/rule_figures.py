"""Figures of the decision: images around the curve p = 1/(1 + D), and every rule's score in its parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.statistics.arrays import Bools, Floats
from imaging.plotting import FAINT, INK, NEGATIVE, POSITIVE, new_figure


def around_the_curve(dice: Floats, prob: Floats, label: Bools) -> Figure:
    """Plot each image (N,) at its expected Dice and probability: a dot where the rule is right, a cross where it is wrong."""
    figure, (axes,) = new_figure(7.4, 5.0)
    curve = np.linspace(0, 1, 200)
    axes.fill_between(curve, 1 / (1 + curve), 1.03, color=POSITIVE, alpha=0.07, linewidth=0)
    axes.fill_between(curve, -0.03, 1 / (1 + curve), color=NEGATIVE, alpha=0.07, linewidth=0)
    axes.plot(curve, 1 / (1 + curve), color=INK)
    right = (prob > 1 / (1 + dice)) == label
    for chosen, colour in ((~label, NEGATIVE), (label, POSITIVE)):
        good, bad = chosen & right, chosen & ~right
        axes.scatter(dice[good], prob[good], s=15, color=colour, alpha=0.5, linewidths=0)
        axes.scatter(
            dice[bad], prob[bad], s=42, color=colour, marker="X", edgecolors="white", linewidths=0.6, zorder=4
        )
    for text, y, colour in (
        ("submit the mask", 0.68, POSITIVE),
        ("p = 1/(1 + D)", 0.45, INK),
        ("leave the image empty", 0.2, NEGATIVE),
    ):
        weight = "normal" if colour == INK else "bold"
        axes.text(0.985, y, text, color=colour, fontweight=weight, ha="right")
    axes.set(
        xlim=(0, 1),
        ylim=(-0.03, 1.03),
        xlabel="expected Dice D of the mask",
        ylabel="probability p of a pneumothorax",
    )
    axes.set_title(
        f"{len(label):,} images, out of fold: {(~right & label).sum()} missed, {(~right & ~label).sum()} false alarms"
    )
    figure.legend(handles=_keys(), loc="outside lower center", ncols=4)
    return figure


def _keys() -> list[Line2D]:
    return [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=size, label=name)
        for marker, colour, size, name in (
            ("o", POSITIVE, 5, "pneumothorax, found"),
            ("X", POSITIVE, 8, "missed"),
            ("o", NEGATIVE, 5, "none, left empty"),
            ("X", NEGATIVE, 8, "false alarm"),
        )
    ]


def decomposition(rules: pd.DataFrame, prevalence: float, chosen: str) -> Figure:
    """Plot every rule's score as the sum of (1 − π)·TNR and π·D⁺. `rules` as in rules.csv, best first."""
    shown = rules.iloc[::-1]
    empty, ill = (1 - prevalence) * shown["tnr"], prevalence * shown["dice_positive"]
    figure, (axes,) = new_figure(8.6, 0.42 * len(shown) + 1.7)
    places = np.arange(len(shown))
    axes.barh(places, empty, color=NEGATIVE, height=0.66, label="(1 − π)·TNR: empty images left empty")
    axes.barh(places, ill, left=empty, color=POSITIVE, height=0.66, label="π·D⁺: overlap on positive images")
    axes.barh(places, 1 - empty - ill, left=empty + ill, color=FAINT, height=0.66, label="lost")
    axes.errorbar(
        shown["score"], places, xerr=[shown["score"] - shown["low"], shown["high"] - shown["score"]],
        fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5,
    )  # fmt: skip
    for place, score in enumerate(shown["score"]):
        axes.text(1.012, place, f"{score:.3f}", va="center", fontsize=9.5)
    names = shown["rule"].str.replace("_", " ")
    axes.set_yticks(places, names)
    for tick, rule in zip(axes.get_yticklabels(), shown["rule"], strict=True):
        tick.set_fontweight("bold" if rule == chosen else "normal")
    axes.set(xlim=(0, 1), xlabel="score (mean Dice over all images), with 95 % intervals over patients")
    axes.grid(visible=False)
    axes.spines[["left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"Parts of each rule's score; the chosen rule in bold, π = {prevalence:.2f}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
