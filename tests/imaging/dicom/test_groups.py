"""Attributes in functional groups count as those at the top do (PS3.3 C.7.6.16)."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from imaging import dicom
from tests.imaging import dicom_files as files

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian)
CT = "1.2.840.10008.5.1.4.1.1.2"


def group(macro, undefined=False, **elements):
    inner, outer = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(inner, keyword, value)
    inner.is_undefined_length_sequence_item = outer.is_undefined_length_sequence_item = undefined
    setattr(outer, macro, [inner])
    return [outer]


def read(tmp_path, values, syntax=SYNTAXES[0], **elements):
    elements.setdefault("SOPClassUID", uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    path = files.write(
        tmp_path / "a.dcm", np.array([values], np.uint16), syntax, stored=12, NumberOfFrames=1, **elements
    )
    return dicom.read(path)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("where", GROUPS)
def test_a_negative_slope_inverts(tmp_path, where, syntax, undefined):
    rescale = group("PixelValueTransformationSequence", undefined, RescaleSlope="-1", RescaleIntercept="4095")
    radiograph = read(tmp_path, [0, 1000, 4000], syntax, **{where: rescale})
    assert radiograph.pixels[0].tolist() == [65535, 49151, 0]


@pytest.mark.parametrize("sop_class", [f"{CT}.1", f"{CT}.2"])
def test_enhanced_ct_is_in_hounsfield_units(tmp_path, sop_class):
    """The brain window: (x - 39.5) / 119 + 0.5."""
    rescale = group("PixelValueTransformationSequence", RescaleSlope="1", RescaleIntercept="-1024")
    greys = read(tmp_path, [1024, 1064, 1124], SOPClassUID=sop_class, SharedFunctionalGroupsSequence=rescale)
    assert greys.pixels[0].tolist() == np.rint(np.array([20, 60, 119]) / 119 * 65535).tolist()


def test_a_window(tmp_path):
    frame = group("FrameVOILUTSequence", WindowCenter="100", WindowWidth="101", VOILUTFunction="LINEAR")
    greys = read(tmp_path, [50, 100, 150], PerFrameFunctionalGroupsSequence=frame).pixels[0]
    assert greys.tolist() == [round(0.005 * 65535), round(0.505 * 65535), 65535]


def test_a_frame_overrules_what_is_shared_and_that_the_top(tmp_path):
    shared, frame = (
        group("PixelMeasuresSequence", PixelSpacing=[number, number]) for number in ("0.2", "0.3")
    )
    given = {"PixelSpacing": [0.1, 0.1], GROUPS[0]: shared}
    assert read(tmp_path, [0, 9], **given).spacing_mm == (0.2, 0.2)
    assert read(tmp_path, [0, 9], **given, **{GROUPS[1]: frame}).spacing_mm == (0.3, 0.3)


def test_detector_spacing_and_orientation(tmp_path):
    shared = group("FramePixelDataPropertiesSequence", ImagerPixelSpacing=["0.14", "0.15"])
    shared[0].PatientOrientationInFrameSequence = group("Ignored", PatientOrientation=["L", "F"])[0].Ignored
    facts = read(tmp_path, [0, 9], SharedFunctionalGroupsSequence=shared).facts
    assert (facts.spacing_mm, facts.orientation) == ((0.14, 0.15), ("L", "F"))


def test_groups_without_items(tmp_path):
    empty = {keyword: [] for keyword in GROUPS}
    assert read(tmp_path, [0, 4095], **empty).pixels[0].tolist() == [0, 65535]
