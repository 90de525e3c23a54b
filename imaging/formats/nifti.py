"""Read one axial slice of a CT volume in a NIfTI file, as radiologists view it: anterior at the top, patient's right on the left.

A slice is named by its file and its number, counted from the lowest: `ct_scans/049.nii.gz#12`. Only the slice is held in memory:
a compressed volume is inflated once, piece by piece, into a temporary file without a name. Needs nibabel (extra `ct`).
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import Facts, Radiograph, RefusedFile, check_size, naming
from imaging.dicom.windowing import BRAIN, window

SUFFIXES = (".nii", ".nii.gz")
MAX_VOLUME = 2**29
"""Bytes of an inflated volume: 512 x 512 pixels of 16 bits and 1,024 slices; a head CT has 30 to 400."""
GRID_TOLERANCE = 0.5
"""Voxels by which the corners of a mask's grid may differ from those of its scan's."""
_PIECE = 2**20
_NIFTI_2 = 540
_NAME = re.compile(r"(.+\.nii(?:\.gz)?)#(\d+)")


def is_slice(path: str | Path) -> bool:
    """Say whether a path names a slice of a volume; a file that is really called `x.nii.gz#1` is not one."""
    return _NAME.fullmatch(str(path)) is not None and not os.path.lexists(path)


def slices(path: str | Path) -> list[str]:
    """The names of all slices of a volume, the lowest first; RefusedFile when it is not a volume of slices."""
    with naming(path):
        names = [f"{path}#{number}" for number in range(1, _open(path).depth + 1)]
        if any(map(os.path.lexists, names)):
            raise RefusedFile(
                "NIFTI-NAME", "a file in the same folder has the name of one of its slices; rename that file"
            )
    return names


def read(path: str | Path) -> Radiograph:
    """Read a slice as uint8 (H, W) in the brain window (imaging.dicom.windowing.BRAIN); values are Hounsfield units."""
    with naming(path):
        volume, values = _slice(path)
        grey = np.rint(window(values, *BRAIN) * 255).astype(np.uint8)
    height, width = grey.shape
    facts = Facts(height, width, spacing_mm=volume.spacing_mm, photometric="MONOCHROME2", bits=8)
    return Radiograph(grey, facts)


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a slice of a mask volume as bool (H, W): 0 outside, one other whole number inside in all of the volume."""
    with naming(path):
        volume, values = _slice(path)
        found = volume.labels
        if len(found - {0.0}) > 1:
            listed = ", ".join(f"{value:g}" for value in sorted(found)[:8])
            raise RefusedFile(
                "MASK-VALUES",
                f"a mask with the values {listed}; it must have 0 and one other. If it has several classes, keep one",
            )
        return values != 0


def check_match(scan: str | Path, mask: str | Path) -> None:
    """RefusedFile when a mask's grid is not its scan's: a different shape, or affines that place the voxels elsewhere.

    nnU-Net's integrity check does the same. Without it, a mask stored in another orientation would be flipped against its scan.
    """
    one, other = _open(scan), _open(mask)
    if one.shape != other.shape:
        raise RefusedFile(
            "NIFTI-MASK", f"{_times(one.shape)} voxels, but its mask {mask} has {_times(other.shape)}"
        )
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(one.shape) - 1)
    shift = (corners @ (one.affine - other.affine)[:3, :3].T) + (one.affine - other.affine)[:3, 3]
    voxels = np.abs(np.linalg.solve(one.affine[:3, :3], shift.T)).max()
    if voxels > GRID_TOLERANCE:
        raise RefusedFile(
            "NIFTI-GRID",
            f"its affine and that of its mask {mask} contradict each other: their corners are up to {voxels:.0f} voxels apart;"
            " save the mask on the scan's grid",
        )


@dataclass(frozen=True, eq=False)
class _Volume:
    """A volume whose voxels lie in an uncompressed file.

    axes: the stored axes that run to the patient's right, front and top. turned: whether each of them runs the other way.
    """

    path: str
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    axes: tuple[int, int, int]
    turned: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float]
    """Spacing of the rows and of the columns."""
    voxels: Any
    """nibabel's array proxy, read slice by slice."""

    @property
    def depth(self) -> int:
        """Number of axial slices."""
        return self.shape[self.axes[2]]

    def axial(self, number: int) -> NDArray[np.float64]:
        """Slice `number`, from 1 for the lowest, as (H, W): rows run to posterior, columns to the patient's left."""
        if not 1 <= number <= self.depth:
            raise RefusedFile("NIFTI-SLICE", f"no slice {number}: the volume has slices 1 to {self.depth}")
        place: list[Any] = [slice(None)] * 3 + [0] * (len(self.voxels.shape) - 3)
        place[self.axes[2]] = self.depth - number if self.turned[2] else number - 1
        try:
            stored = np.asarray(self.voxels[tuple(place)], np.float64)
        except Exception as error:  # nibabel raises arbitrary errors on a truncated file
            raise RefusedFile("NIFTI-DAMAGED", f"the volume is damaged: {error}") from None
        if not np.isfinite(stored).all():
            raise RefusedFile("NIFTI-VALUES", "the volume holds values that are not finite numbers")
        # Canonical axes run to the right and to the front, rows and columns to the back and to the left.
        right, front, _ = self.axes
        values = stored.T if right < front else stored
        rows, columns = (1 if self.turned[1] else -1), (1 if self.turned[0] else -1)
        return np.ascontiguousarray(values[::rows, ::columns])

    @cached_property
    def labels(self) -> frozenset[float]:
        """All values of the volume, or the first few hundred of them."""
        found: set[float] = set()
        for number in range(1, self.depth + 1):
            found |= set(np.unique(self.axial(number)).tolist())
            if len(found) > 256:
                break
        return frozenset(found)


def _slice(path: str | Path) -> tuple[_Volume, NDArray[np.float64]]:
    match = _NAME.fullmatch(str(path))
    if match is None:
        raise RefusedFile("NIFTI-NAME", "a slice of a volume must be named FILE.nii#NUMBER")
    volume = _open(match[1])
    return volume, volume.axial(int(match[2]))


def _open(path: str | Path) -> _Volume:
    """A volume, its header checked; the last few stay open, since slices are read one after the other."""
    try:
        about = os.stat(path)
    except OSError:
        raise RefusedFile("FILE-MISSING", "no such file") from None
    return _opened(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=3)  # two threads may stand at the border of two volumes
def _opened(path: str, changed: int, size: int) -> _Volume:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path}: reading NIfTI needs nibabel; install the extra `ct` or `pip install nibabel`"
        ) from error
    stored = _uncompressed(path)
    try:
        kind = nibabel.Nifti2Image if _header_size(stored) == _NIFTI_2 else nibabel.Nifti1Image
        image = kind.from_file_map(
            {"header": nibabel.FileHolder(fileobj=stored), "image": nibabel.FileHolder(fileobj=stored)}
        )
    except Exception as error:  # nibabel raises arbitrary errors on damaged headers
        raise RefusedFile("NIFTI-FOREIGN", f"not a NIfTI volume: {error}") from None
    _check_header(image, os.fstat(stored.fileno()).st_size)
    turns = nibabel.orientations.io_orientation(image.affine)
    right, front, top = np.argsort(turns[:, 0]).tolist()
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    return _Volume(
        path=path,
        shape=tuple(image.shape[:3]),
        affine=np.asarray(image.affine, np.float64),
        axes=(right, front, top),
        turned=(turns[right, 1] < 0, turns[front, 1] < 0, turns[top, 1] < 0),
        spacing_mm=(round(zooms[front], 4), round(zooms[right], 4)),
        voxels=image.dataobj,
    )


def _uncompressed(path: str) -> Any:
    """The volume's bytes as an open file: the file itself, or a temporary one that vanishes when it is closed."""
    source = open(path, "rb")  # noqa: SIM115  # stays open with the volume
    if source.read(2) != b"\x1f\x8b":
        source.seek(0)
        return source
    source.seek(0)
    inflated = tempfile.TemporaryFile()  # noqa: SIM115
    inflate, written = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
    try:
        with source:
            while not inflate.eof and (piece := inflate.unconsumed_tail or source.read(_PIECE)):
                written += inflated.write(inflate.decompress(piece, _PIECE))
                if written > MAX_VOLUME:
                    raise RefusedFile("NIFTI-SIZE", f"inflates to more than {MAX_VOLUME:,} bytes")
    except zlib.error as error:
        raise RefusedFile("NIFTI-DAMAGED", f"the compressed data is damaged: {error}") from None
    if not inflate.eof:
        raise RefusedFile("NIFTI-DAMAGED", "the compressed data is cut off")
    inflated.seek(0)
    return inflated


def _header_size(file: IO[bytes]) -> int:
    """The first number of a header, in the byte order in which it is small."""
    first = file.read(4)
    file.seek(0)
    return min(int.from_bytes(first, "little"), int.from_bytes(first, "big"))


def _check_header(image: Any, size: int) -> None:
    """Refuse a volume whose header does not declare a stack of slices, or that holds less than its header declares."""
    shape = image.shape
    if len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise RefusedFile("NIFTI-SHAPE", f"a volume of {_times(shape)} is not a stack of slices")
    check_size(shape[0], shape[1])
    check_size(shape[0], shape[2])
    if not np.isfinite(image.affine).all() or np.linalg.matrix_rank(image.affine[:3, :3]) < 3:
        raise RefusedFile(
            "NIFTI-AFFINE", "the header does not give the orientation of the slices (its affine is singular)"
        )
    kind = image.get_data_dtype()
    if kind.kind not in "iuf":
        raise RefusedFile("NIFTI-VALUES", f"voxels of type {kind}; only integers and floats are supported")
    needed = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if needed > MAX_VOLUME:
        raise RefusedFile("NIFTI-SIZE", f"declares {_times(shape)} voxels; more than any head CT has")
    if image.dataobj.offset + needed > size:
        raise RefusedFile(
            "NIFTI-DAMAGED", f"cut off: {size:,} of {image.dataobj.offset + needed:,} declared bytes"
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
