"""Maps come back bit for bit, in a tenth of the room; damage and a full disk are refused by name."""

from __future__ import annotations

import collections
import shutil

import cv2
import numpy as np
import pytest

from imaging.io import map_archive
from imaging.io.map_archive import MapArchive


def soft_disks(count: int, side: int) -> np.ndarray:
    """Maps as networks give them: a soft region on an empty ground."""
    rows, columns = np.mgrid[:side, :side]
    random = np.random.default_rng(0)
    x, y, radius = random.uniform(0.3, 0.7, (3, count, 1, 1)) * side
    distance = np.hypot(rows - y, columns - x) - radius / 4
    return np.rint(255 / (1 + np.exp(np.clip(distance / 1.5, -30, 30)))).astype(np.uint8)


def test_round_trip_is_exact_and_small(tmp_path) -> None:
    maps, path = soft_disks(7, 256), tmp_path / "maps.zip"
    map_archive.write(path, iter([maps[:3], maps[3:]]), 7, "a")
    found = MapArchive(path, "a")
    assert found.shape == maps.shape
    assert all(np.array_equal(found[row], maps[row]) for row in (6, 0, 3))
    assert path.stat().st_size < maps.size / 10
    first = path.read_bytes()
    map_archive.write(path, [maps], 7, "a")
    assert path.read_bytes() == first


def test_every_map_can_be_resized_and_cut(tmp_path) -> None:
    """A map is a plain array for what reads it."""
    map_archive.write(tmp_path / "maps.zip", [soft_disks(1, 32)], 1, "a")
    large = cv2.resize(MapArchive(tmp_path / "maps.zip", "a")[0], (64, 64), interpolation=cv2.INTER_LINEAR)
    assert (large >= 128).any()


def test_damage_is_named(tmp_path) -> None:
    path = tmp_path / "maps.zip"
    map_archive.write(path, [soft_disks(2, 64)], 2, "a")
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"maps\.zip: map 0 is damaged"):
        MapArchive(path, "a")[0]
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"maps\.zip: not a zip file"):
        MapArchive(path, "a")


def test_another_encoding_is_refused(tmp_path) -> None:
    path = tmp_path / "maps.zip"
    map_archive.write(path, [soft_disks(1, 16)], 1, "b")
    with pytest.raises(
        ValueError, match=r"maps\.zip: maps in another encoding \(b\); this release reads a; .*dvc repro"
    ):
        MapArchive(path, "a")
    map_archive.write(path, [soft_disks(1, 16)], 1, "")  # as before encodings had names
    with pytest.raises(ValueError, match=r"unnamed, so from an earlier release"):
        MapArchive(path, "a")


def test_room_is_checked_before_anything_is_written(tmp_path, monkeypatch) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    with pytest.raises(ValueError, match=r"0\.0 GiB free, about 0\.4 GiB needed .*segmentation\.image_size"):
        map_archive.write(tmp_path / "maps.zip", [np.zeros((1, 1024, 1024), np.uint8)], 2000, "a")


def test_missing_maps_are_counted(tmp_path) -> None:
    with pytest.raises(ValueError, match="expected 3 maps, got 2"):
        map_archive.write(tmp_path / "maps.zip", [soft_disks(2, 16)], 3, "a")
