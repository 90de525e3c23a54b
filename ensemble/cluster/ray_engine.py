"""Predict on large archives with Ray: `python -m ensemble.predict FOLDER|LIST --output OUT --engine ray [--address HOST:PORT]`.

Tasks decode files, a pool of actors with the networks predicts, and this process alone writes Parquet files of `shard` rows, each
when it is complete (ensemble.cluster.archive). Each file has exactly one row, whatever fails: Ray repeats lost work, a duplicate
row is detected here, and a run that was killed resumes with the missing shards.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from ensemble.cluster import ray_tasks
from ensemble.cluster.archive import Archive, opened
from ensemble.cluster.inventory import Inventory
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor
from ensemble.rules.gate import Quota
from imaging.io.threads import cores

WAVE = 256
"""Shards that are planned at a time: their names are in memory, and the actors are restarted for each wave."""
STORE = 2**30
"""Bytes of the object store of a cluster that this process starts for itself."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""No usage reports to Ray's developers, no log messages meant for programmers."""
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
"""Makes Ray listen on 127.0.0.1 only, with a token, on every operating system."""
TWICE = "Ray returned a file twice; run the same command again: finished shards are kept"
DECODING = 0.25
"""Cores that a decoding task reserves: decoding is faster than prediction, so four tasks share a core."""


def predict(
    source: str,
    output: Path,
    bundle: Bundle,
    cascade: bool = True,
    exported: tuple[str, Any, Any] | None = None,
    address: str | None = None,
    shard: int = 1024,
) -> Archive:
    """Predict on a folder, URL or list (ensemble.cluster.inventory) and return the archive.

    exported: folder, precision and engine of exported networks; None: in PyTorch. address: of a running cluster; None: one on
    this machine only, for the duration of the run. shard: files per Parquet file and per decoding task; 1,024 images of 512²
    take 256 MiB.
    """
    predictor = bundle.predictor()
    if isinstance(predictor.decision.rule, Quota):
        raise ValueError("the rule `quota` needs all studies before the first decision; use --engine local")
    if shard < 1 or shard % ray_tasks.BATCH:
        raise ValueError(
            f"--shard {shard} must be a multiple of {ray_tasks.BATCH}, the number of files in a batch"
        )
    inventory = Inventory(source)
    engine = "torch fp32" if exported is None else f"{exported[2]} {exported[1]}"
    settings = {"bundle": bundle.name, "bundle_sha256": bundle.sha256, "cascade": cascade, "engine": engine}
    scorer = (str(bundle.folder.resolve()), bundle.sha256, cascade, exported)
    with opened(output, inventory, settings, shard) as archive:
        missing = archive.missing()
        if missing:
            with _session(address), tqdm(total=archive.files, disable=None, unit="image") as bar:
                bar.update(archive.files - sum(archive.rows(number) for number in missing))
                for start in range(0, len(missing), WAVE):
                    _wave(archive, inventory, missing[start : start + WAVE], predictor, scorer, bar)
    return archive


def _wave(
    archive: Archive,
    inventory: Inventory,
    numbers: list[int],
    predictor: Predictor,
    scorer: tuple[Any, ...],
    bar: tqdm[Any],
) -> None:
    """Predict these shards and write each as soon as it is complete."""
    waiting: dict[int, list[pa.Table]] = {number: [] for number in numbers}
    for block in _predicted(archive, inventory, numbers, predictor.side, scorer):
        for number in block["shard"].unique().to_pylist():
            if number not in waiting:
                raise RuntimeError(TWICE)
            rows = block.filter(pa.compute.equal(block["shard"], number))
            waiting[number].append(rows)
            bar.update(len(rows))
            if sum(map(len, waiting[number])) >= archive.rows(number):
                archive.write(number, _whole(waiting.pop(number), archive.rows(number)))
    if waiting:
        raise RuntimeError(
            f"Ray returned no rows for shards {sorted(waiting)}; run the same command again: finished shards are kept"
        )


def _whole(parts: list[pa.Table], files: int) -> pa.Table:
    """A shard's rows in the order of its files; RuntimeError when one is duplicated."""
    table = pa.concat_tables(parts).sort_by("place")
    if table["place"].to_pylist() != list(range(files)):
        raise RuntimeError(TWICE)
    return table.drop_columns(["shard", "place"])


def _predicted(
    archive: Archive, inventory: Inventory, numbers: list[int], side: int, scorer: tuple[Any, ...]
) -> Iterator[pa.Table]:
    """The rows of shards in any order, with their shard and place."""
    import ray

    gpus = int(ray.cluster_resources().get("GPU", 0))
    actors = gpus or max(1, int(ray.cluster_resources()["CPU"]) - sum(node["Alive"] for node in ray.nodes()))
    blocks = [
        ray_tasks.table(number, names, [inventory.address(name) for name in names])
        for number in numbers
        for names in [archive.names(number)]
    ]
    data = (
        ray.data.from_arrow(blocks)
        .map(ray_tasks.decode, fn_kwargs={"side": side}, num_cpus=DECODING)  # type: ignore[arg-type]
        .map_batches(
            ray_tasks.Scorer,
            fn_constructor_args=scorer,
            batch_size=1,
            concurrency=actors,
            num_cpus=1,
            num_gpus=1 if gpus else 0,
        )
    )
    yield from data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


@contextmanager
def _session(address: str | None) -> Iterator[None]:
    """A connection to a cluster, or a cluster of this machine's own: on loopback, with a secret of its own, without usage reports
    or dashboard, and with its logs and spilled images in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        os.environ |= QUIET if address else QUIET | ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
        try:
            import ray  # reads the environment
            import ray.data
        except ImportError:
            raise ValueError("--engine ray needs Ray: pip install '.[ray]'") from None
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            ray.init(
                address="local", num_cpus=cores(), include_dashboard=False, object_store_memory=STORE,
                _node_ip_address="127.0.0.1", _temp_dir=folder, **quiet,
            )  # fmt: skip
        else:
            try:
                ray.init(address=address, **quiet)
            except ConnectionError as error:
                raise ValueError(f"--address {address}: no Ray cluster answers there ({error})") from None
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()
