"""Losses of a segmentation: each image for itself, with a rule for empty ones."""

from segmentation.losses.total import each, total

__all__ = ["each", "total"]
