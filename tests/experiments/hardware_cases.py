"""Machines as experiments.hardware would describe them, whose choices a test makes on its own processor."""

from __future__ import annotations

from experiments.hardware import Hardware, processor

GIB = 2**30
H200 = Hardware("cuda", "NVIDIA H200", 141 * GIB, bf16=True, cores=16, gpus=1)
RTX_3090 = Hardware("cuda", "NVIDIA GeForce RTX 3090", 24 * GIB, bf16=True, cores=12, gpus=1)
T4 = Hardware("cuda", "Tesla T4", 16 * GIB, bf16=False, cores=4, gpus=1)
FOUR_A100 = Hardware("cuda", "NVIDIA A100-SXM4-80GB", 80 * GIB, bf16=True, cores=64, gpus=4)
AMX = processor(
    "model name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t: avx512_bf16 amx_bf16 amx_tile", 64 * GIB, 8
)
CPU = processor("model name\t: AMD EPYC 7B12\nflags\t: avx2 fma", 8 * GIB, 2)
MACHINES = {"h200": H200, "24gb": RTX_3090, "t4": T4, "four_gpus": FOUR_A100, "amx": AMX, "cpu": CPU}
