"""Saliency of the classifiers, as a picture over the radiograph.

A localising head predicts the probability of each of its cells, on one scale for all images. For a plain head Grad-CAM
(Selvaraju 2017, arXiv:1610.02391) displays what raised the logit, scaled to the image's own maximum.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classification.model import Localising
from ensemble.app.encoding import png
from ensemble.app.upload import Declined
from ensemble.inference.predictor import Member, Predictor
from experiments.hardware import current
from experiments.networks.checkpoint_mean import best_network
from experiments.networks.normalisation import normalise

SIDE = 512
"""Side of the picture: cells are 8 to 32 pixels wide, and the page scales it up smoothly."""


def heat(predictor: Predictor, square: NDArray[np.uint8]) -> dict[str, Any]:
    """Of a prepared square (S, S): `picture`, a PNG with transparency (SIDE, SIDE), and `words` on what it displays.

    Declined without classifiers, and for a network that does not end in a convolution.
    """
    if not predictor.classifiers:
        raise Declined(
            422, "this bundle has no classifier, and the outline displays what its segmentation networks find"
        )
    maps = [_map(member, square) for member in predictor.classifiers]
    mean = np.mean([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in maps], axis=0)
    return {"picture": png(coloured(np.clip(mean, 0, 1))), "words": words(predictor.classifiers)}


def words(members: list[Member]) -> str:
    """One sentence for each kind of head."""
    cells = sorted({member.name for member in members if isinstance(best_network(member.net), Localising)})
    cams = sorted({member.name for member in members if not isinstance(best_network(member.net), Localising)})
    sentences = []
    if cells:
        sentences.append(
            f"Probability of each cell of the localising head of {', '.join(cells)}: the same scale on every image."
        )
    if cams:
        sentences.append(
            f"Grad-CAM of {', '.join(cams)}: what raised the probability, scaled to this image's maximum."
        )
    return " ".join([*sentences, f"Mean of {len(members)} networks." if len(members) > 1 else ""]).strip()


def coloured(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat (H, W) in [0, 1] as BGRA uint8: the colour map inferno, more transparent where lower."""
    level = np.rint(255 * heat).astype(np.uint8)
    colour = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
    alpha = np.rint(255 * np.sqrt(heat)).astype(np.uint8)  # the square root keeps medium values visible
    return np.dstack([colour, alpha])


def _map(member: Member, square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One network's map float32 (h, w) in [0, 1]."""
    image = normalise(torch.from_numpy(member.input(square))[None, None].to(current().device), member.net)
    net = best_network(member.net)
    return _cells(net, image) if isinstance(net, Localising) else grad_cam(net, image)


@torch.inference_mode()
def _cells(net: Localising, image: Tensor) -> NDArray[np.float32]:
    return net.cell(net.backbone(image)).sigmoid()[0, 0].float().cpu().numpy()


def grad_cam(net: nn.Module, image: Tensor) -> NDArray[np.float32]:
    """Grad-CAM float32 (H, W) in [0, 1] of the one logit of a convolutional network, for an image (1, 1, H, W)."""
    from pytorch_grad_cam import GradCAM  # an extra, and slow to import
    from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget

    with torch.enable_grad(), GradCAM(model=net, target_layers=[last_map(net, image)]) as cam:
        return np.asarray(cam(image, [BinaryClassifierOutputTarget(1)])[0], np.float32)


def last_map(net: nn.Module, image: Tensor) -> nn.Module:
    """The last module whose output is a map (1, C, h, w) with h > 1; Declined when tokens come after it (transformers)."""
    seen: list[tuple[nn.Module, int]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and (
            output.ndim == 3 or (output.ndim == 4 and min(output.shape[2:]) > 1)
        ):
            seen.append((module, output.ndim))

    hooks = [module.register_forward_hook(note) for module in net.modules()]
    try:
        with torch.inference_mode():
            net(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen or seen[-1][1] == 3:
        raise Declined(
            422, "Grad-CAM needs convolutional networks; a classifier of this bundle is a transformer"
        )
    return seen[-1][0]
