"""Segmentation networks by name: float (B, 1, H, W) to logits (B, 1, H, W)."""

from segmentation.architectures.build import build, load
from segmentation.architectures.segmenter import Outputs

__all__ = ["Outputs", "build", "load"]
