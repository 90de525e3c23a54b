"""Compare functions in one run: interleaved rounds, medians, rows of ratios; and the physical limits of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from imaging.io.threads import cores

Case = tuple[Callable[[Any], Any], Sequence[Any]]


def medians(cases: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return the median seconds per input, for each function and its inputs.

    Each round runs every function once over all its inputs, so that a machine that slows down slows all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (function, inputs) in cases.items():
            times[name].append(_seconds(function, inputs))
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(function: Callable[[Any], Any], inputs: Sequence[Any]) -> float:
    """Time one input, over all of them once; results are dropped, as a loop over a data set drops them."""
    start = time.perf_counter()
    for value in inputs:
        function(value)
    return (time.perf_counter() - start) / len(inputs)


@dataclass(frozen=True)
class Row:
    """How many times as fast as a named peer, both measured in the same run."""

    what: str
    against: str
    ratio: float | None
    """None where this machine cannot show it; `note` says why."""
    at_least: float | None = None
    """The goal; None for a line that only informs."""
    note: str = ""

    @property
    def name(self) -> str:
        """Key in reports/bench.json."""
        return f"{self.what} / {self.against}"

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, `not here` or nothing."""
        if self.ratio is None:
            return "not here"
        if self.at_least is None:
            return ""
        return "reached" if self.ratio >= self.at_least else "missed"


def against(
    what: str, seconds: Mapping[str, float], ours: str, goals: Mapping[str, float | None], note: str = ""
) -> list[Row]:
    """A row for each peer in `goals`, from the seconds that each way took."""
    return [Row(what, peer, seconds[peer] / seconds[ours], goal, note) for peer, goal in goals.items()]


def table(rows: list[Row]) -> str:
    """All rows as Markdown."""
    lines = ["| what | against | ratio | at least | |", "|---|---|---:|---:|---|"]
    for row in rows:
        ratio = "–" if row.ratio is None else f"{_digits(row.ratio)} ×"
        goal = "" if row.at_least is None else f"{_digits(row.at_least)} ×"
        remark = ": ".join(part for part in (row.verdict, row.note) if part)
        lines.append(f"| {row.what} | {row.against} | {ratio} | {goal} | {remark} |")
    return "\n".join(lines)


def _digits(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


COPIED = 256 * 2**20
"""Bytes; more than any cache."""
MATRIX = 3072


def processor() -> str:
    """Describe the processor and its load in one line; ratios are more stable than rates."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next(
                (line.split(":")[1].strip() for line in lines if line.startswith("model name")), model
            )
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} processors{load}, Python {platform.python_version()}"


def machine() -> str:
    """The machine and the libraries, in one line."""
    return (
        f"{processor()}, {cores()} cores used, {', '.join(instructions()) or 'no wide dot products'}; "
        f"torch {torch.__version__}, OpenCV {cv2.__version__}, {platform.system()}"
    )


def instructions() -> list[str]:
    """Those of the processor that multiply short numbers: 8-bit ones (vnni), bf16, and tiles of both (amx)."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    return sorted(flags & {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"})


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 natively."""
    return bool(set(instructions()) & {"avx512_bf16", "amx_bf16"})


def measured() -> dict[str, str]:
    """Memory copy, and the peak of a matrix product in float32 and, where it exists, in bf16."""
    torch.set_num_threads(cores())
    memory = np.ones(COPIED, np.uint8)
    target = np.empty_like(memory)
    found = {"memory copy, one thread": f"{COPIED / _best(lambda: np.copyto(target, memory)) / 1e9:.1f} GB/s"}
    for kind in [torch.float32, *([torch.bfloat16] if has_bf16() else [])]:
        matrix = torch.ones(MATRIX, MATRIX, dtype=kind)
        rate = 2 * MATRIX**3 / _best(lambda matrix=matrix: matrix @ matrix)
        found[f"matrix product, {str(kind).removeprefix('torch.')}"] = f"{rate / 1e9:,.0f} GFLOP/s"
    return found


def _best(call: Callable[[], object]) -> float:
    """Median seconds of five calls, after one that is not counted."""
    call()
    return medians({"": (lambda _: call(), [None])}, 5)[""]
