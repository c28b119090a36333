"""A page with several streams, asked over real connections to a free port of loopback."""

from __future__ import annotations

import json
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeseg.sinks.web import Address, Channel, WebPage, WebSink, site
from edgeseg.sources import open_source


@pytest.fixture
def several(tmp_path):
    """Three streams, the last of which could not be opened."""
    channels = [Channel(number, f"camera {number}") for number in range(3)]
    with WebPage(Address("127.0.0.1", 0), record_dir=tmp_path, channels=channels) as page:
        page.sinks[2].fail("no such device")
        yield page


def parts(answer):
    """Facts and what follows them."""
    length = int.from_bytes(answer.body[:4], "big")
    return json.loads(answer.body[4 : 4 + length]), answer.body[4 + length :]


def test_each_stream_has_its_page_below_the_overview(several, ask, make_frame, make_result):
    """Pictures, score and recordings of one leave the others alone; the overview shows all."""
    for number in (0, 1):
        several.sinks[number].write(make_frame(number), make_result(((0, 0, 9, 9), (20, 20, 40, 40)), index=number))

    assert ask(several, "POST /streams/1/score?least=0.85").status == 200
    facts = [parts(ask(several, f"GET /streams/{number}/frame"))[0] for number in (0, 1)]
    wall, jpegs = parts(ask(several, "GET /wall?after=0"))

    assert [(one["frame"], one["least"], len(one["instances"])) for one in facts] == [(0, 0.0, 2), (1, 0.85, 1)]
    assert [one["kind"] for one in wall["streams"]] == ["live", "live", "failed"]
    assert len(jpegs) == sum(one["bytes"] for one in wall["streams"])
    assert jpegs[:2] == jpegs[wall["streams"][0]["bytes"] :][:2] == b"\xff\xd8"
    assert 'id="tiles"' in ask(several, "GET /").text
    assert 'id="picture"' in ask(several, "GET /streams/0/").text
    assert [ask(several, f"GET {path}").status for path in ("/frame", "/streams/7/", "/streams/7/frame")] == [404, 404, 404]


def test_recordings_are_of_one_stream(several, ask, tmp_path, make_frame, make_result):
    """The name of the file says of which; a stream that ends makes its recording whole, and the others go on."""
    for number in (0, 1):
        ask(several, f"POST /streams/{number}/record?on=1")
        several.sinks[number].write(make_frame(), make_result())
    several.sinks[1].write(make_frame(1), make_result(index=1))
    several.sinks[0].close()
    refused = ask(several, "POST /streams/0/record?on=1")
    several.close()

    counts = {}
    for path in tmp_path.glob("*.mp4"):
        with open_source(path) as source:
            counts[path.name.split("-")[1]] = sum(1 for _ in source)
    assert counts == {"0": 1, "1": 2}
    assert (refused.status, refused.text) == (400, "there is nothing to record: the stream has ended\n")


def test_health_names_the_bad_ones(several, ask, make_frame, make_result):
    """All that run must have frames; of one that failed it tells no more than that, for it needs no token. One that has ended is fine."""
    several.sinks[0].write(make_frame(), make_result())
    before = ask(several, "GET /healthz")
    several.sinks[1].close()
    after = ask(several, "GET /healthz")

    assert (before.status, before.text) == (503, "stream 1: no frame yet\nstream 2: failed\n")
    assert (after.status, after.text) == (503, "stream 2: failed\n")


def test_streams_are_a_label_of_the_metrics(several, ask, make_frame, make_result):
    """Each series says whose it is; those of the machine do not."""
    several.sinks[1].write(make_frame(), make_result())

    families = {family.name: family for family in text_string_to_metric_families(ask(several, "GET /metrics").text)}

    assert {sample.labels["stream"]: sample.value for sample in families["edgeseg_frames"].samples} == {"0": 0, "1": 1, "2": 0}
    assert {sample.labels["stream"]: sample.value for sample in families["edgeseg_stream_healthy"].samples} == {"0": 0, "1": 1, "2": 0}
    machine = {"edgeseg_temperature_celsius", "edgeseg_power_watts"}
    for family in [family for name, family in families.items() if name not in machine]:
        assert {sample.labels["stream"] for sample in family.samples} <= {"0", "1", "2"}


def test_stream_that_is_over_says_so_after_its_last_picture(monkeypatch, ask, make_frame, make_result):
    """At once, however long requests wait for pictures of the others."""
    monkeypatch.setattr(site.Site.__init__, "__defaults__", (1e6,))
    with WebPage(Address("127.0.0.1", 0), channels=[Channel(0, "a"), Channel(2, "b")]) as page:
        page.sinks[0].write(make_frame(8), make_result(index=8))
        page.sinks[0].close()
        page.sinks[1].fail("no such device")
        facts, _ = parts(ask(page, "GET /streams/0/frame?after=0"))
        ended, failed = ask(page, f"GET /streams/0/frame?after={facts['number']}"), ask(page, "GET /streams/2/frame?after=0")

    assert facts["frame"] == 8
    assert (ended.status, ended.text) == (503, "the stream has ended\n")
    assert (failed.status, failed.text) == (503, "failed: no such device\n")


def test_connection_that_is_not_there_is_told(monkeypatch, ask):
    """While it is made anew, instead of silence; also where the page has one stream."""
    monkeypatch.setattr(site.Site.__init__, "__defaults__", (0.01,))
    channels = [Channel(0, "a"), Channel(1, "b", lambda: True)]
    with WebPage(Address("127.0.0.1", 0), channels=channels) as page, WebSink(Address("127.0.0.1", 0), is_lost=lambda: True) as single:
        answers = [*(ask(page, f"GET /streams/{number}/frame") for number in (0, 1)), ask(single, "GET /frame")]

    assert [answer.status for answer in answers] == [204, 503, 503]
    assert answers[1].text == answers[2].text == "not there yet, tried again and again\n"


OWN = ("GET /wall", "GET /streams/0/", "GET /streams/0/frame", "GET /streams/1/stream.mjpg", "POST /streams/1/score")


@pytest.mark.parametrize("line", OWN)
def test_everything_is_behind_the_checks(several, ask, line):
    """As with one stream."""
    assert ask(several, line, Host="evil.example:80").status == 421
    if line.startswith("POST"):
        assert ask(several, line, Origin="http://evil.example").status == 403


def test_viewers_of_the_overview_that_never_read_keep_nobody_waiting(several, ask, make_frame, make_result):
    """Ten of them fill up while another sees every frame of both streams, and the page closes all the same."""
    stuck = [socket.create_connection(("127.0.0.1", int(several.url[:-1].rpartition(":")[2]))) for _ in range(10)]
    for connection in stuck:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /wall HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    for index in range(4):
        for number in (0, 1):
            several.sinks[number].write(make_frame(index, (720, 1280)), make_result((), (720, 1280), index))
        facts = [parts(ask(several, f"GET /streams/{number}/frame?after={index}"))[0] for number in (0, 1)]
        assert [one["frame"] for one in facts] == [index, index]
    several.close()
    for connection in stuck:
        connection.close()


def test_closing_twice_is_fine(several):
    """And the page makes recordings whole itself where a run did not come to close its streams."""
    several.close()
    several.close()
