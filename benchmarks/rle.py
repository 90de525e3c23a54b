"""Run-length codes: ours against the plain functions that most public solutions copy. `python benchmarks/rle.py`

On generated masks, or with `--labels` on those of the competition's CSV.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from benchmarks.timing import Row
from imaging import rle

SIDE = 1024


def copied_encode(columns: np.ndarray) -> str:
    """The organisers' mask2rle in its usual form: a loop over the pixels of a transposed 0/255 mask.

    Its two faults are kept: it loses a run that reaches the last pixel, and counts only 255 as inside.
    """
    numbers = []
    last_value, place, run_start, run_length = 0, 0, -1, 0
    for x in range(columns.shape[0]):
        for y in range(columns.shape[1]):
            value = columns[x][y]
            if value != last_value:
                if value == 255:
                    run_start, run_length = place, 1
                else:
                    numbers.append(str(run_start))
                    numbers.append(str(run_length))
                    run_start, run_length, place = -1, 0, 0
            elif run_start > -1:
                run_length += 1
            last_value = value
            place += 1
    return " ".join(numbers)


def copied_decode(code: str) -> np.ndarray:
    """The organisers' rle2mask in its usual form: a float array filled run by run, then transposed."""
    mask = np.zeros(SIDE * SIDE)
    numbers = np.asarray([int(number) for number in code.split()])
    starts, lengths = numbers[0::2], numbers[1::2]
    place = 0
    for index, start in enumerate(starts):
        place += start
        mask[place : place + lengths[index]] = 255
        place += lengths[index]
    return mask.reshape(SIDE, SIDE).T


def generated_masks(count: int) -> list[np.ndarray]:
    """Crescents along the edge of a lung, with the areas of the data set (median 8,630 pixels of 1024 x 1024)."""
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(count):
        lung, collapsed = np.zeros((2, SIDE, SIDE), np.uint8)
        x, y = int(rng.choice([300, 720]) + rng.integers(-40, 40)), int(rng.integers(380, 520))
        axes = int(rng.integers(130, 200)), int(rng.integers(240, 340))
        gap = int(np.clip(rng.lognormal(2.6, 0.7), 3, 90))
        cv2.ellipse(lung, (x, y), axes, 0, 0, 360, 255, -1)
        cv2.ellipse(collapsed, (x, y + gap), (axes[0] - gap // 2, axes[1]), 0, 0, 360, 255, -1)
        masks.append(cv2.subtract(lung, collapsed))
    return masks


def labelled_masks(labels: Path, count: int) -> list[np.ndarray]:
    """Masks of the competition's CSV."""
    lines = labels.read_text(encoding="utf-8").splitlines()[1:]
    codes = [line.split(",")[1].strip() for line in lines]
    codes = [code for code in codes if code != rle.EMPTY]
    chosen = np.random.default_rng(0).permutation(len(codes))[:count]
    return [rle.decode(codes[i], (SIDE, SIDE)).astype(np.uint8) * 255 for i in chosen]


def timed(masks: list[np.ndarray], codes: list[str], rounds: int) -> dict[str, float]:
    """Seconds per mask for each function, after checking that all give the same result."""
    for mask, code in zip(masks, codes, strict=True):
        assert copied_encode(mask.T) == code
        for order in ("C", "F"):
            assert np.array_equal(copied_decode(code) > 0, rle.decode(code, (SIDE, SIDE), order))
    encoders: dict[str, timing.Case] = {
        "copied encode": (lambda mask: copied_encode(mask.T), masks),
        "imaging.rle.encode": (rle.encode, masks),
    }
    decoders: dict[str, timing.Case] = {
        "copied decode": (copied_decode, codes),
        "imaging.rle.decode": (lambda code: rle.decode(code, (SIDE, SIDE), "F"), codes),
        "decode by rows": (lambda code: rle.decode(code, (SIDE, SIDE)), codes),
        "imaging.rle.area": (rle.area, codes),
    }
    return timing.medians(encoders, rounds) | timing.medians(decoders, 5 * rounds)


def rows() -> list[Row]:
    """For `benchmarks.suite`."""
    masks = generated_masks(16)
    seconds = timed(masks, [rle.encode(mask) for mask in masks], rounds=5)
    peer = "the copied plain-Python form"
    encoded, decoded = seconds["copied encode"], seconds["copied decode"]
    return [
        Row("RLE encode", peer, encoded / seconds["imaging.rle.encode"], 200),
        Row("RLE decode", peer, decoded / seconds["imaging.rle.decode"], 10, "by columns, as the peer's"),
        Row("RLE decode, laid out by rows", peer, decoded / seconds["decode by rows"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=32, help="how many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labels", type=Path, help="the competition's train-rle.csv")
    options = parser.parse_args()
    masks = (
        labelled_masks(options.labels, options.masks) if options.labels else generated_masks(options.masks)
    )
    codes = [rle.encode(mask) for mask in masks]
    medians = timed(masks, codes, options.rounds)
    area, runs = np.median([(rle.area(code), len(code.split()) / 2) for code in codes], axis=0)
    print(timing.machine())
    print(
        f"{len(masks)} masks of {SIDE} x {SIDE}, median {area:,.0f} pixels in {runs:.0f} runs, {options.rounds} rounds"
    )
    for name, value in medians.items():
        base = medians["copied encode" if "encode" in name else "copied decode"]
        print(f"{name:20} {value * 1e3:9.3f} ms {base / value:8.1f} x")


if __name__ == "__main__":
    main()
