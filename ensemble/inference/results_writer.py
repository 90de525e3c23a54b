"""Write one study's results: table row, overlay, DICOM objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ensemble.decision.decision import Prediction
from ensemble.inference import triage
from ensemble.inference.bundle import Bundle
from ensemble.inference.findings import measure
from ensemble.inference.journal import state_of
from ensemble.inference.names import inside
from ensemble.inference.overlay import overlay
from ensemble.inference.predictor import Scored
from imaging.caption import RESEARCH
from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.dicom_objects import reference
from imaging.dicom_objects.reference import Author
from imaging.formats.reader import read
from imaging.io.files import atomic, write_png
from imaging.io.walk import printable

KINDS = ("seg", "gsps", "sc", "sr")
CHANGED = RefusedFile("FILE-CHANGED", "the file changed while it was read; run again")


class Results:
    """Writes into one output folder; thread-safe, since each study has its own file names."""

    def __init__(self, output: Path, bundle: Bundle, dicom: tuple[str, ...]) -> None:
        self.output, self.dicom = output, dicom
        self.author = Author(bundle.name, bundle.sha256, bundle.warning)

    def write(
        self, scored: Scored, relative: Path, state: list[int] | None = None
    ) -> tuple[triage.Row, list[str]]:
        """Write a study's files; returns its row and the files' paths in the output.

        relative: its path inside the input. state: of the file before it was read (journal.state_of); one that has changed
        since is refused.
        """
        name = printable(relative)
        if scored.prediction is None or scored.facts is None:
            return triage.row(name, scored), []
        try:
            grey = to_uint8(read(scored.path).pixels) if scored.prediction.mask.any() else None
        except RefusedFile as refusal:  # although it could be read a moment ago
            return triage.row(name, replace(scored, prediction=None, refusal=refusal)), []
        if state is not None and state_of(scored.path) != state:
            return triage.row(name, replace(scored, prediction=None, refusal=CHANGED)), []
        picture, caption = "", _caption(scored.prediction, scored.facts)
        if grey is not None:
            picture = (PurePosixPath("overlays") / inside(relative, ".png")).as_posix()
            line = "   ".join([RESEARCH, *[self.author.warning] * bool(self.author.warning), caption])
            write_png(self.output / picture, overlay(grey, scored.prediction.mask, line))
        cell, objects = self._objects(scored, grey, relative, caption)
        row = triage.row(name, scored, picture, cell, self.author.warning)
        return row, [picture] * bool(picture) + objects

    def _objects(
        self, scored: Scored, grey: NDArray[np.uint8] | None, relative: Path, note: str
    ) -> tuple[str, list[str]]:
        """The table's entry about the objects, and the files written."""
        assert scored.facts is not None
        assert scored.prediction is not None
        if not self.dicom:
            return "", []
        if scored.facts.sop_class is None:
            return "none: no DICOM file", []
        from imaging.dicom_objects import all_kinds, report  # a library that takes a second to import

        try:
            study = reference.read(scored.path)
        except reference.NoReference as missing:
            return f"none: {missing}", []
        except Exception as error:  # an unforeseen header; the error's text may name the patient
            return f"none: not made ({type(error).__name__})", []
        if scored.facts.spacing_changed:
            reference.set_spacing(study, scored.facts.spacing_mm)
        found = measure(scored.prediction.mask, scored.facts)
        about = report.Prediction(
            scored.prediction.prob,
            found.area_px,
            found.area_mm2 if study.get("PixelSpacing") else None,
            found.side,
            scored.facts.warnings,
        )
        made = all_kinds.make(self.dicom, study, scored.prediction.mask, grey, about, self.author, note)
        stem, files = PurePosixPath("dicom") / inside(relative, ""), []
        for kind, dataset in made.objects.items():
            files.append(f"{stem}.{kind}.dcm")
            with atomic(self.output / files[-1]) as temporary:
                dataset.save_as(temporary)
        return _cell(f"{stem}", list(made.objects), made.failed), files


def _caption(prediction: Prediction, facts: Facts) -> str:
    found = measure(prediction.mask, facts)
    side = f"   {found.side}" if found.side else ""
    warnings = f"Warning: {', '.join(facts.warning_codes)}   " if facts.warnings else ""
    return f"{warnings}{prediction.prob:.2f}   {found.area_px:,} px{side}"


def _cell(stem: str, made: list[str], failed: dict[str, str]) -> str:
    """The objects as a shell's pattern, then those that could not be made: `a.{seg,sr}.dcm; gsps: not made (ValueError)`."""
    pattern = f"{stem}.{{{','.join(made)}}}.dcm" if len(made) > 1 else f"{stem}.{''.join(made)}.dcm"
    failures = [f"{kind}: not made ({error})" for kind, error in failed.items()]
    return "; ".join([pattern] * bool(made) + failures) or "none: nothing to write"
