"""What becomes of one scored study on the disk: its row, its picture, its DICOM objects."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble.inference import triage
from ensemble.inference.bundle import Bundle
from ensemble.inference.overlay import overlay
from ensemble.inference.predictor import Scored
from imaging.decoding.radiograph import RefusedFile, to_uint8
from imaging.formats.reader import read
from imaging.io.files import atomic

KINDS = ("seg", "gsps", "sc")
LONGEST = 100
"""Characters of a name that are kept; file systems hold 255 bytes, and endings follow."""


class Results:
    """Writes into one output folder; threads may call it side by side, each study has names of its own."""

    def __init__(self, folder: Path, output: Path, bundle: Bundle, dicom: tuple[str, ...]) -> None:
        self.folder, self.output, self.dicom = folder, output, dicom
        self.name, self.sha256 = bundle.name, bundle.sha256

    def write(self, scored: Scored) -> triage.Row:
        """The study's row; for a mask first its picture and objects."""
        relative = scored.path.relative_to(self.folder)
        name = shown(relative)
        if scored.prediction is None or not scored.prediction.mask.any():
            return triage.row(name, scored)
        try:
            grey = to_uint8(read(scored.path).pixels)
        except RefusedFile as refusal:  # it could be read a moment ago
            return triage.row(name, replace(scored, prediction=None, refusal=refusal))
        picture = PurePosixPath("overlays") / safe(relative, ".png")
        found = triage.row(name, scored, picture.as_posix())
        caption = f"{scored.prediction.prob:.2f}   {found['area_px']:,} px   {found['side'] or ''}   research, not for diagnosis"
        with atomic(self.output / picture) as temporary:
            cv2.imwrite(str(temporary), overlay(grey, scored.prediction.mask, caption)[..., ::-1])
        return {**found, "dicom": self._objects(scored, grey, relative, caption)}

    def _objects(self, scored: Scored, grey: NDArray[np.uint8], relative: Path, note: str) -> str:
        """The objects written, as a shell's pattern, or `none: ` and why."""
        if not self.dicom:
            return ""
        if scored.facts is None or scored.prediction is None or scored.facts.sop_class is None:
            return "none: no DICOM file"
        from imaging.dicom_objects import presentation_state, reference, secondary_capture, segmentation

        author, mask = reference.Author(self.name, self.sha256), scored.prediction.mask
        try:
            study = reference.read(scored.path)
            makers = {
                "seg": lambda: segmentation.make(study, mask, author, note),
                "gsps": lambda: presentation_state.make(study, mask, author, note),
                "sc": lambda: secondary_capture.make(study, grey, mask, author, note),
            }
            made = {kind: makers[kind]() for kind in self.dicom}
        except reference.NoReference as missing:
            return f"none: {missing}"
        except Exception as error:  # a header that nobody foresaw; its text may name the patient
            return f"none: not made ({type(error).__name__})"
        stem = PurePosixPath("dicom") / safe(relative, "")
        for kind, dataset in made.items():
            with atomic(self.output / f"{stem}.{kind}.dcm") as temporary:
                dataset.save_as(temporary)
        return f"{stem}.{{{','.join(made)}}}.dcm" if len(made) > 1 else f"{stem}.{next(iter(made))}.dcm"


def shown(relative: Path) -> str:
    """A path as people see it, and as a table can hold it: bytes that are no text become �."""
    return relative.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def safe(relative: Path, ending: str) -> PurePosixPath:
    """A path inside the output for a path inside the input: the same where that is plain, and never another file's.

    Names with other signs, too long ones and folders called like one of our files get a part of their hash instead.
    """
    *folders, name = relative.parts
    plain = [_plain(part, part.lower().endswith((".png", ".dcm"))) for part in folders]
    return PurePosixPath(*plain, _plain(name, False) + ending)


def _plain(part: str, taken: bool) -> str:
    clean = re.sub(r"[^\w .()+=@#-]", "_", part).strip(" .")[:LONGEST]
    if clean == part and not taken:
        return part
    return f"{clean}-{hashlib.sha256(part.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
