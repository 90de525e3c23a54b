"""What `make bench` says of its rows, and that the GPU's script runs all its steps on a processor."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_recipes, gpu_steps, suite
from benchmarks.gpu_cases import TINY, Case, flops
from benchmarks.timing import Row, against, table
from experiments.hardware import Hardware
from tests.experiments.hardware_cases import CPU, H200

ROWS = [
    Row("decode", "Pillow", 1.5, 1.4),
    Row("decode", "pylibjpeg", 4.9, 5, "here"),
    Row("step", "eager", None, 4, "no bf16"),
    Row("search", "brute force", 1234.5),
]


def test_a_row_says_whether_its_goal_was_reached() -> None:
    assert [row.verdict for row in ROWS] == ["reached", "missed", "not here", ""]


def test_ratios_are_of_the_peers_time() -> None:
    rows = against("x", {"ours": 0.5, "slow": 3.0, "quick": 0.25}, "ours", {"slow": 5, "quick": None})
    assert [(row.against, row.ratio, row.at_least) for row in rows] == [
        ("slow", 6.0, 5),
        ("quick", 0.5, None),
    ]


def test_the_table() -> None:
    assert table(ROWS).splitlines()[2:] == [
        "| decode | Pillow | 1.5 × | 1.4 × | reached |",
        "| decode | pylibjpeg | 4.9 × | 5 × | missed: here |",
        "| step | eager | – | 4 × | not here: no bf16 |",
        "| search | brute force | 1,234 × |  |  |",
    ]


def test_the_report_has_every_row_once() -> None:
    report = json.loads(json.dumps(suite.as_json(ROWS)))
    assert len(report) == len(ROWS)
    assert report["step / eager"] == {"ratio": None, "against": "eager", "at_least": 4, "note": "no bf16"}


def test_every_module_of_the_suite_has_rows() -> None:
    assert set(suite.MODULES) == {"decode", "prepare", "feed", "rle", "search", "networks", "folder"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--output", str(tmp_path / "gpu.json")])
    gpu.main()
    assert capsys.readouterr().out.startswith("No GPU is visible to PyTorch here")
    assert not (tmp_path / "gpu.json").exists()


def test_flops_of_a_network_by_hand() -> None:
    """ResNet-18 has 1.8 billion multiply-adds at 224² and three channels (He 2016, table 1), a little less with one."""
    case = Case("c", "resnet18", 224, 1, classifier=True)
    assert 2 * 1.6e9 < flops(case) < 2 * 1.85e9


@pytest.mark.slow
@pytest.mark.parametrize("case", TINY)
def test_all_steps_run_on_a_processor(case: Case) -> None:
    row = gpu.measure(case, torch.device("cpu"), 0.0, peak=1.0)
    assert set(row["training_images_s"]) == {
        gpu_steps.PLAIN,
        gpu_steps.PLAIN_BF16,
        gpu_steps.STEP,
        gpu_steps.WHOLE,
    }
    assert min(*row["training_images_s"].values(), *row["inference_images_s"].values()) > 0
    assert row["network"] in gpu.in_words(row)


def test_every_recipe_is_measured_on_a_gpu() -> None:
    cases = gpu_recipes.cases()
    assert {case.recipe for case in cases} >= {"siim", "siim-best", "siim-first-place", "double-unet"}
    assert {512, 768, 1024} <= {case.settings.image_size for case in cases if case.recipe == "siim-best"}
    assert all(case.settings.pretrained == "none" for case in cases)


@pytest.mark.parametrize("stage", ["classification", "segmentation"])
@pytest.mark.parametrize("hardware", [H200, CPU], ids=["h200", "cpu"])
def test_a_recipes_network_is_measured(stage: str, hardware: Hardware) -> None:
    """A step of each kind on this processor with the choices of both machines."""
    case = next(one for one in gpu_recipes.cases() if one.stage == stage and one.recipe == "siim")
    small = replace(case, settings=case.settings.model_copy(update={"image_size": 64, "batch_size": 2}))
    row = gpu_recipes.measure(small, hardware, peak_tflops=1.0, seconds=0.0)
    assert min(row[name] for name in ("images_s", "feed", "peak", "fp32", "bf16")) > 0
    assert gpu_recipes.table([row]).splitlines()[2].startswith(f"| siim | {stage} ")


def test_the_table_says_what_did_not_fit() -> None:
    row = {"recipe": "r", "network": "n", "side": 1024, "batch": 8, "error": "out of memory"}
    assert (
        gpu_recipes.table([row]).splitlines()[2]
        == "| r | n | 1024 | 8 | – | – | – | – | – | – | out of memory"
    )
