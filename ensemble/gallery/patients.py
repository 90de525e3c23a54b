"""Figure of the patients: images per patient, ages, sex and view, each with its share of positive images."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imaging.plotting import NEGATIVE, POSITIVE, new_figure

AGES = np.arange(0, 101, 10)
MANY = 7
"""From this number of images per patient, counts share a bar."""


def patients(index: pd.DataFrame) -> Figure:
    """Three panels from the labelled rows of the prepared index; missing values are left out and counted in the title."""
    labelled = index[index["label"].notna()]
    figure, (images, ages, groups) = new_figure(11, 3.5, 1, 3)
    _images(images, labelled)
    _ages(ages, labelled)
    _groups(groups, labelled)
    handles, names = images.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def _images(axes: Axes, index: pd.DataFrame) -> None:
    count = index.groupby("patient_id")["label"].agg(["size", "max"])
    size = count["size"].clip(upper=MANY)
    places = np.arange(1, MANY + 1)
    ill, well = (
        np.array([((size == k) & (count["max"] == label)).sum() for k in places]) for label in (1, 0)
    )
    axes.bar(places, well, color=NEGATIVE, label="negative")
    axes.bar(places, ill, bottom=well, color=POSITIVE, label="pneumothorax (of a patient: on any image)")
    axes.set_xticks(places, [*map(str, places[:-1]), f"{MANY}+"])
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="images per patient", ylabel="patients")
    axes.set_title(f"{len(index):,} images of {len(count):,} patients")


def _ages(axes: Axes, index: pd.DataFrame) -> None:
    known = index[index["age"].notna()]
    parts = [known.loc[known["label"] == label, "age"].astype(float) for label in (0, 1)]
    axes.hist(parts, AGES.tolist(), stacked=True, color=[NEGATIVE, POSITIVE], rwidth=0.9)
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="age, years", ylabel="images")
    missing = len(index) - len(known)
    axes.set_title("Age" + (f" ({missing:,} missing)" if missing else ""))


def _groups(axes: Axes, index: pd.DataFrame) -> None:
    """Share of positive images with twice its standard error, by sex and view."""
    rows = []
    for column in ("view", "sex"):
        for value, group in index.dropna(subset=[column]).groupby(column, observed=True):
            share, n = float(group["label"].astype(float).mean()), len(group)
            rows.append((f"{value}  ({n:,})", share, 2 * np.sqrt(share * (1 - share) / n)))
    shares, errors = (100 * np.array([row[k] for row in rows]) for k in (1, 2))
    axes.errorbar(shares, range(len(rows)), xerr=errors, fmt="o", color=POSITIVE, elinewidth=1.5)
    axes.axvline(
        100 * float(index["label"].astype(float).mean()), color=NEGATIVE, linewidth=1, linestyle="--"
    )
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="positive images, % (± 2 standard errors)")
    axes.set_title("View and sex (images)")
