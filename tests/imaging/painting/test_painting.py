"""A painted pneumothorax on generated films: where lungs are found, what changes and what does not, and what is written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from imaging import rle
from imaging.formats.reader import read
from imaging.painting import __main__ as painting
from imaging.painting.air import Kind, paint, sample_look
from imaging.painting.collapse import Collapse, sample
from imaging.painting.dataset import write
from imaging.painting.film import painted
from imaging.painting.lung_fields import LEFT, RIGHT, lung_fields
from imaging.phantom.dataset import write as write_phantoms
from imaging.settings import DataSettings, PhantomSettings
from imaging.sources import siim


def film(side: int = 512) -> np.ndarray:
    """A body of grey 180 on black with two dark ellipses as lungs, and some texture."""
    layer = np.zeros((512, 512), np.uint8)
    cv2.ellipse(layer, (256, 290), (220, 240), 0, 0, 360, 180, -1)
    for x in (165, 347):
        cv2.ellipse(layer, (x, 270), (62, 130), 0, 0, 360, 90, -1)
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 12, layer.shape), (0, 0), 1.5)
    textured = np.clip(layer + np.where(layer > 0, noise, 0), 0, 255).astype(np.uint8)
    return cv2.resize(textured, (side, side), interpolation=cv2.INTER_AREA)


def test_the_lung_fields_of_two_ellipses() -> None:
    found = lung_fields(film())
    assert set(found) == {LEFT, RIGHT}
    for side, x in ((LEFT, 165), (RIGHT, 347)):
        rows, columns = np.nonzero(found[side])
        assert abs(columns.mean() * 2 - x) < 6
        assert abs(rows.mean() * 2 - 270) < 6
        assert found[side].sum() * 4 == pytest.approx(np.pi * 62 * 130, rel=0.4)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_picture_has_no_lungs_and_is_not_painted(grey: int) -> None:
    flat = np.full((300, 400), grey, np.uint8)
    assert lung_fields(flat) == {}
    assert painted(flat, np.random.default_rng(0)) is None


def collapse(seed: int) -> Collapse:
    found = sample(lung_fields(film()), np.random.default_rng(seed))
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_space_lies_in_the_lung_and_at_its_wall(seed: int) -> None:
    found = collapse(seed)
    assert not (found.space & ~found.field & 1).any()
    assert 80 <= found.space.sum() < found.field.sum()
    wall = found.field - cv2.erode(found.field, np.ones((5, 5), np.uint8))
    number, labels = cv2.connectedComponents(found.mask)
    assert all((wall[labels == k] > 0).any() for k in range(1, number))


@pytest.mark.parametrize("kind", ["air", "smooth", "line", "dark"])
@pytest.mark.parametrize("seed", range(4))
def test_far_from_the_lung_nothing_changes(seed: int, kind: Kind) -> None:
    found = collapse(seed)
    change = paint(film(), found, np.random.default_rng(seed), kind)
    assert np.abs(change).max() > 0.5
    near = cv2.dilate(found.field, np.ones((21, 21), np.uint8)) > 0
    assert np.abs(change[~near]).max() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_air_is_darker(seed: int) -> None:
    found = collapse(seed)
    inside = cv2.erode(found.space, np.ones((3, 3), np.uint8)) > 0
    if inside.any():
        assert paint(film(), found, np.random.default_rng(seed))[inside].mean() < -1


def test_decoys_have_one_sign() -> None:
    rng = np.random.default_rng(0)
    signs = {kind: sample_look(kind, rng) for kind in ("air", "smooth", "line", "dark")}
    given = {kind: [name for name, value in vars(look).items() if value > 0] for kind, look in signs.items()}
    assert given == {
        "air": ["vessels_lost", "darkness", "denser", "line"],
        "smooth": ["vessels_lost"],
        "line": ["line"],
        "dark": ["darkness"],
    }


def test_a_picture_of_another_size_and_form_is_painted_at_its_own() -> None:
    tall = cv2.resize(film(), (600, 900), interpolation=cv2.INTER_LINEAR)
    found = painted(tall, np.random.default_rng(1))
    assert found is not None
    assert found.pixels.shape == found.mask.shape == (900, 600)
    assert found.mask.any()
    changed = (found.pixels != tall).any(axis=0)
    assert 0 < changed.sum() < 600
    decoy = painted(tall, np.random.default_rng(1), "line")
    assert decoy is not None
    assert not decoy.mask.any()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "siim"
    write_phantoms(
        folder, PhantomSettings(train=20, test=1, prevalence=0.2, difficulty=0.0, least_area=6000, seed=3)
    )
    return folder


def test_a_data_set_of_painted_films(studies: Path, tmp_path: Path) -> None:
    made = write(studies, tmp_path / "out", 4, 2, 0, copied=True, workers=1)
    labels = pd.read_csv(tmp_path / "out" / "train-rle.csv", dtype=str).set_index("ImageId")["EncodedPixels"]
    owners = pd.read_csv(tmp_path / "out" / "patients.csv", dtype=str).set_index("image_id")["patient"]
    origin = pd.read_csv(tmp_path / "out" / "painted.csv", dtype=str).set_index("image_id")
    assert (made.painted, made.decoys, made.refused) == (4, 2, [])
    assert len(origin) == 6
    assert len(labels) == len(owners) == 20 + 6
    for name, row in origin.iterrows():
        path = tmp_path / "out" / "dicom-images-train" / f"{name}.dcm"
        header = pydicom.dcmread(path)
        assert header.PatientID == ""
        assert list(header.ImageType) == ["DERIVED", "SECONDARY"]
        assert owners[name] == owners[row["film"]]
        assert labels[row["film"]] == rle.EMPTY
        assert (labels[name] == rle.EMPTY) == (row["painted"] != "air")
        pixels = read(path).pixels
        if row["painted"] == "air":
            assert rle.decode(labels[name], pixels.shape).any()
    again = tmp_path / "again"
    write(studies, again, 4, 2, 0, copied=True, workers=2)
    assert (again / "train-rle.csv").read_bytes() == (tmp_path / "out" / "train-rle.csv").read_bytes()


def test_a_set_of_positives_alone_is_refused(studies: Path, tmp_path: Path) -> None:
    table = pd.read_csv(studies / "train-rle.csv", dtype=str)
    copy = tmp_path / "positive"
    copy.mkdir()
    (copy / "dicom-images-train").symlink_to(studies / "dicom-images-train", target_is_directory=True)
    table[table.iloc[:, 1].str.strip() != "-1"].to_csv(copy / "train-rle.csv", index=False)
    with pytest.raises(ValueError, match="no image is labelled negative"):
        write(copy, tmp_path / "out", 1, 0, 0, workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("--number -1", "--number -1: must be at least 0"),
        ("--seed -1", "--seed -1: must be at least 0"),
        ("--number 1000", r"--number 1000: 1\d negative films allow \d+, 20 of each"),
        ("--number 1 --decoys 999", r"--decoys 999: 1\d negative films allow"),
        ("--number 0 --decoys 0", "nothing to paint"),
        ("--studies nowhere", "--studies nowhere: no such folder"),
        ("--output {studies}", "is, contains or lies in the studies' folder"),
        ("--output {studies}/inside", "is, contains or lies in the studies' folder"),
        ("--output {studies}/..", "is, contains or lies in the studies' folder"),
    ],
)
def test_wrong_arguments(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, message: str
) -> None:
    argv = f"painting --studies {studies} --output {tmp_path / 'x'} {changed.format(studies=studies)}"
    monkeypatch.setattr(sys, "argv", argv.split())
    with pytest.raises(ValueError, match=message):
        painting.main()
    assert not (tmp_path / "x").exists()


def test_files_that_cannot_be_read_are_named(studies: Path, tmp_path: Path) -> None:
    copy = tmp_path / "broken"
    (copy / "dicom-images-train").mkdir(parents=True)
    for name in ("a,b", "c"):
        (copy / "dicom-images-train" / f"{name}.dcm").write_bytes(b"no image" * 99)
    (copy / "train-rle.csv").write_text('ImageId,EncodedPixels\n"a,b",-1\nc,-1\n')
    with pytest.raises(
        ValueError, match=r"no lung was found on any film; 2 could not be read, for example .*\.dcm"
    ):
        write(copy, tmp_path / "out", 2, 0, 0, workers=1)
    assert not (tmp_path / "out").exists()


def test_an_id_with_a_comma_is_read_back(studies: Path, tmp_path: Path) -> None:
    copy = tmp_path / "comma"
    (copy / "dicom-images-train").mkdir(parents=True)
    given = siim.list_studies(DataSettings(source="siim", folder=str(studies), patients=str(studies))).records
    empty = given[given["rle"] == rle.EMPTY].iloc[:3]
    for number, path in enumerate(empty["path"]):
        shutil.copy(path, copy / "dicom-images-train" / f"film, {number}.dcm")
    names = [f"film, {number}" for number in range(3)]
    pd.DataFrame({"ImageId": names, "EncodedPixels": "-1"}).to_csv(copy / "train-rle.csv", index=False)
    pd.DataFrame({"image_id": names, "patient": ["Doe, J", "b", "c"]}).to_csv(
        copy / "patients.csv", index=False
    )
    write(copy, tmp_path / "out", 2, 0, 0, copied=True, workers=1)
    found = siim.list_studies(
        DataSettings(source="siim", folder=str(tmp_path / "out"), patients=str(tmp_path / "out"))
    )
    assert len(found.records) == 5
    assert set(names) <= set(found.records["image_id"])
    assert any("2 images are painted films" in note for note in found.notes)


def test_the_command_says_what_it_wrote(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = f"painting --studies {studies} --output {tmp_path / 'x'} --number 2 --decoys 1"
    monkeypatch.setattr(sys, "argv", argv.split())
    painting.main()
    assert "2 films with painted air, 1 decoys" in capsys.readouterr().out
    assert len(list((tmp_path / "x" / "dicom-images-train").glob("*.dcm"))) == 3
