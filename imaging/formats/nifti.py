"""Read one axial slice of a CT volume in a NIfTI file, as a radiologist sees it: front above, the patient's right on the left.

A slice is named by its file and its number from the lowest on: `ct_scans/049.nii.gz#12`. Needs nibabel (extra `ct`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.decoding.radiograph import MAX_BYTES, Facts, Radiograph, RefusedFile, check_size, naming
from imaging.dicom.windowing import BRAIN, window

SUFFIXES = (".nii", ".nii.gz")
_NAME = re.compile(r"(.+\.nii(?:\.gz)?)#(\d+)")


def is_slice(path: str | Path) -> bool:
    """Say whether a path names a slice of a volume."""
    return _NAME.fullmatch(str(path)) is not None


def slices(path: str | Path) -> list[str]:
    """The names of all slices of a volume, the lowest first; RefusedFile (a ValueError) names a file that is none."""
    with naming(path):
        image = _open(path)
        depth = image.shape[_axes(image)[2]]
    return [f"{path}#{number}" for number in range(1, depth + 1)]


def read(path: str | Path) -> Radiograph:
    """Read a slice as uint8 (H, W) in the brain window (`dicom_grey.BRAIN`); values are Hounsfield units."""
    with naming(path):
        values, spacing = _slice(path)
        grey = np.rint(window(values.astype(np.float64), *BRAIN) * 255).astype(np.uint8)
    height, width = grey.shape
    return Radiograph(grey, Facts(height, width, spacing_mm=spacing, photometric="MONOCHROME2", bits=8))


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a slice of a mask volume as bool (H, W): 0 outside, one other whole number inside in all of the volume."""
    with naming(path):
        file, _ = _parts(path)
        found = _labels(str(file), file.stat().st_mtime_ns)
        if len(found - {0.0}) > 1:
            listed = ", ".join(f"{value:g}" for value in sorted(found)[:8])
            raise RefusedFile(
                "MASK-VALUES",
                f"a mask with the values {listed}; 0 and one other are read. Several classes? Keep one",
            )
        return _slice(path)[0] != 0


def _parts(path: str | Path) -> tuple[Path, int]:
    match = _NAME.fullmatch(str(path))
    if match is None:
        raise RefusedFile("NIFTI-NAME", "a volume's slice is named FILE.nii#NUMBER")
    return Path(match[1]), int(match[2])


def _slice(path: str | Path) -> tuple[NDArray[np.float32], tuple[float, float]]:
    file, number = _parts(path)
    if not file.is_file():
        raise RefusedFile("FILE-MISSING", "no such file")
    values, spacing = _volume(str(file), file.stat().st_mtime_ns)
    if not 1 <= number <= values.shape[2]:
        raise RefusedFile(
            "NIFTI-SLICE", f"slice {number} is asked for, the volume has 1 to {values.shape[2]}"
        )
    # Canonical axes run to the patient's right, front and top; rows run down, and his right is on the reader's left.
    return np.ascontiguousarray(values[::-1, ::-1, number - 1].T), spacing


@lru_cache(maxsize=3)  # slices come volume by volume; two threads may stand at the border of two
def _volume(file: str, changed: int) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """The whole volume (X, Y, Z) in canonical orientation, and the spacing of rows and columns in millimetres."""
    from nibabel.orientations import apply_orientation

    image = _open(file)
    axes = _axes(image)
    try:
        stored = np.asarray(image.dataobj, np.float32).reshape(image.shape[:3])
    except Exception as error:  # a damaged stream fails anywhere within gzip, numpy and nibabel
        raise RefusedFile("NIFTI-DAMAGED", f"the volume is damaged: {error}") from None
    if not np.isfinite(stored).all():
        raise RefusedFile("NIFTI-VALUES", "the volume holds values that are no numbers")
    values = apply_orientation(stored, _orientation(image))
    zooms = image.header.get_zooms()
    return values, (round(float(zooms[axes[1]]), 4), round(float(zooms[axes[0]]), 4))


@lru_cache(maxsize=3)
def _labels(file: str, changed: int) -> frozenset[float]:
    return frozenset(np.unique(_volume(file, changed)[0]).tolist())


def _open(path: str | Path) -> Any:
    """The volume's header and lazy data; checked before anything is allocated."""
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path}: reading NIfTI needs nibabel; install the extra `ct` or `pip install nibabel`"
        ) from error
    try:
        image = nibabel.load(path)
    except Exception as error:
        raise RefusedFile("NIFTI-FOREIGN", f"not a NIfTI volume: {error}") from None
    return _declared(image)


def _declared(image: Any) -> Any:
    """Refuse what is no stack of slices by what its header says."""
    shape = image.shape
    if len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise RefusedFile("NIFTI-SHAPE", f"a volume of {' x '.join(map(str, shape))} is no stack of slices")
    check_size(shape[0], shape[1])
    if int(np.prod(shape, dtype=np.int64)) > MAX_BYTES:
        raise RefusedFile(
            "NIFTI-SIZE", f"declares {' x '.join(map(str, shape))} voxels; more than any head CT has"
        )
    if not np.isfinite(image.affine).all() or np.linalg.matrix_rank(image.affine[:3, :3]) < 3:
        raise RefusedFile(
            "NIFTI-AFFINE", "the header does not say how the slices lie (its affine is singular)"
        )
    return image


def _orientation(image: Any) -> NDArray[np.float64]:
    """For each stored axis its canonical axis, and 1 or -1 for its direction."""
    from nibabel import orientations

    return orientations.io_orientation(image.affine)


def _axes(image: Any) -> list[int]:
    """The stored axes that run to the patient's right, front and top, in this order."""
    return np.argsort(_orientation(image)[:, 0]).tolist()
