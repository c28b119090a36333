"""The pages, asked over real connections to a free port of loopback."""

from __future__ import annotations

import json
import re
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeseg.errors import SinkError
from edgeseg.sinks.web import Address, WebSink, site
from edgeseg.sources import open_source

GUARDED = ("GET /", "GET /frame", "GET /stream.mjpg", "GET /metrics", "POST /score?least=0.5", "POST /record?on=1")


def parts(answer):
    """Facts and JPEG of an answer to /frame."""
    length = int.from_bytes(answer.body[:4], "big")
    return json.loads(answer.body[4 : 4 + length]), answer.body[4 + length :]


def test_frame_is_facts_and_a_jpeg(page, ask, make_frame, make_result):
    """After a frame there is a picture; with its number in the request, the next one is waited for."""
    page.write(make_frame(5), make_result(index=5))

    answer = ask(page, "GET /frame?after=0")

    facts, jpeg = parts(answer)
    assert (answer.status, facts["frame"], facts["number"], facts["instances"][0]["label"]) == (200, 5, 1, "cat")
    assert (jpeg[:2], jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")
    page.write(make_frame(6), make_result(index=6))
    assert parts(ask(page, "GET /frame?after=1"))[0]["frame"] == 6


def test_no_new_frame_is_an_empty_answer(monkeypatch, ask):
    """A request does not wait for ever."""
    monkeypatch.setattr(site.Site.__init__, "__defaults__", (0.01,))
    with WebSink(Address("127.0.0.1", 0)) as page:
        assert ask(page, "GET /frame?after=0").status == 204


def test_stream_sends_one_part_after_the_other(page, make_frame, make_result):
    """What other programs read: multipart/x-mixed-replace with whole JPEGs."""
    with socket.create_connection(("127.0.0.1", int(page.url[:-1].rpartition(":")[2]))) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        page.write(make_frame(0), make_result())
        while (line := stream.readline()) != b"--frame\r\n":
            assert line
        for index in (1, 2):
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(re.fullmatch(rb"Content-Length: (\d+)\r\n", stream.readline()).group(1))
            assert stream.readline() == b"\r\n"
            assert stream.read(length)[:2] == b"\xff\xd8"
            assert stream.readline() == b"\r\n"
            page.write(make_frame(index), make_result(index=index))
            while stream.readline() != b"--frame\r\n":
                pass


def test_viewers_that_never_read_keep_nobody_waiting(page, ask, make_frame, make_result):
    """Ten connections fill up while other viewers see every picture, and the page closes all the same."""
    stuck = [socket.create_connection(("127.0.0.1", int(page.url[:-1].rpartition(":")[2]))) for _ in range(10)]
    for connection in stuck:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    number = 0
    for index in range(30):
        page.write(make_frame(index, (720, 1280)), make_result((), (720, 1280), index))
        facts, _ = parts(ask(page, f"GET /frame?after={number}"))
        number = facts["number"]
        assert facts["frame"] == index
    page.close()
    for connection in stuck:
        connection.close()


def test_score_filters_and_is_remembered(page, ask, make_frame, make_result):
    """Scores of the result are 0.9 and 0.8."""
    page.write(make_frame(), make_result(((0, 0, 9, 9), (20, 20, 40, 40))))

    assert ask(page, "POST /score?least=0.85").status == 200
    facts, _ = parts(ask(page, "GET /frame"))

    assert (facts["least"], len(facts["instances"])) == (0.85, 1)


def test_recording_is_started_and_stopped(page, ask, tmp_path, make_frame, make_result):
    """The video holds the frames between the two; closing the page makes one that still runs whole."""
    ask(page, "POST /record?on=1")
    page.write(make_frame(), make_result())
    ask(page, "POST /record?on=0")
    page.write(make_frame(1), make_result(index=1))
    ask(page, "POST /record?on=1")
    page.write(make_frame(2), make_result(index=2))
    page.write(make_frame(3), make_result(index=3))
    page.close()

    counts = []
    for path in sorted(tmp_path.glob("*.mp4")):
        with open_source(path) as source:
            counts.append(sum(1 for _ in source))
    assert counts == [1, 2]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("GET /frame?after=x", "number of a picture"),
        ("GET /frame?after=-1", "number of a picture"),
        ("POST /score", "from 0 to 1"),
        ("POST /score?least=nan", "from 0 to 1"),
        ("POST /score?least=1.01", "from 0 to 1"),
        ("POST /record", "1 to start"),
    ],
)
def test_wrong_requests_say_what_is_wrong(strict, ask, line, says):
    """Status 400 and one line."""
    answer = ask(strict, line)

    assert answer.status == 400
    assert says in answer.text


def test_changes_need_post(strict, ask):
    """A picture in a foreign page cannot change anything by its address."""
    assert [ask(strict, line).status for line in ("GET /score?least=0.5", "GET /record?on=1", "POST /")] == [405, 405, 405]


@pytest.mark.parametrize("line", GUARDED)
def test_foreign_name_is_refused_on_loopback(strict, ask, line):
    """Everything is behind the check of the name."""
    answer = ask(strict, line, Host="evil.example:80")

    assert (answer.status, answer.text) == (421, "open this page under the name localhost or 127.0.0.1\n")


@pytest.mark.parametrize("line", [line for line in GUARDED if line.startswith("POST")])
def test_foreign_origin_changes_nothing(strict, ask, line):
    """A script of another site is refused, and no answer allows other sites to read it."""
    answer = ask(strict, line, Origin="http://evil.example")

    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("line", GUARDED)
def test_token_is_asked_for(locked, ask, line):
    """Nothing but the health is told without it."""
    assert ask(locked, line).status == 401
    assert ask(locked, line, Cookie=f"edgeseg_{locked.url.rpartition(':')[2][:-1]}=wrong").status == 401


def test_token_in_the_address_becomes_a_cookie(locked, ask):
    """It leaves the address at once; the cookie opens the page and scripts cannot read it. A wrong one opens nothing."""
    entered = ask(locked, "GET /?token=0123456789abcdef")
    cookie = entered.headers["set-cookie"]

    assert (entered.status, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ask(locked, "GET /", Cookie=cookie.partition(";")[0]).status == 200
    assert ask(locked, "GET /metrics", Authorization="Bearer 0123456789abcdef").status == 200
    wrong = ask(locked, "GET /?token=0123456789abcdee")
    assert wrong.status == 401
    assert "set-cookie" not in wrong.headers


def test_metrics_are_what_prometheus_reads(page, ask, make_frame, make_result):
    """Frames, viewers and what was encoded."""
    page.write(make_frame(), make_result())
    ask(page, "GET /frame")

    answer = ask(page, "GET /metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert families["edgeseg_frames"].samples[0].value == 1
    assert families["edgeseg_pictures_encoded"].samples[0].value == 1
    assert {"edgeseg_age_seconds", "edgeseg_last_frame_seconds", "edgeseg_viewers"} <= set(families)


def test_health_follows_the_frames(page, locked, ask, make_frame, make_result):
    """503 before the first frame, then 200; it needs no token."""
    assert (ask(page, "GET /healthz").status, ask(locked, "GET /healthz").text) == (503, "no frame yet\n")
    page.write(make_frame(), make_result())
    assert (ask(page, "GET /healthz").status, ask(page, "GET /healthz").text) == (200, "ok\n")


def test_page_runs_its_own_script_alone(strict, ask):
    """Nothing is loaded from elsewhere, and the policy allows the one script by its hash."""
    answer = ask(strict, "GET /")

    assert not re.search(r"(src|href)=\"?(https?:|//)|@import|url\(", answer.text)
    assert "default-src 'none'; script-src 'sha256-" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_port_is_free_again_after_closing(page):
    """Closing twice is fine, and a second page on the same port is refused while the first is open."""
    address = Address("127.0.0.1", int(page.url[:-1].rpartition(":")[2]))
    with pytest.raises(SinkError, match="Choose another port"):
        WebSink(address)
    page.close()
    page.close()

    WebSink(address).close()


def test_generated_token_is_in_the_address():
    """Where other machines can reach the page, what is printed opens it."""
    with WebSink(Address("::", 0)) as page:
        assert re.fullmatch(r"http://.+:\d+/\?token=[A-Za-z0-9_-]{32}", page.url)
