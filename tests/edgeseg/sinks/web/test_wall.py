"""The tiles of the overview, on an event loop as in the server."""

from __future__ import annotations

import asyncio

import pytest

from edgeseg.sinks.web import Channel, wall
from edgeseg.sinks.web.show import Show
from edgeseg.sinks.web.wall import TILE_SIDE, Wall


@pytest.fixture
def encodings(monkeypatch):
    """Indices of the frames that were encoded, with the longer side asked for."""
    done = []
    monkeypatch.setattr(wall, "jpeg_of", lambda frame, _, side: done.append((frame.index, side)) or b"jpeg%d" % frame.index)
    return done


@pytest.fixture
def shows(monkeypatch) -> list[Show]:
    """Two streams, without a limit on rounds a second."""
    monkeypatch.setattr(wall, "_ROUND_S", 0.0)
    monkeypatch.setattr(wall, "PICTURES_PER_S", 1e9)
    return [Show(channel=Channel(number, f"camera {number}")) for number in (0, 4)]


def test_streams_without_a_frame_have_a_place(shows, encodings):
    """The first answer comes at once, names all streams and holds no picture."""
    facts, jpegs = asyncio.run(Wall(shows).after(0))

    assert (facts["number"], jpegs, encodings) == (1, [b"", b""], [])
    assert [(one["stream"], one["source"], one["kind"], one["bytes"]) for one in facts["streams"]] == [
        (0, "camera 0", "waiting", 0),
        (4, "camera 4", "waiting", 0),
    ]
    assert [facts["streams"][0][name] for name in ("rate", "age_ms", "instances")] == [None, None, None]


def test_only_new_tiles_are_sent(shows, encodings, make_frame, make_result):
    """Each viewer gets what was made since the round it saw last; one from an earlier run, or without any, gets all."""

    async def look():
        board, answers = Wall(shows), []
        for show in shows:
            show.put(make_frame(1), make_result(index=1))
        answers.append(await board.after(0))
        shows[1].put(make_frame(2), make_result(index=2))
        answers.append(await board.after(1))
        answers.extend([await board.after(0), await board.after(99)])
        return answers

    answers = asyncio.run(look())

    assert [jpegs for _, jpegs in answers] == [[b"jpeg1", b"jpeg1"], [b"", b"jpeg2"], [b"jpeg1", b"jpeg2"], [b"jpeg1", b"jpeg2"]]
    assert [one["bytes"] for one in answers[1][0]["streams"]] == [0, 5]
    assert encodings == [(1, TILE_SIDE), (1, TILE_SIDE), (2, TILE_SIDE)]


def test_one_round_serves_all_viewers(shows, encodings, make_frame, make_result):
    """Twenty who wait share it, also when one of them leaves."""

    async def look():
        board = Wall(shows)
        shows[0].put(make_frame(3), make_result(index=3))
        waiting = [asyncio.create_task(board.after(0)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        return await asyncio.gather(*waiting)

    answers = asyncio.run(look())

    assert {facts["number"] for facts, _ in answers} == {1}
    assert encodings == [(3, TILE_SIDE)]


def test_score_that_viewers_ask_for_holds_on_tiles(shows, encodings, make_frame, make_result):
    """A change of it makes the tile anew."""

    async def look():
        board = Wall(shows)
        shows[0].put(make_frame(3), make_result(index=3))
        await board.after(0)
        shows[0].gallery.least = 0.95
        await board.after(1)
        await board.after(2)

    asyncio.run(look())

    assert [index for index, _ in encodings] == [3, 3]


def test_figures_of_a_stream_that_is_over_are_gone(shows, encodings, make_frame, make_result):
    """Its last picture stays, with what happened; rate, age and instances were those of another time."""

    async def look():
        board = Wall(shows)
        shows[0].put(make_frame(1), make_result(index=1))
        live, _ = await board.after(0)
        shows[0].fail("no answer")
        failed, _ = await board.after(live["number"])
        return live["streams"][0], failed["streams"][0]

    live, failed = asyncio.run(look())

    assert (live["kind"], live["instances"], live["age_ms"]) == ("live", 1, pytest.approx(12.3456789))
    assert (failed["kind"], failed["says"]) == ("failed", "failed: no answer")
    assert [failed[name] for name in ("rate", "age_ms", "instances")] == [None, None, None]
