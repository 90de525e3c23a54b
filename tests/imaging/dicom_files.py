"""Write small DICOM files of every kind that the tests need, from pixels whose values are known."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

Array = NDArray[Any]


def dataset(pixels: Array, stored: int | None = None, **elements: Any) -> Dataset:
    """Return a data set for grey pixels (H, W), uint8, int8, uint16 or int16, without its pixel data."""
    allocated = 8 * pixels.dtype.itemsize
    content = Dataset()
    content.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    content.SOPInstanceUID = uid.generate_uid(entropy_srcs=["test"])
    content.Rows, content.Columns = pixels.shape
    content.SamplesPerPixel = 1
    content.PhotometricInterpretation = "MONOCHROME2"
    content.BitsAllocated, content.BitsStored = allocated, stored or allocated
    content.HighBit = content.BitsStored - 1
    content.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    for keyword, value in elements.items():
        if value is None:
            delattr(content, keyword)
        else:
            setattr(content, keyword, value)
    return content


def write(path: Path, pixels: Array, syntax: str = uid.ExplicitVRLittleEndian, **elements: Any) -> Path:
    """Write pixels (H, W) uncompressed, or compressed losslessly by pydicom's plugins."""
    content = dataset(pixels, **elements)
    native = uid.UID(syntax).is_encapsulated is False
    big = syntax == uid.ExplicitVRBigEndian
    data = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    content["PixelData"] = _pixel_data(data + b"\0" * (len(data) % 2), pixels.dtype.itemsize)
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = syntax if native else uid.ExplicitVRLittleEndian
    if not native:
        content.compress(syntax, generate_instance_uid=False)
    content.save_as(path, enforce_file_format=True)
    return path


def write_frame(path: Path, frame: bytes | list[bytes], syntax: str, like: Array, **elements: Any) -> Path:
    """Write one compressed frame, in as many fragments as are given, with the header of the pixels `like`."""
    fragments = [frame] if isinstance(frame, bytes) else frame
    content = dataset(like, **elements)
    whole = encapsulate([fragments[0]], has_bot=False)
    for fragment in fragments[1:]:
        whole += encapsulate([fragment], has_bot=False)[8:]  # without its empty offset table
    content["PixelData"] = _pixel_data(whole, 1)
    content["PixelData"].is_undefined_length = True
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = syntax
    content.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return path


def jpeg(pixels: Array, quality: int = 95) -> bytes:
    """Encode grey (H, W) or colour (H, W, 3) uint8 pixels as baseline JPEG."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def jpeg_lossless(pixels: Array, bits: int) -> bytes:
    """Encode pixels (H, W) as lossless JPEG, process 14 with the left neighbour as predictor (ITU-T T.81 annex H)."""
    height, width = pixels.shape
    wide = pixels.astype(np.int64)
    predicted = np.empty_like(wide)
    predicted[:, 1:] = wide[:, :-1]
    predicted[1:, 0] = wide[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    difference = (wide - predicted + 2**15) % 2**16 - 2**15
    text = "".join(_lossless_code(int(value)) for value in difference.ravel())
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    size = struct.pack(">HBHHBBBB", 11, bits, height, width, 1, 1, 0x11, 0)
    table = struct.pack(">HB16B17B", 36, 0, 0, 0, 0, 0, 17, *[0] * 11, *range(17))
    start = struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8\xff\xc3" + size + b"\xff\xc4" + table + b"\xff\xda" + start + scan + b"\xff\xd9"


def _lossless_code(value: int) -> str:
    """Five bits for the size category, all codes being that long in our table, then the value's own bits."""
    category = 16 if value == -(2**15) else abs(value).bit_length()
    if category in (0, 16):  # neither has further bits
        return f"{category:05b}"
    return f"{category:05b}" + f"{value if value > 0 else value + 2**category - 1:0{category}b}"


def _pixel_data(data: bytes, itemsize: int) -> Any:
    from pydicom.dataelem import DataElement

    return DataElement("PixelData", "OW" if itemsize == 2 else "OB", data)
