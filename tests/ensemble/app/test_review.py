"""The page of label review: its requests, and a review in a real browser by keyboard and mouse."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, expect
from starlette.testclient import TestClient

from ensemble.app import __main__ as command
from ensemble.app import review
from ensemble.labels import queue as queues
from imaging.io.files import sha256
from imaging.prepared import Prepared
from tests.ensemble.app.conftest import answering
from tests.ensemble.app.test_browser import CHROMIUM, CONTRAST, browser  # noqa: F401

QUEUE = Path("queue.csv")
LABELS = Path("out/labels.csv")


@pytest.fixture
def queued(world) -> pd.DataFrame:
    """Prepared data, and a queue of their first positive and two negatives."""
    index = Prepared().index
    chosen = pd.concat([index[index["label"] == 1].head(1), index[index["label"] == 0].head(2)])
    queue = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "image_id": chosen["image_id"].to_numpy(),
            "patient_id": chosen["patient_id"].to_numpy(),
            "label": [1, 0, 0],
            "prob": [0.05, 0.9, 0.8],
            "likely_error": [True, True, False],
            "decision": "",
        }
    )
    queues.write(queue, QUEUE)
    return queue


@pytest.fixture
def client(queued: pd.DataFrame) -> TestClient:
    app = review.build(review.Review(QUEUE, LABELS, Prepared()), ["testserver"])
    return TestClient(app)


def decisions() -> list[str]:
    return queues.read(QUEUE)["decision"].tolist()


def test_a_decision_is_on_the_disk_before_it_is_answered(client: TestClient) -> None:
    found = client.get("/api/queue").json()
    assert [row["rank"] for row in found["rows"]] == [1, 2, 3]
    assert set(found["rows"][0]) == set(review.SHOWN)  # no patient
    answer = client.post("/api/decision", json={"rank": 2, "decision": "accepted"})
    assert answer.json() == {"accepted": 1, "rejected": 0, "images": 3}
    assert decisions() == ["", "accepted", ""]
    client.post("/api/decision", json={"rank": 2, "decision": ""})
    assert decisions() == ["", "", ""]


def test_the_label_file_has_its_provenance(client: TestClient, queued: pd.DataFrame) -> None:
    client.post("/api/decision", json={"rank": 1, "decision": "accepted"})
    client.post("/api/decision", json={"rank": 3, "decision": "rejected"})
    answer = client.post("/api/labels", json={}).json()
    assert "1 changed, 1 confirmed" in answer["written"]
    made = pd.read_csv(LABELS).set_index("image_id")
    changed = made[made["label"] != made["previous"]]
    assert changed.index.tolist() == [queued["image_id"][0]]
    note = json.loads(LABELS.with_suffix(".json").read_text())
    assert note["labels"]["sha256"] == sha256(LABELS)
    assert note["queue"]["sha256"] == sha256(QUEUE)
    assert "1 of 160 labels changed, 0 of them to positive" in LABELS.with_suffix(".md").read_text()


def test_the_outline_is_drawn_on_request(client: TestClient) -> None:
    plain, outlined = (client.get(f"/api/picture/1{end}") for end in ("", "?outline=1"))
    assert plain.content[:8] == outlined.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert plain.content != outlined.content
    assert client.get("/api/picture/2").content == client.get("/api/picture/2?outline=1").content


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (
            b'{"rank": 1, "decision": "accepted"}',
            "text/plain",
            415,
        ),  # all that a form of another site can send
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"rank": 1, "decision": "yes"}', "application/json", 400),
        (b'{"rank": "1", "decision": ""}', "application/json", 400),
        (b'{"rank": 9, "decision": ""}', "application/json", 404),
        (b'{"rank": 1, "decision": "' + b"a" * 2000 + b'"}', "application/json", 413),
    ],
)
def test_other_requests_change_nothing(client: TestClient, body: bytes, kind: str, status: int) -> None:
    before = sha256(QUEUE)
    answer = client.post("/api/decision", content=body, headers={"content-type": kind})
    assert (answer.status_code, sha256(QUEUE)) == (status, before)
    assert answer.json()["reason"]


def test_only_this_machine_is_answered(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400
    assert "default-src 'none'" in client.get("/").headers["content-security-policy"]
    assert client.get("/api/picture/9").status_code == 404
    monkeypatch.setattr("sys.argv", ["app", "--review", str(QUEUE), "--host", "0.0.0.0"])
    with pytest.raises(ValueError, match="answers only this machine"):
        command.main()


def test_a_queue_of_other_data_is_refused(queued: pd.DataFrame) -> None:
    queues.write(queued.assign(image_id=["x", "y", "z"]), QUEUE)
    with pytest.raises(ValueError, match="x is not in the prepared data"):
        review.Review(QUEUE, LABELS, Prepared())
    queued.drop(columns="prob").to_csv(QUEUE, index=False)
    with pytest.raises(ValueError, match="the column prob is missing"):
        review.Review(QUEUE, LABELS, Prepared())


@pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")
def test_a_review_by_keyboard(browser: Browser, queued: pd.DataFrame, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "t").mkdir()
    options = ["--review", str(QUEUE), "--labels", str(LABELS)]
    with answering(options, tmp_path / "t") as (page, _):
        visit = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        faults: list[str] = []
        visit.on("pageerror", lambda error: faults.append(str(error)))
        visit.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
        visit.goto(page.url)
        expect(visit.locator("#question")).to_have_text("Labelled positive")
        expect(visit.locator("#accept")).to_contain_text("change to negative")
        visit.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        visit.keyboard.press("a")
        expect(visit.locator("#place")).to_have_text("2 of 3")
        visit.keyboard.press("r")
        expect(visit.locator("#place")).to_have_text("3 of 3")
        expect(visit.locator("#counted")).to_have_text("2 of 3 decided, 1 accepted")
        assert decisions() == ["accepted", "rejected", ""]
        visit.keyboard.press("ArrowUp")
        expect(visit.locator("#reject")).to_have_attribute("aria-pressed", "true")
        visit.keyboard.press("u")
        expect(visit.locator("#counted")).to_have_text("1 of 3 decided, 1 accepted")
        visit.keyboard.press("m")
        expect(visit.locator("#outline")).to_have_attribute("aria-pressed", "false")
        assert visit.evaluate(CONTRAST) == []
        visit.screenshot(path=str(tmp_path / "desktop.png"))
        visit.locator("#save").click()
        expect(visit.locator("#saved")).to_contain_text("1 changed, 0 confirmed")
        assert pd.read_csv(LABELS)["review"].value_counts()["accepted"] == 1
        visit.reload()  # the next session begins at the first label without a decision
        expect(visit.locator("#place")).to_have_text("2 of 3")
        visit.set_viewport_size({"width": 390, "height": 800})
        assert visit.evaluate("document.documentElement.scrollWidth") <= 390
        visit.screenshot(path=str(tmp_path / "phone.png"))
        assert faults == []
