"""Predict with a trained network in batches, with test-time augmentation (mirror image, several sizes) where the settings ask."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from experiments.hardware import Hardware, current
from experiments.networks.normalisation import normalise
from experiments.networks.precision import autocast
from experiments.settings.common import TrainingSettings
from imaging.data.dataset import Images, as_it_is, worker_init

STRIDE = 32
"""Sides of other scales are multiples of it: the coarsest map of the usual encoders has a 32nd of the image's side."""


LOADERS = 8
"""Upper limit of `workers: auto`, for each GPU."""


def loader_workers(wish: int | str, hardware: Hardware, processes: int = 1) -> int:
    """Loader processes of one training process; `auto`: the cores for each GPU, at most 8, and 0 without a GPU."""
    if not isinstance(wish, str):
        return wish
    return min(LOADERS, hardware.cores // processes) if hardware.kind == "cuda" else 0


@torch.inference_mode()
def probabilities(net: nn.Module, image: Tensor, settings: TrainingSettings) -> Tensor:
    """float32 sigmoid of the network's output for uint8 images (B, 1, s, s): (B, 1) or (B, 1, s, s).

    In `inference_precision`, not in that of the training: the same bundle then predicts the same on every machine.
    Averaged over the settings' scales, and with flip_tta over the image and its mirror image; maps are brought back.
    """
    entering, hardware = normalise(image, net), current()
    with autocast(settings.inference_precision, hardware):
        views = [_at_scale(net, entering, scale, settings.flip_tta) for scale in settings.scales]
    return views[0] if len(views) == 1 else torch.stack(views).mean(dim=0)


def _at_scale(net: nn.Module, entering: Tensor, scale: float, flip: bool) -> Tensor:
    """Probabilities of images brought to another size; maps come back in the images' own."""
    side = entering.shape[-1]
    other = side if scale == 1 else max(round(side * scale / STRIDE), 1) * STRIDE
    view = entering if other == side else _resized(entering, other)
    view = view.contiguous(memory_format=torch.channels_last)
    prob = net(view).float().sigmoid()
    if flip:
        mirrored = net(view.flip(-1)).float().sigmoid()
        prob = (prob + (mirrored.flip(-1) if mirrored.ndim == 4 else mirrored)) / 2
    return prob if prob.ndim == 2 or other == side else _resized(prob, side)


def _resized(batch: Tensor, side: int) -> Tensor:
    """(B, 1, s, s) linearly to (B, 1, side, side); antialiased when reduced."""
    return interpolate(batch, (side, side), mode="bilinear", align_corners=False, antialias=True)


def over(net: nn.Module, images: Images, settings: TrainingSettings) -> Iterator[Tensor]:
    """Probabilities of a data set in its order, a batch at a time, on the CPU."""
    where, workers = current().device, loader_workers(settings.workers, current())
    net = net.to(where).to(memory_format=torch.channels_last).eval()
    if workers:
        worker_init(0)  # OpenCV's threads must end before the fork: see training
    loader = DataLoader(
        images,
        settings.evaluation_batch,
        num_workers=workers,
        worker_init_fn=worker_init,
        collate_fn=as_it_is,
    )
    for batch in loader:
        yield probabilities(net, batch["image"].to(where), settings).cpu()
