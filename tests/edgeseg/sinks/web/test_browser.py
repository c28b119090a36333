"""The page in a real browser: Chromium without a window, at the size of a desktop and of a phone."""

from __future__ import annotations

import importlib
import os
import shutil
import threading
from dataclasses import replace

import pytest

from edgeseg.sinks.web import Address, Channel, WebPage, WebSink

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
NONE = "\N{EN DASH}"
BOXES = ((20, 40, 60, 80), (70, 10, 120, 50))


@pytest.fixture(scope="module")
def browser():
    """Driven by Playwright."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError:
        pytest.skip("no Playwright: pip install 'edgeseg[dev]'")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def feed(make_frame, make_result):
    """Feeds sinks until the test ends: numbered frames with two instances, scores 0.9 and 0.8."""
    over, threads = threading.Event(), []

    def work(sinks):
        index = 0
        while not over.wait(0.02):
            result = replace(make_result(BOXES, index=index, track_ids=[4, -1]), spans={"infer": 0.02})
            for sink in sinks:
                sink.write(make_frame(index), result)
            index += 1

    def start(*sinks):
        threads.append(threading.Thread(target=work, args=(sinks,)))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def run(page, feed):
    """A run that goes on beside the test."""
    feed(page)
    return page


@pytest.fixture
def several(tmp_path, feed):
    """Two streams that go on, one that is being connected anew, and one that failed."""
    names = ("synthetic:seed=7", "rtsp://192.168.0.10/a-name-that-is-long-enough-to-be-cut-off", "rtsp://192.168.0.11/1", "/dev/video0")
    channels = [Channel(number, name, lambda number=number: number == 2) for number, name in enumerate(names)]
    with WebPage(Address("127.0.0.1", 0), record_dir=tmp_path, channels=channels) as page:
        page.sinks[3].fail("/dev/video0 cannot be opened. Is the camera connected, and not used by another program?")
        feed(page.sinks[0], page.sinks[1])
        yield page


def opened(browser, sink: WebSink | WebPage, size: str, picture: str = "#picture:not([hidden])"):
    """The page with its first picture, and whatever it complained of."""
    tab = browser.new_page(viewport=SIZES[size])
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(sink.url)
    tab.wait_for_selector(picture)
    return tab, complaints


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_page_shows_the_run(browser, run, size):
    """Picture, figures and list are there and go on, nothing sticks out of the screen, and the console is empty."""
    tab, complaints = opened(browser, run, size)
    first = tab.inner_text("#frame")
    tab.wait_for_selector(f"#frame:not(:text-is('{first}'))")

    assert tab.inner_text("#state") == "live"
    assert tab.inner_text("#step") == "key"
    assert tab.inner_text("#latency") == "20 ms"
    assert tab.locator("#list li").all_text_contents() == ["cat#40.90", "dog0.80"]
    assert tab.evaluate("document.getElementById('picture').naturalWidth") == 128
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    assert complaints == []
    if folder := os.environ.get("EDGESEG_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/{size}.png")
    tab.close()


@pytest.mark.slow
def test_controls_do_what_they_say(browser, run, tmp_path):
    """The slider filters the list, pause holds the picture until it goes on, and a recording is started and stopped."""
    tab, complaints = opened(browser, run, "phone")

    tab.fill("#least", "0.85")
    tab.wait_for_selector("#list li:only-child")
    tab.click("#pause")
    assert tab.inner_text("#state") == "paused"
    held = tab.inner_text("#frame")
    tab.click("#pause")
    tab.wait_for_selector(f"#frame:not(:text-is('{held}'))")
    tab.click("#record")
    tab.wait_for_selector("#red:not([hidden])")
    tab.wait_for_selector("#note:text-matches(': [1-9][0-9]* frames')")
    tab.click("#record")
    tab.wait_for_selector("#red", state="hidden")
    tab.close()
    run.close()

    assert len(list(tmp_path.glob("*.mp4"))) == 1
    assert complaints == []


@pytest.mark.slow
def test_end_of_the_run_is_told(browser, page, make_frame, make_result):
    """The page says so instead of standing still."""
    page.write(make_frame(), make_result())
    tab, _ = opened(browser, page, "desktop")

    page.close()

    tab.wait_for_selector("#state:text-is('the run has ended or cannot be reached')")
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_overview_shows_all_streams(browser, several, size):
    """A tile for each with its state; pictures go on, nothing sticks out of the screen, and the console is empty."""
    tab, complaints = opened(browser, several, size, ".tile:nth-child(2) img:not([hidden])")
    first = tab.get_attribute(".tile:first-child img", "src")
    tab.wait_for_selector(f".tile:first-child img:not([src='{first}'])")

    assert tab.locator(".kind").all_text_contents() == ["live", "live", "reconnecting", "failed"]
    assert tab.inner_text("#state") == "2 of 4 live"
    assert tab.locator(".instances").all_text_contents() == ["2", "2", NONE, NONE]
    assert tab.inner_text(".tile:nth-child(4) .says").startswith("failed: /dev/video0 cannot be opened.")
    assert tab.evaluate("document.querySelector('.tile img').naturalWidth") == 128
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    assert complaints == []
    if folder := os.environ.get("EDGESEG_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/streams-{size}.png")
    tab.close()


@pytest.mark.slow
def test_tile_leads_to_the_page_of_its_stream(browser, several, tmp_path):
    """Score and recording there are those of the one stream, the overview says that it is recorded, and a link leads back."""
    tab, complaints = opened(browser, several, "phone", ".tile:nth-child(2) img:not([hidden])")

    tab.click(".tile:nth-child(2)")
    tab.wait_for_selector("#picture:not([hidden])")
    assert tab.url.endswith("/streams/1/")
    tab.fill("#least", "0.85")
    tab.wait_for_selector("#list li:only-child")
    tab.click("#record")
    tab.wait_for_selector("#note:text-matches('edgeseg-1-.*: [1-9][0-9]* frames')")
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"]["width"]
    if folder := os.environ.get("EDGESEG_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/stream-phone.png")
    tab.click("#all")
    tab.wait_for_selector(".tile:nth-child(2) .red:not([hidden])")
    assert tab.locator(".tile:first-child .red").is_hidden()
    assert tab.locator(".instances").all_text_contents()[:2] == ["2", "1"]
    tab.close()

    assert complaints == []


@pytest.mark.slow
def test_stream_that_failed_says_why(browser, several):
    """On its page, where no picture ever was."""
    tab = browser.new_page(viewport=SIZES["phone"])
    tab.goto(f"{several.url}streams/3/")

    tab.wait_for_selector("#wait:text-matches('^failed: /dev/video0')")
    assert tab.inner_text("#state") == "failed"
    if folder := os.environ.get("EDGESEG_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/failed-phone.png")
    tab.close()
