"""Compare functions in one run: interleaved rounds, medians, and what machine it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

Case = tuple[Callable[[Any], Any], Sequence[Any]]


def medians(cases: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return the median seconds an input takes, for each function and its inputs.

    Each round runs every function once over all its inputs, so that a machine that slows down slows all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (function, inputs) in cases.items():
            times[name].append(_seconds(function, inputs))
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> str:
    """Describe the machine in one line; ratios hold better than rates."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next(
                (line.split(":")[1].strip() for line in lines if line.startswith("model name")), model
            )
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} processors{load}, Python {platform.python_version()}"


def _seconds(function: Callable[[Any], Any], inputs: Sequence[Any]) -> float:
    """Time one input, over all of them once; results are dropped, as a loop over a data set drops them."""
    start = time.perf_counter()
    for value in inputs:
        function(value)
    return (time.perf_counter() - start) / len(inputs)
