"""The page in a real browser: Chromium without a window, at the size of a desktop and of a phone."""

from __future__ import annotations

import importlib
import os
import shutil
import threading
from dataclasses import replace

import pytest

from edgeseg.sinks.web import WebSink

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
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
def run(page, make_frame, make_result):
    """A run that goes on beside the test: numbered frames with two instances, scores 0.9 and 0.8."""
    over = threading.Event()

    def feed():
        index = 0
        while not over.wait(0.02):
            result = replace(make_result(BOXES, index=index, track_ids=[4, -1]), spans={"infer": 0.02})
            page.write(make_frame(index), result)
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    yield page
    over.set()
    thread.join()


def opened(browser, sink: WebSink, size: str):
    """The page with its first picture, and whatever it complained of."""
    tab = browser.new_page(viewport=SIZES[size])
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(sink.url)
    tab.wait_for_selector("#picture:not([hidden])")
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
