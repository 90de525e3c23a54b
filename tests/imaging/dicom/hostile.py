"""Generate hostile DICOM files with a grammar: odd representations, nesting, fragments, offset tables, tables, numbers, sizes.

`python -m tests.imaging.dicom.hostile --files 5000 --seed 1` reads each of them and prints what is neither read nor refused.
"""

from __future__ import annotations

import argparse
import random
import struct
from collections import Counter

import cv2
import numpy as np

from imaging import dicom
from imaging.decoding.radiograph import RefusedFile

ROOT = "1.2.840.10008.1.2"
SYNTAXES = [f"{ROOT}.1", f"{ROOT}.1", ROOT, f"{ROOT}.2", f"{ROOT}.4.50", f"{ROOT}.5", "9.9", ""]
NUMBERS = [
    *(b"", b"1", b"-1", b"0", b"-1\\", b"\\1", b"1,5", b"-1024,0", b"nan", b"inf", b"1e400", b"1e-320"),
    *(b"40 HU", b"1\\2\\3", b"\xff\xfe", b"9" * 40),
]
SIZES = [0, 1, 7, 8, 16, 255, 12_000, 12_001, 65_535]
PHOTOMETRIC = [
    *[b"MONOCHROME2"] * 12,
    *(b"MONOCHROME1", b"monochrome2", b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"PALETTE COLOR", b"", b"\xff"),
]
REPRESENTATIONS = [b"US", b"DS", b"UN", b"OB", b"OW", b"SQ", b"FD", b"??", b"\0\0", b"ZZ", b"UT"]
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def generate(seed: int) -> bytes:
    """Return the file of a seed."""
    pick = random.Random(seed)
    syntax = pick.choice(SYNTAXES)
    order = ">" if syntax.endswith("1.2.2") else "<"
    implicit = syntax == "1.2.840.10008.1.2"
    rows, columns = (16, 16) if pick.random() < 0.9 else (pick.choice(SIZES), pick.choice(SIZES))
    body = [
        _element(pick, order, implicit, tag, vr, value)
        for tag, vr, value in sorted(_fields(pick, order, rows, columns), key=lambda field: field[0])
        if pick.random() < 0.99
    ]
    if pick.random() < 0.1:
        pick.shuffle(body)
    meta = b""
    if syntax:
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        meta = b"\2\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
        group_length = len(meta) + (pick.choice([0, 0, 2, -4, 100, 2**31]) if pick.random() < 0.4 else 0)
        meta = b"\2\0\0\0UL\4\0" + struct.pack("<I", max(group_length, 0)) + meta
    head = b"\0" * 128 + b"DICM" if pick.random() < 0.95 else b""
    data = head + meta + b"".join(body) + _pixels(pick, order, implicit, syntax, rows, columns)
    return data if pick.random() < 0.9 else data[: pick.randrange(1, len(data))]


def _fields(pick: random.Random, order: str, rows: int, columns: int) -> list[tuple[int, bytes, bytes]]:
    short = struct.Struct(f"{order}H").pack
    bits = pick.choice([*[(8, 8), (16, 12), (16, 16)] * 4, (8, 12), (1, 1), (32, 32), (16, 0)])
    kind = pick.choice(PHOTOMETRIC)
    numbers = {2: 3 if kind[:3] in (b"RGB", b"YBR") else 1, 0x10: rows, 0x11: columns, 0x100: bits[0]}
    numbers |= {0x101: bits[1], 0x102: max(bits[1] - 1, 0), 0x103: pick.randrange(2)}
    found = [(0x00280000 | number, b"US", short(value)) for number, value in numbers.items()]
    found.append((0x00280004, b"CS", kind + b" " * (len(kind) % 2)))
    for tag in (0x00280008, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00280030):
        if pick.random() < 0.15:
            value = pick.choice(NUMBERS)
            found.append(
                (tag, pick.choice([b"DS", b"DS", b"IS", *REPRESENTATIONS]), value + b" " * (len(value) % 2))
            )
    for tag in (0x00283000, 0x00283010, 0x00880200, 0x52009229, 0x52009230, 0x00091010):
        if pick.random() < 0.1:
            found.append(
                (tag, pick.choice([b"SQ", b"SQ", b"UN"]), _sequence(pick, order, pick.choice([1, 1, 2, 60])))
            )
    return found


def _sequence(pick: random.Random, order: str, depth: int) -> bytes:
    """One item with a look-up table, a number or another sequence, of true, false or undefined length."""
    descriptor = struct.pack(
        f"{order}3H", pick.choice([0, 4, 9]), pick.randrange(9), pick.choice([8, 12, 16, 99])
    )
    table = _element(pick, order, False, 0x00283002, b"US", pick.choice([descriptor, b""]))
    inside = table + _element(pick, order, False, 0x00283006, b"US", bytes(range(8)))
    if depth > 1:
        inside = _element(pick, order, False, 0x00289145, b"SQ", _sequence(pick, order, depth - 1))
    length = pick.choice([*[len(inside)] * 6, 2**32 - 1, max(len(inside) - 3, 0), 2**31])
    end = struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0) if length == 2**32 - 1 else b""
    return (
        struct.pack(f"{order}HHI", 0xFFFE, 0xE000, length)
        + inside
        + end
        + struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)
    )


def _element(pick: random.Random, order: str, implicit: bool, tag: int, vr: bytes, value: bytes) -> bytes:
    if pick.random() < 0.005:
        vr = pick.choice(REPRESENTATIONS)
    length = len(value) if pick.random() < 0.995 else pick.choice([0, len(value) + 2, 2**16 - 1])
    if vr == b"SQ" and pick.random() < 0.5:
        length = 2**32 - 1
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(f"{order}I", length) + value
    if vr in LONG:
        return head + vr + b"\0\0" + struct.pack(f"{order}I", length) + value
    return head + vr + struct.pack(f"{order}H", min(length, 65_535)) + value


def _pixels(pick: random.Random, order: str, implicit: bool, syntax: str, rows: int, columns: int) -> bytes:
    if syntax.endswith(("4.50", "1.2.5")):
        value, length = _fragments(pick), 2**32 - 1
    else:
        value = bytes(pick.choice([min(rows * columns, 2**16) * pick.choice([1, 2, 2, 3]), 16 * 16, 0]))
        length = pick.choice([len(value), len(value), 2**31])
    head = struct.pack(f"{order}HH", 0x7FE0, 0x10)
    return head + (b"" if implicit else b"OW\0\0") + struct.pack(f"{order}I", length) + value


def _fragments(pick: random.Random) -> bytes:
    picture = np.full((16, 16), pick.choice([0, 128, 255]), np.uint8)
    frame = cv2.imencode(".jpg", picture)[1].tobytes() if pick.random() < 0.8 else bytes(pick.randrange(100))
    if pick.random() < 0.3:
        place = pick.randrange(max(len(frame), 1))
        frame = frame[:place] + bytes([pick.randrange(256)]) + frame[place + 1 :]
    parts = [
        bytes(pick.choice([0, 4, 12, 3])),
        *pick.choice([[frame], [frame] * 2, [frame[:50], frame[50:]], []]),
    ]
    sizes = [len(part) if pick.random() < 0.97 else 2**31 for part in parts]
    items = b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<I", size) + part for size, part in zip(sizes, parts, strict=True)
    )
    return items + pick.choice([b"\xfe\xff\xdd\xe0\0\0\0\0", b"", bytes(8)])


def run(files: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Read the files of `files` seeds; return the verdicts and what is neither read nor refused."""
    verdicts: Counter[str] = Counter()
    failures = []
    for number in range(seed * 10**6, seed * 10**6 + files):
        try:
            radiograph = dicom.decode(generate(number))
            if radiograph.pixels.shape != (radiograph.facts.height, radiograph.facts.width):
                failures.append(f"seed {number}: {radiograph.pixels.shape}")
            verdicts["read"] += 1
        except RefusedFile as refusal:
            verdicts[refusal.code] += 1
        except Exception as error:
            failures.append(f"seed {number}: {type(error).__name__}: {error}")
    return verdicts, failures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for line in (*(found := run(given.files, given.seed))[0].most_common(), *found[1]):
        print(line)
