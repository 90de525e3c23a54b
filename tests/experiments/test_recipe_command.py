"""The command that makes params.yaml from a recipe: data folder, overrides, scale, and what it does not overwrite."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments.recipe import Choice, is_kept_elsewhere, main, put, text_of
from experiments.settings.params import Params
from imaging.io.config import parse_yaml, validate


@pytest.mark.parametrize(
    "name", ["SIIM", "SIIM #1", "a: b", "tab\there", "back\\slash", "'quoted\"", "- x", "ü"]
)
def test_a_recipe_takes_the_users_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    found = yaml.safe_load(text_of(Choice("siim-smoke", data=str(folder))))
    assert found["data"]["folder"] == found["data"]["patients"] == str(folder)
    assert found["submit"]["images"] == found["submit"]["sample"] == str(folder)


def test_a_recipe_or_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        text_of(Choice("siim-smoke", str(tmp_path / "none")))
    with pytest.raises(ValueError, match=r"no recipe 'sim'; known: .*siim"):
        text_of(Choice("sim"))


def test_overrides_change_a_recipe_and_keep_its_comments() -> None:
    text = text_of(
        Choice("cranium", overrides=("segmentation.lr=0.001", "train_folds=[0, 1]", "phantom.seed=3"))
    )
    found = yaml.safe_load(text)
    assert (found["segmentation"]["lr"], found["train_folds"], found["phantom"]["seed"]) == (0.001, [0, 1], 3)
    assert "the source has slices of one patient on both sides" in text
    for wrong in ("segmentation.lr", "train_folds.x=1", "split.seed=[1"):
        with pytest.raises(ValueError, match="--set"):
            text_of(Choice("cranium", overrides=(wrong,)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "not valid YAML"),
        (b"- 1", r"found \[1\]"),
        (b"a:\tb\n\tc", "not valid YAML"),
    ],
)
def test_a_params_file_that_cannot_be_read_is_not_replaced(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"params\.yaml: .*{said}(.|\n)*git checkout .*, or delete it"):
        put(Choice("phantom"), path)
    assert path.read_bytes() == content


def test_text_that_looks_like_something_else_stays_text() -> None:
    text = text_of(Choice("siim", overrides=('data.patients="no"', 'data.columns={label: "010", path: a}')))
    found = parse_yaml(text)["data"]
    assert (found["patients"], found["columns"]) == ("no", {"label": "010", "path": "a"})


def test_a_params_file_is_replaced_unless_it_has_own_edits(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    put(Choice("phantom"), path)
    put(Choice("cranium", overrides=("segmentation.lr=0.001",), scale="tiny"), path)
    put(Choice("siim", data=str(tmp_path)), path)
    assert is_kept_elsewhere(path)
    path.write_text(path.read_text().replace("image_size: ", "image_size: 1", 1))
    with pytest.raises(ValueError, match="edits that neither git nor a recipe holds"):
        put(Choice("phantom"), path)
    path.unlink()
    with pytest.raises(ValueError, match="did you mean `lr`"):
        put(Choice("phantom", overrides=("segmentation.lrr=1",)), path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('data.folder="a', r"^--set 'data.folder=\"a': No closing quotation$"),
        (
            "segmentation.loss={dice:1}",
            "YAML needs a space after each colon, and quotes around the whole setting",
        ),
    ],
)
def test_a_mistake_of_writing_is_one_line(given: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["recipe", "siim", "--set", given])
    with pytest.raises(ValueError, match=message):
        main()


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such folder"), ("labels.csv", "a file; name the folder that holds it")]
)
def test_data_that_is_no_folder_is_told(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").touch()
    with pytest.raises(ValueError, match=f"^--data {name}: {message}$"):
        text_of(Choice("siim", data=name))


TRIAL = (
    "tune_segmentation.trials=1",
    "tune_segmentation.space.lr.low=0.001",
    "tune_segmentation.space.lr.high=0.01",
)


def test_a_reduced_recipe_keeps_what_set_says_of_sections_with_fixed_values() -> None:
    """`trials` was 0 at every scale, whatever `SET` said, without a word."""
    text = text_of(
        Choice("phantom", overrides=(*TRIAL, "evaluation.draws=700", "split.seed=3"), scale="tiny")
    )
    found = validate(Params, yaml.safe_load(text), "")
    assert (found.tune_segmentation.trials, found.evaluation.draws, found.split.seed) == (1, 700, 3)
    assert (found.split.folds, found.split.holdout) == (2, 0.3)


def test_an_override_that_a_scale_changes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv",
        [
            "recipe",
            "phantom",
            "--scale",
            "tiny",
            "--set",
            "segmentation.epochs=3 segmentation.alpha=0.5 split.seed=2",
        ],
    )
    main()
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith("split.seed=2, reduced to the scale tiny")
    assert others == ["SCALE=tiny: segmentation.epochs is 1, not 3"]
