"""Generated predictions in the files' own form: lesions are disks, classifiers and mask models err as drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

import classification.model
import segmentation.architectures
from ensemble.decision.decision import Decision
from ensemble.evidence.calibration import Sigmoid
from ensemble.evidence.evidence import Cases, Evidence
from ensemble.evidence.histograms import above, histogram
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import Calibrated
from ensemble.inference import bundle
from ensemble.rules.gate import Gate
from experiments.networks import weights
from experiments.settings.training import ClassificationSettings, SegmentationSettings
from imaging import map_levels, rle
from imaging.io import map_archive
from imaging.io.files import sha256, write_json
from segmentation.pooled import pooled_probability


def predict_command(folder: Path, out: Path, bundle: Path, *more: str) -> list[str]:
    """The command line of ensemble.predict."""
    given = [str(folder), "--output", str(out), "--bundle", str(bundle)]
    return [sys.executable, "-m", "ensemble.predict", *given, *more]


def disk(shape: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """A disk, all in shares of the image's sides, as float32 0 … 1 with a soft edge."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot((columns + 0.5) / shape[1] - x, (rows + 0.5) / shape[0] - y)
    return 1 / (1 + np.exp(np.clip((distance - radius) * 60, -40, 40)))


class World:
    """A folder with data/prepared and predictions, and what was drawn."""

    def __init__(
        self, root: Path, images: int, seed: int, shape: tuple[int, int] = (64, 64), size: int = 32
    ) -> None:
        self.root, self.shape, self.size = root, shape, size
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.table = pd.DataFrame(
            {
                "image_id": [f"img{i:05d}" for i in range(images)],
                "patient_id": [f"p{i // 2:05d}" for i in range(images)],
                "label": (self.random.random(images) < 0.35).astype(int),
                "x": self.random.uniform(0.3, 0.7, images),
                "y": self.random.uniform(0.3, 0.7, images),
                "radius": self.random.uniform(0.06, 0.25, images),
            }
        )
        parts = np.array(["holdout", "0", "1", "2"])[(np.arange(images) // 2) % 4]
        self.table["fold"] = parts
        # part of each error is common to all models: what no ensemble averages away
        self.table["luck"] = self.random.normal(0, 1.6, images)
        self.table["height"] = np.where(
            self.table["label"] == 1, self.random.beta(3, 2, images), self.random.beta(1.2, 4, images)
        )

    def truth(self, row: pd.Series) -> np.ndarray:
        """The true mask at the original resolution."""
        if not row["label"]:
            return np.zeros(self.shape, bool)
        return disk(self.shape, row["x"], row["y"], row["radius"]) >= 0.5

    def write_prepared(self) -> None:
        folder = self.root / "data" / "prepared"
        folder.mkdir(parents=True)
        masks = [self.truth(row) for _, row in self.table.iterrows()]
        label = self.table["label"].to_numpy()
        index = self.table[["image_id", "patient_id", "label"]].assign(
            path="x.dcm",
            width=self.shape[1],
            height=self.shape[0],
            sex=np.where(np.arange(len(label)) % 2, "F", "M"),
            age=20 + np.arange(len(label)) % 60,
            view=np.where(np.arange(len(label)) % 3, "PA", "AP"),
            spacing_mm=0.14,
            area_px=[int(mask.sum()) for mask in masks],
            mask_row=np.where(label == 1, np.cumsum(label) - 1, -1),
            sha256=[f"{i:064x}" for i in range(len(label))],
            split="train",
        )
        index["label"] = index["label"].astype("Int8")
        small = [
            cv2.resize(m.astype(np.uint8) * 255, (self.size, self.size), interpolation=cv2.INTER_AREA)
            for m in masks
        ]
        images = self.random.integers(40, 120, (len(label), self.size, self.size)).astype(np.uint8)
        np.save(folder / "images.npy", images)
        np.save(
            folder / "masks.npy",
            np.stack([s >= 128 for s, one in zip(small, label, strict=True) if one]).astype(np.uint8),
        )
        index.to_parquet(folder / "index.parquet", index=False)
        record = {"source": "patients.csv", "labelled": len(label), "unknown": 0}
        write_json(folder / "patients.json", record)
        self.table[["image_id", "patient_id", "fold"]].to_csv(folder / "folds.csv", index=False)
        codes = [rle.encode(mask) for mask in masks]
        pd.DataFrame({"ImageId": index["image_id"], "EncodedPixels": codes}).to_csv(
            folder / "truth.csv", index=False
        )

    def write_predictions(self, classifiers: list[str], segmenters: list[str]) -> None:
        for part in ("oof", "holdout"):
            pairs = self.pairs(part)
            for name in classifiers:
                folder = self.root / "predictions" / "classification" / name / part
                folder.mkdir(parents=True)
                prob = [self.probability(row) for _, row, _ in pairs]
                table = self.ids(pairs).assign(prob=np.array(prob, np.float32))
                table.to_parquet(folder / "predictions.parquet", index=False)
            for name in segmenters:
                folder = self.root / "predictions" / "segmentation" / name / part
                folder.mkdir(parents=True)
                maps = np.stack([self.map(row) for _, row, _ in pairs])
                pooled = pooled_probability(torch.from_numpy(map_levels.PROBABILITY[maps])[:, None].float())
                self.ids(pairs).assign(prob=pooled.numpy()).to_parquet(folder / "ids.parquet", index=False)
                map_archive.write(folder / "maps.zip", [maps], len(pairs), map_levels.ENCODING)

        for folder in sorted((self.root / "predictions").glob("*/*")):
            files = {
                str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()
            }
            write_json(
                folder / "lineage.json", {"data": {"fingerprint": "x"}, "weights": {"0": "y"}, "files": files}
            )

    def pairs(self, part: str) -> list[tuple[str, pd.Series, int]]:
        """(image id, row, fold) in the order of the files."""
        rows = []
        for fold in (0, 1, 2):
            wanted = self.table["fold"] == ("holdout" if part == "holdout" else str(fold))
            rows += [(row["image_id"], row, fold) for _, row in self.table[wanted].iterrows()]
        return rows

    def ids(self, pairs: list[tuple[str, pd.Series, int]]) -> pd.DataFrame:
        return pd.DataFrame({"image_id": [p[0] for p in pairs], "fold": [p[2] for p in pairs]})

    def probability(self, row: pd.Series) -> float:
        logit = 2.0 * (2 * row["label"] - 1) + row["luck"] + self.random.normal(0, 1) - 0.5
        return 1 / (1 + np.exp(-logit))

    def map(self, row: pd.Series) -> np.ndarray:
        x, y, radius = row["x"], row["y"], row["radius"] * self.random.uniform(0.7, 1.2)
        x, y = x + self.random.normal(0, 0.02), y + self.random.normal(0, 0.02)
        height = np.clip(row["height"] + self.random.normal(0, 0.1), 0, 1)
        return map_levels.encode(height * disk((self.size, self.size), x, y, radius))


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path], World]:
    """160 images of 80 patients, a quarter of them locked, two classifiers and two mask models, in a given folder."""

    def make(root: Path) -> World:
        made = World(root, images=160, seed=3)
        made.write_prepared()
        made.write_predictions(["a", "b"], ["u", "v"])
        return made

    return make


@pytest.fixture
def world(make_world: Callable[[Path], World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Such a world as the working folder."""
    monkeypatch.chdir(tmp_path)
    return make_world(tmp_path)


@pytest.fixture(scope="session")
def random_cases() -> Callable[..., Cases]:
    """Random cases with real histograms of small maps."""

    def make(images: int = 60, seed: int = 0, side: int = 24, members: int = 2) -> Cases:
        random = np.random.Generator(np.random.PCG64(seed))
        label = random.random(images) < 0.4
        totals, hits = np.zeros((2, images, 257), np.int64)
        for i in range(images):
            level = np.rint(255 * random.beta(2, 3) * disk((side, side), 0.5, 0.5, random.uniform(0.1, 0.4)))
            truth = (disk((side, side), 0.5, 0.5, random.uniform(0.1, 0.4)) > 0.5) & bool(label[i])
            totals[i] = above(histogram(level.astype(np.uint8)))
            hits[i] = above(histogram(level.astype(np.uint8), truth))
        probs = 1 / (1 + np.exp(-(3.0 * label[:, None] - 1.5 + random.normal(0, 1.5, (images, members)))))
        evidence = Evidence(
            prob=probs.mean(axis=1),
            raw=probs.mean(axis=1),
            members=probs,
            above=totals,
            agreement=random.uniform(0.3, 1, images),
        )
        names = np.array([f"i{k:04d}" for k in range(images)], dtype=object)
        return Cases(
            evidence,
            hits,
            np.arange(images) % 4,
            np.array([f"p{k // 2}" for k in range(images)], object),
            names,
        )

    return make


def shaken(net: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights and batch statistics that are nobody's defaults, so that none is left out unnoticed; the mask's prior is 1/2."""
    torch.manual_seed(seed)
    state = {
        key: value * (1 + 0.2 * torch.randn_like(value)) if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }
    state |= {key: torch.zeros_like(value) for key, value in state.items() if key.endswith("head.bias")}
    net.load_state_dict(state)
    return net.eval()


def write_networks(folder: Path, side: int) -> dict[str, dict[str, dict[str, str]]]:
    """A classifier with a localising head and a plain U-Net of chance weights, as training writes them; returns their seals."""
    look = ClassificationSettings(models=["c"], architecture="resnet10t", head="localising", image_size=side)
    draw = SegmentationSettings(models=["u"], architecture="plain", base_channels=4, image_size=side)
    torch.manual_seed(0)
    nets = {
        "classification": (look, classification.model.build(look)),
        "segmentation": (draw, segmentation.architectures.build(draw)),
    }
    sealed = {}
    for seed, (stage, (settings, net)) in enumerate(nets.items()):
        path = weights.path_of(stage, settings.models[0], 0, folder)
        facts = {"fold": 0, "settings": settings.model_dump(mode="json"), "prepared_size": side}
        weights.save(path, shaken(net, seed).state_dict(), facts)
        sealed[f"{stage}/{settings.models[0]}"] = {"weights": {"0": sha256(path)}}
    return sealed


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle at 64 pixels that gives every image a mask; its answers mean nothing."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    same = Sigmoid(kind="none", slope=1.0, intercept=0.0)
    Decision(
        classifiers={"c": 1.0},
        masks=MaskEnsemble(weights={"u": 1.0}),
        probability=Calibrated(calibrator=same),
        calibrator=same,
        rule=Gate(cut=0.0, level=map_levels.HALF),
        fitted={"lineage": write_networks(folder, 64)},
    ).save(folder / "decision.json")
    write_json(folder / "metrics.json", {"kaggle_dice": {"value": 0.5, "low": 0.4, "high": 0.6}})
    for name in ("params.yaml", "README.md", "LICENSE"):
        (folder / name).write_text(f"{name} of a test\n")
    bundle.write_index(folder, "test", {"data": "d", "decision": "d"})
    return folder
