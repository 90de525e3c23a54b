"""Diagrams of a run's two networks; sizes and channels are read from the networks."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from ensemble.gallery.diagram import PALE, arrow, sheet, words
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging.plotting import FAINT, INK, NEGATIVE, POSITIVE

Shape = tuple[int, int]
"""Channels and side of a feature map."""
GAP, LEAST = 0.5, 0.16


def networks(
    classifier: tuple[nn.Module, ClassificationSettings] | None, unet: nn.Module, draw: SegmentationSettings
) -> Figure:
    """Classifier (if any) left, segmentation network right; a bar per feature map: its height is the side, its number the
    channels."""
    left = 0.25 if classifier is None else 4.75
    figure, axes = sheet(left + 6.25, 4.3)
    if classifier is None:
        _without_classifier(axes, draw)
    else:
        net, look = classifier
        _classifier(axes, shapes(net, look.image_size), look)
    _unet(axes, shapes(unet, draw.image_size), draw, left)
    return figure


@torch.no_grad()
def shapes(net: nn.Module, side: int) -> list[Shape]:
    """Return (channels, side) of the last feature map at each size, in forward order."""
    seen: list[Shape] = []

    def note(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(module, nn.Conv2d) and output.shape[-1] > 1 and output.shape[1] > 1:
            shape = (int(output.shape[1]), int(output.shape[-1]))
            if seen and seen[-1][1] == shape[1]:
                seen[-1] = shape
            else:
                seen.append(shape)

    hooks = [module.register_forward_hook(note) for module in net.modules()]
    try:
        net.eval()(torch.zeros(1, 1, side, side, device=next(net.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _classifier(axes: Axes, maps: list[Shape], settings: ClassificationSettings) -> None:
    words(
        axes,
        (0.25, 4.05),
        f"Classifier: {settings.architecture}",
        11,
        ha="left",
        fontweight="bold",
        color=NEGATIVE,
    )
    x, base, scale = 0.55, 1.1, 2.0 / settings.image_size
    _bar(axes, x, base, settings.image_size * scale, "1", str(settings.image_size), INK)
    for channels, side in maps:
        arrow(axes, (x + 0.12, base + 0.1), (x + GAP - 0.12, base + 0.1))
        x += GAP
        _bar(axes, x, base, side * scale, str(channels), str(side), NEGATIVE)
    local = settings.head == "localising"
    if local:
        arrow(axes, (x + 0.12, base + 0.1), (x + 0.38, base + 0.1), NEGATIVE)
        _cells(axes, (x + 0.42, base), maps[-1][1])
        words(axes, (x + 0.8, base - 0.16), "a logit per cell", 8.5, color="#666666")
        x += 1.1
    arrow(axes, (x + 0.12, base + 0.1), (x + 0.5, base + 0.1), NEGATIVE)
    words(axes, (x + 0.62, base + 0.1), "p", 13, color=NEGATIVE, fontweight="bold", style="italic")
    pooling = "cells are trained with the masks; log-sum-exp\nover the cells is the image's logit"
    words(
        axes,
        (0.25, 0.42),
        pooling if local else "the mean over the map gives one logit",
        ha="left",
        color="#555555",
    )


def _without_classifier(axes: Axes, settings: SegmentationSettings) -> None:
    """Where the image's probability comes from, in words below the encoder."""
    title, text = "No classifier", ""
    if settings.image_head:
        title = "Image-level head"
        text = "mean of the coarsest map,\none linear layer: p, which\nmultiplies the map;\n"
    text += "the map's highest 0.5 %\ngive the image's probability"
    words(axes, (0.25, 1.38), title, 10, ha="left", fontweight="bold", color=NEGATIVE)
    words(axes, (0.25, 1.22), text, 8, ha="left", va="top", color="#555555")


def _cells(axes: Axes, low: tuple[float, float], count: int) -> None:
    """Draw a square of count x count cells."""
    side = 0.76 / count
    for i in range(count**2):
        place = (low[0] + side * (i % count), low[1] + side * (i // count))
        axes.add_patch(
            Rectangle(
                place, side, side, facecolor=PALE[NEGATIVE], edgecolor=NEGATIVE, linewidth=0.6, zorder=2
            )
        )


def _unet(axes: Axes, maps: list[Shape], settings: SegmentationSettings, left: float) -> None:
    title = (
        "U-Net of 2015"
        if settings.architecture == "plain"
        else f"{settings.architecture} on {settings.encoder}"
    )
    words(axes, (left, 4.05), f"Segmentation: {title}", 11, ha="left", fontweight="bold", color=POSITIVE)
    deepest = min(range(len(maps)), key=lambda i: maps[i][1])
    step = 5.6 / max(len(maps) - 1, 1)
    depth = 2.75 / max(deepest, 1)
    places = [
        (left + 0.2 + i * step, 3.35 - depth * min(i, _mirror(maps, i, deepest))) for i in range(len(maps))
    ]
    for i, ((channels, side), (x, y)) in enumerate(zip(maps, places, strict=True)):
        width = 0.14 + 0.34 * (channels / max(c for c, _ in maps)) ** 0.5
        axes.add_patch(
            Rectangle(
                (x - width / 2, y - 0.15),
                width,
                0.3,
                facecolor=PALE[POSITIVE],
                edgecolor=POSITIVE,
                linewidth=1.2,
                zorder=2,
            )
        )
        words(axes, (x, y + 0.27), str(channels), 9, fontweight="bold", color=POSITIVE)
        words(axes, (x, y - 0.27), str(side), 8.5, color="#666666")
        if i:
            before = places[i - 1]
            arrow(
                axes,
                (before[0] + 0.2, before[1] - (0.12 if i <= deepest else -0.12)),
                (x - 0.26, y + (0.14 if i <= deepest else -0.14)),
            )
    if settings.image_head:
        x, y = places[deepest]
        arrow(axes, (x - 0.35, y), (x - 1.1, y), NEGATIVE)
        words(axes, (x - 1.25, y), "p", 13, color=NEGATIVE, fontweight="bold", style="italic")
    for i in range(deepest):
        other = next((j for j in range(deepest + 1, len(maps)) if maps[j][1] == maps[i][1]), None)
        if other is not None:
            (x, y), (u, _) = places[i], places[other]
            arrow(axes, (x + 0.32, y), (u - 0.34, y), FAINT, linestyle=(0, (4, 3)))
    words(
        axes,
        (left + 6, places[-1][1] - 0.62),
        "map",
        10.5,
        color=POSITIVE,
        fontweight="bold",
        style="italic",
        ha="right",
    )
    words(axes, (left + 3, 3.62), "skip connections", 9, color="#555555")
    words(axes, (left + 3, 0.16), "bold: channels   ·   grey: side in pixels", 9, color="#555555")


def _mirror(maps: list[Shape], i: int, deepest: int) -> int:
    """Level of a decoder map: that of the encoder map of the same size."""
    if i <= deepest:
        return i
    return next((j for j in range(deepest + 1) if maps[j][1] == maps[i][1]), max(2 * deepest - i, 0))


def _bar(axes: Axes, x: float, base: float, height: float, channels: str, side: str, colour: str) -> None:
    height = max(height, LEAST)
    axes.add_patch(
        Rectangle(
            (x - 0.1, base), 0.2, height, facecolor=PALE[colour], edgecolor=colour, linewidth=1.2, zorder=2
        )
    )
    words(axes, (x, base + height + 0.14), channels, 9, fontweight="bold", color=colour)
    words(axes, (x, base - 0.16), side, 8.5, color="#666666")
