"""The page's examples: a title says what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.app.examples import CHOSEN, SEED, SETTINGS
from imaging.phantom import render


@pytest.mark.parametrize(("index", "title"), CHOSEN.items())
def test_a_title_names_side_and_site_of_the_mask(index: int, title: str) -> None:
    """The patient's left is at the right of the picture; the apex lies in its upper two fifths."""
    phantom = render(SEED, index, SETTINGS)
    inside = np.zeros(phantom.pixels.shape, bool)
    for mask in phantom.masks:
        inside |= mask.astype(bool)
    assert inside.any() == ("no pneumothorax" not in title)
    if inside.any():
        row, column = (
            where.mean() / side for where, side in zip(np.nonzero(inside), inside.shape, strict=True)
        )
        assert title.startswith("Left" if column > 0.5 else "Right")
        assert ("apical" in title) == (row < 0.4)
