"""Precision, recall, time and memory of the search for duplicates. `python benchmarks/duplicates.py [--images 100000]`

First table: each of 200 generated chest phantoms of different patients gets one changed copy of every kind; recall is the share
of copies paired with their original, false pairs are of different patients. With `--folder` the same for your own images, of
which nothing is written. Second table: synthetic miniatures, as alike as the phantoms are (Gaussian, with the mean and the
covariance of theirs), and a twentieth of them changed copies, in one process; the images lie in a memory-mapped file.
`--all-pairs` compares every hash with every other for the time that the index saves.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imaging.decoding.radiograph import to_uint8
from imaging.formats import reader
from imaging.identity.duplicates import SIGNATURE, difference_hash, duplicate_pairs, signature
from imaging.io.walk import walk
from imaging.phantom.chest.render import render
from imaging.resize import resize_image
from imaging.settings import PhantomSettings

Image = NDArray[np.uint8]
SIDE = 256
SMALL = 64


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Measure the search for duplicates.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--phantoms", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="images of different patients, instead of phantoms")
    parser.add_argument("--all-pairs", action="store_true")
    given = parser.parse_args()
    originals = list(_files(given.folder) if given.folder else _phantoms(given.phantoms))
    print(recall_table(originals))
    if given.images:
        small = np.stack([resize_image(one, SMALL) for one in originals])
        print(time_table(small, given.images, given.all_pairs))


def _phantoms(count: int) -> Iterator[Image]:
    """Phantoms of different patients: every case of a cohort has a seed of its own."""
    settings = PhantomSettings(train=20, test=1)
    for number in range(count):
        yield np.asarray(render(1000 + number, 0, settings).pixels, np.uint8)


def _files(folder: Path) -> Iterator[Image]:
    for entry in walk(folder):
        if not entry.reason and entry.path.lower().endswith((".dcm", ".png", ".jpg", ".jpeg")):
            yield to_uint8(reader.read(entry.path).pixels)


def changes(rng: np.random.Generator) -> dict[str, Callable[[Image], Image]]:
    """The kinds of copies, and what makes one of an original (H, W)."""
    return {
        "the same pixels": lambda i: i,
        "resized to a quarter of the side": quarter,
        "resized to 299 px, bilinear": lambda i: np.asarray(cv2.resize(i, (299, 299)), np.uint8),
        "JPEG, quality 90": lambda i: jpeg(i, 90),
        "JPEG, quality 30": lambda i: jpeg(i, 30),
        "brighter by 30, clipped": lambda i: np.clip(i.astype(np.int16) + 30, 0, 255).astype(np.uint8),
        "contrast times 0.6": lambda i: (i * 0.6 + 40).astype(np.uint8),
        "contrast times 1.4, clipped": lambda i: np.clip((i - 128.0) * 1.4 + 128, 0, 255).astype(np.uint8),
        "gamma 0.7": lambda i: gamma(i, 0.7),
        "gamma 1.4": lambda i: gamma(i, 1.4),
        "histogram equalised": lambda i: np.asarray(cv2.equalizeHist(i), np.uint8),
        "noise of 5 grey levels": lambda i: np.clip(i + rng.normal(0, 5, i.shape), 0, 255).astype(np.uint8),
        "quarter size, gamma 1.2, JPEG 50": lambda i: jpeg(gamma(quarter(i), 1.2), 50),
        "1 % of each border cropped": lambda i: crop(i, 0.01),
        "3 % of each border cropped": lambda i: crop(i, 0.03),
        "rotated by 1 degree": lambda i: rotated(i, 1),
        "mirrored": lambda i: np.ascontiguousarray(i[:, ::-1]),
        "inverted": lambda i: 255 - i,
    }


def quarter(image: Image) -> Image:
    """A quarter of each side."""
    height, width = image.shape
    return np.asarray(cv2.resize(image, (width // 4, height // 4), interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """Encode and decode."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def gamma(image: Image, power: float) -> Image:
    """Apply a gamma to greys 0..255."""
    return (255 * (image / 255.0) ** power).round().astype(np.uint8)


def crop(image: Image, share: float) -> Image:
    """Without a share of each border."""
    dy, dx = (round(share * side) for side in image.shape)
    return image[dy : image.shape[0] - dy, dx : image.shape[1] - dx]


def rotated(image: Image, degrees: float) -> Image:
    """Turned about its centre."""
    height, width = image.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def recall_table(originals: list[Image]) -> str:
    """Copies found by kind, and pairs of different patients, as Markdown."""
    count = len(originals)
    base = np.stack([resize_image(one, SIDE) for one in originals])
    false = len(pairs_of(base))
    lines = [
        f"{count} images of different patients, {false} pairs among the {count * (count - 1) // 2:,}.",
        "",
        "| copy | found | of other patients |",
        "|---|---:|---:|",
    ]
    for kind, change in changes(np.random.default_rng(0)).items():
        copies = np.stack([resize_image(np.ascontiguousarray(change(one)), SIDE) for one in originals])
        found = pairs_of(np.concatenate([base, copies]))
        right = sum(j - i == count for i, j in found)
        wrong = sum((j - i) % count != 0 for i, j in found)
        lines.append(f"| {kind} | {right / count:.1%} | {wrong} |")
    return "\n".join(lines) + "\n"


def pairs_of(images: Image) -> list[tuple[int, int]]:
    """Duplicates among images (N, S, S)."""
    return duplicate_pairs(np.array([signature(one) for one in images], SIGNATURE), images)


def time_table(originals: Image, count: int, all_pairs: bool) -> str:
    """Time and memory of `count` synthetic images, of which every twentieth is a changed copy, as Markdown."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SMALL, SMALL))
        planted = synthesise(images, originals, rng)
        start, before = time.process_time(), peak()
        signatures = np.array([signature(one) for one in images], SIGNATURE)
        signed = time.process_time()
        found = set(duplicate_pairs(signatures, images))
        done = time.process_time()
        lines = [
            f"{count:,} images, {len(planted):,} of them copies: {len(found & planted) / len(planted):.2%} found,"
            f" {len(found - planted)} pairs of different images.",
            "",
            "| step | processor seconds |",
            "|---|---:|",
            f"| signatures | {signed - start:.0f} |",
            f"| search | {done - signed:.0f} |",
        ]
        if all_pairs:
            started = time.process_time()
            pairs = compare_all(np.array([difference_hash(one) for one in images]))
            lines.append(f"| all pairs of hashes ({pairs:,} near) | {time.process_time() - started:.0f} |")
        lines += [
            "",
            f"Signatures {signatures.nbytes / 1e6:.0f} MB; peak memory rose by {peak() - before:.0f} MB.",
        ]
    return "\n".join(lines)


def synthesise(images: Image, originals: Image, rng: np.random.Generator) -> set[tuple[int, int]]:
    """Fill `images` (N, S, S) with draws from the Gaussian of the originals' and with copies; the pairs of copies."""
    flat = originals.reshape(len(originals), -1).astype(np.float32)
    mean = flat.mean(axis=0)
    factors = (flat - mean) / np.sqrt(len(flat) - 1)
    planted = set()
    for start in range(0, len(images), 2000):
        stop = min(start + 2000, len(images))
        drawn = mean + rng.standard_normal((stop - start, len(flat)), np.float32) @ factors
        drawn += rng.standard_normal(drawn.shape, np.float32) * 2
        images[start:stop] = drawn.clip(0, 255).reshape(-1, SMALL, SMALL)
    kinds = [lambda i: jpeg(i, 60), lambda i: gamma(i, 1.2), lambda i: np.clip(i.astype(int) + 20, 0, 255)]
    copies = rng.permutation(len(images))[: len(images) // 20 * 2].reshape(2, -1)
    for number, (source, target) in enumerate(copies.T.tolist()):
        images[target] = kinds[number % len(kinds)](images[source])
        planted.add((min(source, target), max(source, target)))
    return planted


def compare_all(hashes: NDArray[np.uint8], block: int = 1024) -> int:
    """Number of pairs that differ in at most 20 bits, by products of signs, block by block."""
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    return sum(
        int(np.count_nonzero(signs[top : top + block] @ signs[left : left + block].T >= 256 - 40))
        for top in range(0, len(signs), block)
        for left in range(top, len(signs), block)
    )


def peak() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
