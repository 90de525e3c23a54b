"""Figures of a study, each drawn from its table of trials (see study_table) onto given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imaging.plotting import FAINT, INK, NEGATIVE, POSITIVE, UNLABELLED, new_figure

GOOD = "viridis"
"""Colour map of scores: dark is low, bright is high."""


def best_row(table: pd.DataFrame) -> pd.Series:
    """The complete trial of the highest score."""
    complete = table[table["state"] == "complete"]
    return complete.iloc[int(complete["score"].argmax())]


def history(axes: Axes, table: pd.DataFrame) -> None:
    """Score of each trial, the best so far, and where trials failed."""
    complete, pruned, failed = (table[table["state"] == state] for state in ("complete", "pruned", "failed"))
    axes.scatter(complete["trial"], complete["score"], s=26, color=NEGATIVE, label="complete", zorder=3)
    axes.scatter(
        pruned["trial"], pruned["score"], s=24, facecolor="none", edgecolor=UNLABELLED, label="pruned"
    )
    axes.step(
        complete["trial"], complete["score"].cummax(), where="post", color=INK, lw=1, label="best so far"
    )
    best = best_row(table)
    axes.scatter(best["trial"], best["score"], s=130, marker="*", color=POSITIVE, zorder=4, label="best")
    for trial in failed["trial"]:
        axes.axvline(trial, color=FAINT, lw=3, zorder=0)
    if len(failed):
        axes.plot([], [], color=FAINT, lw=3, label="failed")
    axes.set(title="Score of each trial", xlabel="trial", ylabel="Kaggle score of the nested rule")
    axes.legend(fontsize=8)


def importance(axes: Axes, shares: dict[str, float]) -> None:
    """Share of the score's variance that each setting explains."""
    axes.set(title="Importance (fANOVA)", xlabel="share of the score's variance", xlim=(0, 1))
    if not shares:
        axes.text(0.5, 0.5, "too few complete trials", ha="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    keys = sorted(shares, key=lambda key: shares[key])
    bars = axes.barh(keys, [shares[key] for key in keys], color=NEGATIVE, height=0.55)
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=9)
    axes.grid(axis="y", visible=False)


def parallel(axes: Axes, table: pd.DataFrame, keys: Sequence[str], logs: set[str]) -> None:
    """One line per trial across all settings to its score; the best one in orange, pruned and failed ones left out."""
    complete = table[table["state"] == "complete"].sort_values("score")
    columns = [*keys, "score"]
    heights = np.stack([_height(complete[key], key in logs) for key in columns], axis=1)
    colours = colormaps[GOOD](
        0.85 * _height(complete["score"], False)
    )  # its brightest yellow is lost on white
    for row, colour in zip(heights[:-1], colours, strict=False):
        axes.plot(row, color=colour, lw=1.1, alpha=0.75)
    axes.plot(heights[-1], color=POSITIVE, lw=2.6)
    for place, key in enumerate(columns):
        axes.plot([place, place], [0, 1], color=INK, lw=0.8)
        for end, where in ((complete[key].min(), -0.03), (complete[key].max(), 1.03)):
            axes.text(place, where, _label(end), ha="center", va="top" if where < 0 else "bottom", fontsize=8)
    axes.set(title="All settings together", xlim=(-0.3, len(columns) - 0.7), ylim=(-0.12, 1.12), yticks=[])
    axes.set_xticks(range(len(columns)), columns)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def slices(panels: Sequence[Axes], table: pd.DataFrame, keys: Sequence[str], logs: set[str]) -> None:
    """Score against each setting; later trials are darker, pruned ones hollow."""
    complete, pruned = (table[table["state"] == state] for state in ("complete", "pruned"))
    best = best_row(table)
    for axes, key in zip(panels, keys, strict=True):
        if key in logs:
            axes.set_xscale("log")
        axes.scatter(pruned[key], pruned["score"], s=24, facecolor="none", edgecolor=UNLABELLED)
        axes.scatter(
            complete[key],
            complete["score"],
            c=complete["trial"],
            cmap="Blues",
            vmin=-0.4 * len(table),  # the first trials are pale, not white
            s=30,
            edgecolor=NEGATIVE,
            linewidth=0.5,
        )
        axes.scatter(best[key], best["score"], s=130, marker="*", color=POSITIVE, zorder=4)
        axes.set(xlabel=key, ylabel="score")


def overview(table: pd.DataFrame, keys: Sequence[str], logs: set[str], shares: dict[str, float]) -> Figure:
    """Everything on one page."""
    columns = max(3, len(keys))
    figure, axes = new_figure(4.1 * columns, 7.2, rows=2, columns=columns)
    history(axes[0], table)
    importance(axes[1], shares)
    parallel(axes[2], table, keys, logs)
    slices(axes[columns : columns + len(keys)], table, keys, logs)
    for spare in (*axes[3:columns], *axes[columns + len(keys) :]):
        spare.remove()
    return figure


def _height(values: pd.Series, log: bool) -> NDArray[np.float64]:
    """Values as heights 0..1 between their smallest and largest; texts by their place among the sorted ones."""
    plain: Any = values if pd.api.types.is_numeric_dtype(values) else values.astype("category").cat.codes
    number = plain.to_numpy(np.float64)
    number = np.log(number) if log else number
    room = number.max() - number.min()
    return (number - number.min()) / room if room else np.full(len(number), 0.5)


def _label(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
