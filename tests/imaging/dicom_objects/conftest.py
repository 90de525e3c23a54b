"""Each kind of study with its objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imaging.dicom_objects.studies import KINDS, SHAPE, lesion, make_all, write


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def study(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp(kind) / "study.dcm", KINDS[kind])


@pytest.fixture(scope="module")
def objects(study: Path) -> dict[str, Path]:
    return make_all(study, lesion(SHAPE), study.parent)
