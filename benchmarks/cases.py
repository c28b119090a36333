"""The cases of benchmarks/cases.toml: edgeseg on several backends, beside what others have for the same task, in turns.

python -m benchmarks.cases --out benchmarks/results/cases.json
python -m benchmarks.cases yolact maskrcnn

The rules are those of MLPerf's single stream: one frame at a time, the next when the result of the last is complete, its masks encoded;
a percentile is reported with what it exceeds by chance only, if there are enough rounds for it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import edgeseg
from edgeseg.benchmark.sensors import Watch
from edgeseg.bundle import Bundle, read_bundle, sha256
from edgeseg.cli.turns import parse_run
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.opencv import opencv
from edgeseg.pipeline import Pipeline
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import U8Array
from export.checkpoints import load_checkpoint
from export.recipes import recipe
from export.recipes.base import Recipe, configured
from export.run import Job, export_bundle
from export.samples import shipped

from .case import ROOT, Case, read_cases
from .case_record import PeerStream, Stream, case_text, doubts_of, told
from .conditions import conditions
from .filler import write_filler
from .frame import frame
from .paired import measure
from .peers import PEERS, Opened, Subject
from .yolact_frame import score_for

FILE = Path(__file__).with_name("cases.toml")
FORMAT, FORMAT_VERSION = "edgeseg-cases", 1
COMPARED = 2
"""Pictures on which an exported graph is compared with its net before it is timed."""
DRAWN = 60
"""Frames of a synthetic stream, shown forwards and backwards in turn."""


def main() -> int:
    """Measure, print, write the record; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="cases (default: all)")
    parser.add_argument("--file", type=Path, default=FILE, help="what holds the cases (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    try:
        run_cases(_chosen(read_cases(args.file), args.names), args.out)
    except EdgesegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _chosen(cases: Mapping[str, Case], names: Sequence[str]) -> dict[str, Case]:
    for name in names:
        if name not in cases:
            raise UsageError(f"there is no case {name!r}; there are {', '.join(cases)}")
    return {name: case for name, case in cases.items() if not names or name in names}


def run_cases(cases: Mapping[str, Case], out: Path | None) -> None:
    """Measure one case after the other; each is printed, and kept in the record, as soon as it is done."""
    record: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION, "conditions": conditions(), "cases": {}}
    for name, case in cases.items():
        record["cases"][name] = found = run_case(case)
        print(f"{name}: {case.what}\n{case_text(found)}\n", flush=True)
        if out is not None:
            out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def run_case(case: Case) -> dict[str, Any]:
    """One case: its part of the record."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ready = _prepare(case, Path(folder))
        streams: dict[str, Stream | PeerStream] = {name: stack.enter_context(_stream(case, ready, name)) for name in case.contenders}
        opened, left_out = _peers(case, ready, Path(folder))
        streams |= {name: PeerStream(PEERS[name], one, ready.pictures) for name, one in opened.items()}
        watch = Watch()
        watch.look(now=True)
        timings = measure(streams, case.rounds, case.warm_up)
        watch.look(now=True)
        first = timings[case.contenders[0]]
        return {
            "case": asdict(case),
            "artefact": ready.artefact,
            "score": ready.score,
            "contenders": {name: told(timings[name], first, one) for name, one in streams.items()},
            "left_out": left_out,
            "doubts": doubts_of(timings, streams, watch),
        }


@dataclass(frozen=True, repr=False)
class Ready:
    """What a case needs before it can be measured."""

    bundle: Bundle
    pictures: Sequence[U8Array]
    score: float
    recipe: Recipe | None
    weights: Path | None
    artefact: Mapping[str, Any]


def _prepare(case: Case, folder: Path) -> Ready:
    """Export the net if there is one, draw the frames, choose the threshold."""
    pictures = _pictures(case)
    chosen = None if case.net is None else configured(recipe(case.net), case.options)
    weights = None if chosen is None else _weights(case, chosen, folder)
    if chosen is not None and weights is not None:
        bundle = export_bundle(Job(chosen, weights, folder / "bundle", case.options, shipped().first(COMPARED)), lambda _: None)
    else:
        bundle = read_bundle(ROOT / str(case.bundle))
    score = case.score if case.found is None else score_for(bundle.path, pictures[0], case.found)
    artefact = {"recipe": bundle.recipe, "input_size": list(bundle.input.size), "hashes": dict(bundle.hashes)}
    if weights is not None:
        artefact["weights"] = {"from": case.weights or "deterministic filler", "sha256": sha256(weights)}
    return Ready(bundle, pictures, score, chosen, weights, artefact)


def _weights(case: Case, chosen: Recipe, folder: Path) -> Path:
    return Path(case.weights) if case.weights is not None else write_filler(chosen, folder / "filler.pth")


def _pictures(case: Case) -> list[U8Array]:
    """Frames uint8 (H, W, 3) BGR in the order in which they are shown, again and again."""
    height, width = case.source_size
    if case.source == "picture":
        return [opencv().resize(frame(), (width, height))]
    scene = Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED, frame_count=DRAWN, size_hw=case.source_size))
    drawn = [scene.render(index) for index in range(DRAWN)]
    return [*drawn, *drawn[-2:0:-1]]


@contextmanager
def _stream(case: Case, ready: Ready, name: str) -> Iterator[Stream]:
    """A contender of edgeseg's own."""
    backend, precision = name.split()
    with ExitStack() as stack:
        model = stack.enter_context(edgeseg.load(ready.bundle.path, backend=backend, precision=precision, score_threshold=ready.score))
        yield Stream(model, stack.enter_context(Pipeline(model, parse_run(case.run).settings)), ready.pictures)


def _peers(case: Case, ready: Ready, folder: Path) -> tuple[dict[str, Opened], dict[str, str]]:
    """Those that can be opened, and why others cannot."""
    if not case.peers:
        return {}, {}
    net = None if ready.recipe is None or ready.weights is None else load_checkpoint(ready.weights, ready.recipe)
    subject = Subject(ready.recipe, net, ready.score, case.found, ready.pictures[0], folder)
    opened = {name: _opened(name, subject) for name in case.peers}
    return (
        {name: one for name, one in opened.items() if isinstance(one, Opened)},
        {name: reason for name, reason in opened.items() if isinstance(reason, str)},
    )


def _opened(name: str, subject: Subject) -> Opened | str:
    """A peer that is ready, or why there is none."""
    try:
        return PEERS[name].open(subject)
    except ImportError as error:
        reason = f"its package cannot be imported: {error}"
        print(f"{name} is left out: {reason}")
        return reason


if __name__ == "__main__":
    raise SystemExit(main())
