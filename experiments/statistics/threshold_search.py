"""Exact searches over thresholds and areas: sums of gains over groups of images, then cumulative sums.

A rule of the competition's winner submits a mask iff at least n pixels reach a top level t1, and cuts
it at t2. How much that earns over submitting nothing is the sum of `gain[:, t2]` over the images whose area
at t1 is at least n. Sorting the images into bins of area for each t1, adding their rows of gains, and
adding the bins up from the largest gives all settings in one sparse product, exactly as trying each of them
would."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from experiments.statistics.arrays import Floats, Ints

UNIT = 2**40
"""A Dice of 1 as a whole number: rounds each image at 1e-12, and 8 million images still fit into 64 bits."""


def area_grid(count: int = 64, low: int = 1, high: int = 40_000) -> Ints:
    """At most `count` areas in whole pixels, evenly spaced on a logarithmic scale.

    The default's top is near the largest 5 % of SIIM's lesions (45,772 px at 1024²): asking for more would
    lose the large ones."""
    return np.unique(np.rint(np.geomspace(low, high, count)).astype(np.int64))


def quantile_cuts(values: Floats, count: int) -> Floats:
    """At most `count` + 1 cuts of a probability, between neighbouring values, at even quantiles; the first
    lets all pass."""
    distinct = np.unique(values)
    between = (distinct[1:] + distinct[:-1]) / 2
    places = np.unique(np.linspace(0, max(len(between) - 1, 0), count).astype(np.int64))
    return np.append(0.0, between[places] if len(between) else [])


def bins_of(values: NDArray[np.generic], cuts: NDArray[np.generic]) -> Ints:
    """How many of the ascending cuts each value reaches (value >= cut): 0 … len(cuts)."""
    return np.searchsorted(cuts, values, side="right").astype(np.int64)


def grouped_gain(group: Ints, groups: int, gain: Ints) -> Ints:
    """Sum of gain (N, L) over the images of each group; group (N, K) int: image i belongs to K groups,
    negative ones count nowhere. Returns (groups, L)."""
    image, column = np.nonzero(group >= 0)
    start = np.searchsorted(image, np.arange(len(group) + 1))
    ones = np.ones(len(image), np.int64)
    member = sparse.csr_array((ones, group[image, column], start), shape=(len(group), groups))
    return np.asarray(member.T @ gain)


def add_from_top(table: Ints, axes: Iterable[int]) -> Ints:
    """Cumulative sums from the last bin down: bin j then holds all images that reach at least cut j."""
    for axis in axes:
        table = np.flip(np.cumsum(np.flip(table, axis), axis), axis)
    return table


def triplet_surface(area: Ints, areas: Ints, gain: Ints) -> Ints:
    """What each triplet earns over submitting nothing: int64 (T1, A, T2), in whole units.

    area: (N, T1) pixels at or above each top level; areas: (A,) ascending; gain: (N, T2) of submitting at
    each bottom level."""
    tops, count = area.shape[1], len(areas)
    place = bins_of(area, areas) - 1
    group = np.where(place >= 0, place + np.arange(tops) * count, -1)
    table = grouped_gain(group, tops * count, gain).reshape(tops, count, -1)
    return add_from_top(table, [1])


def gate_surface(value: Floats, cuts: Floats, gain: Ints) -> Ints:
    """What each cut of an image score earns with each mask threshold: int64 (C, T); an image passes iff
    value >= cut."""
    group = bins_of(value, cuts)[:, None] - 1
    return add_from_top(grouped_gain(group, len(cuts), gain), [0])


def two_key_surface(value: Floats, cuts: Floats, area: Ints, areas: Ints, gain: Ints) -> Ints:
    """What images earn that reach both a cut of the image score and an area at a top level: int64 (C, T1,
    A, T2)."""
    tops, count = area.shape[1], len(areas)
    gate, place = bins_of(value, cuts)[:, None] - 1, bins_of(area, areas) - 1
    group = (gate * tops + np.arange(tops)) * count + place
    group[(gate < 0) | (place < 0)] = -1
    table = grouped_gain(group, len(cuts) * tops * count, gain).reshape(len(cuts), tops, count, -1)
    return add_from_top(table, [0, 2])


def either_key_surface(value: Floats, cuts: Floats, area: Ints, areas: Ints, gain: Ints) -> Ints:
    """What images earn that reach a cut of the image score, or an area at a top level, or both: int64 (C,
    T1, A, T2).

    All images, minus those that reach neither.
    """
    tops, gates, count = area.shape[1], len(cuts) + 1, len(areas) + 1
    gate, place = bins_of(value, cuts)[:, None], bins_of(area, areas)
    group = (gate * tops + np.arange(tops)) * count + place
    table = grouped_gain(group, gates * tops * count, gain).reshape(gates, tops, count, -1)
    neither = np.cumsum(np.cumsum(table, axis=0), axis=2)[:-1, :, :-1]
    return np.asarray(gain.sum(axis=0) - neither)
