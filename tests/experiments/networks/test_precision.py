"""A named precision is taken, `auto` follows the hardware, autocast computes in it."""

from __future__ import annotations

import pytest
import torch

from experiments.hardware import Hardware
from experiments.networks.precision import autocast, choose_precision
from tests.experiments.hardware_cases import AMX, CPU, H200, T4


@pytest.mark.parametrize("wish", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("hardware", [H200, T4, CPU])
def test_a_named_precision_is_taken(wish: str, hardware: Hardware) -> None:
    assert choose_precision(wish, hardware) == wish


@pytest.mark.parametrize(
    ("hardware", "dtype"),
    [(H200, torch.bfloat16), (T4, torch.float16), (AMX, torch.bfloat16), (CPU, torch.float32)],
)
def test_autocast(hardware: Hardware, dtype: torch.dtype) -> None:
    with autocast(choose_precision("auto", hardware), hardware):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
