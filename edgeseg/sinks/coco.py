"""Results as COCO's list of detections, which ``pycocotools`` reads with ``loadRes``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.base import Sink
from edgeseg.sinks.jsonl import text_of
from edgeseg.sinks.listing import ListPart
from edgeseg.sinks.target import check_file, write_all, write_error
from edgeseg.types import Frame, Label, Result

_NUMBERED = re.compile(r"(?:COCO_[a-z]+\d*_)?(\d{1,18})", re.ASCII)
"""What COCO calls its pictures, without the ending: 000000000139, and COCO_val2014_000000000042."""


class CocoSink(Sink):
    """A JSON file with a record for each instance: ``image_id``, ``category_id``, ``bbox``, ``segmentation`` and ``score``.

    An ``image_id`` is the number in a picture's name if all pictures of the source are named by numbers and no two by the same one;
    else the index of the frame. The file is written whole when the sink is closed, also when the run ends early; memory does not grow with
    the run.

    Args:
        path: where to write.
        pictures: file names of the source's pictures; empty for streams.

    Raises:
        SinkError: it cannot be written there.
    """

    def __init__(self, path: Path, pictures: Sequence[str] = ()) -> None:
        check_file(path)
        if path.exists() and not path.is_file():
            raise SinkError(f"{path} is no plain file, so nothing can be put in its place. Give another name.")
        numbers = [number_in(name) for name in pictures]
        self._by_name = bool(numbers) and None not in numbers and len(set(numbers)) == len(numbers)
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._list: ListPart | None = None

    def write(self, frame: Frame, result: Result) -> None:
        if self._list is None:
            _check_categories(result.labels)
            self._list = self._open()
        entries = [text_of(frame, record) for record in result.to_coco(self._image_id(frame))]
        try:
            size = self._list.put(*entries)
        except OSError as error:
            raise write_error(self._path, error) from error
        self._list.size = size

    def close(self) -> None:
        if self._list is None:
            return
        try:
            if not self._list.is_closed:
                write_all(self._list.ended(), b"\n]\n")
            self._list.close()
            if self._partial.exists():  # else the call that was interrupted had come so far
                self._partial.replace(self._path)
        except OSError as error:
            self._list.close()
            self._list = None
            self._partial.unlink(missing_ok=True)
            raise write_error(self._path, error) from error
        self._list = None

    def _open(self) -> ListPart:
        try:
            return ListPart(self._partial.open("wb", buffering=0), "[")
        except OSError as error:
            raise write_error(self._path, error) from error

    def _image_id(self, frame: Frame) -> int:
        number = number_in(frame.stream) if self._by_name else None
        return frame.index if number is None else number


def number_in(name: str) -> int | None:
    """The number that a picture's file name is, as in COCO; None where it is none."""
    match = _NUMBERED.fullmatch(Path(name).stem)
    return None if match is None else int(match[1])


def _check_categories(labels: Sequence[Label]) -> None:
    names: dict[int, str] = {}
    for label in labels:
        if (other := names.setdefault(label.category_id, label.name)) != label.name:
            raise UsageError(
                f"the classes {other!r} and {label.name!r} of this bundle have the same category_id {label.category_id}, so COCO records "
                "could not tell them apart. Leave --coco out (--jsonl holds names), or give them ids of their own in model.json."
            )
