"""Files and weights that params name are looked for before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.settings.params import Params
from experiments.settings.paths import check_paths
from imaging.io.config import validate

SMALL = {
    "train_folds": [0, 1],
    "split": {"folds": 2},
    "data": {"image_size": 64, "source": "siim"},
    "classification": {"models": ["a"], "image_size": 32},
    "segmentation": {"models": ["u"], "image_size": 64},
}


def paths(**changes: str | None) -> Params:
    own = {"data": {"folder": "."}, "submit": {}}
    for key, value in {"data.patients": ".", "submit.images": ".", "submit.sample": ".", **changes}.items():
        section, name = key.split(".")
        own[section][name] = value
    data = {**SMALL["data"], **own["data"]}  # type: ignore[dict-item]
    return validate(Params, {**SMALL, "data": data, "submit": own["submit"]}, "")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("submit.images", "typo", "`submit.images` is 'typo': no such file or folder"),
        ("submit.images", "empty", "an empty folder"),
        ("submit.images", "x.csv", "a file; name the folder"),
        ("submit.sample", "empty", "a folder; name a CSV file"),
        ("data.patients", "none.csv", "no such file"),
        ("data.folder", "x.csv", r"`data.folder` is 'x\.csv', a file; name the folder"),
        ("data.folder", "none", "`data.folder` is 'none': no such file or folder"),
    ],
)
def test_paths_are_checked_before_anything_runs(
    key: str, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("x.csv").touch()
    check_paths(paths())
    check_paths(paths(**{"data.patients": "x.csv", "submit.sample": "x.csv"}))
    check_paths(paths(**{"data.patients": None, "submit.images": None, "submit.sample": None}))
    with pytest.raises(ValueError, match=message):
        check_paths(paths(**{key: value}))


@pytest.mark.parametrize("key", ["data.folder", "submit.images"])
def test_generated_images_are_no_input_of_another_source(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage `phantom` empties its folder where the source is another; the stages after it would find nothing."""
    monkeypatch.chdir(tmp_path)
    test = Path("data/phantom/dicom-images-test")
    test.mkdir(parents=True)
    (test / "a.dcm").touch()
    with pytest.raises(
        ValueError, match=f"`{key}` is '{test}', but with `data.source: siim` the stage `phantom`"
    ):
        check_paths(paths(**{key: str(test)}))


@pytest.mark.parametrize("key", ["data.folder", "submit.images"])
@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("studies/dicom-images-train", "data/phantom/dicom-images-test"),
        ("studies/a/b/c", "data/phantom"),
        ("studies/one.dcm", "data/phantom/dicom-images-test/a.dcm"),
        ("elsewhere/siim", "data/phantom"),
    ],
)
def test_a_link_to_generated_images_is_no_input_of_another_source(
    key: str, link: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data/phantom/dicom-images-test", "studies/a/b", "elsewhere"):
        Path(folder).mkdir(parents=True)
    Path("data/phantom/dicom-images-test/a.dcm").touch()
    Path("studies/far").symlink_to(tmp_path / "elsewhere")
    Path("elsewhere/back").symlink_to(tmp_path / "studies")  # a circle
    Path("studies/broken").symlink_to("nowhere")
    Path("studies/own.dcm").touch()
    others = {"data.patients": None, "submit.images": None, "submit.sample": None}
    params = paths(**{**others, key: "studies"})
    check_paths(params)
    Path(link).symlink_to(tmp_path / target)
    shown = link.replace("elsewhere", "studies/far")
    with pytest.raises(
        ValueError, match=f"`{key}` is 'studies', where the link {shown} leads into data/phantom"
    ):
        check_paths(params)


def test_weights_that_are_not_there_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()

    def checked(pretrained: str) -> None:
        params = paths()
        section = params.segmentation.model_copy(update={"pretrained": pretrained})
        check_paths(params.model_copy(update={"segmentation": section}))

    for found in (
        "none",
        "imagenet",
        "in12k_ft_in1k",
        "hf-hub:owner/weights",
        "./weights",
        "./weights#segmentation/unet",
    ):
        checked(found)
    for missing in ("weights/lite0", "x.safetensors", "runs/nih#segmentation/unet"):
        with pytest.raises(
            ValueError, match=rf"`segmentation\.pretrained` is '{missing}': no such file or folder"
        ):
            checked(missing)
