"""Memory and time that the worst DICOM and JPEG files take: `python -m benchmarks.limits_of_input [--checkout FOLDER]`.

Each file is read in its own process; measured are its peak memory above that of an idle reader, including its decoder process,
and its time in seconds. `--checkout` reads with the code of another folder, for a comparison.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

SECONDS = 180
READ = """
import json, sys, time
from imaging.decoding import sandbox
from imaging.formats import reader
def peak(pid="self"):
    return int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM")).split()[1]) / 1024
before, start = peak(), time.perf_counter()
try: reader.read(sys.argv[1]); verdict = "read"
except ValueError as error: verdict = getattr(error, "code", "refused")
seconds, child = time.perf_counter() - start, getattr(sandbox._of_thread, "child", None)
print(json.dumps([verdict, peak() - before + (peak(child.process.pid) if child else 0), seconds]))
"""


def meta(syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """Preamble and file meta information."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = b"\2\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
    return b"\0" * 128 + b"DICM\2\0\0\0UL\4\0" + struct.pack("<I", len(element)) + element


def header(side: int, stored: int, declared: int, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A file up to the value of its pixel data: a grey picture of `side` squared, its value `declared` bytes long."""
    allocated = 8 if stored <= 8 else 16
    numbers = (
        (2, 1),
        (0x10, side),
        (0x11, side),
        (0x100, allocated),
        (0x101, stored),
        (0x102, stored - 1),
        (0x103, 0),
    )
    body = {number: struct.pack("<HH2sHH", 0x28, number, b"US", 2, value) for number, value in numbers}
    body[4] = struct.pack("<HH2sH", 0x28, 4, b"CS", 12) + b"MONOCHROME2 "
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, declared)
    return meta(syntax) + b"".join(body[number] for number in sorted(body)) + pixels


def grey_corner() -> bytes:
    """An intact JPEG that ends in mid grey, as a truncated one does."""
    noise = np.random.default_rng(0).integers(0, 256, (4000, 4000), dtype=np.uint8)
    noise[-8:, -8:] = 128
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def progressive() -> bytes:
    """A progressive JPEG with its last scan 1,500 times."""
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", noise // 64 * 8, options)[1].tobytes()
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * 1500 + data[-2:]


def deflated(body: bytes) -> bytes:
    """A deflated data set."""
    deflater = zlib.compressobj(9, wbits=-15)
    return meta("1.2.840.10008.1.2.1.99") + deflater.compress(body) + deflater.flush()


def largest() -> bytes:
    """The largest picture, 16 bits: what a benign file may take."""
    return header(12_000, 12, 2 * 12_000**2) + bytes(2 * 12_000**2)


CASES: dict[str, Callable[[], bytes]] = {
    "largest picture, 12,000², 16 bits": largest,
    "the same deflated": lambda: deflated(
        header(12_000, 12, 2 * 12_000**2)[len(meta()) :] + bytes(2 * 12_000**2)
    ),
    "64 MiB of zeros": lambda: bytes(2**26),
    "64 MiB of zeros behind DICM": lambda: meta() + bytes(2**26),
    "8 MiB of empty elements": lambda: meta() + struct.pack("<HH2sH", 9, 0x1001, b"LO", 0) * 2**20,
    "8 MiB of open sequences": lambda: (
        meta() + struct.pack("<HH2sHL", 9, 0x1001, b"SQ", 0, 2**32 - 1) * 2**19
    ),
    "deflated zeros, 1 GiB": lambda: deflated(bytes(2**30)),
    "deflated pixels, 1 GiB of 16 x 16": lambda: deflated(
        header(16, 12, 2**30)[len(meta()) :] + bytes(2**30)
    ),
    "JPEG of 16 megapixels, grey corner": grey_corner,
    "progressive JPEG, 1,500 scans": progressive,
}


def measure(data: bytes, checkout: Path) -> tuple[str, float, float]:
    """Read a file's bytes in a process of its own: verdict, MB, seconds."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(data)
        file.flush()
        try:
            done = subprocess.run(
                [sys.executable, "-c", READ, file.name],
                cwd=checkout,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"not done in {SECONDS} s", float("nan"), SECONDS
    if done.returncode:
        return f"ended with {done.returncode}", float("nan"), float("nan")
    verdict, megabytes, seconds = json.loads(done.stdout.splitlines()[-1])
    return verdict, megabytes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkout", type=Path, default=Path(), help="folder whose code reads (default: this one)"
    )
    parser.add_argument("--only", nargs="+", help="words of the cases' names")
    given = parser.parse_args()
    print("| file | size | verdict | memory above an idle reader | time |\n|---|---|---|---|---|")
    for name, make in CASES.items():
        if given.only and not any(word in name for word in given.only):
            continue
        data = make()
        verdict, megabytes, seconds = measure(data, given.checkout)
        print(
            f"| {name} | {len(data) / 1024:,.0f} KiB | {verdict} | {megabytes:,.0f} MB | {seconds:.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
