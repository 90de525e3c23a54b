"""Where studies lie, and which process works on which of their trials: a file on this machine, or PostgreSQL for many.

A process may die at any moment. Its locks go with it, its trial stays behind as running, and whoever comes next takes that
very trial over: no trial is lost, none is counted twice.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._heartbeat import (
    get_heartbeat_thread,  # study.optimize's own; ask and tell have no public one
)
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from experiments.settings.tuning import TuneSettings
from imaging.io.config import without_passwords

STUDIES = Path("studies")
ENVIRONMENT = "OPTUNA_STORAGE"
_ONE_AT_A_TIME = 0x7075_656D  # the number of PostgreSQL's advisory lock: any, but the same in every worker


class Storage(Protocol):
    """A place for studies that several processes may share."""

    @property
    def backend(self) -> BaseStorage:
        """As Optuna knows it."""

    def alone(self) -> AbstractContextManager[None]:
        """While it is held no other process takes a trial."""

    def abandoned(self, study: optuna.Study) -> list[FrozenTrial]:
        """Running trials whose process is gone; to be called alone."""

    def sign(self, trial: optuna.Trial) -> None:
        """Mark a trial as this process' own; to be called alone."""

    def working(self, trial: optuna.Trial) -> AbstractContextManager[None]:
        """While it is held the trial stays this process' own."""


def place_of(stage: str, settings: TuneSettings) -> str:
    """OPTUNA_STORAGE, else the params' choice, as a URL or a journal's path; it may hold a password: never print it."""
    chosen = os.environ.get(ENVIRONMENT) or settings.storage
    local = {
        "sqlite": f"sqlite:///{STUDIES / stage}.db",
        "journal": str(STUDIES / f"{stage}.journal"),
    }
    return local.get(chosen, chosen)


def open_storage(place: str, heartbeat: int) -> Storage:
    """Open or create the storage; a ValueError says, without the password, which one does not answer."""
    if not place.startswith("postgresql"):
        return Files(place)
    try:
        return Server(place, heartbeat)
    except sqlalchemy.exc.OperationalError as error:
        why = without_passwords(str(error.orig)).strip()
        raise ValueError(f"storage {without_passwords(place)} does not answer: {why}") from None


class Files:
    """A SQLite file or a journal on this machine; the kernel's file locks say which trials have a living process."""

    def __init__(self, place: str) -> None:
        path = Path(place.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.locks = path.with_suffix(".locks")
        self.locks.mkdir(exist_ok=True)
        self._held: dict[int, IO[str]] = {}
        with self.alone():
            self.backend = self._open(place, path)

    def _open(self, place: str, path: Path) -> BaseStorage:
        if place.startswith("sqlite"):
            return RDBStorage(place, engine_kwargs={"connect_args": {"timeout": 60}})
        _drop_torn_line(path)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_KernelLock(self.locks / "journal")))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See Storage."""
        with (self.locks / "alone").open("w") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX)
            yield

    def abandoned(self, study: optuna.Study) -> list[FrozenTrial]:
        """See Storage."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if self._take(trial._trial_id)]

    def sign(self, trial: optuna.Trial) -> None:
        """See Storage."""
        self._take(trial._trial_id)
        for other in set(self._held) - {trial._trial_id}:
            self._held.pop(other).close()

    @contextmanager
    def working(self, trial: optuna.Trial) -> Iterator[None]:
        """See Storage; the lock was taken by `sign`."""
        try:
            yield
        finally:
            self._lock_of(trial._trial_id).unlink(missing_ok=True)
            self._held.pop(trial._trial_id).close()

    def _take(self, trial_id: int) -> bool:
        if trial_id in self._held:
            return True
        # Locks of lockf belong to the process: loaders' workers that outlive it do not keep them.
        handle = self._lock_of(trial_id).open("w")
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        self._held[trial_id] = handle
        return True

    def _lock_of(self, trial_id: int) -> Path:
        return self.locks / f"trial{trial_id}"


class Server:
    """PostgreSQL; a heartbeat every few seconds says which trials have a living process."""

    def __init__(self, url: str, heartbeat: int) -> None:
        # psycopg 3 is what is installed; SQLAlchemy's bare `postgresql` means psycopg2.
        address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
        self._engine = sqlalchemy.create_engine(address, pool_pre_ping=True)
        with self.alone(), warnings.catch_warnings():  # two workers at once would both create the tables
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.backend = RDBStorage(
                address.render_as_string(hide_password=False),
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=heartbeat,
                grace_period=3 * heartbeat,
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See Storage; the lock ends with the transaction, and that with the process."""
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"select pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
            yield

    def abandoned(self, study: optuna.Study) -> list[FrozenTrial]:
        """See Storage; a trial without any sign of life died before its first one."""
        stale = set(self.backend._get_stale_trial_ids(study._study_id))
        query = sqlalchemy.text("select trial_id from trial_heartbeats")
        with self._engine.connect() as connection:
            signed = set(connection.execute(query).scalars())
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [t for t in running if t._trial_id in stale or t._trial_id not in signed]

    def sign(self, trial: optuna.Trial) -> None:
        """See Storage."""
        self.backend.record_heartbeat(trial._trial_id)

    @contextmanager
    def working(self, trial: optuna.Trial) -> Iterator[None]:
        """See Storage."""
        with get_heartbeat_thread(trial._trial_id, self.backend):
            yield


class _KernelLock(BaseJournalFileLock):
    """A journal's lock that a killed process cannot leave behind; Optuna's own is waited for by the others for 30 seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: IO[str] | None = None

    def acquire(self) -> bool:
        self._handle = self.path.open("w")
        fcntl.lockf(self._handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self._handle is not None:
            self._handle.close()


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a power failure left half written: the next one would be appended to it."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
