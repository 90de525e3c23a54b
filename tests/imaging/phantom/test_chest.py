"""Phantoms: reproducible, distributed as the real data, and their masks lie where air is."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from imaging.phantom import Phantom, render
from imaging.phantom.canvas import FULL, WORK, band, bulge, closed_curve, resize, shape
from imaging.phantom.chest import devices
from imaging.phantom.chest.anatomy import Chest
from imaging.phantom.chest.lung_collapse import Retraction, Window, solve
from imaging.phantom.chest.patient import sample_build
from imaging.phantom.chest.pneumothorax import AREA_PIXELS, sample_area
from imaging.phantom.chest.tissue import visible_lung
from imaging.phantom.cohort import cases, total
from imaging.settings import PhantomSettings

SETTINGS = PhantomSettings(train=60, test=4, difficulty=0.0)
POSITIVE = [case.index for case in cases(SETTINGS, 0) if case.positive][:8]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture(scope="module")
def positives() -> list[Phantom]:
    return [render(0, index, SETTINGS) for index in POSITIVE]


def lung_field(phantom: Phantom, side: int) -> np.ndarray:
    return visible_lung(Chest(phantom.facts.build, phantom.facts.pose), side, FULL) > 127


def test_same_index_same_pixels_other_seed_other_pixels() -> None:
    first, again, other = render(0, 3, SETTINGS), render(0, 3, SETTINGS), render(1, 3, SETTINGS)
    assert first.pixels.dtype == np.uint8
    assert first.pixels.shape == (1024, 1024)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.pixels != other.pixels).mean() > 0.5


def test_pixels_do_not_depend_on_the_cpu() -> None:
    """OpenCV and numpy without their vector instructions give the same bits."""
    program = (
        "import hashlib; from imaging.phantom import render; from imaging.settings import PhantomSettings\n"
        f"p = render(0, {POSITIVE[0]}, PhantomSettings(train=60, test=4, difficulty=0.0))\n"
        "print(hashlib.sha256(p.pixels.tobytes() + p.masks[0].tobytes()).hexdigest())"
    )
    plain = {"OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX,SSE4.2,SSE4.1", "OPENCV_IPP": "disabled"}
    numpy_plain = {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3"}
    results = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, **extra},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for extra in ({}, {**plain, **numpy_plain})
    }
    assert len(results) == 1


def test_unknown_index_is_named() -> None:
    with pytest.raises(ValueError, match=r"phantom index 66: the settings have images 0 to 65"):
        render(0, 66, SETTINGS)


def test_prevalence_is_exact_and_negatives_have_no_mask() -> None:
    settings = PhantomSettings(train=500, test=100, prevalence=0.22)
    plan = cases(settings, 0)
    assert len(plan) == total(settings) == 602
    assert sum(case.positive for case in plan if case.split == "train" and case.labelled) == 110
    assert sum(case.positive for case in plan if case.split == "test") == 22
    negative = next(case.index for case in cases(SETTINGS, 0) if not case.positive)
    assert render(0, negative, SETTINGS).masks == []


@pytest.mark.parametrize("prevalence", [0.0, 1.0])
def test_extreme_prevalence(prevalence: float) -> None:
    plan = cases(PhantomSettings(train=30, test=3, prevalence=prevalence), 0)
    assert {case.positive for case in plan} == {bool(prevalence)}


def test_patients_repeat_and_share_labels_as_in_the_real_data() -> None:
    plan = [case for case in cases(PhantomSettings(train=6000), 0) if case.split == "train" and case.labelled]
    patients = np.array([case.patient for case in plan])
    positive = np.array([case.positive for case in plan])
    counts = np.unique(patients, return_counts=True)[1]
    assert len(counts) / len(plan) == pytest.approx(6171 / 12047, abs=0.06)
    assert (counts == 1).mean() == pytest.approx(4219 / 6171, abs=0.05)
    assert counts.max() <= 61
    assert positive.sum() / len(np.unique(patients[positive])) == pytest.approx(3.3, abs=0.8)
    assert not {case.patient for case in plan} & {
        c.patient for c in cases(PhantomSettings(train=6000), 0) if c.split == "test"
    }


def test_patients_keep_their_build() -> None:
    plan = cases(PhantomSettings(train=200, test=1), 0)
    first = next(case for case in plan if case.visit == 1)
    same = [case.index for case in plan if case.patient == first.patient][:2]
    one, two = (render(0, index, PhantomSettings(train=200, test=1)).facts for index in same)
    assert one.build == two.build
    assert one.pose != two.pose


def test_wanted_areas_follow_the_real_quantiles() -> None:
    generator = rng()
    areas = [sample_area(generator) for _ in range(4000)]
    low, middle, high = np.quantile(areas, [0.05, 0.5, 0.95])
    assert low == pytest.approx(1363, rel=0.15)
    assert middle == pytest.approx(8630, rel=0.1)
    assert high == pytest.approx(45772, rel=0.15)
    assert max(areas) <= AREA_PIXELS[-1]


def test_masks_lie_in_the_lung_field_of_their_side(positives: list[Phantom]) -> None:
    for phantom in positives:
        union = np.any(phantom.masks, 0)
        assert union.sum() >= 60
        near = (
            cv2.dilate(lung_field(phantom, phantom.facts.side).astype(np.uint8), np.ones((9, 9), np.uint8))
            > 0
        )
        assert (union & near).sum() / union.sum() > 0.99


def test_space_is_darker_than_its_mirror_image(positives: list[Phantom]) -> None:
    """Lucency: at difficulty 0 the space is darker than the same place in the other lung, for most."""
    darker = []
    for phantom in positives:
        chest = Chest(phantom.facts.build, phantom.facts.pose)
        if chest.pose.angle > 0.05:
            continue
        middle = round(chest.to_pixels(np.array([[0.0, 0.8]]), FULL)[0, 0])
        rows, columns = np.nonzero(np.any(phantom.masks, 0))
        mirrored = np.clip(2 * middle - columns, 0, FULL - 1)
        both = lung_field(phantom, -phantom.facts.side)[rows, mirrored]
        if both.sum() > 100:
            darker.append(
                phantom.pixels[rows, columns][both].mean() < phantom.pixels[rows, mirrored][both].mean()
            )
    assert len(darker) >= 4
    assert np.mean(darker) > 0.5


def test_difficulty_lowers_the_contrast_but_not_the_place() -> None:
    easy = render(0, POSITIVE[0], SETTINGS)
    hard = render(0, POSITIVE[0], SETTINGS.model_copy(update={"difficulty": 1.0}))
    np.testing.assert_array_equal(easy.masks[0], hard.masks[0])
    inside = np.any(easy.masks, 0)
    assert easy.pixels[inside].mean() < hard.pixels[inside].mean()


def test_some_images_have_several_masks_and_some_overlap() -> None:
    from imaging.phantom.chest.pneumothorax import _split

    mask = np.zeros((1024, 1024), bool)
    mask[100:300, 200:260] = True
    overlaps = []
    for seed in range(20):
        parts = _split(mask, rng(seed))
        np.testing.assert_array_equal(np.any(parts, 0), mask)
        overlaps.append(bool(np.all(parts, 0).any()))
    assert 0 < sum(overlaps) < 20


def test_canvas_bulge_is_round_and_resizing_is_exact() -> None:
    square = np.array([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]]) * 100 + WORK / 2
    depth = bulge(shape(square), 50, 10.0)
    assert depth[0, 0] == 0
    assert depth[WORK // 2, WORK // 2] == 320  # 10 mm in 1/32
    assert 200 < depth[WORK // 2, WORK // 2 - 100 + 25] < 320  # half-way in: sqrt(3)/2 of the depth
    np.testing.assert_array_equal(resize(np.full((4, 4), 1000, np.uint16), 8), 1000)


def test_curves_pass_through_their_points_and_bands_have_their_width() -> None:
    corners = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    np.testing.assert_allclose(closed_curve(corners, 8)[::8], corners)
    outline = band(np.array([[0.0, 0], [1, 0], [2, 0]]), 0.5)
    np.testing.assert_allclose(sorted(set(outline[:, 1])), [-0.5, 0.5])


@pytest.mark.parametrize("area", [2000.0, 9000.0, 40_000.0])
def test_collapse_has_the_wanted_area_and_moves_the_lung_inwards(area: float) -> None:
    facts = render(0, POSITIVE[0], SETTINGS).facts
    chest = Chest(facts.build, facts.pose)
    field = visible_lung(chest, 1)
    outline = chest.to_pixels(chest.envelope(1))
    centre = chest.to_pixels(np.array([[0.5, 0.95 * chest.height]]))[0]
    window = Window(start=-60, length=320, peak=0.4, power=0.8)
    lung = solve(Retraction(outline, centre, (window,)), field, area / 4)
    assert np.count_nonzero(lung.space(field) > 127) * 4 == pytest.approx(area, rel=0.1)
    distance = np.hypot(*(outline - centre).T)
    np.testing.assert_array_less(np.hypot(*(lung.surface() - centre).T), distance + 1e-9)
    np.testing.assert_allclose(lung.move(outline), lung.surface(), atol=1e-6)  # vessels follow the surface


def test_window_is_zero_at_its_ends_and_one_at_its_peak() -> None:
    window = Window(start=-20, length=100, peak=0.25, power=1.0)
    np.testing.assert_allclose(
        window.profile(np.array([980.0, 5.0, 80.0, 500.0]), 1000.0), [0, 1, 0, 0], atol=1e-9
    )


def test_patients_with_a_pneumothorax_are_more_slender() -> None:
    thin, others = ([sample_build(rng(seed), slender) for seed in range(200)] for slender in (True, False))
    assert np.mean([build.stout for build in thin]) < 0.7 * np.mean([build.stout for build in others])
    assert np.mean([build.lung for build in thin]) > np.mean([build.lung for build in others])


def test_names_are_blacked_out_in_the_upper_part_only() -> None:
    pixels = devices.redact(np.full((FULL, FULL), 200, np.uint8), rng(3))
    rows, _ = np.nonzero(pixels == 0)
    assert len(rows) > 1000
    assert rows.max() < FULL // 2
    assert set(np.unique(pixels)) == {0, 200}
