"""``edgeseg run`` with several sources: one model, a pipeline for each."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeseg.background import in_background
from edgeseg.benchmark.machine import peak_memory_mib
from edgeseg.cli.live import live_settings
from edgeseg.cli.logs import note
from edgeseg.cli.options import model_options
from edgeseg.cli.outputs import PLACES, names_of_maps, open_places, print_written
from edgeseg.cli.report import backend_event, source_text, summary_fields, table
from edgeseg.cli.serve import open_shared_page
from edgeseg.cli.status import StreamStatus, status
from edgeseg.errors import EdgesegError, MissingDependencyError, SourceError, UsageError
from edgeseg.events import Event
from edgeseg.fleet import Lane, Turn, Watcher, run_together
from edgeseg.loader import load
from edgeseg.model import Model
from edgeseg.paths import is_folder, is_there
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule.staggered import staggered
from edgeseg.sinks import Channel, JsonlSink, Sink, StreamSink, WebPage
from edgeseg.sinks.target import check_folder, make_folder
from edgeseg.sources import Source, SourceCounts, may_come, open_source, redacted
from edgeseg.sources.latest import SIGNAL_S
from edgeseg.types import Step


@dataclass(frozen=True)
class _Opened:
    """A source that could be opened, and its place on the command line."""

    number: int
    source: Source
    text: str

    @property
    def folder_name(self) -> str:
        """What its outputs are called: its number, and of a file or folder the name."""
        path = Path(self.text)
        return f"{self.number}-{path.stem}" if is_there(path) and path.stem else str(self.number)

    def is_lost(self) -> bool:
        """Whether it is being connected anew right now."""
        return self.source.is_lost


def run_streams(args: argparse.Namespace, settings: StreamSettings) -> int:
    """Run the verb for several sources; returns the exit code: 1 if a stream failed.

    Raises:
        UsageError: something cannot work with several streams.
        EdgesegError: no source could be opened, or what all streams need could not.
    """
    _check(args)
    with ExitStack() as stack:
        opened, failed = _open_sources(args, stack)
        page = _open_page(args, opened, failed, stack)
        lines = None if args.jsonl is None else JsonlSink(args.jsonl)
        if lines is not None:
            stack.enter_context(lines)
        sinks = [[*_open_sinks(args, one, lines, stack), *_part_of(page, one, stack)] for one in opened]
        model = stack.enter_context(load(args.bundle, score_threshold=args.score, build=args.build, **model_options(args)))
        note(backend_event(model))
        lanes = _lanes(model, replace(settings, schedule=args.schedule), opened, sinks)
        for lane in lanes:
            stack.enter_context(lane.pipeline)
        streams = {lane.name: StreamStatus(lane.name, lane.source, args.max_frames) for lane in lanes}
        with status(list(streams.values()), args.jsonl) as see:
            watcher = Watcher(lambda lane, result: see(streams[lane.name], result), _tell_failure, lambda lane: streams[lane.name].end())
            run_together(lanes, max_frames=args.max_frames, watcher=watcher)
    note(Event("run.summary", _summary_text(lanes), streams={lane.name: summary_fields(lane.summary) for lane in lanes}))
    print_written(args)
    return 1 if failed or any(lane.error is not None for lane in lanes) else 0


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError for what is for one stream only."""
    if args.overlap:
        raise UsageError("overlapped key frames of several streams would get in each other's way. Leave --overlap out, or run one source.")
    for option, text in ((place.option, place.text(args)) for place in PLACES if not place.is_folder):
        if text is not None and Path(text).suffix and not text.endswith("/") and not is_folder(text):
            raise UsageError(f"{option} {text} is one file for {len(args.sources)} sources. Give a folder, such as {option} results/.")


def _open_sources(args: argparse.Namespace, stack: ExitStack) -> tuple[list[_Opened], dict[int, EdgesegError]]:
    """The sources that are there or may come later, and why others cannot be opened, by number. Each error is told of.

    Raises:
        EdgesegError: the first one's, where none is there; the others are not told of then.
    """
    tried = _open_all(args, dict(enumerate(args.sources)), stack)
    errors = {number: one for number, one in tried.items() if isinstance(one, EdgesegError)}
    if len(errors) == len(tried):
        raise errors[0]
    away = {number: args.sources[number] for number, error in errors.items() if _may_come(args, number, error)}
    # Told before it is tried again, for it may come in the same moment.
    for number, error in errors.items():
        note(_away(number, error) if number in away else _failure(f"stream {number}", "cannot be opened", error))
    tried |= _open_all(args, away, stack, may_be_away=True)
    opened = [one for one in tried.values() if isinstance(one, _Opened)]
    # Cameras that are away take seconds to leave: all are told before the first is waited for.
    for one in opened:
        stack.callback(one.source.interrupt)
    return opened, {number: errors[number] for number, one in tried.items() if isinstance(one, EdgesegError)}


def _may_come(args: argparse.Namespace, number: int, error: EdgesegError) -> bool:
    """Whether another attempt may help: not where a part of OpenCV is missing, nor with files."""
    return isinstance(error, SourceError) and may_come(args.sources[number], live_settings(args))


def _open_all(
    args: argparse.Namespace, sources: Mapping[int, str], stack: ExitStack, *, may_be_away: bool = False
) -> dict[int, _Opened | EdgesegError]:
    """Each source or its error. They are opened at the same time, for a camera that does not answer takes ten seconds."""
    settings = replace(live_settings(args), may_be_away=may_be_away)

    def open_one(number: int, text: str) -> _Opened | EdgesegError:
        try:
            return _Opened(number, stack.enter_context(open_source(text, settings)), text)
        except (SourceError, MissingDependencyError) as error:
            return error

    # A signal ends the wait; what is opened after that ends with the process.
    opening = {number: in_background(partial(open_one, number, text), "edgeseg-open") for number, text in sources.items()}
    while wait(opening.values(), SIGNAL_S).not_done:
        pass
    return {number: future.result() for number, future in opening.items()}


def _open_sinks(args: argparse.Namespace, one: _Opened, lines: JsonlSink | None, stack: ExitStack) -> list[Sink]:
    """Outputs of one stream, in folders that all share."""
    info = replace(one.source.info, name=f"{one.number}, {one.source.info.name}")
    opened = open_places(args, info, lambda place, folder: _own_place(folder, one, place.ending(info)))
    sinks = [stack.enter_context(sink) for sink in opened]
    return [*sinks, *([] if lines is None else [lines.of_stream(one.number, names_of_maps(sinks))])]


def _open_page(args: argparse.Namespace, opened: Sequence[_Opened], failed: Mapping[int, EdgesegError], stack: ExitStack) -> WebPage | None:
    """The web page with all streams, also those that could not be opened; None where it is not asked for."""
    channels = {one.number: Channel(one.number, one.source.info.name, one.is_lost) for one in opened}
    channels |= {number: Channel(number, redacted(args.sources[number])) for number in failed}
    page = open_shared_page(args, [channels[number] for number in sorted(channels)])
    if page is not None:
        stack.enter_context(page)
        for number, error in failed.items():
            page.sinks[number].fail(str(error))
    return page


def _part_of(page: WebPage | None, one: _Opened, stack: ExitStack) -> list[Sink]:
    """A stream's part of the page, if there is one."""
    return [] if page is None else [stack.enter_context(page.sinks[one.number])]


def _own_place(folder: str, one: _Opened, ending: str) -> str:
    """A stream's part of an output folder, which is made."""
    path = Path(folder)
    check_folder(path if is_there(path) else path.parent)
    make_folder(path)
    return f"{path / one.folder_name}{ending}"


def _lanes(model: Model, settings: StreamSettings, opened: Sequence[_Opened], sinks: Sequence[Sequence[Sink]]) -> list[Lane]:
    lanes = []
    for k, (one, own) in enumerate(zip(opened, sinks, strict=True)):
        turn = Turn()
        policy = staggered(str(settings.schedule), turn, k / len(opened))
        lanes.append(Lane(f"stream {one.number}", one.source, Pipeline(model, replace(settings, schedule=policy)), own, turn))
    return lanes


def _tell_failure(lane: Lane) -> None:
    note(_failure(lane.name, "failed", lane.error))
    for sink in lane.sinks:
        if isinstance(sink, StreamSink):
            sink.fail(str(lane.error))


def _away(number: int, error: EdgesegError) -> Event:
    text = f"stream {number} is not there yet, and is tried again while the others run: {error}"
    return Event("stream.away", text, logging.WARNING, stream=f"stream {number}", reason=str(error))


def _failure(stream: str, what: str, error: EdgesegError | None) -> Event:
    text = f"{stream} {what}, the others go on: {error}"
    return Event("stream.failed", text, logging.ERROR, stream=stream, kind=type(error).__name__, reason=str(error))


def _summary_text(lanes: Sequence[Lane]) -> str:
    """A row for each stream, what happened to live ones, and all of them together."""
    rows = [
        (
            lane.name,
            lane.source.info.name,
            str(lane.summary.frames),
            f"{lane.summary.frames_per_s:.1f}",
            *[str(lane.summary.steps[step]) for step in Step],
            f"{lane.age.median_s * 1e3:.1f}",
            f"{lane.age.p99_s * 1e3:.1f}",
            "failed" if lane.error is not None else "",
        )
        for lane in lanes
    ]
    header = ("", "source", "frames", "frames/s", *[step.value for step in Step], "age, median ms", "age, p99 ms", "")
    frames, wall_s = sum(lane.summary.frames for lane in lanes), max(lane.summary.wall_s for lane in lanes)
    total = f"{frames} frames of {len(lanes)} streams in {wall_s:.2f} s"
    live = [f"{lane.name}: {source_text(lane.summary.source)}" for lane in lanes if lane.summary.source != SourceCounts()]
    memory = peak_memory_mib()
    peak = [] if memory is None else [f"peak memory {memory:.0f} MiB"]
    return "\n".join([total, table([header, *rows], right=range(2, 10)), *live, *peak])
