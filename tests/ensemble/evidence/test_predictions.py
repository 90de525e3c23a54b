"""Prediction files: what is accepted, what is refused, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble.decision import crossfit, mask_weights
from ensemble.evidence import predictions
from ensemble.evidence.gather import check_subset, gather
from ensemble.evidence.histograms import resized
from ensemble.evidence.mask_average import MaskEnsemble
from ensemble.evidence.probability import fold_mean
from ensemble.fit import mask_ensembles
from experiments.settings.decision import EnsembleSettings
from imaging import map_levels, rle
from imaging.io import map_archive
from imaging.prepared import Prepared

TABLE = Path("predictions/classification/a/oof/predictions.parquet")
MAPS = Path("predictions/segmentation/u/oof/maps.zip")


def write_maps(path: Path, maps: np.ndarray) -> None:
    map_archive.write(path, [maps], len(maps), map_levels.ENCODING)


def read() -> predictions.Predictions:
    return predictions.read("oof", ["a", "b"], ["u", "v"])


def change_table(change) -> None:
    change(pd.read_parquet(TABLE)).to_parquet(TABLE, index=False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: TABLE.unlink(), r"a/oof/predictions\.parquet: no such file"),
        (lambda: change_table(lambda t: t.drop(columns="prob")), "column prob is missing"),
        (
            lambda: change_table(lambda t: t.assign(prob=1.2)),
            r"probability 1\.2\d* of image img\d+ is not between",
        ),
        (lambda: change_table(lambda t: t.assign(prob=np.nan)), "probability nan"),
        (lambda: change_table(lambda t: pd.concat([t, t[:1]])), r"image img\d+ is predicted twice by fold 0"),
        (
            lambda: change_table(lambda t: t[1:]),
            r"classification/a and .* predict different images \(1 differ",
        ),
        (lambda: change_table(lambda t: t[:0]), "no rows"),
        (lambda: MAPS.unlink(), r"u/oof/maps\.zip: no such file"),
        (lambda: MAPS.write_bytes(b"x"), r"maps\.zip: not a zip file"),
        (
            lambda: write_maps(MAPS, np.zeros((3, 4, 4), np.uint8)),
            r"expected 120 square maps.*found \(3, 4, 4\)",
        ),
        (lambda: write_maps(MAPS, np.zeros((120, 4, 5), np.uint8)), r"found \(120, 4, 5\)"),
    ],
)
def test_damaged_files_are_refused_by_name(world, damage, message) -> None:
    damage()
    with pytest.raises(ValueError, match=message):
        read()


def test_model_names_come_from_the_params_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("classification: {models: [x, y]}\nsegmentation: {models: u}\n")
    assert predictions.model_names("classification", path) == ["x", "y"]
    with pytest.raises(ValueError, match=r"`segmentation\.models` must be a list of names, found 'u'"):
        predictions.model_names("segmentation", path)
    path.write_text("classification: {models: [x, x]}\n")
    with pytest.raises(ValueError, match="names a model twice"):
        predictions.model_names("classification", path)
    for stage, content in {
        "classification": "classification: {models: []}\nsegmentation: {models: [u]}\n",
        "segmentation": "classification: {models: [x]}\nsegmentation: {models: []}\n",
    }.items():
        path.write_text(content)
        assert predictions.model_names(stage, path) == []
    path.write_text("classification: {models: []}\nsegmentation: {models: []}\n")
    with pytest.raises(ValueError, match=r"are both \[\]; name a model"):
        predictions.model_names("segmentation", path)


def test_images_on_the_wrong_side_of_the_lock(world) -> None:
    locked = predictions.read("holdout", ["a", "b"], ["u", "v"])
    check_subset(locked, Prepared(), locked=True)
    with pytest.raises(
        ValueError,
        match=r"40 images are on the wrong side of the hold-out split, for example img00000, which is reserved",
    ):
        check_subset(locked, Prepared(), locked=False)
    with pytest.raises(ValueError, match="was trained on"):
        check_subset(read(), Prepared(), locked=True)


def test_cases_are_what_the_files_say(world) -> None:
    found, prepared = read(), Prepared()
    cases = gather(found, {"a": 0.5, "b": 0.5}, MaskEnsemble(weights={"u": 1.0, "v": 0.0}), prepared, "")
    assert cases.image_id.tolist() == sorted(world.table.loc[world.table["fold"] != "holdout", "image_id"])
    i = int(np.flatnonzero(cases.label)[3])
    name = cases.image_id[i]
    row = int(np.flatnonzero(found.segmentation["u"].table["image_id"] == name)[0])
    level = resized(np.asarray(found.segmentation["u"].maps[row]), world.shape)
    truth = rle.decode(prepared.truth[name], world.shape)
    assert cases.hit[i, 0] == truth.sum()
    assert cases.hit[i, 77] == ((level >= 77) & truth).sum()
    assert cases.evidence.above[i, 77] == (level >= 77).sum()
    assert str(cases.fold[i]) == prepared.folds[name]
    table = found.classification["b"].set_index("image_id")
    assert cases.evidence.members[i, 1] == table["prob"][name]
    assert 0 < cases.evidence.agreement[i] < 1


def test_holdout_images_are_means_over_folds(world) -> None:
    found, prepared = predictions.read("holdout", ["a"], ["u"]), Prepared()
    cases = gather(found, {"a": 1.0}, MaskEnsemble(weights={"u": 1.0}), prepared, "")
    table = found.classification["a"]
    prob = table.loc[table["image_id"] == cases.image_id[5], "prob"].to_numpy()
    assert len(prob) == 3
    assert cases.evidence.raw[5] == pytest.approx(1 / (1 + np.exp(-np.mean(np.log(prob / (1 - prob))))))
    rows = np.flatnonzero(found.segmentation["u"].table["image_id"] == cases.image_id[5])
    maps = [map_levels.PROBABILITY[found.segmentation["u"].maps[row]] for row in rows]
    mean = map_levels.encode(np.mean(maps, axis=0))
    assert cases.evidence.above[5, 90] == (resized(mean, world.shape) >= 90).sum()
    assert cases.fold[5] == -1


def test_mean_of_one_fold_is_itself() -> None:
    assert fold_mean(np.array([0.0]), "logit") == 0.0
    assert fold_mean(np.array([0.3]), "probability") == 0.3


@pytest.mark.parametrize("average", ["probability", "centred"])
def test_mask_ensemble_is_learned(world, average) -> None:
    spoiled = Path("predictions/segmentation/v/oof/maps.zip")
    shape = map_archive.MapArchive(spoiled, map_levels.ENCODING).shape
    write_maps(spoiled, np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    found, settings = read(), EnsembleSettings(average=average, shrinkage=0.0)
    ensemble = mask_weights.fit(mask_weights.map_statistics(found, Prepared()), found, settings)
    assert ensemble.weights["u"] > 0.8
    assert (set(ensemble.best_levels) == {"u", "v"}) == (average == "centred")
    equal = settings.model_copy(update={"weights": "equal"})
    assert mask_weights.fit(mask_weights.map_statistics(found, Prepared()), found, equal).weights == {
        "u": 0.5,
        "v": 0.5,
    }
    assert mask_weights.needs_maps(["u", "v"], settings)
    assert mask_weights.needs_maps(["u", "v"], equal) == (average == "centred")


@pytest.mark.parametrize("average", ["probability", "centred"])
def test_nested_mask_ensembles_look_away(world, average) -> None:
    """Truths of a group are moved: the ensemble that judges it stays, so do its maps; the others' ensembles change."""
    settings = EnsembleSettings(average=average, shrinkage=0.0)
    before, group = nested_pixels(settings)
    moved = group == group[0]
    masks = np.load("data/prepared/masks.npy")
    index = Prepared().index.set_index("image_id")
    rows = index.loc[world_ids()[moved], "mask_row"].to_numpy()
    masks[rows[rows >= 0]] = np.roll(masks[rows[rows >= 0]], 9, axis=2)
    np.save("data/prepared/masks.npy", masks)
    after, _ = nested_pixels(settings)
    assert np.array_equal(before[moved], after[moved])
    assert not np.array_equal(before[~moved], after[~moved])


def world_ids() -> np.ndarray:
    return np.array(read().ids, dtype=object)


def nested_pixels(settings: EnsembleSettings) -> tuple[np.ndarray, np.ndarray]:
    """Each image's histogram under the ensemble that was fitted without its group, and the groups."""
    found, prepared = read(), Prepared()
    fitted_on = mask_ensembles(found, prepared, settings)
    cases = fitted_on(np.ones(len(found.ids), bool))[1]
    group = crossfit.groups(cases, settings)
    shown = crossfit.nested(cases, ["a", "b"], ["gate"], fitted_on, settings).cases
    assert np.array_equal(shown.image_id, cases.image_id)
    return shown.evidence.above, group
