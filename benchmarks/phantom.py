"""How fast phantoms are made on one core: `python benchmarks/phantom.py`.

Interleaved rounds, medians; processor time, so that a busy machine disturbs little.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from imaging import rle
from imaging.phantom import Phantom, render
from imaging.phantom.dicom_writer import jpeg, save
from imaging.settings import PhantomSettings

ROUNDS = 40


def main() -> None:
    """Print milliseconds an image of each step and images a second of all."""
    cv2.setNumThreads(1)
    settings = PhantomSettings()
    render(0, 0, settings)  # fills the tables
    times: dict[str, list[float]] = {"render": [], "jpeg": [], "save": [], "codes": []}
    with tempfile.TemporaryDirectory() as folder:
        for index in range(ROUNDS):
            phantom = timed(times["render"], lambda index=index: render(0, index, settings))
            timed(times["jpeg"], lambda phantom=phantom: jpeg(phantom.pixels))
            timed(times["save"], lambda phantom=phantom: save(Path(folder) / "x.dcm", phantom, 0))
            timed(times["codes"], lambda phantom=phantom: [rle.encode(mask) for mask in phantom.masks])
    for name, values in times.items():
        print(f"{name:8} {statistics.median(values) * 1e3:7.1f} ms")
    whole = statistics.median(
        sum(step) for step in zip(times["render"], times["save"], times["codes"], strict=True)
    )
    print(f"all      {whole * 1e3:7.1f} ms = {1 / whole:.1f} images a second and core (save includes jpeg)")


def timed(into: list[float], call: Callable[[], Phantom]) -> Phantom:
    """Append the processor seconds of one call; return its result."""
    start = time.process_time()
    result = call()
    into.append(time.process_time() - start)
    return result


if __name__ == "__main__":
    main()
