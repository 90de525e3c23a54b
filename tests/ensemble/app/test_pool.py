"""A worker's limits, and what a slow file costs the others."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from ensemble.app import pool
from ensemble.app.pool import Pool
from ensemble.app.upload import Declined
from ensemble.app.worker import Config
from ensemble.inference.predictor import Predictor
from imaging.dicom_objects.reference import Author
from tests.ensemble.app.bombs import large_png


@pytest.fixture
def config(predictor: Predictor) -> Config:
    return Config(predictor.decision, Author("name", "version"), "")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bomb") / "bomb.png"
    path.write_bytes(large_png())
    return path


async def opened(workers: Pool, path: Path) -> bytes:
    async with workers.job() as job:
        return await job.ask("open", path=str(path), side=64)


def test_a_radiograph_is_read(config: Config, phantoms: list[Path]) -> None:
    assert len(asyncio.run(opened(Pool(config), phantoms[0]))) == 64 * 64


def test_work_is_limited(config: Config, bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CPU_SECONDS", 0)
    with pytest.raises(Declined) as declined:
        asyncio.run(opened(Pool(config), bomb))
    assert (declined.value.status, declined.value.code) == (422, "LIMIT-TIME")


def test_memory_is_limited(config: Config, bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MEMORY", 900 * 2**20)
    with pytest.raises(Declined) as declined:
        asyncio.run(opened(Pool(config), bomb))
    assert declined.value.code in ("LIMIT-MEMORY", "LIMIT-CRASHED", "PICTURE-DAMAGED")


def test_a_slow_file_gives_its_place_away(
    config: Config, bomb: Path, phantoms: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "GRACE", 0.02)

    async def both() -> list[str]:
        workers, ended = Pool(config, fast=1), []

        async def slow() -> None:
            async with workers.job() as job:
                asking = asyncio.create_task(job.ask("open", path=str(bomb), side=64))
                while not job.slow:
                    await asyncio.sleep(0.02)
                ended.append("demoted")
                assert psutil.Process(job._process.pid).nice() == 19
                await opened(workers, phantoms[0])  # there is one place, and it is free
                ended.append("good")
                asking.cancel()

        await asyncio.wait_for(slow(), 60)
        return ended

    assert asyncio.run(both()) == ["demoted", "good"]


def test_too_many_slow_files_are_declined(
    config: Config, bomb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "GRACE", 0.02)
    monkeypatch.setattr(pool, "SLOW", 0)
    with pytest.raises(Declined, match="other slow files") as declined:
        asyncio.run(opened(Pool(config), bomb))
    assert declined.value.status == 503


def test_a_crash_is_a_refusal(config: Config, phantoms: list[Path]) -> None:
    async def crashed() -> None:
        async with Pool(config).job() as job:
            assert job._process.pid
            os.kill(job._process.pid, signal.SIGKILL)
            await job.ask("open", path=str(phantoms[0]), side=64)

    with pytest.raises(Declined) as declined:
        asyncio.run(crashed())
    assert declined.value.code == "LIMIT-CRASHED"


def test_no_process_outlives_its_request(config: Config, phantoms: list[Path]) -> None:
    async def leaves() -> int:
        async with Pool(config).job() as job:
            await job.ask("open", path=str(phantoms[0]), side=64)
            return int(job._process.pid or 0)

    number = asyncio.run(leaves())
    assert not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE
