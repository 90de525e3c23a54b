"""Training with the choices of machines that are not at hand: fused optimisers, bf16, fp16 with a scaler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from classification.objective import Objective
from experiments.hardware import Hardware
from experiments.settings.training import ClassificationSettings
from experiments.training import phases, train_fold
from imaging.data.device_cache import Resident
from imaging.prepared import Prepared
from tests.experiments.hardware_cases import CPU, H200, MACHINES, T4
from tests.experiments.training.test_loop import Quits, prepared, run, same
from tests.experiments.training.test_optimisation import WithEncoder

__all__ = ["prepared"]
FEATURES: list[dict[str, Any]] = [
    {"gradient_clip": 1e-3, "optimiser": "adamw"},
    {"gradient_clip": 1e-3, "optimiser": "adam", "accumulate": 2, "ema": 0.9},
    {"gradient_clip": 1e-3, "optimiser": "sgd", "keep": "best", "top": 2},
    {"gradient_clip": 1e-3, "optimiser": "radam", "schedule": "plateau", "warmup": 0},
    {"augment": {"engine": "fused"}, "workers": "auto"},
    {"deterministic": True},
]


class Witness(Callback):
    """Keeps what only the running trainer knows."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.optimiser = trainer.optimizers[0]
        self.precision = trainer.precision_plugin.precision
        self.images = trainer.train_dataloader.dataset
        self.deterministic = torch.are_deterministic_algorithms_enabled()


def trainable(net: torch.nn.Module) -> bool:
    return all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("changes", FEATURES, ids=[" ".join(one) for one in FEATURES])
@pytest.mark.parametrize(
    "hardware", [MACHINES["h200"], MACHINES["t4"], MACHINES["amx"]], ids=["h200", "t4", "amx"]
)
def test_a_training_with_its_choices(
    prepared: Prepared, tmp_path: Path, hardware: Hardware, changes: dict[str, Any]
) -> None:
    witness = Witness()
    done = run(prepared, tmp_path, [witness], hardware, epochs=2, **changes)
    assert all(torch.isfinite(value).all() for value in done.state.values() if value.is_floating_point())
    assert witness.precision == ("16-mixed" if hardware is T4 else "bf16-mixed")
    fused = hardware is H200 and changes.get("optimiser") != "radam"
    assert bool(witness.optimiser.defaults.get("fused")) == fused
    assert witness.deterministic == (hardware.kind == "cpu" or "deterministic" in changes)


def test_clipping_bounds_the_step_of_a_fused_optimiser(prepared: Prepared, tmp_path: Path) -> None:
    """SGD's first step is lr times the clipped gradient; with momentum .9 two steps are below 2.9 times that."""
    sgd: dict[str, Any] = {
        "optimiser": "sgd",
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0,
        "lr": 1.0,
    }
    for hardware in (H200, T4):
        folder = tmp_path / hardware.name
        clipped = run(prepared, folder / "a", hardware=hardware, epochs=1, gradient_clip=1e-6, **sgd)
        free = run(prepared, folder / "b", hardware=hardware, epochs=1, gradient_clip=None, **sgd)
        start = run(prepared, folder / "c", hardware=hardware, epochs=1, gradient_clip=1e-30, **sgd)
        moved = [
            float((one.state["6.weight"] - start.state["6.weight"]).abs().max()) for one in (clipped, free)
        ]
        assert moved[0] < 1e-4 < 1e-2 < moved[1]


def test_a_killed_training_in_fp16_resumes_with_its_scaler(prepared: Prepared, tmp_path: Path) -> None:
    whole = run(prepared, tmp_path / "whole", hardware=T4)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(prepared, tmp_path / "killed", [Quits(2)], T4)
    assert same(whole, run(prepared, tmp_path / "killed", hardware=T4))


@pytest.mark.parametrize("quits", [1, 3])
def test_a_killed_training_resumes_on_another_gpu_with_other_passes(
    prepared: Prepared, tmp_path: Path, quits: int
) -> None:
    """As `micro_batch: auto` divides it there: the same epochs, steps and learning rates, on from the weights that there were."""
    one_pass, two_passes = {"batch_size": 2}, {"batch_size": 1, "accumulate": 2}
    whole = run(prepared, tmp_path / "whole", hardware=H200, **one_pass)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(prepared, tmp_path / "killed", [Quits(quits)], H200, **one_pass)
    witness = Witness()
    resumed = run(prepared, tmp_path / "killed", [witness], MACHINES["24gb"], **two_passes)
    assert resumed.history[:quits] == whole.history[:quits]
    assert [row["epoch"] for row in resumed.history] == [row["epoch"] for row in whole.history]
    assert witness.optimiser.state_dict()["state"][0]["step"] == 4 * (whole_steps(prepared))
    assert all(torch.isfinite(value).all() for value in resumed.state.values())


def whole_steps(prepared: Prepared) -> int:
    """Steps of an epoch, two images each; see the loader's drop_last."""
    return len(train_fold.training_rows(prepared, 0)) // 2


@pytest.mark.parametrize("engine", ["fused", "albumentations"])
def test_data_live_on_the_device_where_they_fit(prepared: Prepared, tmp_path: Path, engine: str) -> None:
    witness, batch = Witness(), {"augment": {"engine": engine}, "epochs": 1, "workers": "auto"}
    resident = run(
        prepared,
        tmp_path / "a",
        [witness],
        Hardware("cuda", "one core", 1 << 30, bf16=False, cores=0),
        **batch,
    )
    assert isinstance(witness.images, Resident) == (engine == "fused")
    small = Hardware("cuda", "small", 10_000, bf16=False, cores=0)
    assert same(resident, run(prepared, tmp_path / "b", [witness], small, **batch))
    assert not isinstance(witness.images, Resident)


@pytest.mark.parametrize("hardware", [H200, T4, CPU], ids=["h200", "t4", "cpu"])
def test_an_encoder_that_a_phase_keeps_frozen_is_trained_by_the_next(
    prepared: Prepared, tmp_path: Path, hardware: Hardware
) -> None:
    settings = ClassificationSettings(
        models=["c"], image_size=32, epochs=1, batch_size=4, phases=[{"freeze_encoder": 1}, {"lr": 0.01}]
    )
    torch.manual_seed(0)
    net, states = WithEncoder(), []
    groups = train_fold.validation_groups(prepared, train_fold.datasets(prepared, 0, settings)[1])
    for number in (1, 2):
        chain = settings.model_copy(update={"phases": settings.phases[:number]})
        done = phases.fit(
            net, chain, lambda phase: Objective(phase, groups), lambda phase: train_fold.datasets(prepared, 0, phase),
            title="test", resume=tmp_path / str(number), hardware=hardware,
        )  # fmt: skip
        states.append(done.state["encoder.0.weight"].clone())
        assert trainable(net)
    assert not torch.equal(*states)


@pytest.mark.slow
@pytest.mark.parametrize("hardware", [H200, CPU], ids=["h200", "cpu"])
def test_a_compiled_network_keeps_the_names_of_its_weights(
    prepared: Prepared, tmp_path: Path, hardware: Hardware
) -> None:
    plain, compiled = (
        run(prepared, tmp_path / str(wish), hardware=hardware, epochs=1, compile=wish, ema=0.9)
        for wish in (False, True)
    )
    assert list(plain.state) == list(compiled.state)
    for name, value in plain.state.items():
        torch.testing.assert_close(compiled.state[name], value, rtol=5e-2, atol=5e-3)
