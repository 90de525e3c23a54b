"""One run of the whole pipeline, made once and shared by all workers of pytest-xdist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.pipeline.tiny import TINY, Repository

settings.register_profile(
    "busy", deadline=None
)  # the time of an example depends on what else the machine does
settings.load_profile("busy")

ORDER = {"test_pipeline": 0, "test_dvc": 2, "test_kills": 2, "test_phi": 2}
"""Files whose tests use the run below: one begins with it, the others follow at the end. All other files are 1."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the file that makes the run first: other workers do the rest beside it."""
    items.sort(key=lambda item: ORDER.get(Path(item.path).stem, 1))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Repository]:
    """A copy of the repository in which `dvc repro` has run at the smallest size. Leave it as it is.

    One test file has it at a time: DVC locks it, and some tests change its params for a moment.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "pipeline"
    finished = shared.with_suffix(".finished")
    with FileLock(shared.with_suffix(".lock")):
        made = Repository(shared)
        if not finished.exists():
            shared.mkdir(exist_ok=True)
            made = Repository.copy(shared)
            made.params(TINY)
            made.run("dvc", "repro")
            finished.touch()
        yield made
