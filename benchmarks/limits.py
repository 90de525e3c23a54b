"""What the machine itself can do at most: copying memory and multiplying matrices. `python -m benchmarks.limits`"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import timing
from imaging.io.threads import cores

COPIED = 256 * 2**20
"""Bytes; more than any cache."""
MATRIX = 3072


def main() -> None:
    """Print them."""
    print(machine())
    print("\n".join(f"{name}: {value}" for name, value in measured().items()))


def machine() -> str:
    """The machine and the libraries, in one line."""
    return (
        f"{timing.machine()}, {cores()} cores used, {', '.join(instructions()) or 'no wide dot products'}; "
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
    return timing.medians({"": (lambda _: call(), [None])}, 5)[""]


if __name__ == "__main__":
    main()
