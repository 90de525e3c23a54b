"""Choices that follow from the machine, for machines that are not at hand."""

from __future__ import annotations

import pytest
import torch

from experiments.hardware import Hardware, current
from experiments.networks.inference import loader_workers
from experiments.networks.precision import choose_precision
from experiments.settings.training import ClassificationSettings
from experiments.training.loop import plugin
from experiments.training.optimisation import make_optimiser
from tests.experiments.hardware_cases import AMX, CPU, FOUR_A100, H200, MACHINES, RTX_3090, T4


@pytest.mark.parametrize(
    ("hardware", "precision", "fused", "workers"),
    [
        (H200, "bf16-mixed", True, 8),
        (RTX_3090, "bf16-mixed", True, 8),
        (T4, "16-mixed", False, 4),  # a fused optimiser would unscale after the clipping
        (FOUR_A100, "bf16-mixed", True, 8),
        (AMX, "bf16-mixed", False, 0),
        (CPU, "32-true", False, 0),
    ],
)
def test_choices(hardware: Hardware, precision: str, fused: bool, workers: int) -> None:
    assert choose_precision("auto", hardware) == precision
    for name in ("adam", "adamw", "sgd", "radam"):
        settings = ClassificationSettings(models=["c"], optimiser=name)
        optimiser = make_optimiser(torch.nn.Linear(2, 2), settings, hardware)
        assert bool(optimiser.defaults.get("fused")) == (fused and name != "radam")
    assert loader_workers("auto", hardware) == workers
    assert loader_workers(3, hardware) == 3


def test_fp16_has_a_scaler_and_bf16_none() -> None:
    assert plugin("16-mixed", T4).scaler is not None  # type: ignore[attr-defined]
    assert plugin("bf16-mixed", H200).scaler is None  # type: ignore[attr-defined]
    assert plugin("32-true", CPU).precision == "32-true"


def test_four_gpus_share_the_cores() -> None:
    assert loader_workers("auto", Hardware("cuda", "four", 1, bf16=True, cores=12, gpus=4), processes=4) == 3


def test_this_machine_is_described_once() -> None:
    assert current() is current()
    assert current().cores >= 1
    assert current().kind == ("cuda" if torch.cuda.is_available() else "cpu")
    assert current().bf16 in (True, False)


@pytest.mark.parametrize("hardware", MACHINES.values(), ids=MACHINES)
def test_a_described_machine_computes_here(hardware: Hardware) -> None:
    assert hardware.device == torch.device("cpu")
    assert hardware.free_memory() == hardware.memory
    assert hardware.peak_memory() == 0
