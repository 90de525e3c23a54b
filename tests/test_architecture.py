"""The rules of the house: imports run one way, dvc.yaml lists what its commands load, nothing phones home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import import_graph

STAGES = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
ORDER = [
    "params", "phantom", "inputs", "prepare", "split", "check", "tune_classification", "tune_segmentation",
    "train_classification", "encoder_transfer", "train_segmentation", "predict_classification", "predict_segmentation",
    "fit_ensemble", "evaluate", "export", "submit", "summary",
]  # fmt: skip


MAX_MODULES = 12


def test_imports_run_one_way() -> None:
    assert import_graph.upward_imports() == []


def test_no_circles_between_files_or_folders() -> None:
    assert import_graph.circle(folders=False) == []
    assert import_graph.circle(folders=True) == []


def test_no_command_is_imported_as_a_library() -> None:
    assert import_graph.commands_imported() == []


@pytest.fixture
def small_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    import_graph.imported.cache_clear()
    for package in import_graph.LAYERS:
        (tmp_path / package).mkdir()
    return tmp_path


def test_an_upward_import_is_seen(small_tree: Path) -> None:
    (small_tree / "experiments" / "fold.py").write_text("x = 1\n")
    (small_tree / "segmentation" / "losses.py").write_text("x = 1\n")
    (small_tree / "imaging" / "dataset.py").write_text("def f():\n    from experiments.fold import x\n")
    (small_tree / "classification" / "train.py").write_text(
        "import experiments.fold\nimport segmentation.losses\n"
    )
    assert import_graph.upward_imports() == [
        "imaging/dataset.py imports experiments/fold.py: imaging may not depend on experiments",
        "classification/train.py imports segmentation/losses.py: classification may not depend on segmentation",
    ]


def test_a_circle_and_an_imported_command_are_seen(small_tree: Path) -> None:
    for folder, text in (("a", "from imaging.b import y\n"), ("b", "from imaging.a import x\n")):
        (small_tree / "imaging" / folder).mkdir()
        (small_tree / "imaging" / folder / f"{'x' if folder == 'a' else 'y'}.py").write_text(text)
    (small_tree / "imaging" / "a" / "z.py").write_text("from imaging.a import w\n")
    (small_tree / "imaging" / "a" / "w.py").write_text('if __name__ == "__main__":\n    pass\n')
    assert import_graph.circle(folders=False)
    assert import_graph.circle(folders=True)
    assert import_graph.commands_imported() == ["imaging/a/z.py imports the command imaging/a/w.py"]


def test_folders_hold_few_modules() -> None:
    """A folder of one concept has at most 12 modules; commands at the top of a package do not count."""
    commands = import_graph.commands()
    for package in import_graph.LAYERS:
        for folder in {path.parent for path in Path(package).rglob("*.py")}:
            modules = [p for p in folder.glob("*.py") if p.name != "__init__.py" and p not in commands]
            assert len(modules) <= MAX_MODULES, folder


@pytest.mark.parametrize("name", [name for name in STAGES if not name.startswith("tune_")])
def test_a_stage_depends_on_every_module_that_decides_its_result(name: str) -> None:
    """Tuning is the exception: an edit must not start a study again."""
    assert import_graph.missing_deps(STAGES[name]["cmd"], STAGES[name].get("deps", [])) == []


def test_a_missing_dep_is_seen() -> None:
    stage = STAGES["train_segmentation"]
    deps = [dep for dep in stage["deps"] if dep != "segmentation/losses.py"]
    assert import_graph.missing_deps(stage["cmd"], deps) == ["segmentation/losses.py"]


def test_no_neutral_module_is_a_dep() -> None:
    deps = {dep for stage in STAGES.values() for dep in stage.get("deps", [])}
    assert not deps & set(import_graph.NEUTRAL)
    assert all(Path(place).exists() for place in import_graph.NEUTRAL)


def test_the_stages_are_those_of_the_design() -> None:
    assert list(STAGES) == ORDER


NO_NETWORK = """
import socket
def refused(*args, **kwargs):
    raise AssertionError(f"network: {args[:2]}")
socket.socket.connect = refused
socket.getaddrinfo = refused
import importlib
for name in %r:
    importlib.import_module(name)
import os
assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
"""


def test_importing_the_pipeline_asks_no_server() -> None:
    modules = [
        "experiments",
        "classification.train",
        "segmentation.predict",
        "ensemble.submit",
        "experiments.tuning.study",
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "NO_ALB", "DO_NOT"))}
    code = NO_NETWORK % (modules,)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_dvc_sends_no_analytics() -> None:
    config = Path(".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config


def test_one_module_asks_which_hardware_there_is() -> None:
    """experiments.hardware; all others ask it, so that a test can describe another machine."""
    asking = re.compile(r"torch\.(cuda|backends\.mps|xpu)\b|device_count|get_device_capability")
    found = [
        path.as_posix()
        for package in import_graph.LAYERS
        for path in Path(package).rglob("*.py")
        if asking.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["experiments/hardware.py"]
