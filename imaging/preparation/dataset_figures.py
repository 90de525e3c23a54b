"""The figures of the dataset card."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from imaging import plotting

SHEET = 12
"""Images on the overlay sheet."""


def class_pie(index: pd.DataFrame, finding: str = "pneumothorax") -> Figure:
    """Draw two rings: images of each class, and the share of the labelled images' pixels inside a mask."""
    figure, (left, right) = plotting.new_figure(9.5, 3.9, 1, 2)
    label = index["label"]
    counts = {finding: int((label == 1).sum()), "negative": int((label == 0).sum())}
    counts |= {"unlabelled": int(label.isna().sum())} if label.isna().any() else {}
    colours = [plotting.POSITIVE, plotting.NEGATIVE, plotting.UNLABELLED]
    names = [f"{name}\n{count:,} · {_percent(count / len(index), 1)}" for name, count in counts.items()]
    _ring(left, list(counts.values()), colours, names, f"{len(index):,}\nimages")
    if not (index["area_px"] > 0).any():
        plotting.picture_axes(right)
        right.text(0.5, 0.5, "no masks", ha="center", va="center", transform=right.transAxes)
        return figure
    inside = pixel_share(index)
    names = [f"{finding}\n{_percent(inside, 2)}", f"background\n{_percent(1 - inside, 2)}"]
    _ring(
        right, [inside, 1 - inside], [plotting.POSITIVE, plotting.FAINT], names, "pixels of\nlabelled\nimages"
    )
    return figure


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def pixel_share(index: pd.DataFrame) -> float:
    """Share of pixels inside a mask among all pixels of the images whose mask is known, at their original resolution."""
    labelled = index[index["area_px"].notna()]
    pixels = (labelled["width"].astype("int64") * labelled["height"]).sum()
    return float(labelled["area_px"].sum() / pixels) if pixels else 0.0


def area_histogram(index: pd.DataFrame) -> Figure:
    """Draw the areas of the masks in per cent of the image, on a logarithmic axis, with quantiles."""
    positive = index[index["label"] == 1]
    pixels = positive["width"].astype("int64") * positive["height"]
    share = (100 * positive["area_px"].astype(float) / pixels).to_numpy()
    figure, (axes,) = plotting.new_figure(7, 3.6)
    low, high = np.log10(share.min()) - 0.05, np.log10(share.max()) + 0.05
    bins = np.logspace(low, high, int(np.clip(np.sqrt(len(share)) * 1.5, 8, 50)))
    axes.hist(share, bins.tolist(), color=plotting.POSITIVE, alpha=0.85, edgecolor="white", linewidth=0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)  # space for the labels above the bars
    for quantile, name in ((0.05, "5th percentile"), (0.5, "median"), (0.95, "95th percentile")):
        _mark(axes, float(np.quantile(share, quantile)), name)
    axes.set_xlim(10**low, max(10**high, 3 * np.quantile(share, 0.95)))  # and to the right of the last line
    axes.set(xlabel="area of the mask, share of the image", ylabel="images")
    axes.set_title(f"Area of the finding in {len(share):,} positive images")
    return figure


def _mark(axes: Axes, at: float, name: str) -> None:
    """Draw a dashed vertical line with a label at its upper right."""
    axes.axvline(at, color=plotting.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{name}\n{at:.2g} %",
        (at, 1),
        (4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
    )


def without_masks() -> Figure:
    """Shown in place of a figure that needs masks."""
    figure, (axes,) = plotting.new_figure(5.6, 1.6)
    plotting.picture_axes(axes)
    axes.text(
        0.5, 0.5, "No image of this data set has a mask.", ha="center", va="center", transform=axes.transAxes
    )
    return figure


def mask_heatmap(masks: NDArray[np.uint8], rows: NDArray[np.int64] | None = None) -> Figure:
    """How often each pixel is inside, over these rows of the masks (P, S, S) of 0 and 1; None: over all."""
    rows = np.arange(len(masks)) if rows is None else rows
    total = np.zeros(masks.shape[1:], np.int64)
    for start in range(0, len(rows), 64):  # in blocks: all masks may not fit in memory
        total += masks[rows[start : start + 64]].sum(axis=0, dtype=np.int64)
    figure, (axes,) = plotting.new_figure(5.6, 4.9)
    plotting.picture_axes(axes)
    heatmap = axes.imshow(100 * total / len(rows), cmap=plotting.DENSITY, vmin=0)
    figure.colorbar(heatmap, ax=axes, label="masks that cover the pixel, %", shrink=0.85)
    axes.set_title(f"Position of the {len(rows):,} masks (the patient's right is on the left)")
    return figure


def overlay_sheet(index: pd.DataFrame, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Figure:
    """Draw positive images with the outlines of their masks, at equal steps of rank from the smallest mask to the largest."""
    positive = index[index["label"] == 1].sort_values(["area_px", "image_id"])
    chosen = np.unique(np.linspace(0, len(positive) - 1, SHEET).round().astype(int))
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = plotting.new_figure(2.6 * columns, 2.85 * rows, rows, columns)
    for panel in axes:
        plotting.picture_axes(panel)
    for panel, place in zip(axes, chosen, strict=False):
        row = positive.index[place]
        about = positive.iloc[place]
        panel.imshow(images[row], cmap="gray", vmin=0, vmax=255)
        panel.contour(masks[about["mask_row"]], [0.5], colors=[plotting.OUTLINE], linewidths=1.2)
        share = about["area_px"] / (about["width"] * about["height"])
        panel.set_title(
            f"{_percent(share, 2)}  ({about['area_px']:,} px)",
            fontsize=9,
            fontweight="normal",
            loc="center",
            pad=4,
        )
    return figure


def _ring(axes: Axes, values: list[float], colours: list[str], names: list[str], middle: str) -> None:
    axes.pie(
        values,
        colors=colours[: len(values)],
        labels=names,
        startangle=90,
        counterclock=False,
        wedgeprops={"width": 0.34, "edgecolor": "white", "linewidth": 0.6},
        textprops={"fontsize": 9.5},
        labeldistance=1.15,
    )
    axes.text(0, 0, middle, ha="center", va="center", fontsize=11, fontweight="bold")
