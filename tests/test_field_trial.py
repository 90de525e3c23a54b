"""The field trial on generated studies, with numbers so small that nothing is learned."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from benchmarks import pooled_share
from benchmarks.field_trial import __main__ as field_trial
from benchmarks.field_trial import report
from benchmarks.field_trial.budget import Budget, budgeted, shown_by
from benchmarks.field_trial.cohorts import Cohort, prepared_data
from benchmarks.field_trial.decisions import decide, pixel_aurocs
from benchmarks.field_trial.methods import METHODS, plan
from benchmarks.field_trial.recipes import Outputs, averaged
from ensemble.evidence.evidence import Cases, Evidence
from experiments.networks import checkpoint_mean
from experiments.settings.training import SegmentationSettings, phases_of
from imaging.io.files import read_json, write_json
from imaging.phantom.dataset import write
from imaging.settings import PhantomSettings
from segmentation import pooled


def studies(folder: Path, seed: int) -> Path:
    """Thirty generated studies, each its own patient: so few would else be of three or four."""
    write(
        folder, PhantomSettings(train=30, test=1, prevalence=0.5, difficulty=0.0, least_area=8000, seed=seed)
    )
    table = pd.read_csv(folder / "patients.csv", dtype=str)
    table[table.columns[1]] = [f"{seed}-{number}" for number in range(len(table))]
    table.to_csv(folder / "patients.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T3, T4 and T1P, with the T2 and the T0 that they need, of the ordinary loop and of ours."""
    scratch = tmp_path_factory.mktemp("field")
    train, real = studies(scratch / "train", 1), studies(scratch / "real", 2)
    command = (
        f"field_trial --train {train} --real {real} --phantoms {train} --trials T1P T3 T4 --seeds 1 --folds 3"
    )
    command += " --images 16 --tune-images 16 --size 64 --name ours --set segmentation.image_size=64"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*command.split(), "--output", str(scratch / "out"), "--draws", "20"])
        field_trial.main()
    return scratch / "out"


def test_every_real_study_is_judged_once(finished: Path) -> None:
    names = {path.name for path in (finished / "results").iterdir()}
    trials = ("T0", "T1P", "T2", "T3", "T4")
    assert names == {f"{trial}-{method}-0" for trial in trials for method in ("ordinary", "ours")}
    for name in names:
        table = pd.read_csv(finished / "results" / name / "studies.csv")
        assert len(table) == 30
        assert table["image_id"].is_unique
        assert table["label"].sum() == 15
        values = table[["raw", "calibrated", "prob", "dice"]].to_numpy()
        assert ((values >= 0) & (values <= 1)).all()


def test_ours_is_shown_as_many_images_at_a_third_of_the_operations(finished: Path) -> None:
    facts = {p.parent.name: read_json(p) for p in finished.glob("results/*/facts.json")}
    for trial in ("T2", "T3", "T4"):
        ours, peer = facts[f"{trial}-ours-0"], facts[f"{trial}-ordinary-0"]
        assert ours["images"] == peer["images"]
        assert 0.25 < ours["flop"] / peer["flop"] < 0.5  # the light decoder
    assert facts["T3-ours-0"]["folds"] == 3
    assert facts["T2-ours-0"]["shown"]["segmentation"] >= 16


@pytest.mark.parametrize("network", ["ordinary-0/network0", "ours-0/segmentation0"])
def test_a_trial_goes_on_from_the_weights_of_another(finished: Path, network: str) -> None:
    """The networks count the batches that they were trained on: one in each trial."""
    for trial, batches in (("T0", 1), ("T1P", 2), ("T2", 1), ("T3", 2), ("T4", 2)):
        state = load_file(finished / "results" / f"{trial}-{network}.safetensors")
        assert {int(v) for name, v in state.items() if name.endswith("num_batches_tracked")} == {batches}


def run_more(finished: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Run other methods or trials on the same studies, into the same folder."""
    folders = f"--train {finished.parent / 'train'} --real {finished.parent / 'real'} --output {finished}"
    monkeypatch.setattr(sys, "argv", f"f {folders} --seeds 1 --folds 3 --size 64 --no-report {words}".split())
    field_trial.main()


def test_a_recipe_that_averages_checkpoints_runs_and_goes_on_from_the_best(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first place's: four phases, the mean of three checkpoints' predictions."""
    run_more(finished, monkeypatch, "--trials T3 --methods first-place --images 64 --tune-images 16")
    for trial in ("T2", "T3"):
        folder = finished / "results" / f"{trial}-first-place-0"
        assert len(pd.read_csv(folder / "studies.csv")) == 30
        state = load_file(folder / "segmentation0.safetensors")
        assert checkpoint_mean.count(state) > 0


def test_two_networks_are_trained_and_their_maps_averaged(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_more(finished, monkeypatch, "--trials T2 --methods ours-two --images 16")
    folder = finished / "results" / "T2-ours-two-0"
    assert read_json(folder / "facts.json")["images"] == 32
    name = "segmentation0.safetensors"
    first, second = load_file(folder / name), load_file(folder / "network1" / name)
    assert first.keys() == second.keys()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert len(pd.read_csv(folder / "studies.csv")) == 30


def test_a_changed_method_goes_on_from_the_networks_of_another(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_more(
        finished,
        monkeypatch,
        "--trials T3 --methods ours --start-from ours --name slow --tune-images 16 "
        "--set segmentation.image_size=64 segmentation.lr=1e-5",
    )
    assert not (finished / "results" / "T2-slow-0").exists()
    weights = [
        load_file(finished / "results" / run / "segmentation0.safetensors")
        for run in ("T2-ours-0", "T3-ours-0", "T3-slow-0")
    ]
    name = next(name for name in weights[0] if name.endswith(("conv.weight", "0.weight")))
    start, ours, slow = (one[name] for one in weights)
    assert 0 < (slow - start).abs().max() < (ours - start).abs().max() / 10


def test_networks_of_two_contrasts_begin_alike_and_see_other_images(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_more(finished, monkeypatch, "--trials T2 --methods ours-contrasts --images 16")
    folder = finished / "results" / "T2-ours-contrasts-0"
    seen = [
        read_json(folder / own / "segmentation0.json")["settings"]["contrast"] for own in ("", "network1")
    ]
    assert seen == ["plain", "clahe"]
    members = plan("ours-contrasts", None, 64, ()).members()
    assert [(one.segmentation.contrast, alike) for one, alike in members] == [("plain", 0), ("clahe", 0)]
    assert [alike for _, alike in plan("ours-two", None, 64, ()).members()] == [0, 1]


@pytest.mark.parametrize(("method", "start", "number"), [("ours", "ordinary", 1), ("ours-two", "ours", 2)])
def test_a_start_without_such_networks_is_refused(
    method: str, start: str, number: int, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=f"T2-{start}-0 has not the {number} networks that {method} goes"):
        run_more(finished, monkeypatch, f"--trials T3 --methods {method} --start-from {start} --name other")
    assert not (finished / "results" / f"T2-{start}-0" / "network1").exists()


def test_the_exposure_alone_ranks_studies_and_draws_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_more(finished, monkeypatch, "--trials T2 T3 --methods exposure")
    for trial in ("T2", "T3"):
        table = pd.read_csv(finished / "results" / f"{trial}-exposure-0" / "studies.csv")
        assert len(table) == 30
        assert not table["submitted"].any()
        assert table["raw"].nunique() > 15
        assert table["pixels"].mean() > 0.6  # where lesions lie in other studies


def test_an_average_by_hand() -> None:
    maps = [np.array([[[0.5, 0.2, 0.0]]], np.float32), np.array([[[0.5, 0.6, 0.3]]], np.float32)]
    found = averaged([Outputs(np.array([0.2]), maps[0]), Outputs(np.array([0.6]), maps[1])])
    assert found.maps[0, 0] == pytest.approx([0.5, 0.3798, 0], abs=1e-4)
    alone = Outputs(np.array([0.2]), maps[0])
    assert averaged([alone]) is alone
    assert found.prob == pytest.approx([0.3798], abs=1e-4)  # odds 1/4 and 3/2; the root of 3/8 is .6124


def test_scores_of_a_finished_run_by_the_share_that_is_pooled(finished: Path) -> None:
    """The share that is used has the bits of the run itself."""
    folders = (finished.parent / "train", finished.parent / "real")
    label, scores = pooled_share.scored(finished, "T3-ours-0", *folders)
    table = pd.read_csv(finished / "results" / "T3-ours-0" / "studies.csv")
    assert (label.sum(), scores.shape) == (15, (30, 7))
    used = scores[:, pooled_share.SHARES.index(pooled.SHARE)]
    assert np.sort(1 / (1 + np.exp(-used))) == pytest.approx(np.sort(table["raw"]), abs=1e-6)
    assert (np.diff(scores[:, :-1], axis=1) <= 0).all()  # a larger pool has lower pixels
    assert (
        np.abs(scores[:, 0] - scores[:, -1]).max() < 0.04
    )  # rounded: within half a level, where no level ends


def test_the_ordinary_loop_with_equalised_contrast_is_another_network(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_more(finished, monkeypatch, "--trials T2 --methods ordinary-equalised --images 16")
    results = finished / "results"
    one, other = (
        load_file(results / f"T2-{name}-0/network0.safetensors")
        for name in ("ordinary", "ordinary-equalised")
    )
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["T3-ordinary-0", "T2-ordinary-equalised-0"])
def test_scores_of_the_ordinary_loop_are_the_runs_own(name: str, finished: Path) -> None:
    folders = (finished.parent / "train", finished.parent / "real")
    _, scores = pooled_share.scored(finished, name, *folders)
    table = pd.read_csv(finished / "results" / name / "studies.csv")
    used = scores[:, pooled_share.SHARES.index(pooled.SHARE)]
    assert np.sort(1 / (1 + np.exp(-used))) == pytest.approx(np.sort(table["raw"]), abs=1e-5)


def test_the_report_has_all_runs_and_the_pairs(finished: Path) -> None:
    text = (finished / "report.md").read_text(encoding="utf-8")
    assert text.count("| T2 |") == 3
    assert text.count("| T3 |") == 3
    assert "method minus ordinary" in text


def test_finished_runs_are_not_repeated(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {path: path.stat().st_mtime_ns for path in finished.glob("results/*/facts.json")}
    train, real = finished.parent / "train", finished.parent / "real"
    argv = f"f --train {train} --real {real} --trials T2 --seeds 1 --no-report --output {finished} --size 64 --images 16"
    more = ["--name", "ours", "--set", "segmentation.image_size=64"]
    monkeypatch.setattr(sys, "argv", [*argv.split(), *more])
    field_trial.main()
    assert times == {path: path.stat().st_mtime_ns for path in finished.glob("results/*/facts.json")}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--trials T2 --set segmentation.image_size=64 segmentation.ema=0.5", r"segmentation.ema \(none\), and now"),
        ("--trials T2 --set segmentation.image_size=64 segmentation.contrast=plain", "segmentation.contrast clahe, and now"),
        ("--trials T2 --set segmentation.image_size=64 --images 32", "with --images 16, and now it is 32; give another"),
        ("--trials T2 --set segmentation.image_size=64 --size 96", "with --size 64, and now it is 96"),
        ("--trials T3 --set segmentation.image_size=64 --folds 4 --tune-images 16", "with --folds 3, and now it is 4"),
    ],
)  # fmt: skip
def test_a_run_with_other_settings_is_not_taken(
    more: str, said: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = "" if "--images" in more else "--images 16"
    with pytest.raises(ValueError, match=said):
        run_more(finished, monkeypatch, f"--methods ours --name ours {rest} {more}")


def test_a_run_that_was_begun_with_other_settings_is_not_gone_on_with(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "--trials T1 --methods ours --name begun --images 16 --set segmentation.image_size=64"
    folder = finished / "results" / "T1-begun-0"
    folder.mkdir()
    (folder / "protocol.json").write_bytes(
        (finished / "results" / "T2-ours-0" / "protocol.json").read_bytes()
    )
    with pytest.raises(
        ValueError, match=r"segmentation\.batch_size 16, and now it is 4; give another --name"
    ):
        run_more(finished, monkeypatch, f"{words} segmentation.batch_size=4")
    other = f"{words} segmentation.batch_size=4".replace("--methods", "--methods ordinary-equalised")
    with pytest.raises(ValueError, match="give another --name"):
        run_more(finished, monkeypatch, other)
    assert not (finished / "results" / "T1-ordinary-equalised-0").exists()  # refused before any training
    (folder / "protocol.json").unlink()
    (folder / "segmentation0.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a run without protocol\.json, made by an older version"):
        run_more(finished, monkeypatch, words)
    shutil.rmtree(folder)


def test_seeds_of_other_settings_are_not_pooled(finished: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(finished / "results" / "T2-ours-0", tmp_path / f"T2-ours-{seed}")
    facts = read_json(tmp_path / "T2-ours-1" / "facts.json")
    write_json(tmp_path / "T2-ours-1" / "facts.json", {**facts, "seed": 1})
    assert set(report.read(tmp_path)[("T2", "ours")]) == {0, 1}
    made = read_json(tmp_path / "T2-ours-1" / "protocol.json")
    write_json(tmp_path / "T2-ours-1" / "protocol.json", {**made, "--images": 32})
    with pytest.raises(ValueError, match="T2-ours-1: seeds of one method with different --images; move one"):
        report.read(tmp_path)


def test_prepared_data_of_another_folder_are_not_taken(finished: Path) -> None:
    with pytest.raises(
        ValueError, match=r"data-64: made from .*/train, not from .*/elsewhere; give another --output"
    ):
        prepared_data(finished.parent / "elsewhere", finished.parent / "real", finished / "data-64", 64)


@pytest.mark.parametrize(
    ("fault", "said"),
    {
        "copied": r"train: 30 studies are of patients of --real .*, such as ",
        "all negative": r"--real .*: all 15 studies are negative; AUROC needs both kinds",
        "few patients": r"--real .*: 3 patients; intervals need at least 10",
        "many folds": r"--folds: 20 parts each need a patient with a positive and one with a negative study, and there are 15",
    }.items(),
)
def test_unfit_studies_are_refused_before_anything_is_trained(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    train, real = finished.parent / "train", tmp_path / "real"
    shutil.copytree(train if fault == "copied" else finished.parent / "real", real)
    patients = pd.read_csv(real / "patients.csv", dtype=str)
    if fault == "few patients":
        patients[patients.columns[1]] = [f"few-{number % 3}" for number in range(len(patients))]
    elif fault == "copied":
        patients[patients.columns[1]] = [f"other-{number}" for number in range(len(patients))]
    patients.to_csv(real / "patients.csv", index=False)
    if fault == "all negative":
        rows = pd.read_csv(real / "train-rle.csv", dtype=str)
        rows[rows.iloc[:, 1].str.strip() == "-1"].to_csv(real / "train-rle.csv", index=False)
    folders = f"--train {train} --real {real} --output {tmp_path / 'out'}"
    folds = 20 if fault == "many folds" else 3
    monkeypatch.setattr(
        sys, "argv", f"f {folders} --trials T3 --methods ordinary --folds {folds} --size 64".split()
    )
    with pytest.raises(ValueError, match=said):
        field_trial.main()
    assert not (tmp_path / "out" / "results").exists()


def test_a_budget_is_divided_over_phases_as_their_epochs_are() -> None:
    settings = SegmentationSettings(
        models=["m"],
        batch_size=4,
        accumulate=2,
        epochs=1,
        phases=[{"epochs": 3}, {"epochs": 1, "keep": "best", "top": 3}],
    )
    chain = phases_of(budgeted(settings, 320))
    assert [phase.iterations for phase in chain] == [30, 8]  # 10 steps in whole quarters
    assert [phase.epochs for phase in chain] == [1, 4]
    assert [phase.iterations for phase in phases_of(budgeted(settings, 320, (1, 4)))] == [8, 32]
    assert shown_by(budgeted(settings, 320)) == 304
    assert Budget(100, 6.0).shown(3.0, 0.5) == 100


@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_keeps_what_makes_it(name: str) -> None:
    found = plan(name, Path("weights/lite0"), 128, ())
    assert found.segmentation.encoder == "tu-tf_efficientnet_lite0"
    assert found.segmentation.image_size == found.side == 128
    assert plan(name, None, 128, (), "T3").side == (384 if name.startswith("ours") else 128)
    assert len(phases_of(plan("ours", None, 128, (), "T4").segmentation)) == 2
    changed = plan(name, None, 128, ("segmentation.ema=0.9", f"share={METHODS[name].classifier / 2}"))
    assert (changed.segmentation.ema, changed.share) == (0.9, METHODS[name].classifier / 2)
    assert changed.segmentation.pretrained == "none"


def test_a_recipe_without_a_classifier_takes_no_share_for_one() -> None:
    none = ("classification.models=[]", "classification.variants={}", "segmentation.encoder_from=null")
    found = plan("siim-unet", None, 128, none)
    assert found.share == 0
    assert found.classification.models == []
    with pytest.raises(ValueError, match=r"share 0\.5 is a classifier's, and siim-unet has none"):
        plan("siim-unet", None, 128, (*none, "share=0.5"))


def test_measures_by_hand() -> None:
    table = pd.DataFrame(
        {
            "label": [1, 1, 0, 0], "raw": [0.9, 0.1, 0.2, 0.3], "calibrated": [0.9, 0.1, 0.2, 0.3], "prob": [0.9, 0.8, 0.2, 0.3],
            "dice": [0.5, 0.0, 1.0, 0.0], "patient_id": ["a", "b", "c", "d"], "pixels": [0.75, 0.5, None, None],
        }
    )  # fmt: skip
    found = report.measures(table)
    assert (found["raw"], found["prob"]) == (0.5, 1.0)
    assert (found["kaggle"], found["dice_positive"], found["tnr"]) == (0.375, 0.25, 0.5)
    assert found["pixels"] == 0.625
    pairs = report.intervals([table, table], [table, table], draws=50)
    assert all(value == (0.0, 0.0, 0.0) for value in pairs.values())


def test_the_ordinary_grid_finds_a_plain_threshold() -> None:
    """Eight images of 64 x 64; the map of a positive is its mask at level 255, those of two negatives too, at a low score."""
    label = np.arange(8) % 2 == 1
    above, hit = np.zeros((2, 8, 257), np.int32)
    above[:, 0] = 4096
    above[label, 1:256], hit[label, :256], above[[0, 2], 1:256] = 100, 100, 100
    prob = np.where(label, 0.9, 0.1)
    evidence = Evidence(prob=prob, raw=prob, members=prob[:, None], above=above, agreement=np.ones(8))
    names = np.array([f"{i}" for i in range(8)], object)
    cases = Cases(evidence=evidence, hit=hit, fold=np.zeros(8, np.int64), patient=names, image_id=names)
    same = {0: np.arange(8)}
    table, rule = decide(Cohort(None, [0], same, same), [cases], [cases], None)  # type: ignore[arg-type]
    assert rule == "grid"
    assert (table["submitted"] == (table["label"] == 1)).all()
    assert (table["dice"] == 1).all()


def test_the_pixel_auroc_by_hand(finished: Path) -> None:
    """A map that is higher inside the mask, one that is lower, one alike everywhere: so faint that all round to level 0."""
    base = prepared_data(finished.parent / "train", finished.parent / "real", finished / "data-64", 64)
    rows = np.flatnonzero(base.index["label"].eq(1).fillna(False))[:3]
    masks = base.masks(rows).astype(np.float32)
    signs = np.array([1, -1, 0], np.float32)[:, None, None]
    found = pixel_aurocs(base, rows, 0.001 + 0.0005 * signs * masks)
    assert list(found) == base.index["image_id"].iloc[rows].tolist()
    assert list(found.values()) == [1, 0, 0.5]
    negative = np.flatnonzero(base.index["label"].eq(0).fillna(False))[:1]
    assert pixel_aurocs(base, negative, np.zeros((1, 64, 64), np.float32)) == {}
