"""Outputs that are interrupted, by Ctrl-C or SIGTERM, at every line of their code."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgeseg.sinks import CocoSink, JsonlSink, PanopticSink, video
from edgeseg.sinks import base as sinks_base
from edgeseg.sinks.video import VideoSink
from edgeseg.sources import open_source
from edgeseg.types import Panoptic, Segment

FRAMES = 2


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line that runs in files of ``edgeseg/sinks`` other than base.py."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, code_frame, event, _arg):
        name = code_frame.f_code.co_filename
        if "edgeseg/sinks/" not in name or name == sinks_base.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

    def __enter__(self) -> Interrupt:
        sys.settrace(self)
        return self

    def __exit__(self, *_) -> None:
        sys.settrace(None)


def runs(make_sink, write):
    """Write with an interrupt at line 1, 2, 3, ... until nothing is left to interrupt; each time how many frames were written whole."""
    for n in range(1, 1000):
        sink, whole, interrupt = make_sink(n), 0, Interrupt(n)
        try:
            with interrupt, sink:
                for index in range(FRAMES):
                    write(sink, index)
                    whole += 1
        except KeyboardInterrupt:
            yield n, whole
            continue
        assert interrupt.left > 0
        return


def test_video_stays_playable(tmp_path, make_frame, make_result, monkeypatch):
    """Wherever the interrupt comes, the file holds every frame that was written before, and no half file is left."""
    monkeypatch.setattr(video, "annotate", lambda pixels, _: pixels)
    places = list(
        runs(lambda n: VideoSink(tmp_path / f"{n}.mp4", 30.0), lambda sink, index: sink.write(make_frame(index, (32, 32)), make_result()))
    )

    assert {whole for _, whole in places} == {0, 1, 2}
    for n, whole in places:
        if whole:
            with open_source(tmp_path / f"{n}.mp4") as source:
                assert sum(1 for _ in source) >= whole
            assert not (tmp_path / f".{n}.partial.mp4").exists()


def test_lines_stay_whole(tmp_path, make_frame, make_result):
    """Wherever the interrupt comes, each line of the file is JSON."""
    places = list(
        runs(lambda n: JsonlSink(str(tmp_path / f"{n}.jsonl")), lambda sink, index: sink.write(make_frame(index), make_result(index=index)))
    )

    assert {whole for _, whole in places} == {0, 1, 2}
    for n, whole in places:
        if whole:
            text = (tmp_path / f"{n}.jsonl").read_text()
            assert [json.loads(line)["frame"] for line in text.splitlines()][:whole] == list(range(whole))
            assert text.endswith("\n")


@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io")  # files that were being opened when the interrupt came
def test_detections_stay_whole(tmp_path, make_frame, make_result):
    """Wherever the interrupt comes, the file is a list with all instances of each frame in it, and no half file is left."""
    boxes = ((20, 40, 60, 80), (70, 10, 120, 50))
    places = list(
        runs(lambda n: CocoSink(tmp_path / f"{n}.json"), lambda sink, index: sink.write(make_frame(index), make_result(boxes, index=index)))
    )

    assert {whole for _, whole in places} == {0, 1, 2}
    for n, whole in places:
        if whole:
            images = [record["image_id"] for record in json.loads((tmp_path / f"{n}.json").read_text())]
            assert images[: 2 * whole] == [index for index in range(whole) for _ in boxes]
            assert len(images) % 2 == 0
            assert not (tmp_path / f".{n}.json.partial").exists()


def test_half_a_line_is_taken_away(tmp_path, make_frame, make_result, monkeypatch):
    """The interrupt comes when a part of the second line is on disk."""
    sink = JsonlSink(str(tmp_path / "a.jsonl"))

    def half(stream, data):
        stream.write(data[:20])
        raise KeyboardInterrupt

    sink.write(make_frame(), make_result())
    monkeypatch.setattr("edgeseg.sinks.jsonl.write_all", half)
    with pytest.raises(KeyboardInterrupt), sink:
        sink.write(make_frame(1), make_result(index=1))

    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io")  # files that were being opened when the interrupt came
def test_listing_of_maps_stays_whole(tmp_path, make_frame, make_result):
    """Wherever the interrupt comes, panoptic.json is whole and tells of the frames that were written."""
    panoptic = Panoptic(np.ones((4, 4), np.int32), (Segment(1, 0, True, 0.9, 16),))
    result = replace(make_result((), (4, 4)), panoptic=panoptic)
    places = list(
        runs(
            lambda n: PanopticSink(tmp_path / f"{n}", keep_names=False),
            lambda sink, index: sink.write(make_frame(index, (4, 4)), replace(result, frame_index=index)),
        )
    )

    assert {whole for _, whole in places} == {0, 1, 2}
    for n, whole in places:
        if whole:
            listing = json.loads((tmp_path / f"{n}" / "panoptic.json").read_text())
            assert len(listing["images"]) == len(listing["annotations"]) >= whole
            assert not list((tmp_path / f"{n}").glob(".*partial*"))
