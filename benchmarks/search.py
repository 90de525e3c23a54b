"""Threshold search: all triplets from histograms against trying them on the masks. `python benchmarks/search.py`

Three ways to score triplets (top level, least area, bottom level) on the same generated uint8 maps: trying each on the pixels;
the same with every level's area and Dice computed once per image ("hoisted"); and histograms with an exact search.
All give the same whole-number totals, which is asserted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from benchmarks.timing import Row
from ensemble.evidence.evidence import UNIT
from ensemble.evidence.histograms import above, histogram
from experiments.statistics.threshold_search import triplet_surface

Maps = list[tuple[np.ndarray, np.ndarray]]
Grid = tuple[np.ndarray, np.ndarray, np.ndarray]


def generated(count: int, side: int) -> Maps:
    """(map uint8, truth bool) of soft ellipses; 22 % have a truth."""
    random = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        level, truth = (np.zeros((side, side), np.uint8) for _ in range(2))
        centre = random.integers(side // 4, 3 * side // 4, 2)
        axes = random.integers(side // 32, side // 5, 2)
        cv2.ellipse(
            level,
            tuple(map(int, centre)),
            tuple(map(int, axes)),
            30,
            0,
            360,
            int(random.integers(40, 256)),
            -1,
        )
        if random.random() < 0.22:
            shifted = centre + random.integers(-side // 30, side // 30 + 1, 2)
            cv2.ellipse(truth, tuple(map(int, shifted)), tuple(map(int, axes)), 30, 0, 360, 1, -1)
        pairs.append((cv2.GaussianBlur(level, (0, 0), side / 60), truth > 0))
    return pairs


def unit_dice(hit: int, predicted: int, true: int) -> int:
    """Dice of one image in whole units."""
    return round(2 * hit / (predicted + true) * UNIT) if predicted + true else UNIT


def tried(maps: Maps, triplet: tuple[int, int, int]) -> int:
    """Total of one triplet, on the pixels: threshold, count, cut, compare."""
    top, area, bottom = triplet
    total = 0
    for level, truth in maps:
        mask = level >= bottom
        if np.count_nonzero(level >= top) < area:
            mask[:] = False
        total += unit_dice(np.count_nonzero(mask & truth), np.count_nonzero(mask), np.count_nonzero(truth))
    return total


def hoisted(maps: Maps, grid: Grid) -> np.ndarray:
    """Totals (T1, A, T2), with each level's work done once an image."""
    tops, areas, bottoms = grid
    total = np.zeros((len(tops), len(areas), len(bottoms)), np.int64)
    for level, truth in maps:
        true = np.count_nonzero(truth)
        certain = np.array([np.count_nonzero(level >= top) for top in tops])
        masks = [level >= bottom for bottom in bottoms]
        dice = [unit_dice(np.count_nonzero(mask & truth), np.count_nonzero(mask), true) for mask in masks]
        submit = certain[:, None] >= areas[None, :]
        total += np.where(submit[:, :, None], np.array(dice)[None, None], 0 if true else UNIT)
    return total


def searched(maps: Maps, grid: Grid) -> np.ndarray:
    """Totals (T1, A, T2) from histograms."""
    tops, areas, bottoms = grid
    counts = [(histogram(level), histogram(level, truth)) for level, truth in maps]
    total, hit = (above(np.stack(part)) for part in zip(*counts, strict=True))
    size = total + hit[:, :1]
    units = np.rint(np.where(size > 0, 2 * hit / np.maximum(size, 1), 1.0) * UNIT).astype(np.int64)
    gain = units[:, bottoms] - units[:, 256:]
    return triplet_surface(total[:, tops], areas, gain) + units[:, 256].sum()


def compare(name: str, maps: Maps, grid: Grid, sample: int, rounds: int) -> dict[str, float]:
    """Print and return the seconds of the three on one grid; trying is timed on `sample` triplets drawn from it."""
    random = np.random.default_rng(1)
    places = list(product(*(range(len(axis)) for axis in grid)))
    drawn = [places[i] for i in random.choice(len(places), sample, replace=False)]
    triplets = [tuple(int(axis[k]) for axis, k in zip(grid, place, strict=True)) for place in drawn]
    ours, known = searched(maps, grid), [tried(maps, triplet) for triplet in triplets]
    assert [int(ours[place]) for place in drawn] == known
    assert np.array_equal(ours, hoisted(maps, grid))
    ways: dict[str, tuple[Callable, list]] = {
        "each triplet tried": (lambda triplet: tried(maps, triplet), triplets),
        "hoisted": (lambda _: hoisted(maps, grid), [None]),
        "histograms": (lambda _: searched(maps, grid), [None]),
    }
    medians = timing.medians(ways, rounds)
    seconds = {"each triplet tried": medians["each triplet tried"] * len(places)}
    seconds |= {way: medians[way] for way in ("hoisted", "histograms")}
    print(
        f"{name}: {len(maps):,} maps of {maps[0][0].shape[0]}², {len(places):,} triplets; {sample} of them tried"
    )
    for way, value in seconds.items():
        print(f"  {way:20} {value:10.2f} s {value / seconds['histograms']:10,.0f} x")
    return seconds


def published(count: int) -> tuple[Maps, Grid]:
    """This many maps of 512², each repeated several times to save memory, and 960 triplets, as in the first place's search."""
    areas = np.unique(np.geomspace(1, 4000, 20).astype(np.int64))
    maps = (generated(200, 512) * (count // 200 + 1))[:count]
    return maps, (np.arange(60, 252, 16), areas[4:12], np.arange(20, 220, 20))


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    cv2.setNumThreads(1)
    seconds = compare("12 × 8 × 10", *published(2400), sample=3, rounds=3)
    peers = {"brute force per triplet": "each triplet tried", "hoisted numpy": "hoisted"}
    goals = {"brute force per triplet": 1000, "hoisted numpy": 10}
    return [
        Row(
            "triplet search, 960 triplets, 2,400 maps of 512², same scores",
            peer, seconds[way] / seconds["histograms"], goals[peer], f"{seconds['histograms']:.2f} s",
        )
        for peer, way in peers.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=2400, help="number of maps in the second comparison")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=8, help="triplets tried on the pixels")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    maps = generated(500, 256)
    print(timing.machine(), f"{options.rounds} rounds", sep=", ")
    levels = np.arange(6, 256, 13)[:20]
    areas = np.unique(np.geomspace(1, 4000, 20).astype(np.int64))
    areas = np.append(areas, np.arange(4001, 4001 + 20 - len(areas)))
    compare("20 × 20 × 20", maps, (levels, areas, levels), options.sample, options.rounds)
    maps, grid = published(options.maps)
    compare("12 × 8 × 10", maps, grid, options.sample, options.rounds)
    everything = (
        np.arange(256),
        np.unique(np.geomspace(1, 40_000, 90).astype(np.int64))[:64],
        np.arange(256),
    )
    seconds = timing.medians({"all": (lambda _: searched(maps, everything), [None])}, options.rounds)["all"]
    print(
        f"all levels: {len(maps):,} maps, {np.prod([len(a) for a in everything]):,} triplets: {seconds:.2f} s, maps read"
    )


if __name__ == "__main__":
    main()
