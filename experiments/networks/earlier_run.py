"""Find the networks of an earlier run, from whose weights a training may start: `pretrained: FOLDER`.

FOLDER is a bundle, or the folder of a run, of which `models/bundle` is read. `FOLDER#STAGE/MODEL` names one of several models and
`FOLDER#STAGE/MODEL/fold<k>` one network. Fold k starts from fold k of the earlier run: on the same folds that network has not
been trained on the images that fold k is validated on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from experiments.settings.common import TrainingSettings
from imaging.io.files import read_json, sha256

T = TypeVar("T", bound=TrainingSettings)
INDEX = "bundle.json"
IN_RUN = Path("models/bundle")
TRAINING_DATA = "training_data.json"
_WEIGHTS = re.compile(r"(\w+/[^/]+)/fold(\d+)\.safetensors")


@dataclass(frozen=True)
class Network:
    """One network of a bundle."""

    folder: Path
    stage: str
    model: str
    fold: int
    index: dict[str, Any]
    """bundle.json."""

    @property
    def weights(self) -> Path:
        """The weights file; its .json is beside it."""
        return self.folder / self.stage / self.model / f"fold{self.fold}.safetensors"

    def verified(self, name: str, setting: str) -> Path:
        """A file of the bundle; ValueError when it is missing, or not the one that the bundle was written with."""
        path, meant = self.folder / name, self.index["files"].get(name)
        if meant is None or not path.is_file() or sha256(path) != meant:
            raise ValueError(
                f"{setting} {self.folder}: {name} is missing or changed; copy or export the bundle again"
            )
        return path


def is_run(wish: str) -> bool:
    """Whether `pretrained` names a bundle or the folder of a run."""
    folder = Path(wish.partition("#")[0])
    return "#" in wish or (folder / INDEX).is_file() or (folder / "models").is_dir()


def bundle_of(wish: str, setting: str) -> Path:
    """The bundle's folder; ValueError when there is none."""
    folder = Path(wish.partition("#")[0])
    found = next((one for one in (folder, folder / IN_RUN) if (one / INDEX).is_file()), None)
    if found is None:
        raise ValueError(
            f"{setting} {folder}: neither a bundle nor a run with {IN_RUN}; run `dvc repro export` there"
        )
    return found


def for_fold(settings: T, stage: str, model: str, fold: int) -> T:
    """The settings with `pretrained` naming the exact network of an earlier run; unchanged where it names no run."""
    if not is_run(settings.pretrained):
        return settings
    found = resolve(settings.pretrained, stage, model, fold)
    name = settings.pretrained.partition("#")[0]
    return settings.model_copy(update={"pretrained": f"{name}#{found.stage}/{found.model}/fold{found.fold}"})


def resolve(wish: str, stage: str, model: str, fold: int) -> Network:
    """The network that model `model` of this stage and fold starts from; ValueError when the choice is ambiguous."""
    setting = f"{stage}.pretrained"
    folder = bundle_of(wish, setting)
    index = read_json(folder / INDEX)
    networks: dict[str, list[int]] = {}
    for name in index.get("files", {}):
        if found := _WEIGHTS.fullmatch(name):
            networks.setdefault(found[1], []).append(int(found[2]))
    asked, _, network = wish.partition("#")[2].partition("/fold")
    chosen = asked or _choice(sorted(networks), stage, model, wish)
    folds = sorted(networks.get(chosen, []))
    if not folds or (network and network not in map(str, folds)):
        raise ValueError(
            f"{setting} {wish}: no such network; the bundle has {', '.join(sorted(networks)) or 'none'}"
        )
    number = int(network) if network else fold if fold in folds else folds[fold % len(folds)]
    of_stage, _, of_model = chosen.partition("/")
    return Network(folder, of_stage, of_model, number, index)


def _choice(names: list[str], stage: str, model: str, wish: str) -> str:
    """The bundle's model of the same stage and name, else the only one of the stage, else the only classifier."""
    if not names:
        raise ValueError(f"{stage}.pretrained {wish}: the bundle lists no networks")
    if f"{stage}/{model}" in names:
        return f"{stage}/{model}"
    own = [name for name in names if name.startswith(f"{stage}/")]
    able = own or [name for name in names if name.startswith("classification/")]
    if len(able) != 1:
        raise ValueError(
            f"{stage}.pretrained {wish}: the bundle has {', '.join(names)}; name one: {wish}#{(able or names)[0]}"
        )
    return able[0]
