"""Several processes train as one: the same curve, the same weights, one set of files; a dead one ends all, and all go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import timm
import torch
from safetensors.torch import load_file

from experiments import ranks
from experiments.settings.training import ClassificationSettings
from experiments.training import distributed
from imaging.data.sampler import Share
from imaging.prepared import Prepared
from tests.experiments.hardware_cases import CPU, FOUR_A100, H200
from tests.experiments.training import together
from tests.imaging.conftest import make_prepared


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_prepared(tmp_path_factory.mktemp("processes"))


LONG = 1200
"""Seconds after which a hanging training is given up, whatever else the machine does."""


def command(prepared: Path, out: Path, *cases: str) -> list[str]:
    return [sys.executable, "-m", "tests.experiments.training.together", str(prepared), str(out), "2", *cases]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def read(out: Path, case: str) -> tuple[list[dict[str, float]], dict[str, float], dict[str, torch.Tensor]]:
    rows, metrics = json.loads((out / f"{case}.json").read_text())
    return rows, metrics, load_file(out / f"{case}.safetensors")


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_shares_of_a_batch_are_the_batch(ranks: int) -> None:
    order = np.random.default_rng(0).permutation(30)
    shares = [Share(rank, ranks).of_batches(order, 12) for rank in range(ranks)]
    assert np.array_equal(np.stack(shares).reshape(ranks, 2, -1).swapaxes(0, 1).ravel(), order[:24])


@pytest.mark.parametrize(("ranks", "number"), [(1, 5), (2, 5), (2, 6), (4, 5), (4, 3), (8, 3)])
def test_each_validation_image_counts_once_and_in_its_place(ranks: int, number: int) -> None:
    seen = [Share(rank, ranks).of_all(number) for rank in range(ranks)]
    assert {len(one) for one in seen} == {-(-number // ranks)}
    parts = torch.stack([torch.from_numpy(one)[:, None] * torch.tensor([1, 10]) for one in seen])
    assert Share.in_order(parts, number).tolist() == [[i, 10 * i] for i in range(number)]


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({"devices": 2, "nodes": 2}, {}, "nodes 2: start this command with torchrun"),
        ({"devices": 2}, {"RANK": "0", "WORLD_SIZE": "4"}, "are 2 processes, but 4 were started"),
        ({}, {"RANK": "0", "WORLD_SIZE": "2"}, "devices 1 x nodes 1 are 1 processes, but 2 were started"),
    ],
)
def test_numbers_that_do_not_agree(
    settings: dict[str, Any], environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distributed.needs_launch(ClassificationSettings(models=["c"], batch_size=16, **settings), CPU)


def test_more_processes_than_gpus() -> None:
    settings = ClassificationSettings(models=["c"], batch_size=16, devices=4)
    assert distributed.needs_launch(settings, FOUR_A100)
    with pytest.raises(ValueError, match="devices 4: this machine has 1 GPUs; lower devices"):
        distributed.needs_launch(settings, H200)


def test_batch_norm_is_synchronised_on_gpus_with_the_activations_of_timm() -> None:
    net = timm.create_model("test_efficientnet", in_chans=1, num_classes=1)
    names = list(net.state_dict())
    converted = distributed.synchronise_batch_norm(net, FOUR_A100)
    norms = [one for one in converted.modules() if isinstance(one, torch.nn.SyncBatchNorm)]
    assert norms
    assert any(isinstance(norm.act, torch.nn.SiLU) for norm in norms)
    assert list(converted.state_dict()) == names


def test_batch_norm_cannot_be_synchronised_on_a_processor() -> None:
    layer_norm = torch.nn.LayerNorm(3)
    assert distributed.synchronise_batch_norm(layer_norm, CPU) is layer_norm
    with pytest.raises(ValueError, match=r"sync_batchnorm true: .* on a CPU set devices to 1"):
        distributed.synchronise_batch_norm(torch.nn.BatchNorm2d(3), CPU)


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(
        ValueError, match=r"batch_size 6 is the total over all processes .* multiple of .* = 4"
    ):
        ClassificationSettings(models=["c"], batch_size=6, devices=2, nodes=2)


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ranks.rank(), ranks.count(), ranks.here(), ranks.first()) == (
        0,
        1,
        1,
        True,
    )
    assert not distributed.needs_launch(ClassificationSettings(models=["c"]), CPU)


@pytest.fixture(scope="module")
def two(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all cases; they pay once for starting."""
    out = tmp_path_factory.mktemp("two")
    cases = [case for case in together.CASES if case != "killed"]
    done = subprocess.run(
        command(prepared, out, *cases), env=environment(), capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("plain  epoch")]
    assert len(lines) == 3, "one process reports"
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "rounding"),
    [("plain", 2e-5), ("all", 2e-5), ("plateau", 2e-5), ("frozen", 1e-3), ("timm", 1e-3)],
)
def test_two_processes_train_as_one(
    prepared: Path, two: Path, tmp_path: Path, case: str, rounding: float
) -> None:
    alone = together.train(Prepared(prepared), tmp_path, case, together.settings_of(case))
    rows, metrics, state = read(two, case)
    for one, other in zip(alone.history, rows, strict=True):
        assert other == pytest.approx(one, rel=rounding, abs=1e-6)
    assert metrics == pytest.approx(alone.metrics, rel=rounding, abs=1e-6)
    assert state.keys() == alone.state.keys()
    for name, value in alone.state.items():
        torch.testing.assert_close(
            state[name], value, rtol=10 * rounding, atol=rounding, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.slow
def test_each_process_may_normalise_by_its_own_images(prepared: Path, two: Path, tmp_path: Path) -> None:
    case = "each_for_itself"
    alone = together.train(Prepared(prepared), tmp_path, case, together.settings_of(case))
    rows = read(two, case)[0]
    assert abs(rows[-1]["train/loss"] - alone.history[-1]["train/loss"]) > 1e-4


@pytest.mark.slow
def test_a_killed_process_ends_all_soon_and_the_next_start_goes_on(
    prepared: Path, two: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(prepared, tmp_path, "killed"), env=environment(), capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode == 1
    assert "process 1 of 2 was ended by SIGKILL, so the others were stopped" in done.stderr
    assert not (tmp_path / "killed.json").exists()
    again = subprocess.run(
        command(prepared, tmp_path, "killed"), env=environment(), capture_output=True, text=True, timeout=LONG
    )
    assert again.returncode == 0, again.stderr[-3000:]
    assert "epoch 1/3" not in again.stdout  # it resumed after it
    rows, _, state = read(tmp_path, "killed")
    whole, _, expected = read(two, "plain")
    assert rows == whole
    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.slow
def test_the_workers_end_with_their_launcher(prepared: Path, tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        command(prepared, tmp_path, "plain"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    members: list[psutil.Process] = []
    end = time.monotonic() + LONG
    while len(members) < 2 and time.monotonic() < end:
        time.sleep(0.2)
        members = psutil.Process(launcher.pid).children()
    assert len(members) == 2
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    _, living = psutil.wait_procs(members, timeout=60)
    assert not living
