"""Pictures of the decision: the plateau of a search, reliability, ROC, precision and recall, Dice by area."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ensemble import metrics
from ensemble.cases import Cases
from ensemble.rules import Rule
from ensemble.rules.triplet import ORDERED, Triplet, scores
from imaging.files import atomic

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

INK, BLUE, ORANGE, GREY = "#222222", "#2f6db3", "#d9752b", "#b8bcc2"


def new_figure(width: float = 5.2, height: float = 4.4, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with `columns` axes in a row, in the project's plain style."""
    figure = Figure(figsize=(width * columns, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, k + 1) for k in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e8e8ea", linewidth=0.7)
        axis.set_axisbelow(True)
    return figure, axes


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG whole or not at all, without a date in it, so that equal pictures are equal files."""
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def plateau(cases: Cases, rule: Rule, reference: int, path: str | Path) -> None:
    """Score over the triplet's top and bottom level at the chosen area; the peak and the chosen setting are marked."""
    if not isinstance(rule, Triplet):
        raise ValueError(f"the plateau is drawn of the triplet, not of {type(rule).__name__}")
    surface = scores(cases, reference, np.array([rule.area]))[:, 0, :]
    surface = np.where(ORDERED[:, 0, :], surface, np.nan)
    figure, (axis,) = new_figure(6.2, 5.0)
    best, empty = np.nanmax(surface), float(np.mean(~cases.label))
    low = max(float(np.nanmin(surface)), best - 0.05)
    image = axis.imshow(surface.T, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", vmin=low, vmax=best)
    axis.contour(surface.T, levels=[best - 0.003], colors="white", linewidths=1.0, extent=(0, 1, 0, 1))
    top, bottom = np.unravel_index(np.nanargmax(surface), surface.shape)
    axis.plot(top / 255, bottom / 255, "x", color="white", markersize=9, mew=2, label=f"peak {best:.4f}")
    chosen = surface[rule.top, rule.bottom]
    axis.plot(
        rule.top / 255,
        rule.bottom / 255,
        "o",
        color=ORANGE,
        mec="white",
        markersize=9,
        label=f"chosen {chosen:.4f}",
    )
    axis.set(
        xlabel="top level",
        ylabel="bottom level",
        title=f"Score, at least {rule.area:,} pixels above the top level",
    )
    axis.legend(loc="upper left", frameon=False, labelcolor=INK)
    bar = figure.colorbar(image, ax=axis, extend="min", shrink=0.9)
    bar.set_label(f"score (all empty: {empty:.4f})")
    axis.grid(False)
    save(figure, path)


def reliability(label: Bools, probs: dict[str, Floats], bins: int, path: str | Path) -> None:
    """Said against seen frequency for each set of probabilities, over how many images each is based on."""
    figure, axes = new_figure(4.6, 4.4, len(probs))
    for axis, (name, prob) in zip(axes, probs.items(), strict=True):
        mean, observed, count = metrics.reliability(label, prob, bins)
        used = count > 0
        axis.bar(
            (np.arange(bins) + 0.5) / bins,
            count / count.sum(),
            width=0.9 / bins,
            color=GREY,
            label="share of images",
        )
        axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
        axis.plot(mean[used], observed[used], "o-", color=BLUE, label="observed")
        ece = metrics.expected_calibration_error(label, prob, bins)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability said", ylabel="share with a pneumothorax")
        axis.set_title(f"{name}: calibration error {ece:.3f}")
        axis.legend(loc="upper left", frameon=False)
    save(figure, path)


def roc(label: Bools, prob: Floats, title: str, path: str | Path) -> None:
    """ROC curve, with the point at 95 % specificity."""
    fpr, tpr, _ = metrics.roc(label, prob)
    at = metrics.sensitivity_at_specificity(label, prob)
    figure, (axis,) = new_figure()
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    axis.plot(fpr, tpr, color=BLUE)
    axis.plot(0.05, at, "o", color=ORANGE, label=f"sensitivity {at:.2f} at 95 % specificity")
    axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="1 − specificity", ylabel="sensitivity", title=title)
    axis.legend(loc="lower right", frameon=False)
    save(figure, path)


def precision_recall(label: Bools, prob: Floats, title: str, path: str | Path) -> None:
    """Precision over recall; the dashed line is what guessing gives."""
    precision, recall, _ = metrics.precision_recall(label, prob)
    figure, (axis,) = new_figure()
    axis.axhline(
        label.mean(), color=INK, linewidth=0.8, linestyle="--", label=f"prevalence {label.mean():.2f}"
    )
    axis.step(recall, precision, where="pre", color=BLUE)
    axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision", title=title)
    axis.legend(loc="lower left", frameon=False)
    save(figure, path)


def dice_by_area(area: Floats, dice: Floats, submitted: Bools, path: str | Path) -> None:
    """Dice of the positive images over their lesion's area; missed ones in grey, with the running median."""
    figure, (axis,) = new_figure(6.4, 4.2)
    axis.scatter(
        area[submitted], dice[submitted], s=9, color=BLUE, alpha=0.5, linewidths=0, label="mask submitted"
    )
    axis.scatter(area[~submitted], dice[~submitted], s=9, color=GREY, linewidths=0, label="left empty")
    order = np.argsort(area)
    for rows in np.array_split(order, min(10, max(len(order) // 20, 1))):
        axis.hlines(np.median(dice[rows]), area[rows].min(), area[rows].max(), color=ORANGE, linewidth=2.2)
    axis.plot([], [], color=ORANGE, label="median of equally many images")
    axis.set(xscale="log", ylim=(-0.02, 1), xlabel="area of the lesion (pixels)", ylabel="Dice")
    axis.legend(loc="lower right", frameon=False)
    save(figure, path)
