"""Our DICOM objects: valid to dciodvfy, equal to the mask when read back, pointing at their study, saying no more than it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset

from imaging.caption import PHANTOMS, with_caption
from imaging.decoding.radiograph import to_uint8
from imaging.dicom_objects import (
    all_kinds,
    presentation_state,
    reference,
    secondary_capture,
    segmentation,
)
from imaging.dicom_objects.reference import Author, NoReference
from imaging.formats import reader
from tests.imaging.dicom_objects.studies import (
    ALL,
    AUTHOR,
    KINDS,
    NOTE,
    PREDICTION,
    SHAPE,
    SIIM,
    errors,
    lesion,
    make_all,
    needs_dciodvfy,
    write,
)


@needs_dciodvfy
@pytest.mark.parametrize("name", ALL)
def test_dciodvfy_finds_no_error(objects: dict[str, Path], name: str) -> None:
    assert errors(objects[name]) == []


def test_the_segmentation_read_back_is_the_mask(objects: dict[str, Path]) -> None:
    read = segread(objects["seg"])
    assert np.array_equal(read.pixel_array.astype(bool), lesion(SHAPE))
    assert (read.Rows, read.Columns, read.SegmentationType) == (*SHAPE, "BINARY")
    segment = read.get_segment_description(1)
    assert segment.segmented_property_type.value == "36118008"
    assert segment.segmented_property_category.value == "49755003"
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == AUTHOR.name
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == AUTHOR.version


def test_spacing_is_the_studys_own(objects: dict[str, Path], kind: str) -> None:
    shared = segread(objects["seg"]).SharedFunctionalGroupsSequence[0]
    if kind != "siim":  # ImagerPixelSpacing is not the patient's: nothing is claimed
        assert "PixelMeasuresSequence" not in shared
        return
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.1]
    area = dcmread(objects["gsps"]).DisplayedAreaSelectionSequence[0]
    assert list(area.PresentationPixelSpacing) == [0.2, 0.1]
    assert list(dcmread(objects["sc"]).PixelSpacing) == [0.2, 0.1]


def test_all_point_at_the_study(objects: dict[str, Path], study: Path) -> None:
    with config.disable_value_validation():
        original = dcmread(study)
    for path in objects.values():
        made = dcmread(path)
        assert made.StudyInstanceUID == original.StudyInstanceUID
        assert made.SeriesInstanceUID != original.SeriesInstanceUID
        assert original.SOPInstanceUID in str(made)
        assert made.SeriesDescription.endswith("(AI, research only)")
    assert len({dcmread(path).SOPInstanceUID for path in objects.values()}) == 4


def test_the_patient_is_as_in_the_study(objects: dict[str, Path], kind: str) -> None:
    for path in objects.values():
        made = dcmread(path)
        assert str(made.PatientName) == KINDS[kind].get("PatientName", "")
        assert (made.PatientID or "") == KINDS[kind].get("PatientID", "")
        assert (made.PatientSex or "") == {"siim": "F"}.get(kind, "")
        assert made.get("PatientIdentityRemoved") == KINDS[kind].get("PatientIdentityRemoved")
        assert "InstitutionName" not in made
        assert "OperatorsName" not in made


def test_mended_values() -> None:
    header = Dataset()
    with config.disable_value_validation():
        header.PatientAge, header.StudyDate, header.PatientID = "29", "yesterday", "x" * 80
    good = reference.mended(header)
    assert (good.PatientAge, good.StudyDate, good.PatientID) == ("029Y", "", "x" * 80)


def test_the_outline_lies_over_the_mask_in_the_right_polarity(objects: dict[str, Path], kind: str) -> None:
    state, mask = dcmread(objects["gsps"]), lesion(SHAPE)
    graphics = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert len(graphics) == 4  # the part, its hole, two corners
    points = np.concatenate([np.reshape(graphic.GraphicData, (-1, 2)) for graphic in graphics])
    assert points.min() == 0.25
    assert points.max(axis=0).tolist() == [SHAPE[1] - 0.25, SHAPE[0] - 0.25]
    # x runs along the rows: each point is inside the mask or within half a pixel of it
    near = np.pad(mask, 1)
    around = [
        near[int(y + dy) + 1, int(x + dx) + 1] for x, y in points for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)
    ]
    assert np.reshape(around, (-1, 4)).any(axis=1).all()
    assert state.PresentationLUTShape == ("INVERSE" if kind == "cr" else "IDENTITY")
    for graphic in graphics:
        assert graphic.GraphicData[:2] == graphic.GraphicData[-2:]


def test_the_capture_is_the_radiograph_with_a_line(objects: dict[str, Path], study: Path) -> None:
    whole = dcmread(objects["sc"]).pixel_array.astype(int)
    grey = to_uint8(reader.read(study).pixels)
    picture, bar = whole[: SHAPE[0]], whole[SHAPE[0] :]
    assert bar.max() > 150  # the text, which says that this is for research
    touched = np.ptp(picture, axis=2) > 0
    assert np.array_equal(picture[~touched][:, 0], grey[~touched])
    assert 0 < touched.mean() < 0.25


def test_an_empty_mask_makes_a_segmentation_and_no_outline(study: Path) -> None:
    header, nothing = reference.read(study), np.zeros(SHAPE, bool)
    assert not segmentation.make(header, nothing, AUTHOR).pixel_array.any()
    with pytest.raises(ValueError, match="0 pixels"):
        presentation_state.make(header, nothing, AUTHOR)


@pytest.mark.parametrize("warning", ["", PHANTOMS])
def test_objects_of_networks_trained_on_phantoms_say_so(
    study: Path, warning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    burned_in = list[str]()
    monkeypatch.setattr(
        secondary_capture,
        "with_caption",
        lambda picture, text: burned_in.append(text) or with_caption(picture, text),
    )
    header, mask = reference.read(study), np.ones(SHAPE, bool)
    author = Author(AUTHOR.name, AUTHOR.version, warning)
    made = all_kinds.make(ALL, header, mask, np.zeros(SHAPE, np.uint8), PREDICTION, author, NOTE * 5).objects
    assert set(made) == set(ALL)
    texts = {
        "seg": made["seg"].ContentDescription,
        "gsps": made["gsps"].GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue,
        "sc": made["sc"].ImageComments,
        "sr": " ".join(str(one.value) for one in made["sr"].iterall() if one.VR == "UT"),
    }
    for kind, text in texts.items():
        assert (PHANTOMS in text) == bool(warning)
        assert ("phantom-trained" in made[kind].SeriesDescription) == bool(warning)
        assert len(made[kind].SeriesDescription) <= 64
    assert (PHANTOMS in burned_in[0]) == bool(warning)


def test_another_size_is_refused(study: Path) -> None:
    header = reference.read(study)
    turned = np.ones(SHAPE[::-1], bool)
    for call in (
        lambda: segmentation.make(header, turned, AUTHOR),
        lambda: presentation_state.make(header, turned, AUTHOR),
        lambda: secondary_capture.make(header, np.zeros(SHAPE, np.uint8), turned, AUTHOR),
    ):
        with pytest.raises(ValueError, match=r"\(70, 96\)"):
            call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"StudyInstanceUID": "", "SeriesInstanceUID": "", "SOPInstanceUID": "ID_0011fe81e"},
         "no valid StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID to refer to"),
        ({"SOPClassUID": "1.2.3.4"}, "not in the DICOM standard"),
        ({"SOPClassUID": uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "NumberOfFrames": 1}, "single-frame"),
    ],
)  # fmt: skip
def test_what_cannot_be_pointed_at_is_said(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.dcm", SIIM | change)
    with pytest.raises(NoReference, match=message) as refusal:
        reference.read(path)
    assert "ID_" not in str(refusal.value)


@needs_dciodvfy
def test_real_studies(real_siim: Path, tmp_path: Path) -> None:
    for path in sorted(real_siim.glob("dicom-images-train/*/*/*.dcm"))[:3]:
        mask = lesion(reader.read(path).pixels.shape)
        for name, made in make_all(path, mask, tmp_path).items():
            assert errors(made) == [], name
        assert np.array_equal(segread(tmp_path / "seg.dcm").pixel_array.astype(bool), mask)
    with pytest.raises(NoReference):
        reference.read(next(real_siim.glob("dicom-images-test/*.dcm")))


def test_one_that_fails_loses_no_other(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("Doe^Jane")

    monkeypatch.setattr(presentation_state, "make", fail)
    grey = np.zeros(SHAPE, np.uint8)
    made = all_kinds.make(ALL, reference.read(study), lesion(SHAPE), grey, PREDICTION, AUTHOR, NOTE)
    assert list(made.objects) == ["seg", "sc", "sr"]
    assert made.failed == {"gsps": "KeyError"}  # without the text, which may name the patient


@pytest.mark.parametrize(
    ("note", "described"),
    [
        ("", None),
        ("Warning: SPACING", "Warning: SPACING"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 60 + " ..."),
        (f"{'x' * 40}, SPACING, UNLIKE-LATERAL", f"{'x' * 40}, SPACING ..."),
    ],
)  # fmt: skip
def test_a_long_description_is_cut_between_words(note: str, described: str | None) -> None:
    assert reference.Author("model", "0" * 64).described(note) == described
