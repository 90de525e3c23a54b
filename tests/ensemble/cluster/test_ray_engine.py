"""Scoring on Ray gives the rows of the local engine, each once, whatever dies on the way."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest

from ensemble import predict
from ensemble.cluster import ray_engine, ray_tasks
from ensemble.inference import predictor
from ensemble.inference.bundle import Bundle
from ensemble.inference.inputs import find
from imaging import rle
from tests.ensemble.conftest import predict_command
from tests.ensemble.inference.test_privacy import PLANTED, planted_in
from tests.imaging import dicom_files

pytest.importorskip("ray")
SHARD = 16


def write_files(root: Path, number: int) -> Path:
    """Radiographs with names in their headers, all different, a cut one and one that is no picture."""
    (root / "deeper").mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(number):
        pixels = random.integers(0, 256, (64 + i % 7, 80), np.uint8)
        path = dicom_files.write(root / ("deeper" if i % 3 else ".") / f"{i:04}.dcm", pixels, **PLANTED)
    path.write_bytes(path.read_bytes()[:-2000])
    (root / "text.dcm").write_text("no picture")
    return root


def command(folder: Path, out: Path, bundle: Path, *more: str) -> list[str]:
    return predict_command(folder, out, bundle, "--engine", "ray", "--shard", str(SHARD), *more)


def local(folder: Path, out: Path, bundle: Path) -> pd.DataFrame:
    return predict.predict(find(folder), out, Bundle.load(bundle), ())


def shards(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "shards").glob("*.parquet")}


def assert_same(out: Path, expected: pd.DataFrame) -> None:
    """One row a file, with the local engine's numbers, and masks that their codes give back."""
    found = pd.read_parquet(sorted(shards(out)))
    assert len(found) == len(expected) == found["file"].nunique()
    pair = expected.set_index("file").join(found.set_index("file"), rsuffix="_ray", how="left")
    assert (pair["verdict"] == pair["verdict_ray"]).all()
    assert pair["probability_ray"].to_numpy() == pytest.approx(
        pair["probability"].to_numpy(), abs=1e-6, nan_ok=True
    )
    assert (pair["reason"] == pair["reason_ray"]).all()
    for name in ("area_px", "side", "decision"):
        assert (pair[name].astype(object).fillna("") == pair[f"{name}_ray"].astype(object).fillna("")).all()
    read = found[found["verdict"] == "read"]
    for row in read.head(5).to_dict("records"):
        assert rle.decode(row["mask"], (int(row["height"]), int(row["width"]))).sum() == row["area_px"]


def listening(run: subprocess.Popen[str]) -> set[str]:
    """The addresses at which a running command and all that it has started take connections."""
    found: set[str] = set()
    while run.poll() is None:
        for process in [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]:
            try:
                found |= {one.laddr.ip for one in process.net_connections("inet") if one.status == "LISTEN"}
            except psutil.Error:  # has just ended
                continue
        time.sleep(0.5)
    return found


@pytest.mark.slow
def test_one_machine(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, out = write_files(tmp_path / "in", 40), tmp_path / "out"
    line, pipe = command(folder, out, tiny_bundle), subprocess.PIPE
    run = subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "TMPDIR": "/tmp"})
    assert listening(run) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    said, error = run.communicate()
    assert run.returncode == predict.TOO_MANY_REFUSED, error
    assert "39 read, 2 refused" in said
    assert_same(out, local(folder, tmp_path / "local", tiny_bundle))
    assert planted_in(out) == {}
    assert not [value for value in PLANTED.values() if value in said + error]
    before = shards(out)
    again = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "39 read, 2 refused" in again.stdout  # without Ray: nothing is left to do
    assert shards(out) == before


def test_batches_are_those_of_the_local_engine() -> None:
    """Of equal size and begin, or the networks' numbers would differ in their last digits."""
    assert ray_tasks.BATCH == predictor.BATCH
    table = ray_tasks.table(3, [f"{i}" for i in range(40)], [f"/x/{i}" for i in range(40)])
    assert table["first"].to_pylist() == [0, 16, 32]
    assert [len(json.loads(names)) for names in table["names"].to_pylist()] == [16, 16, 8]


@pytest.mark.parametrize("places", [[0, 1, 1], [0, 2, 2], [1, 2, 3]])
def test_a_second_answer_is_noticed(places: list[int]) -> None:
    rows = pa.Table.from_pylist([{"shard": 0, "place": place} for place in places], ray_tasks.PLACED)
    with pytest.raises(RuntimeError, match="twice"):
        ray_engine._whole([rows], 3)


def test_nothing_is_reported_to_rays_makers(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = pytest.importorskip("ray._common.usage.usage_lib")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", ray_engine.QUIET["RAY_USAGE_STATS_ENABLED"])
    assert not usage.usage_stats_enabled()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "20"], "--shard 20 must be a multiple of 16"),
        (["--dicom", "seg"], "--engine ray writes only tables"),
        (["--engine", "local", "--dicom", "none"], "--shard 16: needs --engine ray"),
    ],
)
def test_what_does_not_go_together(
    tiny_bundle: Path, tmp_path: Path, more: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", command(tmp_path / "in", tmp_path / "out", tiny_bundle, *more)[2:])
    with pytest.raises(ValueError, match=message):
        predict.main()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, str], list[psutil.Process]]]:
    """Two nodes of one core each, started as an administrator does: the address, the environment and the nodes."""
    ray = Path(sys.executable).parent / "ray"
    folder = Path("/tmp") / f"nodes-{secrets.token_hex(4)}"  # sockets allow 107 characters
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    address = f"127.0.0.2:{20000 + os.getpid() % 20000}"
    common = ["--block", "--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats"]
    head = ["--head", "--node-ip-address=127.0.0.2", f"--port={address.split(':')[1]}", "--include-dashboard=false",
            f"--temp-dir={folder}"]  # fmt: skip
    nodes = []
    for number, own in enumerate((head, [f"--address={address}", "--node-ip-address=127.0.0.3"])):
        log = tmp_path_factory.mktemp("node") / f"{number}.log"
        nodes.append(
            psutil.Popen(
                [ray, "start", *own, *common], env=environment, stdout=log.open("w"), stderr=subprocess.STDOUT
            )
        )
        end = time.monotonic() + 90
        while "Ray runtime started" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)
    yield address, environment, nodes
    for node in reversed(nodes):
        family = [node, *node.children(recursive=True)]
        node.terminate()
        _, living = psutil.wait_procs(family, timeout=20)
        for one in living:
            one.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def many(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Files for half a minute, and what the local engine says of them."""
    root = tmp_path_factory.mktemp("many")
    folder = write_files(root / "in", 600)
    return folder, local(folder, root / "local", tiny_bundle)


def wait_for_shards(out: Path, number: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while len(shards(out)) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def workers(nodes: list[psutil.Process], named: str) -> list[psutil.Process]:
    found = [child for node in nodes for child in node.children(recursive=True)]
    return [child for child in found if child.is_running() and any(named in word for word in child.cmdline())]


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(
    cluster: tuple[str, dict[str, str], list[psutil.Process]], many: tuple[Path, pd.DataFrame], tiny_bundle: Path, tmp_path: Path
) -> None:  # fmt: skip
    (address, environment, nodes), (folder, expected) = cluster, many
    line = command(folder, tmp_path / "out", tiny_bundle, "--address", address, "--refused", "1")
    run = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_shards(tmp_path / "out", 3, run)
    victims = workers(nodes, "ray::MapWorker") + workers(nodes, "ray::Map(")
    assert victims
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    assert len(shards(tmp_path / "out")) < 38  # of 38: it was in the middle
    out, error = run.communicate(timeout=240)
    assert run.returncode == 0, error
    assert "599 read, 2 refused" in out
    assert_same(tmp_path / "out", expected)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_what_is_missing(
    cluster: tuple[str, dict[str, str], list[psutil.Process]], many: tuple[Path, pd.DataFrame], tiny_bundle: Path, tmp_path: Path
) -> None:  # fmt: skip
    (address, environment, _), (folder, expected) = cluster, many
    line = command(folder, tmp_path / "out", tiny_bundle, "--address", address, "--refused", "1")
    run = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_shards(tmp_path / "out", 3, run)
    run.kill()
    run.wait()
    before = shards(tmp_path / "out")
    assert 3 <= len(before) < 38
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    after = shards(tmp_path / "out")
    assert {path: after[path] for path in before} == before
    assert_same(tmp_path / "out", expected)
