"""Augment a whole batch at once, on the device: one sampling grid, one look-up table and one noise window per image.

The same ranges as the presets of imaging/data/augment.py that consist of flips, moves, tones, noise and bends. Random numbers
are drawn on the CPU, a few per image from the image's own seed; `apply` is arithmetic only and runs on the device that holds
the batch. Pixels differ from albumentations' by rounding, their distribution does not: see
docs/figures/augmentation-fused.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from imaging.data import bends
from imaging.data.noise import LEVELS, MIDDLE, UNIT, field
from imaging.settings import AugmentSettings

Range = tuple[float, float]
Drawn = dict[str, Tensor]


@dataclass(frozen=True)
class Tone:
    """One change of the greys: value^gamma, or value · contrast + brightness (both as fractions of white)."""

    gamma: Range = (1, 1)
    contrast: Range = (1, 1)
    brightness: Range = (0, 0)


@dataclass(frozen=True)
class Ranges:
    """The ranges that a preset draws from; `probability` applies to each group of changes."""

    probability: float = 0.5
    tone_probability: float | None = None
    """Probability of `one_of`; None: `probability`."""
    bend_probability: float | None = None
    """Probability of one of the distortions of imaging/data/bends.py; borders are mirrored, with None black."""
    shift: float = 0.0
    scale: float = 0.0
    turn: float = 0.0
    one_of: tuple[Tone, ...] = ()
    """One of these, chosen at random."""
    each: tuple[Tone, ...] = ()
    """Each of these in turn, with `probability`."""
    noise: Range | None = None
    """Standard deviation in grey levels."""


PRESETS = {
    "standard": Ranges(
        shift=0.0625, scale=0.1, turn=10, noise=LEVELS,
        one_of=(Tone(gamma=(0.8, 1.2)), Tone(contrast=(0.8, 1.2), brightness=(-0.1, 0.1))),
    ),
    "baseline": Ranges(scale=0.1, turn=10, noise=(10**0.5, 50**0.5)),
    "winners": Ranges(
        shift=0.0625, scale=0.1, turn=45, tone_probability=0.3, bend_probability=0.3,
        one_of=(Tone(contrast=(0.8, 1.2)), Tone(gamma=(0.8, 1.2)), Tone(brightness=(-0.2, 0.2))),
    ),
    "mmsegmentation": Ranges(each=(Tone(brightness=(-32 / 255, 32 / 255)), Tone(contrast=(0.5, 1.5)))),
}  # fmt: skip
"""See imaging/data/augment.py for the sources of the numbers."""


DRAWN = ("matrix", "lut", "noise", "bend", "axes")
"""What `Fused.draw` adds to a batch."""


class Fused:
    """A preset of PRESETS for images of one size."""

    def __init__(self, settings: AugmentSettings, size: int) -> None:
        self.size, self.ranges = size, PRESETS[settings.preset]
        self.probability = settings.probability if settings.preset == "standard" else 0.5

    def draw(self, seeds: Sequence[int]) -> Drawn:
        """`matrix` float32 (B, 2, 3) from coordinates of the new image to those of the old one, both from -1 to 1; `lut` uint8
        (B, 256); `noise` float32 (B, 3): top, left and weight of a window; for presets with bends also `bend` (B, 4) and `axes`
        (B, 2, s): see imaging.data.bends.draw."""
        drawn = [self._one(np.random.default_rng(seed)) for seed in seeds]
        return {key: torch.from_numpy(np.stack([one[key] for one in drawn])) for key in drawn[0]}

    def _one(self, random: np.random.Generator) -> dict[str, NDArray[Any]]:
        tone = self.ranges.tone_probability
        limits = np.array(
            [self.probability] * 2 + [self.probability if tone is None else tone, self.probability]
        )
        flip, moved, toned, noisy = random.random(4) < limits
        matrix = self._matrix(random) if moved and (self.ranges.scale or self.ranges.turn) else np.eye(3)[:2]
        if flip:  # comes first, so last on the way back to the old image; with bends, which look alike mirrored, it comes last
            left = np.diag([-1.0, 1.0, 1.0])
            matrix = left[:2, :2] @ matrix if self.ranges.bend_probability is None else matrix @ left
        tones = [tone for tone in self.ranges.each if random.random() < self.probability]
        if toned and self.ranges.one_of:
            tones.append(self.ranges.one_of[random.integers(len(self.ranges.one_of))])
        noise = np.zeros(3)
        if noisy and self.ranges.noise:
            noise = np.array([*random.integers(self.size, size=2), random.uniform(*self.ranges.noise) / UNIT])
        found: dict[str, NDArray[Any]] = {
            "matrix": matrix.astype(np.float32),
            "lut": table(tones, random),
            "noise": noise.astype(np.float32),
        }
        if self.ranges.bend_probability is not None:
            kind = (
                int(random.integers(bends.KINDS)) if random.random() < self.ranges.bend_probability else None
            )
            found["bend"], found["axes"] = bends.draw(random, self.size, kind)
        return found

    def _matrix(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Inverse of scale, turn and shift. Coordinates run from -1 to 1, so a shift by the fraction s of the side is 2 s."""
        scale = random.uniform(1 - self.ranges.scale, 1 + self.ranges.scale)
        angle = np.deg2rad(random.uniform(-self.ranges.turn, self.ranges.turn))
        shift = 2 * random.uniform(-self.ranges.shift, self.ranges.shift, 2)
        forth = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        back = np.linalg.inv(forth)
        return np.column_stack([back, -back @ shift])


def table(tones: Sequence[Tone], random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the tones and compose them into one table: the new grey level for each of 256."""
    grey = np.arange(256, dtype=np.float64)
    for tone in tones:
        bright = (grey / 255) ** random.uniform(*tone.gamma) * random.uniform(*tone.contrast)
        grey = np.clip(np.rint(255 * (bright + random.uniform(*tone.brightness))), 0, 255)
    return grey.astype(np.uint8)


def changed(batch: Drawn) -> Drawn:
    """Apply what was drawn to a batch of Images and remove it from the batch; return any other batch unchanged."""
    if "matrix" not in batch:
        return batch
    drawn = {key: batch[key] for key in DRAWN if key in batch}
    image, mask = apply(batch["image"], batch.get("mask"), drawn)
    rest = {key: value for key, value in batch.items() if key not in drawn}
    return {**rest, "image": image} if mask is None else {**rest, "image": image, "mask": mask}


def apply(image: Tensor, mask: Tensor | None, drawn: Drawn) -> tuple[Tensor, Tensor | None]:
    """Change uint8 images (B, 1, s, s) and their masks 0/1, on their device; borders are black, or mirrored with bends."""
    opencv = image.device.type == "cpu" and "bend" not in drawn
    return (_by_opencv if opencv else by_torch)(image, mask, drawn)


def by_torch(image: Tensor, mask: Tensor | None, drawn: Drawn) -> tuple[Tensor, Tensor | None]:
    """See `apply`; the whole batch in a handful of kernels."""
    side = image.shape[-1]
    grid = affine_grid(drawn["matrix"], [len(image), 1, side, side], align_corners=False)
    if "bend" in drawn:
        places = bends.bent((grid + 1) * (side / 2) - 0.5, drawn["bend"], drawn["axes"])
        grid = (2 * places + 1) / side - 1
    moved = grid_sample(image.float(), grid, "bilinear", "zeros", align_corners=False).round_()
    grey = drawn["lut"].gather(1, moved.flatten(1).long()).view_as(image).float()
    top, left = drawn["noise"][:, 0].long(), drawn["noise"][:, 1].long()
    window = _windows(side, image.device)[top, left][:, None]
    weight = drawn["noise"][:, 2].view(-1, 1, 1, 1)
    changed = torch.addcmul(grey, window.float() - MIDDLE, weight).round_().clamp_(0, 255).to(torch.uint8)
    if mask is None:
        return changed, None
    return changed, grid_sample(mask.float(), grid, "nearest", "zeros", align_corners=False).to(torch.uint8)


def _by_opencv(image: Tensor, mask: Tensor | None, drawn: Drawn) -> tuple[Tensor, Tensor | None]:
    """See `apply`; on a CPU OpenCV takes a tenth of PyTorch's time."""
    side = image.shape[-1]
    changed, inside = torch.empty_like(image), None if mask is None else torch.empty_like(mask)
    windows = _windows(side, image.device)
    for i, (matrix, lut, (top, left, weight)) in enumerate(
        zip(drawn["matrix"].numpy(), drawn["lut"].numpy(), drawn["noise"].tolist(), strict=True)
    ):
        pixels = changed[i, 0].numpy()
        _warp(image[i, 0].numpy(), pixels, matrix, cv2.INTER_LINEAR)
        if mask is not None and inside is not None:
            _warp(mask[i, 0].numpy(), inside[i, 0].numpy(), matrix, cv2.INTER_NEAREST)
        cv2.LUT(pixels, lut, dst=pixels)
        if weight:
            window = windows[int(top), int(left)].numpy()
            cv2.addWeighted(pixels, 1.0, window, weight, -MIDDLE * weight, dst=pixels)
    return changed, inside


def _warp(old: NDArray[np.uint8], new: NDArray[np.uint8], matrix: NDArray[np.float32], how: int) -> None:
    """Warp one image (s, s) by a matrix in coordinates from -1 to 1; OpenCV's origin is the centre of the first pixel."""
    side, turn, shift = len(old), matrix[:, :2].astype(np.float64), matrix[:, 2]
    if not shift.any() and np.array_equal(abs(turn), np.eye(2)):  # at most a mirror image
        if turn[0, 0] < 0:
            cv2.flip(old, 1, dst=new)
        else:
            np.copyto(new, old)
        return
    middle = (side - 1) / 2
    back = np.column_stack([turn, side / 2 * shift + middle - turn @ (middle, middle)])
    cv2.warpAffine(old, back, (side, side), dst=new, flags=how | cv2.WARP_INVERSE_MAP, borderValue=0)


@cache
def _windows(side: int, device: torch.device) -> Tensor:
    """All windows (s + 1, s + 1, s, s) of the noise, a view of one field; uploaded once."""
    return torch.from_numpy(field(side)).to(device).unfold(0, side, 1).unfold(1, side, 1)
