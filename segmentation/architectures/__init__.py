"""Segmentation networks by name: float (B, 1, H, W) to logits (B, 1, H, W)."""

from segmentation.architectures.build import build, load

__all__ = ["build", "load"]
