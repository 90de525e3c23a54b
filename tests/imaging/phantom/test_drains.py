"""The test set of chest tubes: each phantom twice, and nothing but the tube differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from imaging.formats import reader
from imaging.phantom import drains, render
from imaging.phantom.drains import SETTINGS


def test_the_tube_alone_differs() -> None:
    bare, tube, same = (render(SETTINGS.seed, 0, SETTINGS, tube=wanted) for wanted in (False, True, True))
    np.testing.assert_array_equal(tube.pixels, same.pixels)
    changed = tube.pixels != bare.pixels
    assert 0.002 < changed.mean() < 0.08
    assert (tube.pixels[changed] > bare.pixels[changed]).mean() > 0.95  # a tube absorbs
    assert [mask.tolist() for mask in tube.masks] == [mask.tolist() for mask in bare.masks]


def test_files_say_who_has_a_tube(tmp_path: Path) -> None:
    few = SETTINGS.model_copy(update={"train": 20})
    drains.write(tmp_path / "set", few, workers=1)
    tubes = pd.read_csv(tmp_path / "set" / "drains.csv")
    labels = pd.read_csv(tmp_path / "set" / "train-rle.csv").groupby("ImageId")["EncodedPixels"].first()
    owners = pd.read_csv(tmp_path / "set" / "patients.csv").set_index("image_id")["patient"]
    assert tubes["drain"].tolist() == [0, 1] * 20
    positive = labels.astype(str).str.strip() != "-1"
    for kind in (0, 1):
        assert positive[tubes.loc[tubes["drain"] == kind, "image_id"]].sum() == 10
    assert (owners[tubes["image_id"][::2]].to_numpy() == owners[tubes["image_id"][1::2]].to_numpy()).all()
    first = tmp_path / "set" / "dicom-images-train" / f"{drains.name_of(0, True)}.dcm"
    assert reader.read(first, 1024).facts.height == 1024
