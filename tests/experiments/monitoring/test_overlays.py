"""The few images whose answers are drawn at each look, and what is handed on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from experiments.monitoring import overlays
from imaging.data.dataset import Images
from imaging.prepared import Prepared
from tests.imaging.conftest import make_prepared


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    prepared = Prepared(make_prepared(tmp_path_factory.mktemp("overlays")))
    return Images(prepared, prepared.fold_rows(0), 32)


def looks(images: Images, said: Any) -> list[tuple[int, np.ndarray]]:
    shown: list[tuple[int, np.ndarray]] = []
    callback = overlays.Overlays(images, lambda net, image: said, lambda row, step: shown.append((step, row)))
    module = SimpleNamespace(device=torch.device("cpu"), net=torch.nn.Identity())
    callback.on_validation_epoch_start(SimpleNamespace(current_epoch=7), module)  # type: ignore[arg-type]
    return shown


def test_chosen_are_positives_by_area_and_one_empty_image(images: Images) -> None:
    chosen = overlays.choose(images)
    labels = [int(images.labels[i]) for i in chosen]
    assert labels == sorted(labels, reverse=True)
    assert labels.count(0) == 1
    areas = [int(images[i]["mask"].sum()) for i in chosen if images.labels[i] == 1]
    assert areas == sorted(areas)


def test_a_picture_shows_what_the_network_says(images: Images) -> None:
    count = len(overlays.choose(images))
    nothing, corner = torch.zeros(count, 8, 8), torch.zeros(count, 8, 8)
    corner[:, :4, :4] = 1
    (step, plain), (_, marked) = *looks(images, nothing), *looks(images, corner)
    assert step == 7
    assert plain.shape == marked.shape == (overlays.SIDE, count * overlays.SIDE, 3)
    differs = (plain != marked).any(axis=2)
    assert differs.any()
    assert not differs[160:].any()  # the corner's outline lies in the upper half


def test_a_network_that_cannot_say_where_shows_nothing(images: Images) -> None:
    assert looks(images, None) == []
