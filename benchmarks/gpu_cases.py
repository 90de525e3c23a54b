"""The networks that benchmarks/gpu.py measures, with losses, batches and data of noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.flop_counter import FlopCounterMode

import classification.model
import segmentation.architectures
from classification.losses import mixed
from experiments.settings.common import TrainingSettings
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.data import augment_batch
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings, SamplingSettings
from segmentation.losses import total


@dataclass(frozen=True)
class Case:
    """A network at a size."""

    name: str
    encoder: str
    side: int
    batch: int
    classifier: bool = False

    def settings(self, precision: str, epochs: int = 1) -> TrainingSettings:
        """As params.yaml would have them."""
        common: dict[str, Any] = {
            "models": ["m"], "image_size": self.side, "batch_size": self.batch, "epochs": epochs, "validate_every": epochs,
            "precision": precision, "inference_precision": precision, "flip_tta": False,
            "sampling": SamplingSettings(scheme="natural"),
            "augment": AugmentSettings(engine="fused"),
        }  # fmt: skip
        if self.classifier:
            return ClassificationSettings(architecture=self.encoder, **common)
        return SegmentationSettings(architecture="unet", encoder=self.encoder, **common)

    def ours(self, precision: str) -> nn.Module:
        """As training builds it."""
        torch.manual_seed(0)
        build = classification.model.build if self.classifier else segmentation.architectures.build
        return build(self.settings(precision))  # type: ignore[arg-type]

    def plain(self) -> nn.Module:
        """The library's network unchanged; untrained, one channel in and one out."""
        torch.manual_seed(0)
        if self.classifier:
            return timm.create_model(self.encoder, in_chans=1, num_classes=1)
        return smp.Unet(self.encoder, encoder_weights=None, in_channels=1)


CASES = [
    Case("U-Net ResNet-34", "resnet34", 512, 64),
    Case("U-Net ResNet-34", "resnet34", 1024, 16),
    Case("U-Net SE-ResNeXt-50", "se_resnext50_32x4d", 512, 32),
    Case("U-Net SE-ResNeXt-50", "se_resnext50_32x4d", 1024, 8),
    Case("classifier ResNet-34", "resnet34", 512, 128, classifier=True),
]
TINY = [
    Case("U-Net ResNet-18", "resnet18", 64, 2),
    Case("classifier ResNet-18", "resnet18", 64, 2, classifier=True),
]


class Objective:
    """The losses of both stages, and a validation that costs nothing."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def loss(self, output: Any, batch: dict[str, Tensor]) -> Tensor:
        """Scalar."""
        if isinstance(self.settings, SegmentationSettings):
            return total(output, batch["mask"], self.settings)
        return mixed(output[:, 0].float(), batch["label"], self.settings.alpha, self.settings.gamma).mean()

    def evidence(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Nothing of use."""
        return batch["label"][:, None]

    def summary(self, evidence: Tensor) -> dict[str, float]:
        """Nothing of use."""
        return {"score": 0.0}

    def maps(self, net: nn.Module, image: Tensor) -> None:
        """None."""
        return


def plain_loss(output: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of plain networks' logits, (B, 1) or (B, 1, s, s)."""
    truth = batch["mask"].float() if output.ndim == 4 else batch["label"][:, None]
    return binary_cross_entropy_with_logits(output.float(), truth)


def in_memory(case: Case, device: torch.device) -> dict[str, Tensor]:
    """A batch as training gets it, on the device."""
    torch.manual_seed(0)
    shape = (case.batch, 1, case.side, case.side)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    drawn = augment_batch.Fused(AugmentSettings(engine="fused"), case.side).draw(range(case.batch))
    labels = torch.arange(case.batch, device=device) % 2
    return {
        "image": image, "mask": (image > 200).to(torch.uint8), "label": labels.float(),
        **{key: value.to(device) for key, value in drawn.items()},
    }  # fmt: skip


def generated(folder: Path, count: int, side: int) -> Prepared:
    """Prepared data of noise, every other image with a mask."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, side, side), np.uint8)
    label = np.arange(count) % 2
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", (images[label == 1] > 200).astype(np.uint8))
    mask_row = np.where(label, np.cumsum(label) - 1, -1)
    area = (images > 200).sum(axis=(1, 2)) * label
    names = [f"{k:06d}" for k in range(count)]
    table = {"image_id": names, "label": label, "area_px": area, "mask_row": mask_row}
    pd.DataFrame(table).to_parquet(folder / "index.parquet")
    return Prepared(folder)


def flops(case: Case) -> float:
    """Multiplications and additions of one image forward."""
    net = case.plain().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, case.side, case.side))
    return float(counter.get_total_flops())
