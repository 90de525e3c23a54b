from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imaging.decoding.radiograph import RefusedFile
from imaging.formats import masks, nifti, reader
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture

nibabel = pytest.importorskip("nibabel", reason="the extra `ct` is not installed")

VOLUME = np.full((40, 60, 5), -1000, np.int16)  # axes to the right, the front and the top
VOLUME[:20, :50] = 40
VOLUME[:, 50:] = 100
VOLUME[..., 3] += 10


def save(path: Path, values: np.ndarray, steps: tuple[float, ...] = (0.5, 0.6, 5.0)) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*steps, 1])), path)
    return path


ORIENTATIONS = {
    "right, front, top": (VOLUME, (0.5, 0.6, 5)),
    "left, back, top": (VOLUME[::-1, ::-1], (-0.5, -0.6, 5)),
    "left, front, bottom": (VOLUME[::-1, :, ::-1], (-0.5, 0.6, -5)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_slices_lie_as_radiologists_see_them(tmp_path, name, ending):
    path = save(tmp_path / f"049{ending}", *ORIENTATIONS[name])
    slices = nifti.slices(path)
    assert slices == [f"{path}#{number}" for number in range(1, 6)]
    lowest = reader.read(slices[0])
    assert lowest.pixels.shape == (60, 40)
    assert lowest.facts.spacing_mm == (0.6, 0.5)
    assert (lowest.pixels[:10] == 255).all()  # the front is above; 100 HU is white
    assert (lowest.pixels[10:, :20] == 0).all()  # the patient's right, on the left: air
    assert (lowest.pixels[10:, 20:] == 129).all()  # 40 HU, the window's centre
    assert (reader.read(slices[3], 8).pixels[10:, 20:] == 150).all()


def test_transposed_axes_are_turned(tmp_path):
    affine = np.array([[0, 0.5, 0, 0], [0, 0, 0.6, 0], [5, 0, 0, 0], [0, 0, 0, 1]], float)
    nibabel.save(nibabel.Nifti1Image(VOLUME.transpose(2, 0, 1), affine), tmp_path / "a.nii")
    found = reader.read(f"{tmp_path / 'a.nii'}#4")
    save(tmp_path / "b.nii", VOLUME)
    np.testing.assert_array_equal(found.pixels, reader.read(f"{tmp_path / 'b.nii'}#4").pixels)
    assert found.facts.spacing_mm == (0.6, 0.5)
    assert len(nifti.slices(tmp_path / "a.nii")) == 5


@pytest.mark.parametrize("inside", [1, 255])
def test_a_mask_volume(tmp_path, inside):
    labels = np.zeros_like(VOLUME)
    labels[2:8, 50:55, 2] = inside
    path = save(tmp_path / "m.nii.gz", labels)
    mask = masks.read(f"{path}#3")
    assert mask.dtype == np.bool_
    assert (np.argwhere(mask).min(0).tolist(), np.argwhere(mask).max(0).tolist()) == ([5, 32], [9, 37])
    assert not masks.read(f"{path}#2").any()


def test_what_is_refused(tmp_path):
    path = save(tmp_path / "a.nii", VOLUME)
    labels = save(tmp_path / "labels.nii", np.arange(3, dtype=np.int16).repeat(8).reshape(2, 3, 4))
    flat = save(tmp_path / "flat.nii", VOLUME[..., 0])
    several = save(tmp_path / "time.nii", np.zeros((4, 4, 4, 2), np.int16))
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(save(tmp_path / "whole.nii.gz", VOLUME).read_bytes()[:400])
    (tmp_path / "text.nii").write_text("no volume")
    cases = {
        f"{path}#6": "no slice 6: the volume has slices 1 to 5",
        f"{path}#0": "no slice 0",
        f"{tmp_path / 'none.nii'}#1": "no such file",
        f"{flat}#1": "40 x 60 is not a stack of slices",
        f"{several}#1": "4 x 4 x 4 x 2 is not a stack of slices",
        f"{cut}#1": "NIFTI-DAMAGED",
        f"{tmp_path / 'text.nii'}#1": "not a NIfTI volume",
    }
    for name, words in cases.items():
        with pytest.raises(RefusedFile, match=words):
            reader.read(name)
    with pytest.raises(RefusedFile, match=r"labels\.nii#1: MASK-VALUES: a mask with the values 0, 1, 2;"):
        masks.read(f"{labels}#1")


def test_a_changed_file_is_read_anew(tmp_path):
    path = save(tmp_path / "a.nii", VOLUME)
    assert reader.read(f"{path}#1").pixels[-1, -1] == 129
    save(path, VOLUME + 10)
    os.utime(path, ns=(1, 1))
    assert reader.read(f"{path}#1").pixels[-1, -1] == 150


def refusal_of(name: str) -> str:
    with pytest.raises(RefusedFile) as refusal:
        reader.read(name)
    return refusal.value.code


def test_a_volume_that_inflates_without_end(tmp_path, monkeypatch):
    """1 MiB a thousand times over: refused at the limit, a piece in memory at a time."""
    monkeypatch.setattr(nifti, "MAX_VOLUME", 8 * 2**20)
    bomb = save(tmp_path / "a.nii.gz", np.zeros((64, 64, 2), np.int16))
    header = gzip.decompress(bomb.read_bytes())
    bomb.write_bytes(gzip.compress(header) + gzip.compress(bytes(2**20), 1) * 4)
    assert reader.read(f"{bomb}#1").pixels.shape == (64, 64)  # what follows the first member does not count
    bomb.write_bytes(gzip.compress(header + bytes(64 * 2**20), 1))
    tracemalloc.start()
    try:
        assert refusal_of(f"{bomb}#1") == "NIFTI-SIZE"
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_header_that_declares_too_much(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    stored = bytearray((tmp_path / "a.nii").read_bytes())
    for shape, code in (
        ((4, 4, 30_000), "PICTURE-SIZE"),
        ((12_000, 4, 12_000), "NIFTI-SIZE"),
        ((4, 4, 5), "NIFTI-DAMAGED"),
    ):
        stored[42:48] = np.array(shape, "<i2").tobytes()
        (tmp_path / f"{code}.nii").write_bytes(stored)
        assert refusal_of(f"{tmp_path / f'{code}.nii'}#1") == code


def test_a_file_that_is_named_as_a_slice(tmp_path):
    """`x.nii.gz#1` is the file itself where there is one, and the volume beside it is refused."""
    volume = save(tmp_path / "x.nii.gz", VOLUME)
    assert nifti.is_slice(f"{volume}#1")
    own = smooth_picture()
    files.write(tmp_path / "x.nii.gz#1", own)
    assert not nifti.is_slice(f"{volume}#1")
    np.testing.assert_array_equal(reader.read(f"{volume}#1").pixels, own)
    with pytest.raises(RefusedFile, match="NIFTI-NAME"):
        nifti.slices(volume)
