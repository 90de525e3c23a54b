"""Functional groups: where multi-frame classes keep what single-frame classes have at the top (PS3.3 C.7.6.16)."""

from __future__ import annotations

from imaging.dicom.header import Element, Header, tag_of
from imaging.dicom.parser import items

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_READ = frozenset(
    map(
        tag_of,
        (
            "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
            "VOILUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit", "PresentationLUTShape", "PixelSpacing",
            "ImagerPixelSpacing", "PatientOrientation", "ViewPosition",
        ),
    )
)  # fmt: skip
"""Attributes that the reader uses and that a group may hold."""


def flattened(header: Header) -> Header:
    """Return the header with the attributes of its shared and its first frame's functional groups in place of its own."""
    if not any(header.has(keyword) for keyword in _GROUPS):
        return header
    elements: dict[int, Element] = dict(header.elements)
    for keyword in _GROUPS:
        group = _first(header, tag_of(keyword))
        for tag in group.elements if group else ():
            if group and (macro := _first(group, tag)):
                elements |= {key: value for key, value in macro.elements.items() if key in _READ}
    return Header(header.data, elements, header.syntax, header.encoding, header.notes)


def _first(header: Header, tag: int) -> Header | None:
    """Return the first item of a sequence; None where there is none."""
    element = header.elements.get(tag)
    if element is None or header.data[element.start : element.start + 4] not in _ITEM:
        return None
    return next(items(header, tag), None)
