"""``edgeseg batch``: an archive of clips, on all cores or on a Ray cluster, as often as it takes."""

from __future__ import annotations

import argparse
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.backends import ON_CPU, Choice, choose
from edgeseg.batch import Job, Options, Outcome, Results, run_batch
from edgeseg.batch.executors import Executor, LocalExecutor, RayExecutor
from edgeseg.batch.executors.on_ray import LOCAL
from edgeseg.batch.journal import DONE, FAILED
from edgeseg.bundle import read_bundle
from edgeseg.cli.logs import note
from edgeseg.cli.options import add_model_options, model_options, score, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.run import add_stream_options
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.families import panoptic
from edgeseg.ledger import caution
from edgeseg.loader import DEFAULT_PRECISION
from edgeseg.model import DEFAULT_SCORE
from edgeseg.paths import is_file
from edgeseg.pipeline import StreamSettings
from edgeseg.schedule import schedule
from edgeseg.sources import redacted

_EXAMPLES = """The folder gets NAME.jsonl for each video, NAME.mp4 with --video, NAME.zip with --panoptic, and batch.jsonl, which
says what became of each.
Results get their names when they are whole. The same command again does what is missing: videos that failed, are new, or were
changed. A second video of one name becomes NAME-2. docs/serving.md says what is kept after which accident.

examples:
  edgeseg batch BUNDLE archive/*.mp4 --out results
  edgeseg batch BUNDLE archive/*.mp4 --out results --video --schedule fixed:5 --track
  edgeseg batch BUNDLE archive/*.mp4 --out results --workers 4 --threads 2
  edgeseg batch BUNDLE archive/*.mp4 --out results --ray
  edgeseg batch BUNDLE archive/*.mp4 --out results --ray 192.168.0.10:6379
"""


@dataclass(frozen=True)
class _Share:
    """How the work is divided."""

    workers: int | None
    """None: as many as a cluster has room for."""
    threads: int
    """Of each."""
    gpus: int = 0
    """Of each, on a cluster, which hides them from who asks for none."""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "batch",
        help="segment an archive of videos, on all cores or on a Ray cluster",
        description="Segment many videos into one folder; called again, go on where the last call stopped.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument("videos", metavar="VIDEO", nargs="+", help="video files")
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for all results; it is made where its parent exists")
    group.add_argument("--video", action="store_true", help="write an annotated video for each as well")
    group.add_argument("--panoptic", action="store_true", help="write the panoptic maps of each as well; the bundle must be panoptic")
    group.add_argument(
        "--score", type=score, default=DEFAULT_SCORE, help="leave out instances that score no more than this (default: %(default)s)"
    )
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="videos at the same time (default: one for each core; 1 on a GPU; on a cluster no limit)",
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help="run them as tasks of Ray: on this machine, or on the cluster at ADDRESS; give it after the videos",
    )
    add_stream_options(parser, live=False)
    add_model_options(parser, "CPU threads of each worker (default: the cores that it has to itself; 1 on a cluster)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code: 1 if a clip failed."""
    sources = _sources(args.videos)
    options, share = _options(args, len(sources))
    try:
        with Results(args.out, options) as results:
            jobs = results.missing(sources)
            tally = _run(jobs, results, args, share)
    except KeyboardInterrupt as stop:
        raise type(stop)("clips that are done are kept, and the same command does the others") from None
    done, were_there, failed = tally[DONE], len(sources) - len(jobs), tally[FAILED]
    text = f"{done} clip{'s' * (done != 1)} done, {were_there} were there, {failed} failed"
    note(Event("batch.summary", text, done=done, were_there=were_there, failed=failed))
    note(Event("output.written", f"wrote {args.out}", file=str(args.out)))
    return 1 if failed else 0


def _sources(texts: Sequence[str]) -> list[str]:
    """Absolute paths of the videos, each once."""
    for text in texts:
        if not is_file(text):
            raise UsageError(f"there is no file {redacted(text)!r}. 'edgeseg batch' takes video files; 'edgeseg run' takes the rest.")
    # The name is the one given here, also where it is a link's.
    return list(dict.fromkeys(os.fspath(Path(text).parent.resolve() / Path(text).name) for text in texts))


def _options(args: argparse.Namespace, clips: int) -> tuple[Options, _Share]:
    if args.schedule.partition(":")[0] == "deadline":
        raise UsageError("deadlines are for cameras; an archive has no deadline. Choose every, fixed:N or adaptive.")
    schedule(args.schedule)
    stream = StreamSettings(args.schedule, args.between, track=args.track, smooth=args.smooth, faithful=args.faithful)
    bundle = read_bundle(args.bundle)
    if args.panoptic and bundle.family != panoptic.NAME:
        # Before the folder is made: it would hold to this option for ever.
        raise UsageError("this bundle finds instances alone, so there are no maps for --panoptic. Take a panoptic bundle.")
    if message := caution(bundle, DEFAULT_PRECISION if args.precision == "auto" else args.precision, bundle.graphs):
        note(Event("precision.doubtful", message, logging.WARNING))
    choice = choose(args.backend)
    share = _divide(args, clips, choice)
    # By name: another machine of a cluster, or a later batch in the folder, might choose another one.
    own = {**model_options(args), "backend": choice.name, "threads": share.threads}
    options = Options(os.fspath(args.bundle.resolve()), stream, args.score, video=args.video, panoptic=args.panoptic, **own)
    return options, share


def _divide(args: argparse.Namespace, clips: int, choice: Choice) -> _Share:
    """Workers, and threads of each, as asked or by the cores of this machine. What a cluster has is not known here."""
    if args.ray not in (None, LOCAL):
        return _Share(args.workers, args.threads or 1, 0 if choice.name in ON_CPU else 1)
    cores = len(os.sched_getaffinity(0))
    workers = args.workers or (min(cores, clips) if choice.name in ON_CPU else 1)
    threads = args.threads or max(1, cores // workers)
    text = f"backend {choice.name} ({choice.reason}), at most {workers} at a time, with {threads} thread{'s' * (threads != 1)} each"
    note(Event("batch.begins", text, backend=choice.name, reason=choice.reason, workers=workers, threads=threads))
    return _Share(workers, threads)


def _run(jobs: Sequence[Job], results: Results, args: argparse.Namespace, share: _Share) -> Counter[str]:
    """Do the jobs; returns how many are done and how many failed."""
    tally: Counter[str] = Counter()
    if not jobs:
        return tally
    with _executor(args, share) as executor, progress("clips", len(jobs)) as bar:

        def end(job: Job, outcome: Outcome) -> None:
            results.record(job, outcome)
            tally[DONE if outcome.error is None else FAILED] += 1
            if outcome.error is not None:
                text = f"{job.name} failed, the others go on: {outcome.error}"
                note(Event("clip.failed", text, logging.ERROR, clip=job.name, reason=str(outcome.error)))
            bar.advance(detail=job.name)

        run_batch(jobs, executor, end, note)
    return tally


def _executor(args: argparse.Namespace, share: _Share) -> Executor:
    if args.ray is None:
        return LocalExecutor(share.workers or 1)
    return RayExecutor(args.ray, share.workers, {"CPU": share.threads, "GPU": share.gpus})
