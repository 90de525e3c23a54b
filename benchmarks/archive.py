"""Time and memory of scoring on Ray as the number of files grows. `python benchmarks/archive.py --bundle models/bundle`

The files are small generated DICOM files, all different. The command runs as its users run it, on this machine alone, and all
its processes are watched from outside: resident memory without the pages of mapped files, by what they do. Beside it runs the
local engine on the smallest number.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from benchmarks.growth import study
from ensemble.cluster.archive import opened
from ensemble.cluster.inventory import Inventory
from imaging import rle
from imaging.phantom import dicom_writer

ROLES = {
    "ray::MapWorker": "actor",
    "ray::Map(": "tasks",
    "ray::": "Ray's own",
    "raylet": "Ray's own",
    "gcs_server": "Ray's own",
}


def role(process: psutil.Process) -> str:
    """What one of the run's processes does."""
    line = " ".join(process.cmdline())
    return next((name for begin, name in ROLES.items() if begin in line), "Ray's own")


def watch(command: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds of a command, and the peak megabytes of each role's processes together."""
    began, peak = time.perf_counter(), defaultdict[str, float](float)
    done = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while done.poll() is None:
        held = defaultdict[str, float](float)
        for process in done.children(recursive=True):
            try:
                held[role(process)] += _anonymous(process)
            except psutil.Error:  # has just ended
                continue
        held["driver"] += _anonymous(done) if done.is_running() and done.status() != "zombie" else 0.0
        for name, value in held.items():
            peak[name] = max(peak[name], value)
        time.sleep(0.3)
    if done.returncode not in (0, 3):  # 3: some were refused
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return time.perf_counter() - began, peak


def _anonymous(process: psutil.Process) -> float:
    facts = process.memory_info()
    return (facts.rss - facts.shared) / 2**20


def sink(rows: int, shard: int = 1024) -> str:
    """What the one process that lists and writes can do at most: names listed and rows written a second, bytes of each.

    22 % of the rows have one of 4,096 ellipses of 1024² as their mask; no image is read.
    """
    random = np.random.default_rng(0)
    codes = np.array([rle.encode(ellipse(*random.integers(20, 200, 5))) for _ in range(4096)])
    names = [f"{number % 1000:03}/{dicom_writer.uid(0, number, 'sop')}.dcm" for number in range(rows)]
    with tempfile.TemporaryDirectory() as folder:
        listed, began = Path(folder) / "list.txt", time.perf_counter()
        listed.write_text("\n".join(names))
        with opened(Path(folder) / "out", Inventory(str(listed)), {}, shard) as archive:
            between = time.perf_counter()
            for number in range(len(archive)):
                mine = archive.names(number)
                positive = random.random(len(mine)) < 0.22
                table = pa.table(
                    {
                        "file": mine,
                        "verdict": ["read"] * len(mine),
                        "probability": random.random(len(mine)),
                        "decision": np.where(positive, "mask", "no mask"),
                        "reason": ["0.08, needed 0.30"] * len(mine),
                        "area_px": np.where(positive, 20_000, 0),
                        "area_mm2": np.where(positive, 400.0, 0.0),
                        "side": pa.nulls(len(mine), pa.string()),
                        "height": [1024] * len(mine),
                        "width": [1024] * len(mine),
                        "mask": np.where(positive, random.choice(codes, len(mine)), "-1"),
                    }
                )
                archive.write(number, table)
        end = time.perf_counter()
        held = sum(path.stat().st_size for path in (Path(folder) / "out").rglob("*.parquet"))
    listing, writing = rows / (between - began), rows / (end - between)
    return f"one writer: {listing:,.0f} names listed and {writing:,.0f} rows written a second, {held / rows:.0f} bytes a row"


def ellipse(x: int, y: int, across: int, along: int, angle: int) -> np.ndarray:
    """A filled one in 1024²."""
    return cv2.ellipse(
        np.zeros((1024, 1024), np.uint8),
        (300 + int(x), 300 + int(y)),
        (int(across), int(along)),
        int(angle),
        0,
        360,
        1,
        -1,
    )


def main() -> None:
    """Print a row for each number of files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("models/bundle"))
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 8000])
    parser.add_argument("--shard", type=int, default=256)
    given = parser.parse_args()
    print(timing.machine())
    print(sink(100_000))
    names = ["driver", "actor", "tasks", "Ray's own"]
    print(
        f"{'engine':8}{'files':>8}{'seconds':>9}{'a second':>10}"
        + "".join(f"{name + ' MB':>14}" for name in names)
    )
    for count in given.files:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in").mkdir()
            for number in range(count):
                study(Path(folder) / "in", number)
            base = [sys.executable, "-m", "ensemble.predict", f"{folder}/in", "--bundle", str(given.bundle)]
            runs = {"ray": ["--engine", "ray", "--shard", str(given.shard), "--output", f"{folder}/ray"]}
            if count == given.files[0]:
                runs["local"] = ["--dicom", "none", "--output", f"{folder}/local"]
            for engine, more in runs.items():
                seconds, peak = watch([*base, *more])
                print(
                    f"{engine:8}{count:8,}{seconds:9.1f}{count / seconds:10.1f}"
                    + "".join(f"{peak[name]:14.0f}" for name in names),
                    flush=True,
                )


if __name__ == "__main__":
    main()
