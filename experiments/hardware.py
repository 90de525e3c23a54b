"""Describe the hardware of this machine. It is inspected once, here; every other module calls `current()`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
import torch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Hardware:
    """Facts about the hardware. Choices that follow (precision, optimiser, data loading) are made where they are used."""

    kind: Literal["cpu", "cuda"]
    """`cuda`: train on a GPU, with the choices made for GPUs."""
    name: str
    """Name of the GPU or of the processor."""
    memory: int
    """Bytes of one GPU, or of the machine without one."""
    bf16: bool
    """bfloat16 is multiplied natively: GPUs from Ampere on, processors with AMX or AVX512-BF16."""
    cores: int = 1
    """Logical processor cores."""
    gpus: int = 0
    """Visible GPUs."""
    device: torch.device = CPU
    """Device of the tensors; a test may combine a GPU's choices with the processor."""

    @property
    def on_gpu(self) -> bool:
        """Whether tensors are really on a GPU."""
        return self.device.type == "cuda"

    def free_memory(self) -> int:
        """Free bytes of the GPU's memory; of a GPU that is only described, all of it."""
        return torch.cuda.mem_get_info(self.device)[0] if self.on_gpu else self.memory

    def peak_memory(self) -> int:
        """Peak bytes of GPU memory held by tensors since `reset_peak_memory`; 0 without a GPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.on_gpu else 0

    def reset_peak_memory(self) -> None:
        """Restart the measurement of the peak."""
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def release_memory(self) -> None:
        """Release memory that no tensor holds."""
        if self.on_gpu:
            torch.cuda.empty_cache()

    def synchronise(self) -> None:
        """Wait until the GPU has finished its queue."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def describe(self) -> dict[str, object]:
        """For reports and MLflow: the GPUs' names and CUDA's version; empty without a GPU."""
        if not self.on_gpu:
            return {}
        names = [torch.cuda.get_device_name(number) for number in range(self.gpus)]
        return {"cuda": torch.version.cuda, "gpus": names, "gpu_memory_gib": round(self.memory / 2**30, 1)}


@cache
def current() -> Hardware:
    """This machine; of several GPUs the one of this process (LOCAL_RANK, as torchrun sets it)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not torch.cuda.is_available():
        return processor(_cpu_info(), psutil.virtual_memory().total, cores)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    card = torch.cuda.get_device_properties(device)
    return Hardware(
        "cuda", card.name, card.total_memory, torch.cuda.is_bf16_supported(including_emulation=False), cores,
        torch.cuda.device_count(), device,
    )  # fmt: skip


def processor(cpu_info: str, memory: int, cores: int) -> Hardware:
    """A processor from the text of /proc/cpuinfo. Without AMX or AVX512-BF16 PyTorch emulates bf16, slower than fp32."""
    words = set(cpu_info.split())
    name = next((line.split(":")[1].strip() for line in cpu_info.splitlines() if "model name" in line), "CPU")
    return Hardware("cpu", name, memory, bool(words & {"amx_bf16", "avx512_bf16"}), cores)


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""
