"""Diagrams of the pipeline, and of one study through the trained networks."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ensemble.gallery.diagram import RULE, arrow, box, field, sheet, words
from imaging.plotting import DENSITY, INK, NEGATIVE, OUTLINE, POSITIVE


def pipeline() -> Figure:
    """Draw the stages of `dvc repro`, from files to bundle."""
    figure, axes = sheet(11, 4.9)
    high, low, middle = 3.45, 1.55, 2.5
    box(axes, (0.85, middle), (1.4, 1.2), "files", "DICOM, PNG, JPEG\nmasks as RLE\nor images")
    box(axes, (2.6, middle), (1.4, 1.2), "prepare", "decode once into\na memory map,\nlist refusals")
    box(axes, (4.35, middle), (1.4, 1.2), "split", "by patient: folds,\nand a hold-out")
    box(
        axes,
        (6.4, high),
        (1.7, 1.2),
        "classification",
        "optional; probability:\ntimm network × fold,\ntuned by Optuna",
        NEGATIVE,
    )
    box(axes, (6.4, low), (1.7, 1.2), "segmentation", "mask:\nU-Net × fold,\ntuned by Optuna", POSITIVE)
    box(axes, (8.35, middle), (1.3, 1.2), "decision", "calibrate, weight,\nfit a rule,\nnested", RULE)
    box(axes, (10.15, high), (1.4, 1.0), "evaluate", "scores with\n95 % intervals")
    box(axes, (10.15, low), (1.4, 1.0), "export", "one bundle with\nchecksums")
    for start, end in (((1.55, middle), (1.9, middle)), ((3.3, middle), (3.65, middle))):
        arrow(axes, start, end)
    arrow(axes, (5.05, middle + 0.2), (5.55, high - 0.2))
    arrow(axes, (5.05, middle - 0.2), (5.55, low + 0.2))
    arrow(axes, (7.25, high - 0.2), (7.7, middle + 0.35), NEGATIVE)
    arrow(axes, (7.25, low + 0.2), (7.7, middle - 0.35), POSITIVE)
    words(axes, (7.62, 3.2), "p", 11, color=NEGATIVE, fontweight="bold", style="italic")
    words(axes, (7.66, 1.8), "map", 11, color=POSITIVE, fontweight="bold", style="italic")
    arrow(axes, (9.0, middle + 0.3), (9.45, high - 0.2), RULE)
    arrow(axes, (9.0, middle - 0.3), (9.45, low + 0.2), RULE)
    dashed = (0, (4, 3))
    axes.plot([4.35, 4.35, 10.15], [middle + 0.6, 4.55, 4.55], color=INK, linewidth=1.3, linestyle=dashed)
    arrow(axes, (10.15, 4.55), (10.15, high + 0.5), linestyle=dashed)
    words(axes, (7.3, 4.55), " hold-out: only for evaluate ", backgroundcolor="white", color="#555555")
    field(axes, (0.15, 0.15), (10.7, 0.6))
    forms = ("predict a folder", "web page", "DICOM SEG", "MLflow server", "ONNX", "submission")
    words(axes, (5.5, 0.45), "     ·     ".join(forms), 10)
    arrow(axes, (10.15, low - 0.5), (10.15, 0.75))
    return figure


def cascade(
    image: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    prob: float,
    needed: float | None,
    classifiers: bool = True,
) -> Figure:
    """One study, image and map (255: certain) uint8 and mask bool (S, S), through both stages, with its probability and the
    one needed. Without classifiers through the second stage alone."""
    left = 2.4 if classifiers else 0.0  # what the first stage takes
    figure, axes = sheet(left + 8.6, 3.7)
    y = 2.2
    _picture(axes, (0.2, y - 0.95), 1.9, image)
    words(axes, (1.15, y - 1.15), "radiograph")
    if classifiers:
        _first_stage(axes, y, prob)
    sees = "see the rest" if classifiers else "see every study"
    box(axes, (left + 3.35, y), (1.7, 1.05), "U-Nets", sees, POSITIVE)
    _picture(axes, (left + 4.55, y - 0.95), 1.9, seen, DENSITY)
    words(axes, (left + 5.5, y - 1.15), "probability map")
    _picture(axes, (left + 6.6, y - 0.95), 1.9, image, mask=mask)
    words(axes, (left + 7.55, y - 1.15), "prediction")
    arrow(axes, (2.12, y), (2.48, y))
    arrow(axes, (left + 4.22, y), (left + 4.53, y), POSITIVE)
    needs = "" if needed is None else f",  needed {needed:.2f}"
    verdict = f"p = {prob:.2f}{needs}:  {'a mask' if mask.any() else 'no mask'}"
    box(axes, (left + 6.52, 0.45), (3.4, 0.52), verdict, "", RULE)
    arrow(axes, (left + 5.5, y - 1.3), (left + 5.5, 0.72), POSITIVE)
    arrow(axes, (left + 7.55, 0.72), (left + 7.55, y - 1.3), RULE)
    words(axes, (0.2, 3.48), "One study through the trained networks", 11, ha="left", fontweight="bold")
    return figure


def _first_stage(axes: Axes, y: float, prob: float) -> None:
    """The classifiers, and where studies leave after them."""
    box(axes, (3.35, y), (1.7, 1.05), "classifiers", "see every study", NEGATIVE)
    arrow(axes, (4.22, y), (4.88, y), NEGATIVE)
    words(axes, (4.55, y + 0.2), f"{prob:.2f}", 10.5, color=NEGATIVE, fontweight="bold")
    arrow(axes, (3.35, y - 0.54), (3.35, 0.72), NEGATIVE)
    words(axes, (3.5, y - 0.93), "below the bound", ha="left", color=NEGATIVE)
    box(axes, (3.35, 0.45), (2.5, 0.52), "no mask, U-Nets skipped", "", NEGATIVE)


def _picture(
    axes: Axes,
    low: tuple[float, float],
    side: float,
    pixels: NDArray[np.uint8],
    cmap: str = "gray",
    mask: NDArray[np.bool_] | None = None,
) -> None:
    extent = (low[0], low[0] + side, low[1], low[1] + side)
    axes.imshow(
        pixels, cmap=cmap, vmin=0, vmax=255, extent=extent, zorder=2, aspect="auto", interpolation="bilinear"
    )
    if mask is not None:
        axes.contour(mask[::-1], [0.5], colors=[OUTLINE], linewidths=1.4, extent=extent, zorder=3)
