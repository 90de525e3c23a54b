"""One run of the whole pipeline, for all tests that look at what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.pipeline.tiny import TINY, Repository

PIPELINE = {"test_pipeline", "test_dvc", "test_kills", "test_phi"}
"""Files whose tests share the run below; it takes minutes and is made once, first, in one process."""


class Files(LoadFileScheduling):
    """Tests of one file stay in one process, since they share what their fixtures make; so do the files of `PIPELINE`.

    Marks of xdist's own (`--dist loadgroup`) are passed over without a word by pytest 9.2: pytest-xdist issue 1386.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "pipeline" if Path(file).stem in PIPELINE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: the other process does the rest beside it."""
    items.sort(key=lambda item: Path(item.path).stem not in PIPELINE)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of the repository in which `dvc repro` has run at the smallest size. Leave it as it is."""
    made = Repository.copy(tmp_path_factory.mktemp("pipeline"))
    made.params(TINY)
    made.run("dvc", "repro")
    return made
