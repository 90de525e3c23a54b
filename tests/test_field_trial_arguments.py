"""The command line of the field trial: what it refuses before anything is written, and the names of its runs."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest

from benchmarks.field_trial import __main__ as field_trial
from benchmarks.field_trial.arguments import run_name

WRONG = {
    "--train nowhere": "--train nowhere: no such folder",
    "--train a.csv": "--train a.csv: a file, not a folder",
    "--methods ordinary --set segmentation.ema=0.9": "--set segmentation.ema=0.9: changes recipes, and --methods names none",
    "--train unlabelled": "--train unlabelled: holds neither stage_2_train.csv",
    "--real studies": "--train and --real are both studies",
    "--phantoms nowhere --trials T0": "--phantoms nowhere: no such folder",
    "--trials T1 T0": "--trials T0: give --phantoms FOLDER",
    "--trials T1P": "--trials T1P: give --phantoms FOLDER",
    "--weights weights/none": "--weights weights/none: no such file",
    "--output a.csv": "--output a.csv: is a file",
    "--size 250": "--size 250: a multiple of 32 up to 2048, such as 256",
    "--size 0": "--size 0: a multiple of 32 up to 2048, such as 32",
    "--folds 2": "--folds 2: at least 3",
    "--folds 21": "--folds 21: at most 20",
    "--output studies/out": "--output studies/out: is or lies in --train studies",
    "--output real": "--output real: is or lies in --real real",
    "--seeds 0": "--seeds 0: at least 1",
    "--first-seed -1": "--first-seed -1: at least 0",
    "--images 0": "--images 0: at least 16",
    "--tune-images 15": "--tune-images 15: at least 16",
    "--threads 0": "--threads 0: at least 1",
    "--draws 0": "--draws 0: at least 1",
    "--fitted 0": "--fitted 0: at least 1",
    "--mix 0": "--mix 0.0: a share above 0",
    "--set segmentation.ema": "--set 'segmentation.ema': write section.key=value",
    "--set segmentation.nosuch=1": "unknown key `segmentation.nosuch`",
    "--set share=half": "share=half: the classifier's share",
    "--set share": "share=: the classifier's share",
    "--methods ours-contrasts --set segmentation.contrast=clahe": "--set segmentation.contrast: ours-contrasts has one",
    "--name a/b": "--name 'a/b': a name without a slash",
    "--name ordinary": "--name 'ordinary': a name without a slash that no other method has",
    "--name x --methods ours siim-unet": "--name x: names one recipe, and --methods has 2",
    "--start-from ours --trials T3 T2": "--start-from ours: T2 goes on from no other trial; --trials T1P or T3",
    "--start-from ours --trials T3": "--start-from ours: ordinary is no recipe",
    "--start-from ours --trials T3 --methods ours": "--start-from ours: field-trial/results/T2-ours-0 is no finished run",
    "--peer nobody": "--peer nobody: no such method; there are ordinary, ours",
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_argument_is_refused_before_anything_is_written(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("studies", "real", "unlabelled"):
        Path(folder).mkdir()
    for table in ("a.csv", "studies/train-rle.csv", "real/train-rle.csv"):
        Path(table).touch()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["field_trial", "--train", "studies", "--real", "real", *wrong.split()])
    with pytest.raises(ValueError, match=re.escape(WRONG[wrong])):
        field_trial.main()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_setting_with_a_slash_names_one_folder() -> None:
    given = argparse.Namespace(name=None, set=["segmentation.pretrained=weights/lite0"])
    assert run_name(given, "ours") == "ours+segmentation.pretrained=weights_lite0"
    assert run_name(given, "ordinary") == "ordinary"
