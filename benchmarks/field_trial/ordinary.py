"""The peer: an ordinary training loop, as a practitioner writes it in an afternoon, without this project's training code.

smp's U-Net on the trial's encoder, cross-entropy + Dice of the batch, balanced epochs, AdamW with OneCycle (encoder at a third
of the rate), flips, small affine changes, brightness and contrast, mixed precision; the image's score is the mean of the highest
logits; thresholds come from a grid on out-of-fold predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import albumentations as A
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.hardware import current
from experiments.networks import pretrained
from experiments.networks.depthwise import DepthwiseInFloat32
from imaging.prepared import Prepared
from imaging.resize import Contrast, network_input

BATCH, RATE, TUNED_RATE, ENCODER = 16, 1e-3, 4e-4, 1 / 3
TOP = 0.005
"""Share of the pixels whose mean logit is the image's score."""
MEAN, STD = 0.498, 0.502
"""Of the images that EfficientNet-Lite was trained on."""


@dataclass(frozen=True)
class Pictures:
    """Images and masks of some rows at the network's size, in memory: uint8 (N, s, s)."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, prepared: Prepared, rows: NDArray[np.int64], size: int, contrast: Contrast) -> Pictures:
        """Read and resize. contrast: of the images, as for this project's networks."""
        images = [
            network_input(_sized(prepared.images[row], size, cv2.INTER_AREA), size, contrast) for row in rows
        ]
        masks = [_sized(prepared.mask(row), size, cv2.INTER_NEAREST) for row in rows]
        labels = prepared.index["label"].to_numpy(float)[rows]
        return cls(np.stack(images), np.stack(masks), labels == 1)


def _sized(pixels: NDArray[np.uint8], size: int, how: int) -> NDArray[np.uint8]:
    if pixels.shape == (size, size):
        return np.asarray(pixels)
    return np.asarray(cv2.resize(np.asarray(pixels), (size, size), interpolation=how), np.uint8)


def network(weights: str | None) -> nn.Module:
    """smp's U-Net on EfficientNet-Lite0, one channel."""
    net: nn.Module = smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None, in_channels=1, classes=1)
    if weights is not None:
        encoder: nn.Module = net.encoder.model  # type: ignore[union-attr, assignment]
        state = load_file(pretrained.find(weights, "--weights").path)
        encoder.load_state_dict(pretrained.fitted(state, encoder, weights))
    return net


def train(
    net: nn.Module,
    data: Pictures,
    images: int,
    seed: int,
    rate: float = RATE,
    share: NDArray[np.float64] | None = None,
) -> nn.Module:
    """Show so many images, half of them positive. share: (N,) weight with which an image is drawn within its class."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    change = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.9, 1.1), translate_percent=(-0.05, 0.05), rotate=(-10, 10), p=0.7),
            A.RandomBrightnessContrast(0.2, 0.2, p=0.5),
        ],
        seed=seed,
    )
    steps = max(1, images // BATCH)
    encoder = [p for name, p in net.named_parameters() if name.startswith("encoder.")]
    rest = [p for name, p in net.named_parameters() if not name.startswith("encoder.")]
    optimiser = torch.optim.AdamW([{"params": encoder}, {"params": rest}], weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [rate * ENCODER, rate], total_steps=steps + 1, pct_start=max(0.25, 2 / (steps + 1))
    )
    net.train().to(memory_format=torch.channels_last)
    order = _order(data.positive, steps * BATCH, rng, share)
    for step in range(steps):
        made = [
            change(image=data.images[i], mask=data.masks[i]) for i in order[step * BATCH : (step + 1) * BATCH]
        ]
        image = _normalised(np.stack([one["image"] for one in made]))
        mask = torch.from_numpy(np.stack([one["mask"] for one in made]))[:, None].float()
        with torch.autocast("cpu", torch.bfloat16, enabled=current().bf16), DepthwiseInFloat32():
            logit = net(image)
        loss = _loss(logit.float(), mask)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    return net


def _order(
    positive: NDArray[np.bool_], number: int, rng: np.random.Generator, share: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Positions, positive and negative in turn; each class in passes, shuffled, or drawn by weight."""
    pools = []
    for pool in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if share is None:
            turns = [rng.permutation(pool) for _ in range(-(-number // 2 // len(pool)))]
            pools.append(np.concatenate(turns)[: number // 2])
        else:
            pools.append(rng.choice(pool, number // 2, p=share[pool] / share[pool].sum()))
    return np.stack(pools, axis=1).ravel()


def _loss(logit: Tensor, mask: Tensor) -> Tensor:
    prob = logit.sigmoid()
    dice = 1 - (2 * (prob * mask).sum() + 1) / (prob.sum() + mask.sum() + 1)
    return binary_cross_entropy_with_logits(logit, mask) + dice


def _normalised(images: NDArray[np.uint8]) -> Tensor:
    batch = (torch.from_numpy(images)[:, None].float() / 255 - MEAN) / STD
    return batch.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(net: nn.Module, data: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Score (N,) in 0..1 and map of probabilities float32 (N, s, s); the mean over the image and its mirror image."""
    net.eval()
    scores, maps = [], []
    for start in range(0, len(data.images), BATCH):
        image = _normalised(data.images[start : start + BATCH])
        with torch.autocast("cpu", torch.bfloat16, enabled=current().bf16):
            logit = net(image).float()
            logit = (logit + net(image.flip(-1)).float().flip(-1)) / 2
        top = logit.flatten(1).topk(max(1, round(TOP * logit[0].numel())), dim=1).values.mean(dim=1)
        scores.append(top.sigmoid().double().numpy())
        maps.append(logit[:, 0].sigmoid().numpy())
    return np.concatenate(scores), np.concatenate(maps)
