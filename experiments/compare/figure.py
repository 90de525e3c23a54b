"""Figure of the curves of several trainings: a row for each stage, a column for each metric, a colour for each experiment."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.compare.runs import CURVES, Curve
from imaging.plotting import SERIES, new_figure


def draw(found: list[Curve]) -> Figure:
    """Draw each training as a thin line; those of one experiment (its folds and seeds) share their colour."""
    stages = list(dict.fromkeys(one.stage for one in found))
    owners = list(dict.fromkeys(one.owner for one in found))
    colour = {owner: SERIES[i % len(SERIES)] for i, owner in enumerate(owners)}
    columns = [key for key in CURVES if any(key in one.points for one in found)] or list(CURVES[:1])
    figure, panels = new_figure(4 * len(columns), 2.9 * len(stages) + 0.5, len(stages), len(columns))
    for place, axes in enumerate(panels):
        stage, key = stages[place // len(columns)], columns[place % len(columns)]
        for one in found:
            if one.stage == stage and key in one.points:
                steps, values = zip(*one.points[key], strict=True)
                marker = "o" if len(steps) < 3 else ""
                axes.plot(
                    [step + 1 for step in steps],
                    values,
                    marker=marker,
                    color=colour[one.owner],
                    alpha=0.75,
                    lw=1.3,
                    ms=4,
                )
        if not axes.lines:  # the stage does not have this metric
            axes.set_axis_off()
            continue
        axes.set_title(f"{stage.replace('_', ' ')}: {key}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=colour[owner], label=owner) for owner in owners]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(owners)))
    return figure
