"""HTTP server of the page: each request is about one file, and nothing is kept.

    GET  /api/about                            the bundle's name, operating points, limits, examples
    GET  /api/examples/<n>                     a generated phantom as a DICOM file
    POST /api/study                            file -> picture, map, prediction
    POST /api/heat                             file -> saliency map
    POST /api/cut?level=&geometry=             map  -> the finding at another level
    POST /api/segmentation?level=              file -> DICOM Segmentation

Files are sent without their names. A refused request gets a status 4xx or 5xx and `{"reason": …, "code": …}`.
Files are read in worker processes with limits (ensemble/app/pool.py); networks run here, on squares of a fixed size.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ensemble.app.examples import Example
from ensemble.app.pool import Pool
from ensemble.app.saliency import heat
from ensemble.app.study import Outputs
from ensemble.app.upload import TYPE, Declined, Limits, receive
from ensemble.app.worker import Config, square
from ensemble.inference.bundle import Bundle
from ensemble.inference.predictor import Predictor
from imaging import map_levels
from imaging.dicom_objects.reference import Author

PAGE = Path(__file__).parent / "page"

HEADERS = {
    # The browser then loads nothing from other origins and runs no other script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Work = Callable[[Path, Request], Awaitable[Response]]
"""From the file received and its request to the response."""

log = logging.getLogger(__name__)


def build(
    bundle: Bundle,
    predictor: Predictor,
    examples: list[Example],
    limits: Limits,
    hosts: list[str],
    uploads: Path,
) -> Starlette:
    """The application.

    hosts: the names by which requests may address it; uploads: folder for the files of running requests.
    """
    author = Author(bundle.name, bundle.sha256, bundle.warning)
    config = Config(predictor.decision, author, bundle.no_objects, bundle.domain)
    about = {
        "name": bundle.name,
        "phantoms": bundle.source == "phantom",
        "disease": bundle.disease,
        "heat": bool(predictor.classifiers),
        "points": [point.model_dump(mode="json") for point in predictor.decision.operating_points],
        "thresholds": [map_levels.label(level) for level in range(map_levels.TOP + 1)],
        "limits": asdict(limits),
        "examples": [{"title": example.title, "picture": example.picture} for example in examples],
    }

    async def index(_: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def tell(_: Request) -> Response:
        return JSONResponse(about)

    async def example(request: Request) -> Response:
        named = {str(number): one for number, one in enumerate(examples)}
        found = named.get(request.path_params["number"])
        return Response(status_code=404) if found is None else Response(found.dicom, media_type=TYPE)

    service = Service(config, predictor)
    routes = [
        Route("/", index),
        Route("/api/about", tell),
        Route("/api/examples/{number}", example),
        *(
            Route(f"/api/{name}", _endpoint(work, limits.bytes, uploads), methods=["POST"])
            for name, work in service.questions().items()
        ),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(SecurityHeaders)]
    return Starlette(routes=routes, middleware=middleware)


class Service:
    """The answers to requests about a file."""

    def __init__(self, config: Config, predictor: Predictor) -> None:
        self.predictor, self.pool = predictor, Pool(config)
        self.pool.warm()
        self._one_at_a_time = ThreadPoolExecutor(1, "networks")

    def questions(self) -> dict[str, Work]:
        """By the last part of their address."""
        return {"study": self.study, "heat": self.heat, "cut": self.cut, "segmentation": self.segmentation}

    async def study(self, file: Path, _: Request) -> Response:
        return Response(await self._decided(file, "study"), media_type="application/json")

    async def segmentation(self, file: Path, request: Request) -> Response:
        return Response(await self._decided(file, "segmentation", level=_level(request)), media_type=TYPE)

    async def heat(self, file: Path, _: Request) -> Response:
        side = self.predictor.side
        async with self.pool.job() as job:
            pixels = square(await job.ask("open", path=str(file), side=side, stored=True), side)
        return JSONResponse(await self._on_networks(heat, self.predictor, pixels))

    async def cut(self, file: Path, request: Request) -> Response:
        level, geometry = _level(request), request.query_params.get("geometry", "")
        async with self.pool.job() as job:
            found = await job.ask("cut", path=str(file), level=level, geometry=geometry)
        return Response(found, media_type="application/json")

    async def _decided(self, file: Path, step: str, **header: Any) -> bytes:
        """Read, run the networks, and take a last step with their outputs."""
        side = self.predictor.side
        async with self.pool.job() as job:
            pixels = square(await job.ask("open", path=str(file), side=side), side)
            outputs, body = (await self._on_networks(lambda: Outputs(*self.predictor.outputs(pixels)))).pack()
            return await job.ask(step, body, **outputs, **header)

    async def _on_networks(self, work: Callable[..., Any], *given: Any) -> Any:
        """Run in the thread of the networks; an image at a time, since they use all cores."""
        return await asyncio.get_running_loop().run_in_executor(self._one_at_a_time, work, *given)


def _endpoint(work: Work, limit: int, uploads: Path) -> Callable[[Request], Awaitable[Response]]:
    """Receive a file, work on it, and remove it."""

    async def endpoint(request: Request) -> Response:
        try:
            return await received(request)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            log.error("%s: %s", uploads, error.strerror)
            return JSONResponse({"reason": "the server's disk is full"}, 507)

    async def received(request: Request) -> Response:
        with tempfile.TemporaryDirectory(prefix="upload-", dir=uploads) as folder:
            file = Path(folder) / "upload"
            try:
                await receive(request, file, limit)
                return await work(file, request)
            except Declined as declined:
                if declined.log:
                    log.error(declined.log)
                return JSONResponse({"reason": str(declined), "code": declined.code}, declined.status)
            except asyncio.CancelledError:  # by uvicorn, which logs a traceback where it gets no answer
                return JSONResponse({"reason": "the server is stopping"}, 503)
            except ClientDisconnect:  # the visitor has left; the response is discarded
                return Response(status_code=400)

    return endpoint


def _level(request: Request) -> int:
    """The level, 1 to 255, that a request names."""
    text = request.query_params.get("level", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= map_levels.TOP):
        raise Declined(400, f"level must be a whole number from 1 to {map_levels.TOP}")
    return int(text)


class SecurityHeaders:
    """Put HEADERS on every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    *((key.lower().encode(), value.encode()) for key, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)
