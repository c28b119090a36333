"""The sections of docs/benchmarks.md, in its order. To add one is to write a `Section` and name it here."""

from __future__ import annotations

from .accuracy import PANOPTIC, SCHEDULES, SMALL_MODELS
from .accuracy import PRECISIONS as PRECISION_ACCURACY
from .base import Record, Records, Section, lines
from .bench import BENCH
from .cases import CASES
from .devices import ENGINES, GPU, PREPARE
from .frames import MASKRCNN, YOLACT
from .frames import PRECISIONS as PRECISION_FRAMES
from .live import BATCHING, RTSP, SOAK, STREAMS, VIEWERS
from .panoptic import FRAME, HEAD, PARTS
from .video import FRAMES, GROWTH

SECTIONS: tuple[Section, ...] = (
    *(CASES, YOLACT, PRECISION_FRAMES, MASKRCNN),
    *(FRAMES, GROWTH, SCHEDULES, PRECISION_ACCURACY, SMALL_MODELS),
    *(RTSP, SOAK, STREAMS, BATCHING, VIEWERS, BENCH),
    *(FRAME, PARTS, HEAD, PANOPTIC),
    *(GPU, PREPARE, ENGINES),
)

__all__ = ["SECTIONS", "Record", "Records", "Section", "lines"]
