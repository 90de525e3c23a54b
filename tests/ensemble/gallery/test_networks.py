"""The drawing of a run's networks says where the image's probability comes from."""

from __future__ import annotations

import pytest

from ensemble.gallery.networks import networks
from experiments.settings.training import SegmentationSettings
from segmentation.architectures import build


@pytest.mark.parametrize(
    ("head", "said"), [(0.0, "No classifier"), (0.3, "Image-level head")], ids=["none", "head"]
)
def test_a_network_without_a_classifier_is_drawn_with_its_head(head: float, said: str) -> None:
    settings = SegmentationSettings(
        models=["unet"], architecture="plain", base_channels=4, image_size=32, image_head=head
    )
    figure = networks(None, build(settings), settings)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said in texts
    assert ("p" in texts) == (head > 0)
    assert any("give the image's probability" in text for text in texts)
