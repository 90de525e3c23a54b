"""Sheets of radiographs with the true outline and ours: the best, the middle, the worst, false alarms and misses."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from imaging.figures import OUTLINE, new_figure, picture_axes

SAID = "#56b4e9"
"""Our outline: light blue beside the truth's warm one, told apart in all common forms of colour blindness."""

SIDE = 512
"""Pictures are drawn at this side, so that outlines are thin on small images too."""


def choose(table: pd.DataFrame, examples: int) -> dict[str, list[str]]:
    """Image ids for each sheet from per_image's columns (image_id, label, submitted, dice, prob); sheets may be empty.

    Best, median and worst among positive images that got a mask; false alarms and misses with the surest first.
    """
    found = table[(table["label"] == 1) & table["submitted"]].sort_values(
        ["dice", "image_id"], ascending=[False, True]
    )
    third = max(examples // 3, 1)
    middle = max(len(found) // 2 - third // 2, 0)
    picked = pd.concat([found[:third], found[middle : middle + third], found[-third:]]).drop_duplicates(
        "image_id"
    )
    alarms = table[(table["label"] == 0) & table["submitted"]].sort_values(
        ["prob", "image_id"], ascending=[False, True]
    )
    misses = table[(table["label"] == 1) & ~table["submitted"]].sort_values(
        ["prob", "image_id"], ascending=[True, True]
    )
    return {
        "overlays": picked["image_id"].tolist(),
        "false_positives": alarms["image_id"].tolist()[:examples],
        "false_negatives": misses["image_id"].tolist()[:examples],
    }


def draw(
    image: NDArray[np.uint8], true: NDArray[np.bool_], said: NDArray[np.bool_], weight: int = 2
) -> NDArray[np.uint8]:
    """An image uint8 (S, S) as RGB uint8 (SIDE, SIDE, 3) with both outlines; masks bool of any size."""
    grey = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    for mask, colour in ((true, OUTLINE), (said, SAID)):
        large = cv2.resize(mask.astype(np.uint8) * 255, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        outlines, _ = cv2.findContours((large >= 128).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        rgb = tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
        cv2.drawContours(picture, outlines, -1, rgb, weight, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def sheet(pictures: Mapping[str, NDArray[np.uint8]], captions: Mapping[str, str], title: str) -> Figure:
    """A grid of drawn pictures with a caption each; a sheet without pictures says so."""
    columns = max(min(4, len(pictures)), 1)
    rows = max(-(-len(pictures) // columns), 1)
    figure, panels = new_figure(max(2.7 * columns, 5.0), 3.05 * rows + 0.7, rows, columns)
    for axes in panels:
        picture_axes(axes)
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        axes.imshow(picture)
        axes.set_title(captions[name], fontsize=8.5, fontweight="normal", pad=4)
    figure.suptitle(
        title if pictures else f"{title}: none", fontsize=11, fontweight="bold", x=0.02, ha="left"
    )
    handles = [
        Line2D([], [], color=OUTLINE, label="annotated"),
        Line2D([], [], color=SAID, label="submitted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
