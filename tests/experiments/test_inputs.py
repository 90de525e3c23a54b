"""Stage `inputs` names the key of a path that is gone or cannot be read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from experiments import inputs
from imaging.io import inventory

SETTINGS = {
    "data": {"source": "folder", "folder": "studies"},
    "submit": {"images": "tests", "sample": "sample.csv"},
    "classification": {"models": []},
    "segmentation": {"models": ["u"]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("studies/a.png", "tests/b.png", "sample.csv"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(b"x")
    Path("params.yaml").write_text(yaml.safe_dump(SETTINGS))


def test_every_key_has_a_list() -> None:
    inputs.main()
    listed = {path.stem: pd.read_csv(path)["path"].tolist() for path in Path("data/inputs").iterdir()}
    assert listed == {
        "data.folder": ["a.png"], "data.patients": [], "submit.images": ["b.png"], "submit.sample": ["sample.csv"],
        "classification.pretrained": [], "segmentation.pretrained": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "path"), [("data.folder", "studies"), ("submit.images", "tests"), ("submit.sample", "sample.csv")]
)
def test_a_path_that_is_gone_is_named_by_its_key(key: str, path: str) -> None:
    Path(path).rename("gone")
    with pytest.raises(ValueError, match=f"^params: `{key}` is '{path}': no such file or folder$"):
        inputs.main()


def test_a_folder_without_permission_is_named_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every folder, so the system's answer is given here."""

    def denied(folder: str) -> None:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(inventory, "walk", denied)
    with pytest.raises(
        ValueError, match=r"^params: `submit\.images` is 'tests': cannot be read \(Permission denied\)$"
    ):
        inputs.main()
