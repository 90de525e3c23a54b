"""What was predicted about a study as a DICOM Structured Report, positive or negative (PS3.16 TID 1500, PS3.3 A.35.3).

A study without a mask has no outline to store. The report records in the archive that it was read and nothing was detected.
"""

from __future__ import annotations

from dataclasses import dataclass

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from imaging.caption import RESEARCH
from imaging.dicom_objects.reference import Author
from imaging.dicom_objects.segmentation import CATEGORY, PNEUMOTHORAX
from imaging.dicom_objects.series import MANUFACTURER, OF_PATIENT, OF_SERIES, numbered, plain, take_over

SERIES = 9004
DETECTED = Code("260373001", "SCT", "Detected")
NOT_DETECTED = Code("260415000", "SCT", "Not detected")
"""Not "absent": that is for a physician to say."""
RESULT = Code("121071", "DCM", "Finding")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PIXELS = Code("{pixels}", "UCUM", "pixels")
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right, "both": Code("51440002", "SCT", "Right and left")}


@dataclass(frozen=True)
class Prediction:
    """The networks' prediction for one image."""

    prob: float
    """Calibrated probability of a pneumothorax, 0 to 1."""
    area_px: int
    """Of the mask; 0 when nothing was detected."""
    area_mm2: float | None = None
    """The same where the spacing in the patient is known."""
    side: str | None = None
    """The patient's: `left`, `right` or `both`; None for an empty mask or where the view has no sides."""
    warnings: tuple[str, ...] = ()
    """Why the prediction may be wrong, a sentence each."""


def make(study: Dataset, prediction: Prediction, author: Author, note: str = "") -> ComprehensiveSR:
    """The report on a study from reference.read: detected or not, certainty in percent, area, side; not verified."""
    image = plain(study)
    device = DeviceObserverIdentifyingAttributes(
        uid=UID(),
        name=author.name,
        manufacturer_name=MANUFACTURER,
        model_name=author.name,
        serial_number=author.version,
    )
    context = ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))
    content = MeasurementReport(
        observation_context=context,
        procedure_reported=Code("168537006", "SCT", "Plain radiography"),
        imaging_measurements=[_group(image, prediction, author, note)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = ComprehensiveSR(
        evidence=[image],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        **numbered(SERIES, "Pneumothorax, report", author),
    )
    return take_over(made, study, (*OF_PATIENT, *OF_SERIES))


def _group(
    image: Dataset, found: Prediction, author: Author, note: str
) -> MeasurementsAndQualitativeEvaluations:
    """The one group of measurements (TID 1501)."""
    measurements = [Measurement(CERTAINTY, round(100 * found.prob, 2), Code("%", "UCUM", "percent"))]
    if found.area_px:
        area = (
            (found.area_px, PIXELS)
            if found.area_mm2 is None
            else (round(found.area_mm2, 2), codes.UCUM.SquareMillimeter)
        )
        measurements.append(Measurement(codes.SCT.Area, *area))
    result = DETECTED if found.area_px else NOT_DETECTED
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(UID(), "Pneumothorax"),
        finding_type=PNEUMOTHORAX,
        finding_category=CATEGORY,
        algorithm_id=AlgorithmIdentification(author.name, author.version),
        finding_sites=[_site(found.side)],
        measurements=measurements,
        qualitative_evaluations=[QualitativeEvaluation(RESULT, result)],
        source_images=[SourceImageForMeasurementGroup.from_source_image(image)],
    )
    for text in (
        f"{RESEARCH}. {author.noted(note)}".strip(),
        *(f"Warning: {one}." for one in found.warnings),
    ):
        group[0].ContentSequence.append(_comment(text))
    return group


def _comment(text: str) -> TextContentItem:
    return TextContentItem(CodedConcept("121106", "DCM", "Comment"), text, relationship_type="CONTAINS")


def _site(side: str | None) -> FindingSite:
    return FindingSite(Code("3120008", "SCT", "Pleura"), laterality=_SIDES[side] if side else None)
