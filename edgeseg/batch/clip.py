"""One clip of a batch, from file to results: what a worker does."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from edgeseg.backends import WAIT
from edgeseg.background import in_background
from edgeseg.batch.fingerprint import Fingerprint
from edgeseg.bundle import MANIFEST, sha256
from edgeseg.errors import EdgesegError, SourceError
from edgeseg.ledger import PrecisionWarning
from edgeseg.loader import load
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.sinks import JsonlSink, PanopticSink, Sink, open_output
from edgeseg.sinks.target import write_error
from edgeseg.sources import open_source
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.latest import InTurn, no_frame
from edgeseg.stream import Summary, run

FRAME_LIMIT_S = 120.0
"""A decoder that takes longer for a frame hangs."""
_MAPS = "maps"
WORK = ".work-"
"""Folders in which results are made begin so; their names end differently for each attempt."""


@dataclass(frozen=True)
class Options:
    """How every clip is processed. Travels to workers."""

    bundle: str
    """Absolute path."""
    stream: StreamSettings
    """With a schedule that is a name."""
    score: float
    backend: str
    precision: str
    video: bool
    """Whether there is an annotated video beside the lines."""
    panoptic: bool
    """Whether there are panoptic maps beside the lines."""
    threads: int
    """Threads of one worker. They change nothing in what is found."""
    allow_cpu_fallback: bool = False

    def settings(self) -> dict[str, Any]:
        """What results depend on, as JSON: results of other settings do not belong into the same folder."""
        named = ("score", "backend", "precision", "video", "panoptic", "allow_cpu_fallback")
        bundle = sha256(Path(self.bundle) / MANIFEST)
        return {"bundle": bundle, **vars(self.stream), **{name: getattr(self, name) for name in named}}


@dataclass(frozen=True)
class Job:
    """One clip, and where its results go."""

    source: str
    """Absolute path."""
    folder: str
    """The result folder, absolute."""
    name: str
    """Of its files there, without their endings."""
    options: Options
    attempt: int = 1
    """From 1; workers may be lost."""


@dataclass(frozen=True)
class Outcome:
    """What became of a clip."""

    frames: int = 0
    instances: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    """Names in the result folder -> bytes."""
    fingerprint: Fingerprint | None = None
    """Of the clip that the results are of; None where it could not be processed."""
    error: EdgesegError | None = None
    """Why it could not."""


def process(job: Job) -> Outcome:
    """Make the results of a clip in a folder of their own, then give them their names. Whatever an older attempt left is replaced."""
    try:
        work = Path(tempfile.mkdtemp(prefix=WORK, dir=job.folder))
    except OSError as error:
        return Outcome(error=write_error(Path(job.folder), error))
    try:
        return _process(job, work)
    except EdgesegError as error:
        return Outcome(error=error)
    except OSError as error:
        return Outcome(error=SourceError(f"{error.filename or job.source}: {error.strerror or error}. Is the file there, the disk full?"))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _process(job: Job, work: Path) -> Outcome:
    path = Path(job.source)
    fingerprint = Fingerprint.of(path)
    with ExitStack() as stack:
        source = stack.enter_context(InTurn(_open(path), FRAME_LIMIT_S))
        sinks = [stack.enter_context(sink) for sink in _open_sinks(job, work, source.info)]
        pipeline = stack.enter_context(Pipeline(_model(job.options), job.options.stream))
        summary = run(source, pipeline, sinks)
    if not fingerprint.untouched(path):
        raise SourceError(f"{path} was written to while it was read. Give it when it is whole.")
    return _publish(job, work, fingerprint, summary)


def _open(path: Path) -> Source:
    """The clip, whose first frame is decoded here; SourceError if that hangs. Its thread is left behind then."""
    opening = in_background(lambda: open_source(path), "edgeseg-open")
    if not wait([opening], FRAME_LIMIT_S).done:
        opening.add_done_callback(_close_late)
        raise no_frame(str(path), FRAME_LIMIT_S)
    return opening.result()


def _close_late(opening: Future[Source]) -> None:
    if opening.exception() is None:
        opening.result().close()


def _open_sinks(job: Job, work: Path, info: SourceInfo) -> list[Sink]:
    video = [open_output(str(work / f"{job.name}.mp4"), fps=info.fps, frame_count=info.frame_count)] if job.options.video else []
    maps = PanopticSink(work / _MAPS, keep_names=False) if job.options.panoptic else None
    lines = JsonlSink(str(work / f"{job.name}.jsonl"), None if maps is None else maps.name_of)
    return [*video, *([] if maps is None else [maps]), lines]


def _pack(maps: Path, archive: Path) -> None:
    """Put a folder of maps into one file. They are PNGs, which pressing once more makes no smaller."""
    # Boards without a battery may be in 1970, and zip files begin in 1980.
    with ZipFile(archive, "w", ZIP_STORED, strict_timestamps=False) as target:
        for path in sorted(maps.iterdir()):
            target.write(path, path.name)
    shutil.rmtree(maps)


def _publish(job: Job, work: Path, fingerprint: Fingerprint, summary: Summary) -> Outcome:
    if job.options.panoptic:
        _pack(work / _MAPS, work / f"{job.name}.zip")
    # The lines last: where they are, all is there.
    made = sorted(work.iterdir(), key=lambda path: path.suffix == ".jsonl")
    files = {path.name: path.stat().st_size for path in made}
    for path in made:
        # Else a power cut may leave the name and the size without the bytes.
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        path.replace(Path(job.folder) / path.name)
    return Outcome(summary.frames, summary.detections, files, fingerprint)


@functools.lru_cache(maxsize=1)
def _model(options: Options) -> Model:
    """The model of this process: clip after clip uses it. Whoever started the batch was told already what the ledger warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return load(
            options.bundle,
            backend=options.backend,
            precision=options.precision,
            threads=options.threads,
            score_threshold=options.score,
            # Changing the backend in the middle of a clip would make its results depend on the moment.
            build=WAIT,
            allow_cpu_fallback=options.allow_cpu_fallback,
            note=lambda _: None,
        )
