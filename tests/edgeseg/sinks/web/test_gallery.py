"""The slot between the pipeline and its viewers, on an event loop as in the server."""

from __future__ import annotations

import asyncio

import pytest

from edgeseg.sinks.web import gallery
from edgeseg.sinks.web.gallery import Gallery


@pytest.fixture
def encodings(monkeypatch):
    """Indices of the frames that were encoded."""
    done = []
    monkeypatch.setattr(gallery, "jpeg_of", lambda frame, result: done.append((frame.index, len(result.instances))) or b"jpeg")
    return done


@pytest.fixture
def _unhurried(monkeypatch):
    """Without a limit on pictures a second."""
    monkeypatch.setattr(gallery, "PICTURES_PER_S", 1e9)


def test_nothing_is_encoded_without_a_viewer(encodings, make_frame, make_result):
    """A hundred frames pass and no JPEG is made."""
    slot = Gallery()
    for index in range(100):
        slot.put(make_frame(index), make_result(index=index))

    assert (encodings, slot.encoded, slot.viewers) == ([], 0, 0)


@pytest.mark.usefixtures("_unhurried")
def test_one_encoding_serves_all_viewers(encodings, make_frame, make_result):
    """Twenty viewers who wait get the same picture of the newest frame; one who comes later gets it too."""

    async def look():
        slot = Gallery()
        waiting = [asyncio.create_task(slot.after(0)) for _ in range(20)]
        await asyncio.sleep(0)
        assert slot.viewers == 20
        slot.put(make_frame(4), make_result(index=4))
        pictures = [*await asyncio.gather(*waiting), await slot.after(0)]
        assert slot.viewers == 0
        return pictures

    pictures = asyncio.run(look())

    assert encodings == [(4, 1)]
    assert {picture.number for picture in pictures} == {1}
    assert pictures[0].facts["frame"] == 4


@pytest.mark.usefixtures("_unhurried")
def test_slow_viewer_gets_the_newest_frame(encodings, make_frame, make_result):
    """What came while a viewer was busy is skipped, and never encoded."""

    async def look():
        slot = Gallery()
        seen = []
        for burst in range(3):
            for index in range(10 * burst, 10 * burst + 10):
                slot.put(make_frame(index), make_result(index=index))
            seen.append(await slot.after(seen[-1].number if seen else 0))
        return seen

    seen = asyncio.run(look())

    assert [picture.facts["frame"] for picture in seen] == [9, 19, 29]
    assert [index for index, _ in encodings] == [9, 19, 29]


@pytest.mark.usefixtures("_unhurried")
def test_change_of_the_score_shows_the_same_frame_again(encodings, make_frame, make_result):
    """A viewer who waits sees the effect without a new frame; scores of the result are 0.9 and 0.8."""

    async def look():
        slot = Gallery()
        slot.put(make_frame(), make_result(((0, 0, 9, 9), (20, 20, 40, 40))))
        first = await slot.after(0)
        waiting = asyncio.create_task(slot.after(first.number))
        await asyncio.sleep(0)
        slot.least = 0.85
        return await waiting

    picture = asyncio.run(look())

    assert encodings == [(0, 2), (0, 1)]
    assert (picture.number, len(picture.facts["instances"])) == (2, 1)


def test_number_of_an_earlier_run_waits_for_nothing(encodings, make_frame, make_result):
    """A page that was left open over a restart gets the picture at once, however far its own count had come."""

    async def look():
        slot = Gallery()
        slot.put(make_frame(), make_result())
        return await slot.after(5000)

    assert asyncio.run(look()).number == 1


def test_pictures_a_second_are_limited(encodings, make_frame, make_result):
    """A second frame right after the first is encoded later, and the newest by then is what is encoded."""

    async def look():
        slot = Gallery()
        slot.put(make_frame(0), make_result())
        first = await slot.after(0)
        slot.put(make_frame(1), make_result(index=1))
        waiting = asyncio.create_task(slot.after(first.number))
        await asyncio.sleep(0)
        assert len(encodings) == 1
        slot.put(make_frame(2), make_result(index=2))
        return await waiting

    assert asyncio.run(look()).facts["frame"] == 2
    assert [index for index, _ in encodings] == [0, 2]


def test_viewer_who_leaves_takes_nothing_from_the_others(encodings, make_frame, make_result):
    """The one whose look all wait for is cancelled; the other still gets the frame."""

    async def look():
        slot = Gallery()
        leaving, staying = (asyncio.create_task(slot.after(0)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        slot.put(make_frame(3), make_result(index=3))
        picture = await staying
        return picture, slot.viewers, leaving.cancelled()

    picture, viewers, cancelled = asyncio.run(look())

    assert (picture.facts["frame"], viewers, cancelled) == (3, 0, True)
