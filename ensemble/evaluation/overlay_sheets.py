"""Sheets of radiographs with the annotated and the predicted outline: best, middle and worst masks, false alarms and misses."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from experiments.statistics.arrays import Bools
from imaging import outline
from imaging.plotting import OUTLINE, PREDICTED, new_figure, picture_axes

SIDE = 512
"""Pictures are drawn at this side, so that outlines are thin on small images too."""


Rows = dict[str, list[str]]
"""Image ids by the name of their row."""


def choose(table: pd.DataFrame, examples: int) -> dict[str, Rows]:
    """Image ids for each sheet and row, from per_image's columns (image_id, label, submitted, dice, prob).

    Best, middle and worst among the positive images that got a mask; false alarms and misses, the most confident first.
    """
    found = table[(table["label"] == 1) & table["submitted"] & table["dice"].notna()].sort_values(
        ["dice", "image_id"], ascending=[False, True]
    )
    alarms = table[(table["label"] == 0) & table["submitted"]].sort_values(
        ["prob", "image_id"], ascending=[False, True]
    )
    misses = table[(table["label"] == 1) & ~table["submitted"]].sort_values(
        ["prob", "image_id"], ascending=[True, True]
    )
    ids = found["image_id"].tolist()
    middle = max((len(ids) - examples) // 2, 0)
    rows = {"best": ids[:examples], "middle": ids[middle : middle + examples], "worst": ids[-examples:]}
    return {
        "overlays": {name: row for name, row in rows.items() if row},
        "false_positives": _in_rows(alarms["image_id"].tolist(), examples),
        "false_negatives": _in_rows(misses["image_id"].tolist(), examples),
    }


def _in_rows(ids: list[str], examples: int) -> Rows:
    """The first images in at most two rows, whose names are blank."""
    return {" " * k: ids[k * examples : (k + 1) * examples] for k in range(2) if ids[k * examples :]}


def draw(image: NDArray[np.uint8], true: Bools, predicted: Bools, weight: int = 2) -> NDArray[np.uint8]:
    """An image uint8 (S, S) as RGB uint8 (SIDE, SIDE, 3) with both outlines; masks bool of any size."""
    picture = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    for mask, colour in ((true, OUTLINE), (predicted, PREDICTED)):
        large = cv2.resize(mask.astype(np.uint8) * 255, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        picture = outline.draw(picture, large >= 128, colour, width=weight)
    return picture


def sheet(
    rows: Rows, pictures: Mapping[str, NDArray[np.uint8]], captions: Mapping[str, str], title: str
) -> Figure:
    """A grid of drawn pictures, a caption over each and a name beside each row; a sheet without pictures says so."""
    columns = max((len(ids) for ids in rows.values()), default=1)
    figure, panels = new_figure(
        max(2.6 * columns, 6.0), 2.85 * max(len(rows), 0.4) + 0.8, max(len(rows), 1), columns
    )
    for axes in panels:
        picture_axes(axes)
    for r, (name, ids) in enumerate(rows.items()):
        for axes, image_id in zip(panels[r * columns :], ids, strict=False):
            axes.imshow(pictures[image_id])
            axes.set_title(captions[image_id], fontsize=8.5, fontweight="normal", pad=4)
        panels[r * columns].text(
            -0.04, 0.5, name, transform=panels[r * columns].transAxes, rotation=90, ha="right", va="center"
        )
    figure.suptitle(title if rows else f"{title}: none", fontsize=11, fontweight="bold", x=0.02, ha="left")
    handles = [
        Line2D([], [], color=OUTLINE, label="annotated"),
        Line2D([], [], color=PREDICTED, label="submitted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
