"""HTTP server of the page that reviews suspicious labels: `python -m ensemble.app --review QUEUE.csv`.

    GET  /api/queue              rows of the queue, with the decisions so far
    GET  /api/picture/<rank>     the prepared radiograph as PNG; ?outline=1 with the annotated outline
    POST /api/decision           {"rank": …, "decision": "accepted" | "rejected" | ""}, written to the queue at once
    POST /api/labels             write the new label file and its provenance

No network runs and no file is read but the queue and the prepared data. Requests that change something must be JSON, which no
form of another site can send, and small.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ensemble.app.server import PAGE, SecurityHeaders
from ensemble.app.upload import Declined
from ensemble.evaluation import overlay_sheets
from ensemble.labels import queue as queues
from imaging.prepared import Prepared

LARGEST = 1024
"""Bytes of a request."""
JSON = "application/json"
SHOWN = ("rank", "image_id", "label", "prob", "likely_error", "decision")


class Review:
    """A queue under review; every decision is on disk before it is answered."""

    def __init__(self, path: Path, output: Path, prepared: Prepared) -> None:
        self.path, self.output, self.prepared = path, output, prepared
        self.queue = queues.read(path).set_index("rank", drop=False)
        strangers = set(self.queue["image_id"]) - set(prepared.index["image_id"])
        if strangers:
            raise ValueError(f"{path}: {min(strangers)} is not in the prepared data; write the queue again")
        self._lock = asyncio.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """The queue as the page displays it."""
        return json.loads(self.queue[list(SHOWN)].to_json(orient="records"))

    def picture(self, rank: int, outline: bool) -> bytes:
        """An image as PNG, with the annotated outline where it is requested and known."""
        row = int(self.prepared.rows([self._row(rank)["image_id"]])[0])
        mask = self.prepared.mask(row).astype(np.bool_) & outline
        picture = overlay_sheets.draw(self.prepared.images[row], mask, np.zeros_like(mask))
        _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return data.tobytes()

    async def decide(self, given: dict[str, Any]) -> dict[str, Any]:
        """Write one decision; returns the counts."""
        rank, decision = given.get("rank"), given.get("decision")
        if not isinstance(rank, int) or decision not in queues.DECISIONS:
            raise Declined(400, "give rank, and decision: accepted, rejected or empty")
        self._row(rank)
        async with self._lock:
            changed = self.queue.copy()
            changed.loc[rank, "decision"] = decision
            queues.write(changed, self.path)
            self.queue = changed
        return self.counts()

    async def write_labels(self, _: dict[str, Any]) -> dict[str, Any]:
        """Write the label file; returns what was written."""
        async with self._lock:
            return {"written": queues.apply(self.path, self.output, self.prepared), **self.counts()}

    def counts(self) -> dict[str, Any]:
        """How many labels were accepted, rejected, and are in the queue."""
        found = self.queue["decision"].value_counts()
        return {name: int(found.get(name, 0)) for name in ("accepted", "rejected")} | {
            "images": len(self.queue)
        }

    def _row(self, rank: int) -> pd.Series:
        if rank not in self.queue.index:
            raise Declined(404, f"the queue has no rank {rank}")
        return self.queue.loc[[rank]].iloc[0]


def build(review: Review, hosts: list[str]) -> Starlette:
    """The application; hosts: the names by which requests may address it."""

    async def index(_: Request) -> Response:
        return FileResponse(PAGE / "review.html")

    async def rows(_: Request) -> Response:
        return JSONResponse({"rows": review.rows(), "labels": str(review.output), **review.counts()})

    async def picture(request: Request) -> Response:
        try:
            outline = request.query_params.get("outline") == "1"
            return Response(review.picture(request.path_params["rank"], outline), media_type="image/png")
        except Declined as declined:
            return JSONResponse({"reason": str(declined)}, declined.status)

    routes = [
        Route("/", index),
        Route("/api/queue", rows),
        Route("/api/picture/{rank:int}", picture),
        Route("/api/decision", _posted(review.decide), methods=["POST"]),
        Route("/api/labels", _posted(review.write_labels), methods=["POST"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(SecurityHeaders)]
    return Starlette(routes=routes, middleware=middleware)


def _posted(
    work: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    """Read a small JSON object and answer with another."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await work(await _object(request)))
        except Declined as declined:
            return JSONResponse({"reason": str(declined)}, declined.status)
        except (ValueError, OSError) as error:  # the queue does not fit the data, or the disk is full
            return JSONResponse({"reason": str(error)}, 409)

    return endpoint


async def _object(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type") != JSON:
        raise Declined(415, f"send {JSON}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise Declined(413, f"larger than {LARGEST} bytes")
    try:
        given = json.loads(body)
    except ValueError:
        raise Declined(400, "this is not JSON") from None
    if not isinstance(given, dict):
        raise Declined(400, "send a JSON object")
    return given
