"""Pictures of the decision and of its evaluation; each function returns a figure, `imaging.plotting.save` writes it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ensemble import metrics
from ensemble.evidence.evidence import Cases
from ensemble.rules import Rule
from ensemble.rules.triplet import ORDERED, Triplet, scores
from experiments.statistics.arrays import Bools, Floats
from experiments.statistics.intervals import score_interval
from imaging.map_levels import TOP, encode
from imaging.plotting import FAINT, INK, NEGATIVE, POSITIVE, SERIES, UNLABELLED, new_figure

TICKS = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def search_surface(cases: Cases, rule: Rule) -> Figure:
    """Score over a triplet's top and bottom level at its area; the peak and the chosen setting are marked."""
    if not isinstance(rule, Triplet):
        raise ValueError(f"the search surface is drawn for a triplet, not for {type(rule).__name__}")
    surface = scores(cases, rule.reference, np.array([rule.area]))[:, 0, :]
    surface = np.where(ORDERED[:, 0, :], surface, np.nan)
    best, empty, chosen = np.nanmax(surface), float(np.mean(~cases.label)), surface[rule.top, rule.bottom]
    figure, (axes,) = new_figure(6.4, 5.2)
    low = max(float(np.nanmin(surface)), best - 0.05)
    extent = (-0.5, TOP + 0.5, -0.5, TOP + 0.5)
    shown = axes.imshow(surface.T, origin="lower", extent=extent, cmap="viridis", vmin=low, vmax=best)
    axes.contour(surface.T, levels=[best - 0.003], colors="white", linewidths=1.0, extent=extent)
    top, bottom = np.unravel_index(np.nanargmax(surface), surface.shape)
    axes.plot(top, bottom, "X", color=NEGATIVE, mec="white", markersize=9, label=f"peak {best:.4f}")
    axes.plot(
        rule.top,
        rule.bottom,
        "o",
        color=POSITIVE,
        mec="white",
        markersize=9,
        label=f"chosen {chosen:.4f}",
    )
    axes.plot([], [], color="white", label="within 0.003 of the peak", markeredgecolor=INK)
    ticks = encode(np.array(TICKS))
    axes.set_xticks(ticks, map(str, TICKS))
    axes.set_yticks(ticks, map(str, TICKS))
    axes.set(xlabel="top level, as probability", ylabel="bottom level, as probability")
    axes.set_title(f"Score of the triplet with at least {rule.area:,} pixels above the top level")
    legend = axes.legend(loc="upper left", facecolor=FAINT, frameon=True, edgecolor="none")
    legend.set_zorder(5)
    bar = figure.colorbar(shown, ax=axes, extend="min", shrink=0.9)
    bar.set_label(f"score (all empty: {empty:.4f})")
    axes.grid(False)
    return figure


LEAST = 5
"""Minimum number of images of a bin that gets a point."""


def rate_interval(rate: float, images: int) -> tuple[float, float]:
    """95 % interval of a bin's share of positive images."""
    return score_interval(rate, math.sqrt(rate * (1 - rate) / images), images)


def reliability(label: Bools, probs: dict[str, Floats], bins: int) -> Figure:
    """Predicted against observed frequency of several sets of probabilities, first the uncalibrated one; a point's area grows
    with its images, its bar is their 95 % interval. Bins of fewer than LEAST images have no point. Below: images of each bin."""
    figure, (axes, below) = new_figure(5.8, 6.2, 2, 1)
    if spec := axes.get_subplotspec():
        spec.get_gridspec().set_height_ratios([3.4, 1])
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    for (name, prob), colour, mark in zip(probs.items(), (UNLABELLED, *SERIES[::2]), "sDo", strict=False):
        mean, observed, count = metrics.reliability(label, prob, bins)
        used, ece = count >= LEAST, metrics.expected_calibration_error(label, prob, bins)
        ends = [rate_interval(hits, of) for hits, of in zip(observed[used], count[used], strict=True)]
        spread = np.abs(np.array(ends).reshape(-1, 2).T - observed[used])
        axes.errorbar(
            mean[used],
            observed[used],
            spread,
            fmt="-",
            color=colour,
            linewidth=1.2,
            elinewidth=0.8,
            alpha=0.6,
        )
        size = 12 + 160 * count[used] / count.sum()
        axes.scatter(
            mean[used],
            observed[used],
            size,
            color=colour,
            marker=mark,
            label=f"{name}: ECE {ece:.3f}",
            zorder=3,
        )
        edges = np.linspace(0, 1, bins + 1)
        below.stairs(count, edges, color=colour, linewidth=1.4)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), ylabel="share of positive images")
    axes.set_title("Calibration: predicted and observed frequency")
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        columnspacing=1,
        handlelength=1,
    )
    below.set(xlim=(-0.02, 1.02), yscale="log", xlabel="predicted probability", ylabel="images")
    return figure


def roc(label: Bools, prob: Floats, auroc: str) -> Figure:
    """ROC curve, with the point at 95 % specificity; `auroc` in words for the title."""
    fpr, tpr, _ = metrics.roc(label, prob)
    at = metrics.sensitivity_at_specificity(label, prob)
    figure, axes = _unit_square("1 − specificity", "sensitivity", f"ROC: area {auroc}")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    axes.plot(fpr, tpr, color=NEGATIVE)
    axes.plot(0.05, at, "o", color=POSITIVE, label=f"sensitivity {at:.2f} at 95 % specificity", clip_on=False)
    axes.legend(loc="lower right")
    return figure


def _unit_square(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    """Axes of two rates."""
    figure, (axes,) = new_figure(5.2, 4.8)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=x, ylabel=y, title=title)
    return figure, axes


def precision_recall(label: Bools, prob: Floats, precision: str) -> Figure:
    """Precision over recall, and what guessing gives; `precision` is the average precision in words."""
    value, recall, _ = metrics.precision_recall(label, prob)
    figure, axes = _unit_square("recall", "precision", f"Average precision {precision}")
    axes.axhline(
        label.mean(), color=INK, linewidth=0.8, linestyle="--", label=f"prevalence {label.mean():.2f}"
    )
    axes.step(recall, value, where="pre", color=NEGATIVE)
    axes.legend(loc="lower left")
    return figure


def dice_by_area(share: Floats, dice: Floats, submitted: Bools) -> Figure:
    """Dice of the positive images over their lesion's share of the image, with medians of equally many images."""
    figure, (axes,) = new_figure(6.8, 4.2)
    axes.scatter(
        share[submitted],
        dice[submitted],
        s=16,
        color=NEGATIVE,
        alpha=0.7,
        linewidths=0,
        label="mask submitted",
    )
    axes.scatter(
        share[~submitted], dice[~submitted], s=16, color=INK, marker="x", linewidths=0.8, label="left empty"
    )
    for rows in np.array_split(np.argsort(share), min(8, max(len(share) // 12, 1))):
        axes.hlines(
            np.median(dice[rows]), share[rows].min(), share[rows].max(), color=POSITIVE, linewidth=2.4
        )
    axes.plot([], [], color=POSITIVE, label="median of a group")
    axes.set(xscale="log", ylim=(-0.03, 1.02), xlabel="area of the lesion, share of the image", ylabel="Dice")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_title(f"Dice of the {len(dice):,} positive images")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def predictive_values(curves: pd.DataFrame, prevalence: float) -> Figure:
    """PPV and NPV of each operating point against prevalence; the dashed line marks the hold-out's own."""
    figure, panels = new_figure(8.4, 3.9, 1, 2)
    for axes, column in zip(panels, ("ppv", "npv"), strict=True):
        for (name, part), colour in zip(
            curves.groupby("name", sort=False), itertools.cycle(SERIES), strict=False
        ):
            axes.plot(part["prevalence"], part[column], color=colour, label=str(name))
        axes.axvline(prevalence, color=INK, linewidth=0.8, linestyle="--")
        axes.set(
            xscale="log", ylim=(0, 1.01), xlabel="prevalence", title=f"{column.upper()} against prevalence"
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def decision_curve(curve: pd.DataFrame) -> Figure:
    """Net benefit against the threshold probability, beside flagging all and flagging none."""
    figure, (axes,) = new_figure(5.8, 4.2)
    for column, colour, label in (
        ("model", NEGATIVE, "flag by probability"),
        ("flag_all", POSITIVE, "flag all"),
        ("flag_none", INK, "flag none"),
    ):
        axes.plot(curve["threshold"], curve[column], color=colour, label=label)
    top = max(float(curve["model"].max()), 0.05)
    axes.set(ylim=(-0.2 * top, 1.1 * top), xlabel="threshold probability", ylabel="net benefit")
    axes.set_title("Decision curve")
    axes.legend(loc="upper right")
    return figure
