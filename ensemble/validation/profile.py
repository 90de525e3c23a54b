"""Profile of a set of images, in numbers without identities: kept in a bundle for its training data, compared with other data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.statistics.arrays import Floats
from imaging.plotting import NEGATIVE, POSITIVE, new_figure
from imaging.prepared import Prepared

Profile = dict[str, Any]
"""images, patients, prevalence, histogram; shares: name -> {value: share}; numbers: name -> {known, mean, sd, quantiles}."""

BINS = 32
"""Number of bins of the grey-level histogram, each 8 of 256 levels wide."""
QUANTILES = np.round(np.linspace(0, 1, 21), 2)
SAMPLE = 2000
"""Maximum number of images on which grey levels are measured, evenly spread."""
NUMBERS = {
    "age": "age (years)",
    "area_share": "finding's share of the image",
    "spacing_mm": "pixel spacing (mm)",
    "grey_mean": "mean grey level",
    "grey_sd": "contrast (SD of grey levels)",
}
SHARES = {"view": "view", "sex": "sex"}
UNKNOWN = "unknown"
NOTABLE = 0.2
"""Standardised difference, or difference of shares, from which a row is marked."""


def describe(prepared: Prepared, rows: NDArray[np.int64]) -> Profile:
    """Profile of some prepared images, by their rows."""
    index = prepared.index.iloc[rows]
    area = index["area_px"].astype("float64").where(index["label"] == 1)
    mean, spread, histogram = grey_levels(prepared, rows)
    numbers = {
        "age": index["age"].astype("float64").to_numpy(np.float64, na_value=np.nan),
        "area_share": (area / (index["width"].astype(float) * index["height"])).to_numpy(np.float64),
        "spacing_mm": index["spacing_mm"].to_numpy(np.float64),
        "grey_mean": mean,
        "grey_sd": spread,
    }
    return {
        "images": len(index),
        "patients": int(index["patient_id"].nunique()),
        "prevalence": float((index["label"] == 1).mean()),
        "shares": {name: shares(index[name]) for name in SHARES},
        "numbers": {name: summary(values) for name, values in numbers.items()},
        "histogram": [round(float(share), 6) for share in histogram],
    }


def grey_levels(prepared: Prepared, rows: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Mean and standard deviation (n,) of each image's grey levels, and the histogram (BINS,) of all, as shares."""
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).round().astype(int))]
    means, spreads, counts = [], [], np.zeros(256)
    for row in some:
        found = np.bincount(np.asarray(prepared.images[row]).ravel(), minlength=256)
        share, level = found / found.sum(), np.arange(256)
        means.append(float(share @ level))
        spreads.append(float(np.sqrt(max(share @ level**2 - means[-1] ** 2, 0.0))))
        counts += share
    return np.array(means), np.array(spreads), counts.reshape(BINS, -1).sum(axis=1) / len(some)


def shares(values: pd.Series) -> dict[str, float]:
    """Share of each value; `unknown` for a missing one."""
    named = values.astype(object).where(values.notna(), "").replace("", UNKNOWN).astype(str)
    return {
        str(name): round(float(share), 6)
        for name, share in named.value_counts(normalize=True).sort_index().items()
    }


def summary(values: Floats) -> dict[str, Any]:
    """Number known, mean, standard deviation and quantiles of the values that are not NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"known": 0}
    return {
        "known": len(known),
        "mean": round(float(known.mean()), 6),
        "sd": round(float(known.std()), 6),
        "quantiles": [round(float(q), 6) for q in np.quantile(known, QUANTILES)],
    }


def compare(training: Mapping[str, Any], here: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each property: what, training, here, difference, notable.

    Numbers differ by the standardised mean difference (in standard deviations, pooled), shares by percentage points. A number
    that one side does not know has no difference.
    """
    rows = [_share("prevalence", training["prevalence"], here["prevalence"])]
    for name, title in SHARES.items():
        sides = training["shares"][name], here["shares"][name]
        if all(side.get(UNKNOWN, 0.0) < 1 for side in sides):
            values = sorted(set().union(*sides) - {UNKNOWN})
            rows += [
                _share(f"{title}: {value}", *(_among_known(side, value) for side in sides))
                for value in values
            ]
        rows.append(_share(f"{title} not known", *(side.get(UNKNOWN, 0.0) for side in sides)))
    for name, title in NUMBERS.items():
        rows.append(_number(title, training["numbers"][name], here["numbers"][name]))
    return pd.DataFrame(rows)


def _among_known(side: Mapping[str, float], value: str) -> float:
    """Share of a value among the images of which it is known."""
    return side.get(value, 0.0) / (1 - side.get(UNKNOWN, 0.0))


def _share(title: str, training: float, here: float) -> dict[str, Any]:
    gap = here - training
    return {
        "property": title,
        "training": f"{training:.1%}",
        "here": f"{here:.1%}",
        "difference": f"{gap * 100:+.1f} points",
        "notable": abs(gap) >= NOTABLE,
    }


def _number(title: str, training: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    row = {"property": title, "training": _spread(training), "here": _spread(here)}
    if not training["known"] or not here["known"]:
        return row | {"difference": "–", "notable": False}
    pooled = np.sqrt((training["sd"] ** 2 + here["sd"] ** 2) / 2)
    gap = here["mean"] - training["mean"]
    standardised = gap / pooled if pooled > 0 else (0.0 if gap == 0 else np.copysign(np.inf, gap))
    return row | {"difference": f"{standardised:+.2f} SD", "notable": abs(standardised) >= NOTABLE}


def _spread(one: Mapping[str, Any]) -> str:
    if not one["known"]:
        return "not known"
    q = dict(zip(QUANTILES.tolist(), one["quantiles"], strict=True))
    return f"{q[0.5]:.3g} ({q[0.25]:.3g} to {q[0.75]:.3g}), n = {one['known']:,}"


def picture(training: Mapping[str, Any], here: Mapping[str, Any]) -> Figure:
    """Grey levels' histogram, and the distribution functions of the numbers that both sides know."""
    both = [n for n in NUMBERS if training["numbers"][n]["known"] and here["numbers"][n]["known"]]
    figure, axes = new_figure(width=10, height=3.2 * (len(both) // 3 + 1), rows=len(both) // 3 + 1, columns=3)
    level = (np.arange(BINS) + 0.5) * 256 / BINS
    for one, name, colour in ((training, "training", NEGATIVE), (here, "here", POSITIVE)):
        axes[0].plot(level, np.array(one["histogram"]) * 100, color=colour, label=name)
        for ax, number in zip(axes[1:], both, strict=False):
            ax.plot(one["numbers"][number]["quantiles"], QUANTILES * 100, color=colour)
    _titled(axes[0], "Grey levels", "grey level", "pixels (%)")
    axes[0].legend()
    for ax, number in zip(axes[1:], both, strict=False):
        _titled(ax, NUMBERS[number].capitalize(), NUMBERS[number], "images up to this (%)")
    for ax in axes[1 + len(both) :]:
        ax.set_axis_off()
    return figure


def _titled(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set_title(title.split(" (")[0])
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_ylim(bottom=0)
