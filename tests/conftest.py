"""One run of the whole pipeline, for all tests that look at what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import TINY, Repository

PIPELINE = {"test_pipeline", "test_dvc", "test_kills", "test_phi"}
"""Files whose tests share the run below; it takes minutes and is made once, first, in one process."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file stay in one process (`-n 2 --dist loadgroup`), since they share what their fixtures make."""
    for item in items:
        name = Path(item.path).stem
        item.add_marker(pytest.mark.xdist_group("pipeline" if name in PIPELINE else str(item.path)))
    items.sort(key=lambda item: Path(item.path).stem not in PIPELINE)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of the repository in which `dvc repro` has run at the smallest size. Leave it as it is."""
    made = Repository.copy(tmp_path_factory.mktemp("pipeline"))
    made.params(TINY)
    made.run("dvc", "repro")
    return made
