"""The page as a visitor has it: a real browser, the real server, no other machine in reach."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pydicom import dcmread

from tests.ensemble.app.conftest import PATIENT
from tests.ensemble.app.conftest import Page as Served

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")
expect.set_options(timeout=30_000)  # milliseconds: two busy cores

CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > .5) return c; } return [0, 0, 0]; };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, .unseen, .skip, noscript")) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) low.push(`${e.tagName} ${e.id} ${e.textContent.trim().slice(0, 30)}`);
  }
  return low; }"""
"""Elements whose text has less than WCAG's 4.5 : 1 (success criterion 1.4.3, AA) against what is behind it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium that finds no host but this machine."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    options = ["--no-sandbox", "--disable-quic", "--disable-background-networking", rules]
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, page: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page at a desktop's size, or at `param` pixels of width; it may ask this server alone, and raise no error."""
    width = getattr(request, "param", 1440)
    context = browser.new_context(viewport={"width": width, "height": 844}, reduced_motion="reduce")
    asked: list[str] = []
    faults: list[str] = []
    context.on("request", lambda one: asked.append(one.url))
    visited = context.new_page()
    visited.on("pageerror", lambda error: faults.append(str(error)))
    visited.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    visited.goto(page.url)
    expect(visited.locator("#examples button")).to_have_count(6)
    yield visited
    assert visited.locator(".notice").is_visible()
    assert visited.evaluate(CONTRAST) == []
    context.close()
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith((page.url, "data:", "blob:"))] == []
    assert faults == []


def area(visit: Page) -> int:
    return int(re.findall(r"([\d,]+) px", visit.locator("#area").inner_text())[0].replace(",", ""))


def saved(visit: Page, button: str, folder: Path) -> Path:
    """Press a button and keep what it downloads."""
    with visit.expect_download() as download:
        visit.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_read_a_study_move_a_threshold_and_download(
    visit: Page, phantoms: list[Path], tmp_path: Path
) -> None:
    visit.set_input_files("#files", phantoms[0])
    expect(visit.locator("#verdict")).to_have_text("Pneumothorax suspected")
    expect(visit.locator("#reason")).to_contain_text(
        "reaches 0.00, the threshold that flagged 95 % of the positive"
    )
    expect(visit.locator("#rule")).to_have_text(re.compile(r"0\.\d\d, needed 0\.00\.$"))
    expect(visit.locator("#whose")).to_have_text("fitted")
    expect(visit.locator("#path")).to_have_attribute("d", re.compile("^M"))  # the film comes after the words
    fitted, drawn = area(visit), visit.locator("#path").get_attribute("d")

    visit.locator("#level").focus()
    for _ in range(4):
        visit.keyboard.press("ArrowRight")
    expect(visit.locator("#whose")).to_have_text("yours")
    expect(visit.locator("#path")).not_to_have_attribute("d", drawn)
    assert 0 < area(visit) < fitted
    mine = dcmread(saved(visit, "#seg", tmp_path))
    assert int(np.count_nonzero(mine.pixel_array)) == area(visit)
    assert "mask threshold" in mine.ContentDescription

    visit.locator("#needed").fill("100")
    expect(visit.locator("#verdict")).to_have_text("Pneumothorax not suspected")
    expect(visit.locator("#area")).to_have_text("–")
    expect(visit.locator("#seg")).to_be_disabled()
    visit.locator("#fitted").click()
    expect(visit.locator("#path")).to_have_attribute("d", drawn)
    assert area(visit) == fitted

    visit.locator("#show-heat").click()
    expect(visit.locator("#heat-words")).to_contain_text("localising head")
    picture = saved(visit, "#png", tmp_path)
    assert picture.name == "chest0-pneumothorax.png"
    assert Image.open(picture).width == 1024
    assert Image.open(picture).height > 1024  # the words below
    rows = list(csv.DictReader(StringIO(saved(visit, "#csv", tmp_path).read_text())))
    columns = ("file", "decision", "area_px", "flag", "operating_point")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("chest0.dcm", "mask", str(fitted), "suspected", "95 % sensitivity")
    ]
    assert PATIENT not in visit.content()


def test_window_and_level_change_the_picture(visit: Page, phantoms: list[Path]) -> None:
    visit.set_input_files("#files", phantoms[0])
    expect(visit.locator("#tools")).to_be_visible(timeout=20_000)
    pixel = "document.getElementById('radiograph').getContext('2d').getImageData(512, 500, 1, 1).data"
    visit.wait_for_function(f"() => {pixel}[3] === 255")  # painted
    plain = visit.evaluate(f"() => {pixel}[0]")
    visit.keyboard.press("i")
    expect(visit.locator("#note-window")).to_contain_text("inverted")
    visit.wait_for_function(f"() => {pixel}[0] === {255 - plain}")
    visit.keyboard.press("r")
    visit.locator("#centre").fill(str(plain - 40))
    visit.locator("#window").fill("20")
    expect(visit.locator("#note-window")).to_contain_text("W 20")
    visit.wait_for_function(f"() => {pixel}[0] === 255")
    width = visit.locator("#radiograph").bounding_box()["width"]
    visit.keyboard.press("+")
    assert visit.locator("#radiograph").bounding_box()["width"] == pytest.approx(1.25 * width)
    visit.keyboard.press("0")
    assert visit.locator("#radiograph").bounding_box()["width"] == pytest.approx(width)
    visit.keyboard.press("m")
    expect(visit.locator("#outline")).to_be_hidden()


def test_the_film_is_blank_until_its_study_is_decoded(visit: Page, phantoms: list[Path]) -> None:
    visit.set_input_files("#files", phantoms[:2])
    expect(visit.locator("#path")).to_have_attribute("d", re.compile("^M"))
    visit.evaluate("() => { window.createImageBitmap = () => new Promise(() => {}); }")
    visit.locator("#rows tr").last.click()
    expect(visit.locator("#path")).to_have_attribute("d", "")
    middle = "document.getElementById('radiograph').getContext('2d').getImageData(512, 500, 1, 1).data"
    assert visit.evaluate(f"() => {middle}[3]") == 0


def test_several_files_one_of_them_bad(visit: Page, phantoms: list[Path], tmp_path: Path) -> None:
    bad, formula = tmp_path / "bad.dcm", tmp_path / "=cmd.png"
    bad.write_bytes(phantoms[0].read_bytes()[:3000])
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(formula)
    visit.set_input_files("#files", [bad, *phantoms, formula])
    expect(visit.locator("#rows tr")).to_have_count(5)
    expect(visit.locator("#progress")).to_be_hidden()
    shown = [float(text) for text in visit.locator("#rows td.number").all_inner_texts() if text]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 4
    last = visit.locator("#rows tr").last
    expect(last).to_contain_text("Refused")
    last.click()
    expect(visit.locator("#refused")).to_contain_text("cut off")
    expect(visit.locator("#answer")).to_be_hidden()
    text = saved(visit, "#csv", tmp_path).read_text()
    assert "'=cmd.png" in text
    assert "refused" in text.splitlines()[-1]
    visit.locator("#rows tr", has_text="=cmd.png").click()
    expect(visit.locator("#seg-why")).to_contain_text("only a DICOM file belongs to a study")
    visit.set_input_files("#files", phantoms)
    expect(visit.locator("#message")).to_contain_text("at most 5")


def test_operating_points_in_plain_words(visit: Page, phantoms: list[Path]) -> None:
    visit.set_input_files("#files", phantoms[0])
    result = visit.locator("#rows td").last
    expect(result).to_have_text("Suspected")
    visit.select_option("#point", "95 % specificity")
    expect(visit.locator("#verdict")).to_have_text("Pneumothorax not suspected")
    expect(visit.locator("#reason")).to_contain_text("is below 1.00")
    expect(result).to_have_text("Not suspected")
    expect(visit.locator("#path")).to_have_attribute("d", "")
    visit.select_option("#point", "rule")
    expect(visit.locator("#verdict")).to_contain_text("Outlined on")
    expect(visit.locator("#reason")).to_have_text(re.compile(r"^0\.\d\d, needed 0\.00$"))
    expect(result).to_have_text("Mask")


def test_a_readers_threshold_is_for_one_study(visit: Page, phantoms: list[Path]) -> None:
    visit.set_input_files("#files", phantoms[:2])
    rows = visit.locator("#rows tr")
    expect(rows).to_have_count(2)
    first, second = rows.filter(has_text="chest0"), rows.filter(has_text="chest1")
    first.click()
    visit.locator("#level").fill("250")
    expect(visit.locator("#whose")).to_have_text("yours")
    second.click()
    expect(visit.locator("#whose")).to_have_text("fitted")
    first.click()
    expect(visit.locator("#whose")).to_have_text("yours")
    expect(visit.locator("#level")).to_have_value("250")


def test_a_slider_moved_while_the_film_loads_belongs_to_the_chosen_study(
    visit: Page, phantoms: list[Path]
) -> None:
    visit.set_input_files("#files", phantoms[:2])
    rows = visit.locator("#rows tr")
    expect(rows).to_have_count(2)
    first, second = rows.filter(has_text="chest0"), rows.filter(has_text="chest1")
    first.click()
    expect(visit.locator("#radiograph")).to_have_attribute("aria-label", re.compile("^chest0"))
    second.evaluate(
        """row => {
            row.click();
            const level = document.getElementById("level");
            level.value = 250;
            level.dispatchEvent(new Event("input"));
        }"""
    )
    expect(visit.locator("#radiograph")).to_have_attribute("aria-label", re.compile("^chest1"))
    expect(visit.locator("#whose")).to_have_text("yours")
    first.click()
    expect(visit.locator("#whose")).to_have_text("fitted")


def test_a_server_that_does_not_respond_refuses_nothing(
    visit: Page, phantoms: list[Path], tmp_path: Path
) -> None:
    visit.route("**/api/study", lambda route: route.abort())
    visit.set_input_files("#files", phantoms[0])
    expect(visit.locator("#refusal-title")).to_have_text("Not read")
    expect(visit.locator("#rows td").last).to_have_text("Not read")
    assert "not read" in saved(visit, "#csv", tmp_path).read_text()
    visit.unroute("**/api/study")
    visit.locator("#again").click()
    expect(visit.locator("#verdict")).to_have_text("Pneumothorax suspected")
    expect(visit.locator("#rows tr")).to_have_count(1)


def test_notes_lie_beside_the_film(visit: Page, phantoms: list[Path]) -> None:
    visit.set_input_files("#files", phantoms[0])
    expect(visit.locator("#tools")).to_be_visible(timeout=20_000)
    film = visit.locator("#stage").bounding_box()
    for note in ("#note-file", "#note-shape", "#note-window"):
        box = visit.locator(note).bounding_box()
        assert box["y"] + box["height"] <= film["y"] or box["y"] >= film["y"] + film["height"]


def test_any_file_can_be_chosen(visit: Page) -> None:
    assert visit.locator("#files").get_attribute("accept") is None  # DICOM files often have no ending


def test_a_bundle_trained_on_phantoms_says_so(visit: Page) -> None:
    expect(visit.locator("#phantoms")).to_be_visible()
    expect(visit.locator("#phantoms")).to_contain_text("Trained on generated phantoms")


def test_a_file_too_large_is_not_even_sent(visit: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(3 * 2**20))
    visit.set_input_files("#files", large)
    expect(visit.locator("#refused")).to_contain_text("Larger than 2 MiB")


def test_by_keyboard_alone(visit: Page) -> None:
    for _ in range(12):
        visit.keyboard.press("Tab")
        if visit.evaluate("() => Boolean(document.activeElement.closest('#examples'))"):
            break
    visit.keyboard.press("Enter")
    expect(visit.locator("#tools")).to_be_visible(timeout=20_000)
    assert visit.evaluate("() => document.activeElement.id") == "stage"
    for _ in range(12):
        visit.keyboard.press("Tab")
        if visit.evaluate("() => document.activeElement.id") == "needed":
            break
    visit.keyboard.press("End")
    expect(visit.locator("#verdict")).to_have_text("Pneumothorax not suspected")
    expect(visit.locator("#needed")).to_have_attribute("aria-valuetext", "1.00, yours")


@pytest.mark.parametrize("visit", [390], indirect=True)
def test_on_a_phone(visit: Page, phantoms: list[Path]) -> None:
    width = "() => document.documentElement.scrollWidth"
    assert visit.evaluate(width) == 390
    visit.set_input_files("#files", phantoms[0])
    expect(visit.locator("#verdict")).to_be_visible(timeout=20_000)
    assert visit.evaluate(width) == 390
    film, probability = visit.locator("#film").bounding_box(), visit.locator("#probability").bounding_box()
    assert film["width"] == film["height"] == 390
    assert probability["y"] + probability["height"] < 844  # seen without scrolling
