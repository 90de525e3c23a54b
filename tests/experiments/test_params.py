"""params.yaml: what is valid, and one clear message for each fault."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from experiments import params as command
from experiments.plan.stages import check_buildable
from experiments.recipe import FOLDER, names
from experiments.settings import params
from experiments.settings.params import Params
from experiments.settings.scaling import SCALES, reduced
from experiments.settings.training import ClassificationSettings, SegmentationSettings, for_model
from imaging.io.config import read_yaml, validate

SMALL = {
    "train_folds": [0, 1],
    "split": {"folds": 2},
    "data": {"image_size": 64},
    "classification": {"models": ["a"], "image_size": 32},
    "segmentation": {"models": ["u"], "image_size": 64},
}


def changed(path: str, value: object) -> dict:
    content = yaml.safe_load(yaml.safe_dump(SMALL))
    *sections, key = path.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    return content


@pytest.mark.parametrize("name", names())
def test_every_recipe_is_valid(name: str) -> None:
    params.load(FOLDER / f"{name}.yaml")


def test_the_file_in_the_root_is_the_phantom_recipe() -> None:
    mine, recipe = (yaml.safe_load(Path(p).read_text()) for p in ("params.yaml", FOLDER / "phantom.yaml"))
    assert mine == recipe


def test_the_small_params_are_valid() -> None:
    assert validate(Params, SMALL, "").classification.lr == 1e-3


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("classification.learning_rate", 0.1, "unknown key `classification.learning_rate`.*known here:.*lr"),
        ("classification.batchsize", 4, "unknown key `classification.batchsize` .*did you mean `batch_size`"),
        ("segmentaton", {}, "unknown key `segmentaton` .*did you mean `segmentation`"),
        ("segmentation.lr", "fast", "`segmentation.lr` is 'fast'"),
        ("segmentation.lr", -1.0, "`segmentation.lr` is -1.0: .*greater than 0"),
        ("split.holdout", 1.5, "`split.holdout` is 1.5"),
        ("segmentation.image_head", float("inf"), "`segmentation.image_head` is inf: .*finite"),
        (
            "segmentation.image_head",
            True,
            "`segmentation`: image_head true must be a number, not true or false",
        ),
        ("segmentation.decoder_channels", [64, 0, 16], "`segmentation.decoder_channels.1` is 0: .*1"),
        (
            "segmentation",
            {"models": ["u"], "image_size": 64, "architecture": "plain", "decoder_channels": [32, 16, 8]},
            r"segmentation.decoder_channels \[32, 16, 8\] has no effect with architecture plain; set it to null, or take unet",
        ),
        (
            "segmentation.variants",
            {"u": {"architecture": "fpn", "attention": "scse"}},
            "segmentation.attention scse has no effect with architecture fpn; set it to none",
        ),
        (
            "tune_segmentation",
            {
                "overrides": {"attention": "scse"},
                "space": {"architecture": {"choices": ["unet", "plain"]}},
            },
            "segmentation.attention scse has no effect with architecture plain",
        ),
        (
            "segmentation.variants",
            {"u": {"architecture": "unet_2015", "drop_path": 0.1}},
            "segmentation.drop_path 0.1 has no effect with architecture unet_2015; set it to 0.0, or take unet",
        ),
        (
            "segmentation.loss",
            {"dice_batch": 1.0},
            "unknown key `segmentation.loss.dice_batch`; known here: 'cross_entropy'",
        ),
        ("evaluation", None, "`evaluation` is None: must be a section of `key: value` lines"),
        ("train_folds", [], r"`train_folds` is \[\]: must hold 1 or more"),
        ("segmentation.loss", {"dice": -1.0, "focal": 1.0}, "`segmentation.loss.dice` is -1.0"),
        ("split.folds", 1, "`split.folds` is 1"),
        ("train_folds", [0, 2], r"train_folds \[0, 2\] must be different numbers from 0 to 1"),
        ("train_folds", [1, 1], r"train_folds \[1, 1\]"),
        ("segmentation.image_size", 128, "segmentation.image_size 128 of u is above data.image_size 64"),
        ("segmentation.models", ["u", "u"], "models names u twice"),
        ("segmentation.models", ["../u"], "cannot be a folder's name"),
        ("segmentation.variants", {"v": {}}, "variants names v, not among models"),
        (
            "segmentation.phases",
            [{"epochs": 2}, {"encoder": "resnet34"}],
            "phases change encoder, but a phase goes on",
        ),
        ("segmentation.phases", [{"epochs": 2}, {"image_head": 0.3}], "phases with and without image_head"),
        ("segmentation.phases", [{"phases": [{"epochs": 2}]}], "phases change phases"),
        ("classification.patience", 3, "patience 3 needs `keep: best`"),
        ("classification.validate_every", 3, "epochs 10 must be a multiple of validate_every 3"),
        (
            "classification.sampling",
            {"scheme": "natural", "positive_share": 0.8},
            "positive_share 0.8 has no effect",
        ),
        (
            "tune_segmentation",
            {"space": {"glamma": {"low": 0, "high": 1}}},
            "names glamma, which segmentation does not have",
        ),
        (
            "ensemble.mask_weights",
            {"v": 1.0},
            "mask_weights names v; segmentation.models are u: give each a weight",
        ),
        ("segmentation.top_average", "predictions", "top_average predictions needs top above 1"),
        ("segmentation.encoder_from", "b", r"encoder_from b of u is not among classification.models \(a\)"),
        ("tune_segmentation", {"space": {"gamma": {"low": 2, "high": 1}}}, "low 2.0 must be below high 1.0"),
        (
            "tune_segmentation",
            {"trials": 1, "fold": 5, "space": {"gamma": {"low": 1, "high": 2}}},
            "tune_segmentation.fold 5 is not among train_folds",
        ),
        ("tune_segmentation", {"trials": 1}, "trials 1 needs a `space` of settings to vary"),
        ("tune_segmentation", {"space": {"lr": {"low": 1}}}, "give low and high, or choices"),
        (
            "tune_segmentation",
            {"space": {"lr": {"low": 1, "high": 2, "choices": [1, 2]}}},
            r"choices \[1, 2\] stand alone",
        ),
        (
            "tune_segmentation",
            {"space": {"batch_size": {"low": 0.5, "high": 2, "integer": True}}},
            "low 0.5 and high 2.0 must be whole numbers",
        ),
        (
            "tune_segmentation",
            {"space": {"lr": {"low": 1, "high": 99}}},
            "`tune_segmentation.space.lr` is 99.0",
        ),
        (
            "tune_segmentation",
            {"space": {"architecture": {"choices": ["unet", "unnet"]}}},
            "`tune_segmentation.space.architecture` is 'unnet'",
        ),
        ("tune_segmentation", {"overrides": {"epochs": 0}}, "`tune_segmentation.overrides.epochs` is 0"),
        (
            "tune_segmentation",
            {"storage": "mysql://h/d"},
            "must be sqlite, journal or postgresql://user@host/name",
        ),
    ],
)
def test_a_fault_is_named_with_key_value_and_mend(key: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        validate(Params, changed(key, value), "")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "ensemble.rule",
            "bestest",
            "params: `ensemble.rule` is 'bestest': Input should be 'gate', 'triplet', 'quota', 'gated_triplet', "
            "'unanimity', 'expected_value', 'expected_value_per_image' or 'best'",
        ),
        (
            "segmentation.micro_batch",
            0,
            "params: `segmentation.micro_batch` is 0: Input should be greater than or equal to 1, or 'auto'",
        ),
        (
            "segmentation.variants",
            {"u": {"image_head": -1}},
            "params: `segmentation.variants.u.image_head` is -1: Input should be greater than or equal to 0",
        ),
        (
            "segmentation.phases",
            [{"epocs": 3}],
            "params: unknown key `segmentation.phases.0.epocs` (value 3); did you mean `epochs`?",
        ),
    ],
)
def test_a_fault_is_one_line_with_its_whole_key(key: str, value: object, message: str) -> None:
    """Not one for each type that a key may have, and also in a model's variant or a phase."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        validate(Params, changed(key, value), "")


def test_every_fault_of_a_file_is_told_at_once() -> None:
    content = changed("segmentation.lr", -1)
    content["split"]["holdout"] = 2
    with pytest.raises(ValueError, match=r"(?s)split\.holdout.*segmentation\.lr"):
        validate(Params, content, "")


def test_a_member_gets_the_section_then_the_tuned_values_then_its_own() -> None:
    section = SegmentationSettings(models=["u", "v"], lr=0.1, gamma=1.0, variants={"v": {"gamma": 3.0}})
    assert for_model(section, "u", {"lr": 0.2}).model_dump(include={"lr", "gamma"}) == {
        "lr": 0.2,
        "gamma": 1.0,
    }
    assert for_model(section, "v", {"lr": 0.2, "gamma": 9.0}).gamma == 3.0
    with pytest.raises(ValueError, match="'w' is not among models: u, v"):
        for_model(section, "w")


def test_a_variant_is_validated_too() -> None:
    section = ClassificationSettings(models=["a"], variants={"a": {"epoch": 3}})
    with pytest.raises(ValueError, match=r"unknown key `classification\.variants\.a\.epoch`"):
        for_model(section, "a")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("split: {folds: 2}\ntrain_folds: [0]\nsplit: {folds: 3}\n")
    with pytest.raises(ValueError, match=r"(?s)`split` is given twice \(first in line 1\).*line 3"):
        params.load(path)
    path.write_text("a: &a {x: 1}\nb: {<<: *a, x: 2}\n")  # a merge key may be overridden
    assert read_yaml(path)["b"] == {"x": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("- 1", r"found \[1\]"),
        ("a: 2020-13-01", r"month must be in 1\.\.12 \(text needs quotes\)"),
        ("? [a, b]\n: 1", "a key must be text"),
        ("a: !!timestamp foo", "text needs quotes"),
        ('a: !!int "x"', "'x' is not a number"),
        ("[" * 3000, "nested too deeply"),
        ("a:\n  batch_size: 010", r"010 is not a decimal number(.|\n)*params\.yaml\", line 2"),
        ("a: 1:30", "1:30 is not a decimal number"),
        ("a: [1", r"in \".*params\.yaml\""),
    ],
)
def test_a_file_that_is_no_settings_says_why(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"params\.yaml: .*(.|\n)*{said}"):
        read_yaml(path)
    path.write_text("a: [1, 1.5, -2, 0, 0.5, 1.0e-5, 1_000, .5]\n")
    assert read_yaml(path)["a"] == [1, 1.5, -2, 0, 0.5, 1e-5, 1000, 0.5]


def test_a_contradiction_between_keys_is_told_without_the_whole_section() -> None:
    with pytest.raises(
        ValueError, match=r"^params: classification\.models and segmentation\.models are both \[\]"
    ) as no_models:
        validate(
            Params, {**SMALL, **{stage: {"models": []} for stage in ("classification", "segmentation")}}, ""
        )
    assert "``" not in str(no_models.value)
    section = {"models": ["unet"], "encoder_from": "b0", "pretrained": "weights/x"}
    with pytest.raises(
        ValueError, match=r"^params: `segmentation`: encoder_from b0 and pretrained weights/x exclude"
    ):
        validate(Params, {**SMALL, "segmentation": section}, "")


def test_a_password_in_the_params_is_refused_and_not_repeated() -> None:
    storage = "postgresql://me:s3:cr@et@host/studies"
    with pytest.raises(ValueError, match="PGPASSWORD") as error:
        validate(Params, changed("tune_segmentation", {"storage": storage}), "")
    assert "://me:***@host/studies" in str(error.value)
    assert "s3" not in str(error.value)
    assert "et@" not in str(error.value)


@pytest.mark.parametrize("stage", ["classification", "segmentation"])
def test_a_stage_without_models(stage: str) -> None:
    """Either stage may have none, not both; a study of none is refused."""
    content = changed(f"{stage}.models", [])
    assert getattr(validate(Params, content, ""), stage).models == []
    study = {"trials": 3, "space": {"gamma": {"low": 1, "high": 2}}}
    with pytest.raises(ValueError, match=rf"tune_{stage}\.trials 3 with {stage}\.models \[\]: set it to 0"):
        validate(Params, {**content, f"tune_{stage}": study}, "")
    other = "segmentation" if stage == "classification" else "classification"
    content[other]["models"] = []
    with pytest.raises(ValueError, match="are both"):
        validate(Params, content, "")


def test_no_encoder_of_a_classifier_without_classifiers() -> None:
    content = changed("classification.models", [])
    content["segmentation"]["encoder_from"] = "a"
    with pytest.raises(
        ValueError, match=r"encoder_from a of u is not among classification.models \(it is \[\]\)"
    ):
        validate(Params, content, "")


@pytest.mark.parametrize("scale", SCALES)
def test_a_recipe_without_classifiers_is_reduced(scale: str) -> None:
    recipe = read_yaml(FOLDER / "phantom.yaml") | {"classification": {"models": []}}
    assert validate(Params, reduced(recipe, SCALES[scale]), "").classification.models == []


def test_the_stage_lists_the_classifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of their weights and predictions then exist where there are none."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(changed("classification.models", [])))
    monkeypatch.setattr(sys, "argv", ["params", "--stamp", "valid"])
    command.main()
    for path in ("models/classification/models.json", "predictions/classification/models.json"):
        assert json.loads(Path(path).read_text()) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("segmentation.encoder", "tu-resnet19", "encoder 'tu-resnet19' cannot be built: Unknown model"),
        ("segmentation.encoder", "resnet19", "encoder 'resnet19' is not an encoder of smp"),
        ("classification.architecture", "resnet19", "'resnet19' is not a timm model; close to it: resnet18"),
    ],
)
def test_the_command_finds_networks_that_cannot_be_built(
    key: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(key, value)))
    monkeypatch.setattr(sys, "argv", ["params", str(path)])
    with pytest.raises(SystemExit, match=re.escape(said)):
        command.main()


def test_an_encoder_that_needs_memory_to_be_built_is_valid() -> None:
    check_buildable(validate(Params, changed("segmentation.encoder", "mit_b0"), ""))
