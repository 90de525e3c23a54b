"""Damage good image files in every way and read them: each must give a picture or a refusal, never anything else.

    python -m tests.imaging.formats.fuzz --mutations 2000 --seed 0 [--folder STUDIES]

Good files are generated in every transfer syntax and picture format; a folder's files are damaged as well when given. A
failure is printed with what repeats it, and the exit code says so.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from pydicom import uid
from tqdm import tqdm

from imaging.decoding.radiograph import RefusedFile
from imaging.formats import reader
from tests.imaging import dicom_files

Random = np.random.Generator
SYNTAXES = (
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless,
)  # fmt: skip
PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")


def flip(data: bytearray, start: int, end: int, random: Random) -> None:
    """Turn one to eight bits over."""
    for place in random.integers(start, end, random.integers(1, 9)):
        data[place] ^= 1 << int(random.integers(8))


def noise(data: bytearray, start: int, end: int, random: Random) -> None:
    """Overwrite up to 64 bytes."""
    place = int(random.integers(start, end))
    length = min(int(random.integers(1, 65)), end - place)
    data[place : place + length] = random.bytes(length)


def length(data: bytearray, start: int, end: int, random: Random) -> None:
    """Overwrite two or four bytes by a number that a length would not be."""
    size = int(random.choice([2, 4]))
    value = int(random.choice([0, 1, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, len(data)])) % 256**size
    place = int(random.integers(start, max(end - size, start + 1)))
    data[place : place + size] = value.to_bytes(size, str(random.choice(["little", "big"])))  # type: ignore[arg-type]


def cut(data: bytearray, start: int, end: int, random: Random) -> None:
    """End the file early."""
    del data[int(random.integers(start, end)) :]


def lose(data: bytearray, start: int, end: int, random: Random) -> None:
    """Leave up to 1,000 bytes out."""
    place = int(random.integers(start, end))
    del data[place : place + int(random.integers(1, 1001))]


def double(data: bytearray, start: int, end: int, random: Random) -> None:
    """Repeat up to 1,000 bytes."""
    place = int(random.integers(start, end))
    data[place:place] = data[place : place + int(random.integers(1, 1001))]


Damage = Callable[[bytearray, int, int, Random], None]
DAMAGES: tuple[Damage, ...] = (flip, noise, length, cut, lose, double)
PARTS = ("header", "pixels")


@dataclass
class Verdicts:
    """What became of all the files."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(part, damage, `read` or `refused`) -> files."""
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of the slowest file."""


def good_files(folder: Path) -> list[Path]:
    """A radiograph-like picture in each transfer syntax, 8 and 12 bits, and in each picture format."""
    random = np.random.default_rng(0)
    small = cv2.GaussianBlur(random.integers(0, 256, (96, 120), dtype=np.uint8), (0, 0), 4)
    made = []
    for i, syntax in enumerate(SYNTAXES):
        made.append(dicom_files.write(folder / f"{i}.dcm", small, syntax))
        made.append(
            dicom_files.write(folder / f"{i}-12.dcm", small.astype(np.uint16) * 16, syntax, stored=12)
        )
    made.append(
        dicom_files.write_frame(folder / "jpeg.dcm", dicom_files.jpeg(small), uid.JPEGBaseline8Bit, small)
    )
    lossless = dicom_files.jpeg_lossless(small.astype(np.uint16) * 16, 12)
    made.append(
        dicom_files.write_frame(
            folder / "lossless.dcm", lossless, uid.JPEGLosslessSV1, small.astype(np.uint16)
        )
    )
    for suffix in ("png", "jpg", "tiff"):
        cv2.imwrite(str(folder / f"a.{suffix}"), small)
        made.append(folder / f"a.{suffix}")
    return made


def mutate(data: bytes, part: str, damage: int, random: Random) -> bytes:
    """Damage a copy of a file's bytes in its header or in its pixels; the copy always differs."""
    places = [place for sign in PIXEL_DATA if (place := data.rfind(sign)) > 0]
    border = max(places, default=min(200, len(data) // 2))
    start, end = (0, border) if part == "header" else (border, len(data))
    while True:  # a zero written over a zero is no damage
        changed = bytearray(data)
        DAMAGES[damage](changed, start, end, random)
        if changed != data:
            return bytes(changed)


def mutations(paths: list[Path], count: int, seed: int) -> Iterator[tuple[str, str, str, bytes]]:
    """(what repeats it, part, damage, bytes) of `count` damaged files, all parts and damages in turn."""
    sources = [path.read_bytes() for path in paths]
    for i in range(count):
        random = np.random.default_rng((seed, i))
        part, damage = PARTS[i % 2], i // 2 % len(DAMAGES)
        which = int(random.integers(len(sources)))
        name = f"seed {seed}, mutation {i} of {paths[which].name}"
        yield name, part, DAMAGES[damage].__name__, mutate(sources[which], part, damage, random)


def judge(path: Path) -> str:
    """`read` or `refused`; any other outcome is an exception."""
    try:
        reader.read(path, 32)
        radiograph = reader.read(path)
    except RefusedFile:
        return "refused"
    height, width = radiograph.facts.height, radiograph.facts.width
    if radiograph.pixels.shape != (height, width):
        raise AssertionError(f"pixels {radiograph.pixels.shape}, facts {height} x {width}")
    return "read"


def run(paths: list[Path], count: int, seed: int) -> Verdicts:
    """Read `count` damaged copies of the files."""
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        for name, part, damage, data in tqdm(mutations(paths, count, seed), "fuzz", count, disable=None):
            path.write_bytes(data)
            start = time.perf_counter()
            try:
                verdicts.counts[part, damage, judge(path)] += 1
            except Exception as error:
                verdicts.failures.append(f"{name} ({part}, {damage}): {type(error).__name__}: {error}")
            verdicts.slowest = max(verdicts.slowest, time.perf_counter() - start)
    return verdicts


def main() -> None:
    """Fuzz, print a table, and fail when a file had no verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="good files to damage as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = good_files(Path(folder))
        if arguments.folder:
            paths += sorted(path for path in arguments.folder.rglob("*") if path.is_file())
        verdicts = run(paths, arguments.mutations, arguments.seed)
    print(f"{'part':8}{'damage':10}{'read':>8}{'refused':>9}")
    for part in PARTS:
        for damage in DAMAGES:
            read, refused = (verdicts.counts[part, damage.__name__, said] for said in ("read", "refused"))
            print(f"{part:8}{damage.__name__:10}{read:8,}{refused:9,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(verdicts.failures)} failures; slowest {verdicts.slowest:.1f} s; peak memory {peak:,.0f} MB")
    if verdicts.failures:
        sys.exit("\n".join(verdicts.failures))


if __name__ == "__main__":
    main()
