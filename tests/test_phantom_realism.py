"""The comparison of phantoms with real radiographs: statistics of known images, and phantoms within the range of real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import phantom_realism as realism

SIDE = realism.SIDE


def test_a_wave_has_its_power_in_its_band() -> None:
    wave = np.broadcast_to(100 + 50 * np.cos(2 * np.pi * 10 * np.arange(SIDE) / SIDE), (SIDE, SIDE))
    found = realism.spectrum(wave)
    assert max(found, key=lambda band: found[band]) == "8 to 16 cycles"


def test_statistics_of_a_flat_image() -> None:
    found = realism.statistics(np.full((SIDE, SIDE), 40, np.uint8))
    assert found["greys: quantile 50 %"] == 40
    assert found["greys: standard deviation"] == 0
    assert found["anatomy: mediastinum over lung"] == 1
    assert found["border: share of black"] == 0


def test_separability_is_half_for_equal_groups_and_one_for_distant_groups() -> None:
    random = np.random.default_rng(0)
    real = np.arange(200) < 100
    equal = random.normal(0, 1, (200, 3))
    assert realism.separability(equal, real) == pytest.approx(0.5, abs=0.12)
    assert realism.separability(equal + 9.0 * real[:, None], real) == 1.0


def test_report_tells_black_from_grey() -> None:
    random = np.random.default_rng(1)
    dark, light = (
        [random.integers(low, low + 60, (SIDE, SIDE)).astype(np.uint8) for _ in range(6)] for low in (0, 120)
    )
    text = realism.report(dark, light)
    assert "6 real images, 6 phantoms" in text
    assert "| all statistics | 1.00 |" in text
    assert text.count("| 1.00 |") >= realism.CELLS


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        realism.real_images(tmp_path, 5)


def test_phantoms_lie_in_the_range_of_real_radiographs() -> None:
    """Means of 12 phantoms within two standard deviations of 142 real radiographs (docs/phantom.md)."""
    found = [realism.statistics(image) for image in realism.phantom_images(12, 1)]
    for name, mean, deviation in (
        ("greys: quantile 25 %", 77.5, 30.4),
        ("greys: quantile 75 %", 166.5, 24.9),
        ("greys: standard deviation", 58.3, 11.3),
        ("spectrum: 8 to 16 cycles", 4.20, 0.22),
        ("spectrum: 64 to 128 cycles", 1.37, 0.24),
        ("anatomy: mediastinum over lung", 2.41, 0.94),
        ("anatomy: lower over upper half", 1.68, 0.34),
        ("border: share of black", 0.23, 0.18),
    ):
        assert np.mean([one[name] for one in found]) == pytest.approx(mean, abs=2 * deviation), name
