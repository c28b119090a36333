"""The records of a JSON file in COCO's panoptic format, checked: it comes from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from edgeseg.errors import EvaluationError
from edgeseg.opencv import PICTURE_PIXELS_MAX
from edgeseg.types import SizeHW

FILE_BYTES_MAX = 1 << 30
IDS = range(1, 1 << 24)
"""What an id in a map can be: three bytes, and 0 is void."""
_NUMBERS = range(-(1 << 62), 1 << 62)


class SegmentRecord(NamedTuple):
    """One segment of a map."""

    id: int
    category_id: int
    is_crowd: bool


class ImageRecord(NamedTuple):
    """One picture."""

    id: int
    file_name: str
    image_hw: SizeHW
    video_id: int | None


class MapRecord(NamedTuple):
    """The map of one picture."""

    image_id: int
    file_name: str
    segments: tuple[SegmentRecord, ...]


@dataclass(frozen=True, repr=False)
class PanopticJson:
    """What one file says."""

    images: dict[int, ImageRecord]
    """By id, in the file's order."""
    maps: dict[int, MapRecord]
    """By the picture's id."""


def read_json(file: Path) -> PanopticJson:
    """Read and check a file; lists that it lacks are empty.

    Raises:
        EvaluationError: it cannot be read, is too large, or is not in COCO's panoptic format.
    """
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise EvaluationError(f"{file} has more than {FILE_BYTES_MAX >> 20} MiB; is it really a file of annotations?")
        content = json.loads(file.read_bytes())
        images = [_image(entry) for entry in _list(content, "images")]
        maps = [_map(entry) for entry in _list(content, "annotations")]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise EvaluationError(f"{file} cannot be read as panoptic annotations in COCO's format ({what})") from error
    _require_unique(file, "pictures have the id", (image.id for image in images))
    _require_unique(file, "annotations have the image_id", (one.image_id for one in maps))
    return PanopticJson({image.id: image for image in images}, {one.image_id: one for one in maps})


def _list(content: Any, name: str) -> list[Any]:
    if not isinstance(content, dict):
        raise TypeError("the file holds no object")
    found = content.get(name, [])
    if not isinstance(found, list):
        raise TypeError(f"{name} is no list")
    return found


def _image(entry: Any) -> ImageRecord:
    height, width = _whole(entry, "height", range(1, 1 << 16)), _whole(entry, "width", range(1, 1 << 16))
    if height * width > PICTURE_PIXELS_MAX:
        raise ValueError(f"a picture of {width}x{height} pixels is too large")
    video_id = _whole(entry, "video_id", _NUMBERS) if "video_id" in entry else None
    return ImageRecord(_whole(entry, "id", _NUMBERS), _name(entry), (height, width), video_id)


def _map(entry: Any) -> MapRecord:
    segments = tuple(map(_segment, _list(entry, "segments_info")))
    if len({segment.id for segment in segments}) < len(segments):
        raise ValueError(f"two segments of image_id {entry['image_id']} have one id")
    return MapRecord(_whole(entry, "image_id", _NUMBERS), _name(entry), segments)


def _segment(entry: Any) -> SegmentRecord:
    crowd = _whole(entry, "iscrowd", range(2)) if "iscrowd" in entry else 0
    return SegmentRecord(_whole(entry, "id", IDS), _whole(entry, "category_id", _NUMBERS), bool(crowd))


def _whole(entry: Any, name: str, allowed: range) -> int:
    value = entry[name]
    # Scripts write ids as text now and then; int() would also take 1.5 and True.
    number = int(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or number not in allowed:
        raise ValueError(f"{name} is {value!r}")
    return number


def _name(entry: Any) -> str:
    name = entry["file_name"]
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        raise ValueError(f"file_name is {name!r}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"file_name {name!r} leads out of its folder")
    return name


def _require_unique(file: Path, what: str, numbers: Iterable[int]) -> None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise EvaluationError(f"{file} contradicts itself: several {what} {number}")
        seen.add(number)
