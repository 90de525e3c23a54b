"""One run of the whole pipeline, for all tests that look at what it leaves."""

from __future__ import annotations

import pytest

from tests.tiny import TINY, Repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of the repository in which `dvc repro` has run at the smallest size. Leave it as it is."""
    made = Repository.copy(tmp_path_factory.mktemp("pipeline"))
    made.params(TINY)
    made.run("dvc", "repro")
    return made
