"""The HTTP side of the page: four questions about one file each, answered and forgotten.

    GET  /api/about                            the bundle's name, the limits, the examples
    GET  /api/examples/<n>                     a generated phantom as a DICOM file
    POST /api/study                            file -> picture, map, answer
    POST /api/heat                             file -> where the classifier looked
    POST /api/cut?level=&geometry=             map  -> the finding at another level
    POST /api/segmentation?level=              file -> DICOM Segmentation

Files come as they are, without their names. What is not answered gets a status 4xx and `{"reason": …}`.
"""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ensemble.app import study
from ensemble.app.examples import Example
from ensemble.app.saliency import heat
from ensemble.app.upload import TYPE, Declined, Limits, receive
from ensemble.inference.predictor import Predictor
from imaging.decoding.radiograph import RefusedFile
from imaging.dicom_objects.reference import Author

PAGE = Path(__file__).parent / "page"

HEADERS = {
    # The browser itself refuses anything from elsewhere, and every script that is not ours.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Work = Callable[[Path, Request], Any]
"""From the file received and its request to what is answered: bytes, or what becomes JSON."""

log = logging.getLogger(__name__)


def build(
    author: Author, predictor: Predictor, examples: list[Example], limits: Limits, hosts: list[str]
) -> Starlette:
    """The application. author: the bundle's name and seal; hosts: the names by which requests may address it."""
    about = {
        "name": author.name,
        "limits": asdict(limits),
        "examples": [{"title": example.title, "picture": example.picture} for example in examples],
    }

    async def index(_: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def tell(_: Request) -> Response:
        return JSONResponse(about)

    async def example(request: Request) -> Response:
        number = request.path_params["number"]
        return Response(examples[number].dicom if number < len(examples) else b"", media_type=TYPE)

    ask = _asker(limits.bytes)
    routes = [
        Route("/", index),
        Route("/api/about", tell),
        Route("/api/examples/{number:int}", example),
        ask("/api/study", lambda path, _: study.read(predictor, path)),
        ask("/api/heat", lambda path, _: heat(predictor, path)),
        ask(
            "/api/cut",
            lambda path, request: study.cut(
                predictor, path, _level(request), request.query_params.get("geometry", "")
            ),
        ),
        ask(
            "/api/segmentation",
            lambda path, request: study.segmentation(predictor, author, path, _level(request)),
        ),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(_Headers)]
    return Starlette(routes=routes, middleware=middleware)


def _asker(limit: int) -> Callable[[str, Work], Route]:
    """A maker of routes that receive a file, work on it in a thread, one at a time, and remove it."""
    one_at_a_time = anyio.CapacityLimiter(1)  # networks and cores are shared: the others wait for their turn

    def ask(path: str, work: Work) -> Route:
        async def endpoint(request: Request) -> Response:
            with tempfile.TemporaryDirectory(prefix="pneumothorax-") as folder:
                file = Path(folder) / "upload"
                try:
                    await receive(request, file, limit)
                except Declined as declined:
                    return JSONResponse({"reason": str(declined)}, declined.status)
                except ClientDisconnect:  # the visitor has left: nobody reads this
                    return Response(status_code=400)
                return await anyio.to_thread.run_sync(_answer, work, file, request, limiter=one_at_a_time)

        return Route(path, endpoint, methods=["POST"])

    return ask


def _answer(work: Work, file: Path, request: Request) -> Response:
    """Work's result as a response. Messages never carry a path, a name or a value of the header."""
    try:
        result = work(file, request)
    except RefusedFile as refusal:
        return JSONResponse({"reason": refusal.reason}, 422)
    except Declined as declined:
        return JSONResponse({"reason": str(declined)}, declined.status)
    except Exception as error:  # a message could quote the file: say where, not what
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s in %s, line %s", type(error).__name__, Path(place.filename).name, place.lineno)
        return JSONResponse({"reason": f"the program failed on this file ({type(error).__name__})"}, 500)
    return Response(result, media_type=TYPE) if isinstance(result, bytes) else JSONResponse(result)


def _level(request: Request) -> int:
    """The level, 1 to 255, that a request names."""
    said = request.query_params.get("level", "")
    if not (said.isascii() and said.isdigit() and 1 <= int(said) <= 255):
        raise Declined(400, "level must be a whole number from 1 to 255")
    return int(said)


class _Headers:
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
