"""Choose the precision of training and inference for the hardware, and autocast to it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from experiments.hardware import Hardware

DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def choose_precision(wish: str, hardware: Hardware) -> str:
    """Resolve `auto`: bf16 where the hardware supports it natively, fp16 on older GPUs, else fp32."""
    if wish != "auto":
        return wish
    if hardware.bf16:
        return "bf16-mixed"
    return "16-mixed" if hardware.kind == "cuda" else "32-true"


def autocast(precision: str, hardware: Hardware) -> AbstractContextManager[object]:
    """The context in which a network computes in `precision`."""
    dtype = DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(hardware.device.type, dtype)
