"""What the server answers, refuses, and leaves behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from pydicom import dcmread

from ensemble.app.study import no_object
from ensemble.app.worker import Config, Worker, answered
from ensemble.inference.bundle import Bundle
from ensemble.inference.findings import measure
from ensemble.inference.predictor import Predictor
from imaging.decoding.radiograph import Facts
from imaging.dicom_objects.reference import Author
from tests.ensemble.app.bombs import checkerboard, large_png
from tests.ensemble.app.conftest import LIMIT_MB, PATIENT, Page, serving

FILE = "application/octet-stream"
PLAIN = '{"spacing_mm": null, "view": null, "orientation": []}'


def ask(
    page: Page, path: str, body: Any = None, timeout: float = 60, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a request; a body makes it a POST."""
    connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=timeout)
    given = {"Content-Type": FILE} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET" if body is None else "POST", path, body, given)
    response = connection.getresponse()
    return response.status, response.read(), dict(response.getheaders())


def study(page: Page, path: Path) -> dict[str, Any]:
    status, body, _ = ask(page, "/api/study", path.read_bytes())
    assert status == 200, body
    return json.loads(body)


def levels(answer: dict[str, Any]) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(b64decode(answer["map"]), np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_answer_is_the_predictors(page: Page, phantoms: list[Path], predictor: Predictor) -> None:
    answer = study(page, phantoms[0])
    scored = next(iter(predictor.files([phantoms[0]], cascade=False)))
    assert scored.prediction is not None
    assert scored.facts is not None
    assert answer["prob"] == pytest.approx(scored.prediction.prob, abs=1e-6)
    assert (answer["reason"], answer["level"], answer["needed"]) == (
        scored.prediction.reason, scored.prediction.level, 0.0,
    )  # fmt: skip
    found = measure(scored.prediction.mask, scored.facts)
    assert found.area_px > 0
    assert {key: answer["finding"][key] for key in ("area_px", "area_mm2", "side")} == vars(found)
    assert np.array_equal(levels(answer) >= answer["level"], scored.prediction.mask)
    assert (answer["width"], answer["height"], answer["no_object"], answer["depth"]) == (1024, 1024, "", 8)


def test_a_map_cut_elsewhere(page: Page, phantoms: list[Path]) -> None:
    answer = study(page, phantoms[0])
    at = answer["level"] + 3
    status, body, _ = ask(
        page, f"/api/cut?level={at}&geometry={quote(answer['geometry'])}", b64decode(answer["map"])
    )
    said = json.loads(body)
    assert status == 200
    assert said["area_px"] == int((levels(answer) >= at).sum())
    spacing = json.loads(answer["geometry"])["spacing_mm"]
    assert said["area_mm2"] == pytest.approx(said["area_px"] * spacing[0] * spacing[1])
    mask = levels(answer) >= at
    assert said["side"] == measure(mask, Facts(*mask.shape)).side


def test_a_segmentation_over_its_study(page: Page, phantoms: list[Path]) -> None:
    answer, source = study(page, phantoms[0]), dcmread(phantoms[0])
    for at, note in ((answer["level"], ""), (answer["level"] + 3, "mask threshold")):
        status, body, _ = ask(page, f"/api/segmentation?level={at}", phantoms[0].read_bytes())
        assert status == 200, body
        made = dcmread(BytesIO(body))
        assert np.array_equal(made.pixel_array > 0, levels(answer) >= at)
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert note in str(made.get("ContentDescription") or "")


def test_the_localising_heads_own_cells(page: Page, phantoms: list[Path]) -> None:
    status, body, _ = ask(page, "/api/heat", phantoms[0].read_bytes())
    said = json.loads(body)
    picture = cv2.imdecode(np.frombuffer(b64decode(said["picture"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (status, picture.shape) == (200, (512, 512, 4))
    assert "localising head of c" in said["words"]
    assert json.loads(ask(page, "/api/about")[1])["heat"] is True  # else the page hides the button


PICTURE = cv2.imencode(".png", np.full((40, 40), 90, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "reason"),
    [
        ("/api/study", b"", {}, 422, "the file is empty"),
        ("/api/study", b"no picture at all", {}, 422, "neither a DICOM file"),
        ("/api/study", b"\x89PNG\r\n\x1a\n cut off", {}, 422, "PNG"),
        ("/api/study", bytes(LIMIT_MB * 2**20 + 1), {}, 413, "larger than 2 MiB"),
        ("/api/study", iter([bytes(2**20)] * 3), {}, 413, "larger than 2 MiB"),  # in pieces, its size not declared
        ("/api/study", b"x", {"Content_Type": "text/plain"}, 415, "application/octet-stream"),
        ("/api/segmentation?level=100", PICTURE, {}, 422, "no valid StudyInstanceUID"),
        ("/api/segmentation?level=256", PICTURE, {}, 400, "level"),
        (f"/api/segmentation?level={'1' * 5000}", PICTURE, {}, 400, "level"),
        ("/api/segmentation?level=0", PICTURE, {}, 400, "level"),
        ("/api/cut?level=9", PICTURE, {}, 400, "geometry"),
        ("/api/cut?level=9&geometry=%7B%22spacing_mm%22%3A%5B0%2C1%5D%7D", PICTURE, {}, 400, "geometry"),
        ("/api/cut?level=%C2%B2", PICTURE, {}, 400, "level"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(
    page: Page, path: str, body: Any, headers: dict[str, str], status: int, reason: str
) -> None:
    found, said, _ = ask(page, path, body, **headers)
    assert found == status, said
    assert reason in json.loads(said)["reason"]
    assert str(page.temporary) not in said.decode()


def test_another_name_for_this_machine_is_refused(page: Page) -> None:
    assert ask(page, "/", Host="evil.example")[0] == 400


def test_every_response_forbids_other_origins_and_caches(page: Page) -> None:
    for path in ("/", "/api/about", "/page/main.js", "/nothing"):
        headers = {name.lower(): value for name, value in ask(page, path)[2].items()}
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_files_beside_the_page_stay_where_they_are(page: Page) -> None:
    for path in ("/page/../server.py", "/page/%2e%2e/server.py", "/server.py"):
        assert ask(page, path)[0] == 404


def test_nothing_is_kept_and_no_patient_is_named(page: Page, phantoms: list[Path]) -> None:
    said = [ask(page, f"/api/{what}", phantoms[0].read_bytes())[1] for what in ("study", "heat")]
    with socket.create_connection(
        urlsplit(page.url).netloc.split(":")
    ) as leaves:  # in the middle of an upload
        leaves.sendall(
            f"POST /api/study HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FILE}\r\nContent-Length: 9000\r\n\r\nDICM".encode()
        )
        time.sleep(0.3)
        assert page.uploads()
    for _ in range(100):
        if not page.uploads():
            break
        time.sleep(0.1)
    assert page.uploads() == []
    assert b"Traceback" not in page.log.read_bytes()
    for text in [*said, page.log.read_bytes()]:
        assert PATIENT.encode() not in text
        assert b"4711" not in text


def test_an_exif_orientation_is_pointed_out(page: Page, tmp_path: Path) -> None:
    grey = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.fromarray(grey).save(tmp_path / "turned.jpg", exif=turned)
    answer = study(page, tmp_path / "turned.jpg")
    assert any("orientation" in note.lower() for note in answer["notes"])
    assert "only a DICOM file" in answer["no_object"]


def test_a_bundle_for_something_else_writes_no_segmentation(
    predictor: Predictor, phantoms: list[Path]
) -> None:
    why = "coded as pneumothorax"
    worker = Worker(Config(predictor.decision, Author("name", "version"), why))
    assert answered(worker, {"step": "open", "path": str(phantoms[0]), "side": 64}, b"")[0] == {"status": 200}
    assert answered(worker, {"step": "segmentation", "level": 9}, b"")[0] == {"status": 422, "reason": why}
    assert no_object(phantoms[0], worker.facts, why) == why
    assert no_object(phantoms[0], worker.facts, "") == ""


def test_bombs_leave_the_others_alone(page: Page, phantoms: list[Path]) -> None:
    """Five slow files in flight, and ten good ones beside them."""
    bombs = [("/api/cut?level=128&geometry=" + quote(PLAIN), checkerboard())] + [
        ("/api/study", large_png())
    ] * 4
    good = phantoms[1].read_bytes()
    with ThreadPoolExecutor(15) as visitors:
        slow = [visitors.submit(ask, page, path, body, timeout=200) for path, body in bombs]
        quick = [visitors.submit(ask, page, "/api/study", good) for _ in range(10)]
        assert [one.result()[0] for one in quick] == [200] * 10
        assert slow[0].result()[0] == 200
        assert {one.result()[0] for one in slow[1:]} <= {200, 422, 503}
    assert page.uploads() == []


def test_a_checkerboard_is_cut_at_once(page: Page) -> None:
    status, body, _ = ask(page, f"/api/cut?level=128&geometry={quote(PLAIN)}", checkerboard())
    found = json.loads(body)
    assert (status, found["area_px"]) == (200, 4096 * 4096 // 2)
    assert found["outline"].count("M") == 1  # too fine to be drawn: its hull


def test_the_server_ends_at_the_first_signal(small_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    with serving(small_bundle.folder, folder) as (page, server), ThreadPoolExecutor(2) as visitors:
        asked = [visitors.submit(ask, page, "/api/study", large_png()) for _ in range(2)]
        while not page.uploads():
            time.sleep(0.05)
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0  # Ctrl-C is how it is stopped
        assert list(folder.iterdir()) == []
        assert "Traceback" not in page.log.read_text()
        for one in asked:  # no answer, or one that says why
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert one.result()[0] >= 400
