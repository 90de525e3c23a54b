"""Predictions of a trained network, batch after batch, with the mirror image when the settings ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from experiments.training import choose_precision, normalise
from experiments.training_settings import TrainingSettings
from imaging.dataset import Images, worker_init


def device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(settings: TrainingSettings) -> AbstractContextManager[object]:
    """Autocast as in training."""
    chosen = choose_precision(settings.precision)
    if chosen == "32-true":
        return nullcontext()
    return torch.autocast(device().type, torch.bfloat16 if chosen == "bf16-mixed" else torch.float16)


@torch.inference_mode()
def probabilities(net: nn.Module, image: Tensor, settings: TrainingSettings) -> Tensor:
    """float32 sigmoid of the network's output for uint8 images (B, 1, s, s): (B, 1) or (B, 1, s, s).

    With flip_tta the mean of the probabilities of the image and of its mirror image, mirrored back.
    """
    with precision(settings):
        entering = normalise(image).contiguous(memory_format=torch.channels_last)
        prob = net(entering).float().sigmoid()
        if not settings.flip_tta:
            return prob
        mirrored = net(entering.flip(-1)).float().sigmoid()
    return (prob + (mirrored.flip(-1) if mirrored.ndim == 4 else mirrored)) / 2


def over(net: nn.Module, images: Images, settings: TrainingSettings) -> Iterator[Tensor]:
    """Probabilities of a data set in its order, a batch at a time, on the CPU."""
    where = device()
    net = net.to(where).to(memory_format=torch.channels_last).eval()
    loader = DataLoader(
        images, batch_size=settings.batch_size, num_workers=settings.workers, worker_init_fn=worker_init
    )
    for batch in loader:
        yield probabilities(net, batch["image"].to(where), settings).cpu()
