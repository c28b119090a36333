"""Panoptic maps in COCO's format: a PNG for each frame, and one JSON file that says what its colours are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.errors import SinkError, UsageError
from edgeseg.segmap import extents_of, painted, rows_of
from edgeseg.sinks.base import Sink
from edgeseg.sinks.listing import ListPart
from edgeseg.sinks.picture import name_of, number_of, write_picture
from edgeseg.sinks.target import check_folder, make_folder, write_all, write_error
from edgeseg.types import AnyArray, Frame, Label, Panoptic, Result, Segment, Step, U8Array

LISTING = "panoptic.json"
"""Name of the JSON file in the folder."""
_PIECE_BYTES = 1 << 20
_ID_BITS = 24
_SPREAD = 0x9E3779
"""Odd, so that multiplying by it modulo 2 ** 24 gives different ids to different numbers, and colours that can be told apart."""


class PanopticSink(Sink):
    """A folder of panoptic maps, which is created when its parent exists.

    A map's pixel holds its segment's id as R + 256 G + 65536 B; 0 is void. The same object has the same id in all frames, see
    `ids_of`. The JSON file is written whole when the sink is closed, also when the run ends early; memory does not grow with the run.

    Args:
        folder: where to write.
        keep_names: name maps like the pictures that they are of; else ``000000.png`` and so on by frame index.
    """

    def __init__(self, folder: Path, *, keep_names: bool) -> None:
        check_folder(folder if folder.exists() else folder.parent)
        self._folder = folder
        self._keep_names = keep_names
        self._listing: _Listing | None = None

    def write(self, frame: Frame, result: Result) -> None:
        panoptic = result.panoptic
        if panoptic is None:
            if result.step is not Step.DROP:
                raise UsageError("this bundle finds instances alone, so there are no panoptic maps to write. Take a panoptic bundle.")
            return
        make_folder(self._folder)
        ids, rows = ids_of(panoptic.segments, len(result.labels)), rows_of(panoptic)
        if self._listing is None:
            self._listing = _Listing(self._folder / LISTING, result.labels)
        write_picture(self._folder / self.name_of(frame), painted(rows, _colours(ids)))
        picture = frame.stream if self._keep_names else self.name_of(frame)
        self._listing.add(
            {"id": frame.index, "file_name": picture, "height": frame.image_hw[0], "width": frame.image_hw[1]},
            {"image_id": frame.index, "file_name": self.name_of(frame), "segments_info": _entries(panoptic, rows, ids, result.labels)},
        )

    def name_of(self, frame: Frame) -> str:
        """The file of a frame's map."""
        return name_of(frame, {".png"}) if self._keep_names else number_of(frame)

    def close(self) -> None:
        if self._listing is not None:
            try:
                self._listing.close()
            except SinkError:
                self._listing = None
                raise
            self._listing = None


def _entries(panoptic: Panoptic, rows: AnyArray, ids: Sequence[int], labels: Sequence[Label]) -> list[dict[str, Any]]:
    """What the JSON file says of each segment that has a pixel."""
    extents = extents_of(rows, len(ids))
    return [
        {
            "id": ids[i],
            "category_id": labels[segment.class_id].category_id,
            "area": int(extents.areas[i]),
            "bbox": extents.boxes[i].tolist(),
            "iscrowd": 0,
            "track_id": segment.track_id,
            "score": float(f"{segment.score:.9g}"),
        }
        for i, segment in enumerate(panoptic.segments)
        if extents.areas[i]
    ]


def ids_of(segments: Sequence[Segment], labels: int) -> list[int]:
    """An id of 24 bits for each segment, never 0 and different within a frame.

    It depends on the class and the track id alone, so that a tracked thing has one id in all frames; stuff has that of its class. A
    thing without a track id gets what is free in its frame. Track ids start anew after 2 ** 24 / ``labels``.

    Args:
        segments: those of one frame.
        labels: how many classes there are.
    """
    places = (1 << _ID_BITS) // labels - 1
    ids: dict[int, int] = {}
    taken: set[int] = set()
    # Those that have an identity choose first.
    for i in sorted(range(len(segments)), key=lambda i: segments[i].is_thing and segments[i].track_id is None):
        place = _place_of(segments[i], places)
        while (number := segments[i].class_id + 1 + labels * place) in taken:
            place = (place or places) - 1
        taken.add(number)
        ids[i] = number * _SPREAD % (1 << _ID_BITS)
    return [ids[i] for i in range(len(segments))]


def _place_of(segment: Segment, places: int) -> int:
    """Where a segment wants to be among those of its class: stuff is 0, things follow by track id, others come last."""
    if not segment.is_thing:
        return 0
    return places - 1 if segment.track_id is None else 1 + segment.track_id % (places - 1)


def _colours(ids: Sequence[int]) -> U8Array:
    """uint8 (N + 1, 3) BGR, void first."""
    numbers = np.array([0, *ids], np.int64)
    return np.stack([numbers >> 16, numbers >> 8, numbers], axis=1).astype(np.uint8)


class _Listing:
    """The JSON file, written beside its final name. What goes behind the annotations waits in a file without a name."""

    def __init__(self, path: Path, labels: Sequence[Label]) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        categories = [{"id": label.category_id, "name": label.name, "isthing": int(label.is_thing)} for label in labels]
        try:
            self._annotations = ListPart(self._partial.open("wb", buffering=0), f'{{"categories": {_text(categories)},\n"annotations": [')
            self._images = ListPart(tempfile.TemporaryFile(dir=path.parent, buffering=0), '],\n"images": [')  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise write_error(path, error) from error

    def add(self, image: dict[str, Any], annotation: dict[str, Any]) -> None:
        """Take one frame, or nothing of it if that fails or is interrupted."""
        try:
            sizes = self._images.put(_text(image)), self._annotations.put(_text(annotation))
        except OSError as error:
            raise write_error(self._path, error) from error
        self._images.size, self._annotations.size = sizes

    def close(self) -> None:
        """Put the file together under its final name. Interrupted at any place, it can be called again."""
        try:
            self._put_together()
            self._annotations.close()
            if self._partial.exists():  # else the call that was interrupted had come so far
                self._partial.replace(self._path)
        except OSError as error:
            self._annotations.close()
            self._images.close()
            self._partial.unlink(missing_ok=True)
            raise write_error(self._path, error) from error
        self._images.close()

    def _put_together(self) -> None:
        if self._annotations.is_closed:
            return
        images, whole = self._images.ended(), self._annotations.ended()
        images.seek(0)
        while piece := images.read(_PIECE_BYTES):
            write_all(whole, piece)
        write_all(whole, b"]}\n")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
