from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from ensemble.gallery import augmentation
from imaging import plotting
from imaging.settings import AugmentSettings


def test_axes_come_row_by_row_in_our_style():
    figure, axes = plotting.new_figure(6, 4, 2, 3)
    assert len(axes) == 6
    assert axes[2].get_subplotspec().colspan.start == 2
    axes[0].set_title("said")
    assert figure.get_size_inches().tolist() == [6, 4]
    assert mpl.rcParams["axes.spines.top"] is False


def test_equal_figures_are_equal_files_without_versions(tmp_path):
    for name in ("one.png", "two.png"):
        figure, (axes,) = plotting.new_figure(2, 2)
        axes.plot([0, 1])
        plotting.save(figure, tmp_path / name)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    assert b"atplotlib" not in content


def test_a_failed_figure_leaves_no_file(tmp_path):
    figure, (axes,) = plotting.new_figure(2, 2)
    axes.set_title("$\\nosuchcommand$")
    with pytest.raises(ValueError, match="nosuchcommand"):
        plotting.save(figure, tmp_path / "broken.png")
    assert list(tmp_path.iterdir()) == []


def test_the_augmentation_figure_has_a_row_a_chest():
    side = augmentation.SIDE
    chest = (np.full((side, side), 90, np.uint8), np.eye(side, dtype=np.uint8))
    figure = augmentation.draw([(*chest, AugmentSettings())] * 2, ["one", "two"])
    assert len(figure.axes) == 2 * (augmentation.CHANGED + 1)
    np.testing.assert_array_equal(figure.axes[0].get_images()[0].get_array(), chest[0])
    shown = {axes.get_images()[0].get_array().tobytes() for axes in figure.axes}
    assert len(shown) > 5
