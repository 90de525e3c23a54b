"""Where studies are stored, in Optuna's own storages: a file on this machine, or a PostgreSQL database for many."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from experiments.settings.tuning import TuneSettings
from imaging.io.config import without_passwords

warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna|experiments")

STUDIES = Path("studies")
ENVIRONMENT = "OPTUNA_STORAGE"
MOST_STARTS = 3
"""A trial whose process died this often is probably the cause, for example by taking all memory."""
retry = RetryHeartbeatStaleTrialCallback(max_retry=MOST_STARTS - 1, inherit_intermediate_values=True)
"""Queues a trial again under a new number, with its values and its reports; after MOST_STARTS it does nothing."""


def place_of(stage: str, settings: TuneSettings) -> str:
    """OPTUNA_STORAGE, else the params' choice, as a URL or a journal's path; it may hold a password: never print it."""
    chosen = os.environ.get(ENVIRONMENT) or settings.storage
    local = {
        "sqlite": f"sqlite:///{STUDIES / stage}.db",
        "journal": str(STUDIES / f"{stage}.journal"),
    }
    return local.get(chosen, chosen)


def open_storage(place: str, heartbeat: int) -> BaseStorage:
    """Open or create the storage; a ValueError names, without its password, a database that cannot be opened."""
    if not place.startswith("postgresql"):
        Path(place.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    if "://" not in place:
        return _journal(Path(place).absolute())
    url = sqlalchemy.make_url(place)
    if url.drivername == "postgresql":  # psycopg 3 is installed; SQLAlchemy's bare name means psycopg2
        url = url.set(drivername="postgresql+psycopg")
    try:
        return _database(url, heartbeat)
    except sqlalchemy.exc.OperationalError as error:
        why = without_passwords(str(error.orig)).strip()
        raise ValueError(f"storage {without_passwords(place)} does not answer: {why}") from None


def _database(url: sqlalchemy.URL, heartbeat: int) -> RDBStorage:
    options = {"connect_args": {"timeout": 60}} if url.drivername == "sqlite" else {"pool_pre_ping": True}
    for last in (False, False, True):
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=3 * heartbeat,
                heartbeat_stale_trial_callback=retry,
            )
        except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            # Another worker is creating the tables at the same moment: they exist at the next try.
            if last or not any(word in str(error) for word in ("exists", "duplicate", "UNIQUE")):
                raise
            time.sleep(1)
    raise AssertionError("unreachable")


def _journal(path: Path) -> JournalStorage:
    # An absolute path: the lock is a symbolic link, and a relative one that a kill leaves behind is never taken for stale.
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        _drop_torn_line(path)
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a power failure left half written: the next one would be appended to it."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
