"""Serve the web page on this machine.

    python -m ensemble.app [--bundle models/bundle] [--host 127.0.0.1] [--port 7860]
    python -m ensemble.app --review reports/label_review/queue.csv [--labels LABELS.csv]

Uploaded files are deleted with their request, and nothing is logged about them. With --review it is the page that accepts or
rejects suspicious labels; it needs no bundle, and answers only this machine.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from ensemble.app import review
from ensemble.app.examples import examples
from ensemble.app.server import build
from ensemble.app.upload import Limits, temporary_folder
from ensemble.inference.bundle import PATH, Bundle
from imaging.io import command
from imaging.io.files import check_names_file
from imaging.prepared import FOLDER, Prepared

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECTIONS = 128
"""Concurrent requests; any further one is answered with 503. Each may hold an upload on disk."""


def main() -> None:
    """Serve the page for studies, or the one for labels, until the first signal."""
    given = arguments()
    check_free(given)
    if given.review:
        serve_review(given)
    else:
        serve_studies(given)


def serve_review(given: argparse.Namespace) -> None:
    """The page that reviews the labels of a queue."""
    if given.host not in LOOPBACK:
        raise ValueError(
            f"--host {given.host}: a review changes files and has no log-in, so it answers only this machine; leave "
            "--host out"
        )
    check_names_file(given.labels)
    app = review.build(review.Review(given.review, given.labels, Prepared(FOLDER)), hosts(given))
    print(
        f"{given.review}: http://{given.host}:{given.port}  (Ctrl-C stops it). Research use, not for diagnosis."
    )
    listen(app, given)


def serve_studies(given: argparse.Namespace) -> None:
    """Load the bundle, make the phantom examples, and serve the page that reads studies."""
    print(f"Loading {given.bundle}: some seconds", flush=True)
    bundle = Bundle.load(given.bundle)
    predictor = bundle.predictor()
    limits = Limits(given.max_mb * 2**20, given.max_files)
    with temporary_folder() as uploads:
        app = build(bundle, predictor, examples(), limits, hosts(given), uploads)
        if given.host not in LOOPBACK:
            print(
                f"WARNING: {given.host} can be reached from other machines, and this page has no log-in; see docs/app.md"
            )
        print(
            f"{bundle.name}: http://{given.host}:{given.port}  (Ctrl-C stops it). Research use, not for diagnosis."
        )
        listen(app, given)


def check_free(given: argparse.Namespace) -> None:
    """ValueError where another program listens on the address, before a bundle is loaded."""
    with socket.socket(socket.AF_INET6 if ":" in given.host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((given.host, given.port))
        except OSError as error:
            raise ValueError(
                f"--host {given.host} --port {given.port}: {error.strerror}; give another port, such as "
                f"--port {given.port % 65_535 + 1} (make app PORT={given.port % 65_535 + 1})"
            ) from error


def listen(app: Starlette, given: argparse.Namespace) -> None:
    """Answer requests until the first signal."""
    # No access log: not even the time at which somebody opened a study is kept.
    uvicorn.run(
        app,
        host=given.host,
        port=given.port,
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=1,
    )


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.app", description="Serve the web page on this machine."
    )
    parser.add_argument(
        "--bundle", type=command.place, default=Path(PATH), help="the exported bundle (default: %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument("--port", type=port, default=7860, help="default: %(default)s")
    parser.add_argument(
        "--public-name", action="append", default=[], help="host name under which a proxy serves the page"
    )
    parser.add_argument(
        "--max-mb",
        type=command.count,
        default=64,
        help="largest file accepted, in MiB (default: %(default)s)",
    )
    parser.add_argument(
        "--max-files", type=command.count, default=200, help="most files at once (default: %(default)s)"
    )
    parser.add_argument(
        "--review", type=command.place, metavar="QUEUE.csv", help="review the labels of this queue"
    )
    parser.add_argument(
        "--labels",
        type=command.place,
        default=Path("reports/label_review/labels.csv"),
        help="label file that a review writes (default: %(default)s)",
    )
    return parser.parse_args()


def port(text: str) -> int:
    """The number of a port that a server may listen on."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 1 to 65535")
    return int(text)


def hosts(given: argparse.Namespace) -> list[str]:
    """Host names that a request may carry: any other belongs to a page elsewhere whose name points here (DNS rebinding)."""
    return [*LOOPBACK, "[::1]", given.host, *given.public_name]


if __name__ == "__main__":
    command.run(main)
