"""Generated hostile files are read or refused, never anything else."""

from __future__ import annotations

import pytest

from tests.imaging.dicom import hostile


@pytest.mark.parametrize("files", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_each_is_read_or_refused(files: int) -> None:
    verdicts, failures = hostile.run(files, seed=files)
    assert failures == []
    assert sum(verdicts.values()) == files
    assert verdicts["read"] > files // 50
    assert len(verdicts) > 8
