"""The trained networks with their decision: radiographs in, predictions out.

The cascade: classifiers see every image; mask networks only those whose probability may still end in a mask. Without classifiers
the mask networks see every image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import classification.model
import segmentation.architectures
from ensemble.decision.decision import PATH, Decision, Prediction
from ensemble.evidence.evidence import Evidence
from ensemble.evidence.histograms import LEVELS
from ensemble.evidence.lineage import check_weights
from ensemble.evidence.mask_average import Maps
from experiments.hardware import current
from experiments.networks import inference
from experiments.networks.weights import path_of
from experiments.settings.common import TrainingSettings
from imaging import map_levels
from imaging.decoding.radiograph import Facts, RefusedFile, to_uint8
from imaging.domain.limits import Domain
from imaging.formats import reader
from imaging.io.threads import cores, ordered_map
from imaging.resize import network_input, resize_image
from segmentation.pooled import pooled_probability

ByModel = dict[str, dict[int, Tensor]]
"""Outputs for one image, by model and fold."""
BATCH = 16  # enough for a GPU to be busy, small enough for 24 networks' maps of 1024² to fit anywhere


@dataclass(frozen=True)
class Member:
    """One trained network of an ensemble, ready to predict."""

    name: str
    fold: int
    net: nn.Module
    settings: TrainingSettings
    sha256: str
    """SHA-256 of its weights file."""

    def __call__(self, squares: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Probabilities of prepared squares (B, 1) or (B, 1, s, s), on the CPU."""
        return self.probabilities(torch.from_numpy(np.stack([self.input(one) for one in squares]))[:, None])

    def input(self, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A prepared square as this network sees it, at its own size."""
        return network_input(square, self.settings.image_size, self.settings.contrast)

    def probabilities(self, batch: Tensor) -> Tensor:
        """The same for uint8 (B, 1, s, s) at the network's own size; another engine overrides this."""
        return inference.probabilities(self.net, batch.to(current().device), self.settings).cpu()


@dataclass(frozen=True)
class Scored:
    """The result of one file: its facts and prediction, or the refusal."""

    path: Path
    facts: Facts | None = None
    prediction: Prediction | None = None
    refusal: RefusedFile | None = None


class Predictor:
    """All networks that a decision was fitted with."""

    def __init__(
        self,
        decision: Decision,
        classifiers: list[Member],
        masks: list[Member],
        side: int,
        domain: Domain | None = None,
    ) -> None:
        """domain: what the networks were trained on; without it studies get only the warnings of the reader."""
        self.decision, self.classifiers, self.masks, self.side = decision, classifiers, masks, side
        self.domain = domain or Domain()
        self.segmented = 0  # images that the mask networks saw

    @classmethod
    def load(cls, models: str | Path = "models", decision: str | Path = PATH) -> Predictor:
        """Load `decision.json` and every fold of every network that it names; a ValueError says what is missing."""
        fitted = Decision.load(decision)
        classifiers, some = _members(
            models, fitted, "classification", list(fitted.classifiers), classification.model.load
        )
        masks, more = _members(
            models, fitted, "segmentation", list(fitted.masks.weights), segmentation.architectures.load
        )
        sides = sorted(some | more)
        if len(sides) != 1:
            raise ValueError(
                f"{models}: networks trained on data prepared at several sizes, {sides}; train again"
            )
        return cls(fitted, classifiers, masks, sides[0])

    @property
    def members(self) -> list[Member]:
        """All networks."""
        return [*self.classifiers, *self.masks]

    @property
    def precision(self) -> str:
        """Precision of all networks' predictions, such as `32-true`; several are joined by `+`."""
        return "+".join(sorted({member.settings.inference_precision for member in self.members}))

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The square (S, S) that the networks were trained on, from an image of at least that size or smaller."""
        return resize_image(pixels, self.side)

    def outputs(self, square: NDArray[np.uint8]) -> tuple[dict[str, list[float]], Maps]:
        """The probabilities and the mask models' maps of one prepared square, for `Decision.predict`."""
        probs = self._by_name([(member, member([square])[:, 0]) for member in self.classifiers], 1)
        pooled, maps = self._segment([square])
        return _values((pooled or probs)[0]), _arrays(maps[0])

    def predict(
        self, squares: Sequence[NDArray[np.uint8]], shapes: Sequence[tuple[int, int]], cascade: bool = True
    ) -> list[Prediction]:
        """Predictions for a batch of prepared squares; masks have the images' own (height, width).

        Without the cascade the mask networks see every image: the predictions are the same, and each has a map.
        """
        probs = self._by_name([(member, member(squares)[:, 0]) for member in self.classifiers], len(squares))
        found: list[Prediction | None] = [None] * len(squares)
        bound = self.decision.lower_bound()
        cascade = cascade and bound > 0
        open_ = [
            i for i in range(len(squares)) if not cascade or self.decision.raw(_values(probs[i])) >= bound
        ]
        for i in set(range(len(squares))) - set(open_):
            found[i] = self.decision.skipped(_values(probs[i]), shapes[i])
        if open_:
            chosen = [squares[i] for i in open_]
            pooled, maps = self._segment(chosen)
            for i, seen, level in zip(open_, pooled or [probs[i] for i in open_], maps, strict=True):
                found[i] = self.decision.predict(_values(seen), _arrays(level), shapes[i])
        self.segmented += len(open_)
        return [prediction for prediction in found if prediction is not None]

    def _segment(self, squares: Sequence[NDArray[np.uint8]]) -> tuple[list[ByModel], list[ByModel]]:
        """The mask networks' pooled probabilities, [] where classifiers give the probability, and levels of each square."""
        pooled, levels = [], []
        for member in self.masks:
            prob = member(squares)
            levels.append((member, _levels(prob)))
            if not self.classifiers:
                pooled.append((member, pooled_probability(prob)))
        return self._by_name(pooled, len(squares)) if pooled else [], self._by_name(levels, len(squares))

    def files(self, paths: Iterable[Path], cascade: bool = True, side: int | None = None) -> Iterator[Scored]:
        """Predictions or refusals for files, in their order; decoding runs ahead in threads, memory holds a few batches.

        side: masks are decided on squares of this side; None: at each image's own size.
        """
        batch: list[tuple[Scored, NDArray[np.uint8] | None]] = []
        for item in ordered_map(self._read, paths, cores()):
            batch.append(item)
            if len(batch) == BATCH:
                yield from self.decide(batch, cascade, side)
                batch = []
        yield from self.decide(batch, cascade, side)

    def _read(self, path: Path) -> tuple[Scored, NDArray[np.uint8] | None]:
        try:
            found = reader.read(path, self.side)
        except RefusedFile as refusal:
            return Scored(path, refusal=refusal), None
        return Scored(path, found.facts), resize_image(to_uint8(found.pixels), self.side)

    def decide(
        self,
        batch: list[tuple[Scored, NDArray[np.uint8] | None]],
        cascade: bool = True,
        side: int | None = None,
    ) -> Iterator[Scored]:
        """Predictions of up to BATCH files that were read, with warnings in their facts; the refused ones as they are.

        Where the header says so, networks see a study turned upright; its mask is turned back.
        """
        squares, shapes, turns = [], [], []
        for file, square in batch:
            if square is not None and file.facts is not None:
                turns.append(self.domain.turns(file.facts))
                squares.append(np.ascontiguousarray(np.rot90(square, turns[-1])))
                shape = (file.facts.height, file.facts.width) if side is None else (side, side)
                shapes.append(shape[::-1] if turns[-1] % 2 else shape)
        predictions = self.predict(squares, shapes, cascade) if squares else []
        upright = iter(zip(squares, turns, predictions, strict=True))
        for file, square in batch:
            if square is None or file.facts is None:
                yield file
            else:
                seen, turn, prediction = next(upright)
                facts = self.domain.warned(seen, file.facts)
                mask = np.ascontiguousarray(np.rot90(prediction.mask, -turn))
                yield replace(file, facts=facts, prediction=replace(prediction, mask=mask))

    @staticmethod
    def _by_name(outputs: list[tuple[Member, Tensor]], count: int) -> list[ByModel]:
        """Outputs (B, …) of many members as, for each image, model -> fold -> output."""
        images: list[ByModel] = [{} for _ in range(count)]
        for member, output in outputs:
            for image, value in zip(images, output, strict=True):
                image.setdefault(member.name, {})[member.fold] = value
        return images


def _values(probs: dict[str, dict[int, Tensor]]) -> dict[str, list[float]]:
    return {name: [float(prob) for prob in folds.values()] for name, folds in probs.items()}


def _levels(output: Tensor) -> Tensor:
    """Levels uint8 (B, s, s) of a mask network's probabilities (B, 1, s, s)."""
    return torch.from_numpy(map_levels.encode(output[:, 0].numpy()))


def _arrays(maps: dict[str, dict[int, Tensor]]) -> Maps:
    return {name: {fold: level.numpy() for fold, level in folds.items()} for name, folds in maps.items()}


def _members(
    models: str | Path, fitted: Decision, stage: str, names: list[str], load: Any
) -> tuple[list[Member], set[int]]:
    """The folds that the decision was fitted with, of the named models: files of another run beside them are ignored.

    Returns them and the sizes of the data they were trained on. They predict in the precision that the decision was fitted in.
    """
    members, sides = [], set()
    for name in names:
        lineage = fitted.fitted["lineage"].get(f"{stage}/{name}", {})
        if not lineage.get("weights"):
            raise ValueError(f"decision.json: names no trained networks of {stage}/{name}; run `dvc repro`")
        precision = lineage.get("precision", "32-true")
        for fold in map(int, lineage["weights"]):
            path = path_of(stage, name, fold, models)
            if not path.is_file():
                raise ValueError(f"{path}: missing, but the decision was fitted with it; run `dvc repro`")
            net, settings, facts = load(path)
            check_weights(fitted.fitted["lineage"], stage, name, fold, facts["weights_sha256"])
            net = net.to(current().device).to(memory_format=torch.channels_last)
            settings = settings.model_copy(update={"inference_precision": precision})
            members.append(Member(name, fold, net, settings, facts["weights_sha256"]))
            sides.add(int(facts["prepared_size"]))
    return members, sides


def with_quota(predictor: Predictor, files: Iterable[Path]) -> Predictor:
    """The predictor whose cut gives the rule's share of exactly these studies: one pass over all of them.

    The floor stays, as it does where the decision is measured.
    """
    rule = predictor.decision.rule
    open_to_all = predictor.decision.model_copy(
        update={"rule": rule.model_copy(update={"cut": 0.0}), "floor": 0.0}
    )
    everyone = Predictor(
        open_to_all, predictor.classifiers, predictor.masks, predictor.side, Domain(predictor.domain.chest)
    )
    prob = np.array([file.prediction.prob for file in everyone.files(files) if file.prediction])
    flat = Evidence(prob, prob, prob[:, None], np.zeros((len(prob), LEVELS), np.int64), np.ones_like(prob))
    decision = predictor.decision.for_batch(flat)
    return Predictor(decision, predictor.classifiers, predictor.masks, predictor.side, predictor.domain)
