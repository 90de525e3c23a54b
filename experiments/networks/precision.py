"""Choose the precision of training and inference for the hardware, and autocast to it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from experiments.hardware import Hardware
from experiments.networks.depthwise import DepthwiseInFloat32

DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def choose_precision(wish: str, hardware: Hardware) -> str:
    """Resolve `auto`: bf16 where the hardware multiplies it natively, fp16 on older GPUs, else fp32."""
    if wish != "auto":
        return wish
    if hardware.bf16:
        return "bf16-mixed"
    return "16-mixed" if hardware.kind == "cuda" else "32-true"


def autocast(precision: str, hardware: Hardware) -> AbstractContextManager[object]:
    """The context in which a network computes in `precision`."""
    dtype = DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(hardware.device.type, dtype)


def plugin(precision: str, hardware: Hardware) -> Precision:
    """Lightning's precision plugin; fp16 with a gradient scaler, on a processor too (Lightning's own has none)."""
    if precision == "32-true":
        return Precision()
    kind = _OnProcessor if hardware.kind == "cpu" else MixedPrecision
    return kind(precision, hardware.device.type)  # type: ignore[arg-type]


class _OnProcessor(MixedPrecision):
    """Mixed precision with slow convolutions in float32."""

    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        """Lightning's, with DepthwiseInFloat32 around it."""
        with super().forward_context(), DepthwiseInFloat32():
            yield
