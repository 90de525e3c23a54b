"""The plan of a run: images by hand, the batch that fits, and a refusal that names the setting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.plan import __main__ as plan_command
from experiments.plan import report
from experiments.plan.batch import FRAGMENTATION, RUNTIME, divisors, fit_batch, needed
from experiments.plan.cost import StepCost
from experiments.plan.report import assumed_tflops
from experiments.plan.work import card, data_size, images_shown
from experiments.settings.training import SegmentationSettings
from imaging.settings import DataSettings, PhantomSettings, SamplingSettings

MIB = 2**20


def cost(batch: int) -> StepCost:
    return StepCost(1000, 100 * MIB, 100 * MIB + batch * 400 * MIB, batch * 7)


def need(batch: int) -> int:
    return int((100 + 400 * batch) * MIB * (1 + FRAGMENTATION) + RUNTIME)


@pytest.mark.parametrize(
    ("memory", "batch", "accumulate", "fits"),
    [
        (need(8), 8, 1, True),
        (need(8) - 1, 4, 2, True),
        (need(4) - 1, 2, 4, True),
        (need(2) - 1, 2, 4, False),
    ],
)
def test_the_largest_batch_that_fits(memory: int, batch: int, accumulate: int, fits: bool) -> None:
    fit = fit_batch(cost, 8, 1, memory)
    assert (fit.batch, fit.accumulate, fit.fits) == (batch, accumulate, fits)
    assert fit.bytes == need(batch)
    assert fit.batch * fit.accumulate == 8


def test_resident_data_takes_its_room() -> None:
    assert needed(cost(1), resident=5) == need(1) + 5
    assert fit_batch(cost, 8, 3, need(8), resident=1).batch == 4


@pytest.mark.parametrize(
    ("batch", "parts"), [(8, [8, 4, 2]), (6, [6, 3, 2]), (7, [7]), (2, [2]), (1, [1]), (12, [12, 6, 4, 3, 2])]
)
def test_parts_of_a_batch(batch: int, parts: list[int]) -> None:
    assert divisors(batch) == parts


def settings(**values: object) -> SegmentationSettings:
    return SegmentationSettings.model_validate({"models": ["a"], "epochs": 4, **values})


def test_images_shown() -> None:
    training = [100, 400]  # positive, negative
    half = {"sampling": SamplingSettings(scheme="balanced", positive_share=0.5)}
    assert images_shown(settings(**half), training) == [400, 400]
    assert images_shown(settings(sampling=SamplingSettings(scheme="natural")), training) == [400, 1600]
    # 10 steps of 2 x 3 images, in the shares of the sampling
    steps = settings(**half, iterations=12, batch_size=3, accumulate=2)
    assert images_shown(steps, training) == [36, 36]


def test_sizes_of_sources() -> None:
    assert data_size(DataSettings(source="siim"), PhantomSettings()) == (12_047, 2_669)
    assert data_size(DataSettings(source="phantom"), PhantomSettings(train=200, prevalence=0.25)) == (200, 50)
    with pytest.raises(ValueError, match="--images and --positives"):
        data_size(DataSettings(source="folder"), PhantomSettings())


@pytest.mark.parametrize(("gigabytes", "precision"), [(16, False), (24, True), (141, True)])
def test_cards(gigabytes: float, precision: bool) -> None:
    assert card(gigabytes).bf16 is precision
    assert card(gigabytes).memory == gigabytes * 10**9
    assert assumed_tflops(card(gigabytes)) > 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments.plan", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_default_is_planned(tmp_path: Path) -> None:
    done = run("--gpu-memory", "16", "--tflops", "1", "--json", str(tmp_path / "plan.json"))
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "plan.json").read_text())
    assert [phase["stage"] for phase in made["phases"]] == ["segmentation"]
    assert made["hours"] == pytest.approx(made["flop"] / 3.6e15)
    # 1,200 phantoms, 264 positive; masks of the positives alone
    assert made["disk"]["prepared data"] == (1200 + 264) * 160 * 160
    assert "Card: GPU, 16.0 GB; " in done.stdout


def test_several_cards_have_a_column_each() -> None:
    done = run("siim", "--gpu-memory", "16", "24")
    assert done.returncode == 0, done.stderr
    head, _, line = done.stdout.strip().splitlines()
    assert head.endswith("| 16 GB | 24 GB |")
    assert line.startswith("| siim |")
    assert line.count("|") == head.count("|")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--gpu-memory 16 24 --json plan.json",
            "--json plan.json: needs a single recipe and a single --gpu-memory",
        ),
        ("--all --tflops 3", "--tflops 3.0: needs a single recipe and a single --gpu-memory"),
        ("siim --all", "siim: --all plans every recipe"),
    ],
)
def test_what_one_line_a_recipe_cannot_have_is_refused(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", *words.split()])
    with pytest.raises(ValueError, match=message):
        plan_command.arguments()


def test_what_cannot_fit_is_refused_with_the_setting() -> None:
    done = run("--gpu-memory", "0.8")
    assert done.returncode == 1
    assert "segmentation.image_size" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--gpu-memory", "0"),
        ("--gpu-memory", "-5"),
        ("--gpu-memory", "inf"),
        ("--tflops", "0"),
        ("--tflops", "nan"),
    ],
)
def test_a_card_without_memory_or_speed_is_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "siim", option, value])
    with pytest.raises(ValueError, match=f"{option} {value}: give a number above 0"):
        plan_command.arguments()


@pytest.mark.parametrize("sizes", ["--images 5", "--positives 5", "--images 5 --positives 5"])
def test_one_size_without_the_other_is_refused(sizes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "--all", *sizes.split()])
    with pytest.raises(ValueError, match="give both, 0 < positives < images"):
        plan_command.arguments()


def test_a_folder_in_place_of_the_json_file_is_refused_before_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "--json", str(tmp_path)])
    with pytest.raises(ValueError, match="a folder; name a file"):
        plan_command.arguments()


def test_an_unknown_recipe_lists_the_recipes() -> None:
    done = run("no-such")
    assert done.returncode == 1
    assert "siim-best" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("hours", "text"), [(0.001, "< 1 min"), (0.471, "28 min"), (5.474, "5.47 h"), (177.9, "178 h"), (1234.5, "1,234 h")]
)  # fmt: skip
def test_times_of_the_table(hours: float, text: str) -> None:
    assert report._duration(hours) == text
