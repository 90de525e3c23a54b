"""Boxes, arrows and text on a sheet measured in inches, for diagrams."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from imaging.plotting import FAINT, INK, NEGATIVE, POSITIVE

PALE = {NEGATIVE: "#e3eff8", POSITIVE: "#fbe9dd", INK: "#f4f4f4", "#009e73": "#e0f3ec"}
"""Fill colour of a box by its edge colour."""
RULE = "#009e73"
"""Colour of the decision, beside the two stages' blue and orange."""

Point = tuple[float, float]


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Create an empty sheet whose data units are inches, (0, 0) at the lower left."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def box(axes: Axes, centre: Point, size: Point, title: str, text: str = "", colour: str = INK) -> None:
    """Draw a rounded box with a bold title and plain text below it."""
    (x, y), (w, h) = centre, size
    axes.add_patch(
        FancyBboxPatch(
            (x - w / 2, y - h / 2), w, h, boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=PALE[colour], edgecolor=colour, linewidth=1.2, zorder=2,
        )
    )  # fmt: skip
    lines = text.count("\n") + 1 if text else 0
    top = y + 0.085 * lines
    axes.text(
        x, top, title, ha="center", va="center", fontweight="bold", fontsize=10.5, color=colour, zorder=3
    )
    if text:
        axes.text(x, top - 0.13, text, ha="center", va="top", fontsize=9, linespacing=1.25, zorder=3)


def arrow(axes: Axes, start: Point, end: Point, colour: str = INK, bend: float = 0.0, **style: Any) -> None:
    """Draw an arrow; `bend` is the arc's height relative to its length."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, linewidth=1.3, color=colour, shrinkA=0, shrinkB=0,
            connectionstyle=f"arc3,rad={bend}", zorder=1, **style,
        )
    )  # fmt: skip


def words(axes: Axes, at: Point, text: str, size: float = 9, **style: Any) -> None:
    """Draw text, centred by default."""
    axes.text(*at, text, **{"ha": "center", "va": "center", "fontsize": size, "linespacing": 1.25, **style})


def field(axes: Axes, low: Point, size: Point) -> None:
    """Draw a dashed area for what is not a stage; `low` is its lower left corner."""
    axes.add_patch(
        FancyBboxPatch(
            low, *size, boxstyle="round,pad=0,rounding_size=0.12", facecolor="none", edgecolor=FAINT,
            linewidth=1.2, linestyle=(0, (4, 3)), zorder=0,
        )
    )  # fmt: skip
