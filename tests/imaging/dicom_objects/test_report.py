"""The structured report: its contents for positive and negative studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.dicom_objects import (
    all_kinds,
    reference,
    report,
)
from imaging.dicom_objects.report import Prediction
from tests.imaging.dicom_objects.studies import ALL, AUTHOR, NOTE, SHAPE, errors, needs_dciodvfy


def contents(made: Dataset) -> dict[str, Any]:
    """Concept name -> value of the items of a report's one group of measurements."""
    group = made.ContentSequence[-1].ContentSequence[0].ContentSequence
    values: dict[str, Any] = {}
    for item in group:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            values[name] = (
                float(measured.NumericValue),
                measured.MeasurementUnitsCodeSequence[0].CodeValue,
            )
        elif item.ValueType == "CODE":
            values.setdefault(name, []).append(item.ConceptCodeSequence[0].CodeMeaning)
        elif item.ValueType == "TEXT":
            values[name] = item.TextValue
    return values


def test_a_positive_report(objects: dict[str, Path], study: Path) -> None:
    made = dcmread(objects["sr"])
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (made.CompletionFlag, made.VerificationFlag, made.Modality) == ("COMPLETE", "UNVERIFIED", "SR")
    found = contents(made)
    assert found["Finding"] == ["Pneumothorax", "Detected"]
    assert found["Certainty of Finding"] == (97.12, "%")
    assert found["Area"] == (24.68, "mm2")
    assert found["Comment"] == f"AI, research only, not for diagnosis. {NOTE}"
    evidence = (
        made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    )
    assert [item.ReferencedSOPInstanceUID for item in evidence] == [reference.read(study).SOPInstanceUID]


@needs_dciodvfy
def test_a_negative_study_gets_a_report_alone(study: Path, tmp_path: Path) -> None:
    header, empty = reference.read(study), np.zeros(SHAPE, bool)
    made = all_kinds.make(ALL, header, empty, None, Prediction(0.0312, 0), AUTHOR, "")
    assert (list(made.objects), made.failed) == (["sr"], {})
    made.objects["sr"].save_as(tmp_path / "sr.dcm")
    assert errors(tmp_path / "sr.dcm") == []
    found = contents(dcmread(tmp_path / "sr.dcm"))
    assert found["Finding"] == ["Pneumothorax", "Not detected"]
    assert found["Certainty of Finding"] == (3.12, "%")
    assert "Area" not in found


def test_an_area_without_spacing_is_in_pixels(study: Path) -> None:
    made = report.make(reference.read(study), Prediction(0.5, 7), AUTHOR)
    assert contents(made)["Area"] == (7, "{pixels}")
