"""The rule, when it is left, and that measuring changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.networks import precision
from experiments.networks.precision import Way, candidates, choose_precision, chosen, fastest
from imaging.io.files import read_json

BF16, FP32 = Way("bf16-mixed"), Way("32-true")


@pytest.mark.parametrize("wish", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_named_precision_is_taken(wish: str) -> None:
    assert choose_precision(wish) == wish


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes fp16 or bf16")
def test_a_cpu_without_bf16_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "flags: avx2 avx512f")
    assert choose_precision("auto") == "32-true"
    monkeypatch.setattr(Path, "read_text", lambda self: "flags: avx512_bf16 amx_bf16")
    assert choose_precision("auto") == "bf16-mixed"


@pytest.mark.parametrize(
    ("rule", "milliseconds", "taken"),
    [
        (FP32, {}, FP32),
        (FP32, {"32-true/channels_last": 100, "32-true/nchw": 80}, FP32),  # not clearly
        (FP32, {"32-true/channels_last": 100, "32-true/nchw": 70}, Way("32-true", False)),
        (BF16, {"bf16-mixed/channels_last": 100, "32-true/channels_last": 60}, FP32),
        (BF16, {"bf16-mixed/channels_last": float("inf"), "32-true/channels_last": 900}, FP32),
    ],
)
def test_the_rule_is_left_for_what_is_clearly_faster(
    rule: Way, milliseconds: dict[str, float], taken: Way
) -> None:
    assert fastest(milliseconds, rule) == taken


def test_all_ways_are_tried_once() -> None:
    assert [way.name for way in candidates(FP32)] == ["32-true/channels_last", "32-true/nchw"]
    assert [way.name for way in candidates(BF16)] == [
        "bf16-mixed/channels_last", "bf16-mixed/nchw", "32-true/channels_last", "32-true/nchw",
    ]  # fmt: skip


def loss(output: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return (output.float().mean((1, 2, 3)) - batch["label"]).square().mean()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))


@pytest.mark.parametrize("worth", [0.0, 60.0])
def test_measuring_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: float) -> None:
    """Neither in the weights and statistics nor in the random numbers that follow; the answer is kept and asked again."""
    monkeypatch.setattr(precision, "WORTH", {"cpu": worth})
    batch: dict[str, Any] = {"image": torch.zeros(3, 1, 16, 16, dtype=torch.uint8), "label": torch.ones(3)}
    net, cpu = network(), torch.device("cpu")
    before, random = {k: v.clone() for k, v in net.state_dict().items()}, torch.random.get_rng_state()
    way, seconds = chosen(net, loss, batch, cpu, tmp_path)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert bool(seconds) == (worth == 0)
    assert seconds or way == Way(choose_precision("auto"))
    (kept,) = tmp_path.iterdir()
    assert read_json(kept)["seconds"] == seconds
    assert chosen(net, loss, batch, cpu, tmp_path) == (way, seconds)
    assert chosen(nn.Conv2d(1, 2, 3), loss, batch, cpu, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # another network, another answer
