"""Worker processes with limits: a slow or hostile file costs its own request and delays no other.

Each request gets a process of its own, forked from a template that has everything imported. `fast` requests are worked on at
once. One that uses more than `GRACE` seconds of CPU time gives its place to the next and continues at the lowest priority;
at most `SLOW` do so. It is killed at `CPU_SECONDS`, and its memory is limited from the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import psutil

from ensemble.app import worker
from ensemble.app.upload import Declined
from imaging.io.threads import cores

GRACE = 1.0
"""Seconds of CPU time; a radiograph of 9 megapixels takes less."""
SLOW = 4
"""Requests beyond their grace at the same time."""
CPU_SECONDS = 30
WALL_SECONDS = 180.0
MEMORY = 3 * 2**30
"""Bytes of address space of one request; a worker at rest has 0.7 GiB."""
TICK = 0.1
"""Seconds between two checks of a worker."""

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class Job:
    """One request's process."""

    def __init__(self, config: worker.Config, threads: ThreadPoolExecutor) -> None:
        context: Any = multiprocessing.get_context(METHOD)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=worker.serve, args=(theirs, config, MEMORY, CPU_SECONDS + 5), daemon=True
        )
        self._process.start()
        theirs.close()
        self._threads = threads
        self._started = time.monotonic()
        self.slow = False
        self._reason: Declined | None = None

    async def ask(self, step: str, body: bytes = b"", **header: Any) -> bytes:
        """One step's answer; Declined carries the reason, also when the process has been stopped or has crashed."""

        def exchange() -> tuple[dict[str, Any], bytes]:
            self._pipe.send_bytes(json.dumps({"step": step, **header}).encode())
            self._pipe.send_bytes(body)
            return json.loads(self._pipe.recv_bytes()), self._pipe.recv_bytes()

        try:
            reply, data = await asyncio.get_running_loop().run_in_executor(self._threads, exchange)
        except (EOFError, OSError):
            crashed = Declined(422, "the program that reads it crashed", "LIMIT-CRASHED")
            raise self._reason or crashed from None
        if reply["status"] != 200:
            raise Declined(reply["status"], reply["reason"], reply.get("code", ""), reply.get("log", ""))
        return data

    def cpu_seconds(self) -> float:
        """Used so far, with the decoders that the worker has started."""
        try:
            process = psutil.Process(self._process.pid)
            times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        except psutil.Error:  # it has ended
            return 0.0
        return sum(one.user + one.system for one in times)

    def wall_seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._started

    def yield_processor(self) -> None:
        """Continue at the lowest priority."""
        self.slow = True
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            for one in (process, *process.children(recursive=True)):
                one.nice(psutil.IDLE_PRIORITY_CLASS if os.name == "nt" else 19)

    def stop(self, reason: Declined | None = None) -> None:
        """Kill the process and its decoders; `ask` then raises the reason."""
        self._reason = self._reason or reason
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(self._process.pid, signal.SIGKILL)  # of its own session
            self._process.kill()

    def end(self) -> None:
        """Stop and forget the process."""
        self.stop()
        self._process.join(5)


class Pool:
    """Gives each request its process and watches it."""

    def __init__(self, config: worker.Config, fast: int | None = None) -> None:
        fast = fast or max(2, cores())
        self.config = config
        self._threads = ThreadPoolExecutor(fast + SLOW + 1, "worker")
        self._places = asyncio.Semaphore(fast)
        self._slow = 0
        if METHOD == "forkserver":
            multiprocessing.set_forkserver_preload([worker.__name__])

    def warm(self) -> None:
        """Start the template, so that the first visitor does not wait for its imports."""
        Job(self.config, self._threads).end()

    @asynccontextmanager
    async def job(self) -> AsyncIterator[Job]:
        """A process for one request; it ends with the block."""
        await self._places.acquire()
        job = None
        watch = None
        try:
            job = Job(self.config, self._threads)
            watch = asyncio.create_task(self._watch(job))
            yield job
        finally:
            if watch is not None:
                watch.cancel()
            if job is not None and job.slow:
                self._slow -= 1
            else:
                self._places.release()
            if job is not None:
                job.end()

    async def _watch(self, job: Job) -> None:
        """Lower the priority of a long job, and stop it at its limits."""
        while True:
            await asyncio.sleep(TICK)
            used = job.cpu_seconds()
            if used > CPU_SECONDS or job.wall_seconds() > WALL_SECONDS:
                job.stop(Declined(422, f"reading was stopped after {used:.0f} seconds of work", "LIMIT-TIME"))
            elif used > GRACE and not job.slow:
                self._make_room(job)

    def _make_room(self, job: Job) -> None:
        if self._slow >= SLOW:
            job.stop(
                Declined(503, "the server is busy with other slow files; try this one again in a minute")
            )
            return
        job.yield_processor()
        self._slow += 1
        self._places.release()
