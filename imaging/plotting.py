"""Style of all figures: colours, axes, and PNG files that are identical for identical figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imaging.io.files import atomic

# Blue and orange of Okabe and Ito's palette (2008), distinguishable in all common forms of colour blindness.
POSITIVE, NEGATIVE, UNLABELLED = "#d55e00", "#0072b2", "#b8b8b8"
"""Colours of the classes, the same in every figure."""
INK, FAINT = "#222222", "#d9d9d9"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Colours of several models' curves and bars, in this order."""
OUTLINE = "#ffb000"
"""Outline of the true mask: visible on dark lungs and on bright bone."""
PREDICTED = "#56b4e9"
"""Outline of the predicted mask, distinct from OUTLINE in all common forms of colour blindness."""
DENSITY = "inferno"
"""Colour map of shares, from 0."""

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.12,  # inches
    "figure.constrained_layout.h_pad": 0.12,
    "axes.prop_cycle": cycler(color=SERIES),
}
mpl.rcParams.update(STYLE)  # at import: matplotlib reads the style when it makes titles and ticks


def new_figure(
    width: float = 7, height: float = 4, rows: int = 1, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure of this size in inches and its axes, row by row; without pyplot, which keeps figures in memory."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def picture_axes(axes: Axes) -> None:
    """Prepare axes for an image: no ticks, no grid, no frame."""
    axes.set_axis_off()
    axes.set_aspect("equal")


def save(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a PNG atomically, without date and version, so that identical figures are identical files."""
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", metadata={"Software": None})
