"""What viewers of the web page cost a run: the same frames without a page, with one, and with twenty viewers, ten of whom never read.

python -m benchmarks.web_viewers --out benchmarks/results/web_viewers.json

Stretches are timed in turn. The viewers are a process of their own on the same machine, so that what they take of it counts as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import edgeseg
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.sinks import Address, Sink, WebSink
from edgeseg.types import Frame

from .conditions import conditions
from .paired import Contender, measure, ratio

STRETCH = 20
"""Frames between one contender and the next."""
DEMO = Path(edgeseg.__file__).parent / "data" / "demo"
_REQUEST = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"


def main() -> int:
    """Measure and write the record."""
    args = _arguments()
    frames = [frame for _, frame in zip(range(STRETCH), edgeseg.open_source(args.clip), strict=False)]
    with ExitStack() as stack:
        model = stack.enter_context(edgeseg.load(args.bundle, threads=1, backend=args.backend))
        pipeline = stack.enter_context(Pipeline(model, StreamSettings("fixed:5", track=True)))
        alone, watched = (stack.enter_context(WebSink(Address("127.0.0.1", 0))) for _ in range(2))
        pictures = stack.enter_context(viewers(urlsplit(watched.url).port or 0, args.reading, args.stuck))
        contenders = {
            "no page": stretch(pipeline, frames, []),
            "page": stretch(pipeline, frames, [alone]),
            "viewers": stretch(pipeline, frames, [watched]),
        }
        before = pictures.value
        timings = measure(contenders, args.rounds, warm_up=1)
        seen = pictures.value - before
    record = {
        "conditions": conditions(),
        "case": {
            **{name: str(value) for name, value in vars(args).items() if name not in ("out", "bundle")},
            "bundle": args.bundle.name,
            "frames_a_stretch": STRETCH,
            "threads": 1,
        },
        "time_against_no_page": {name: ratio(timings[name], timings["no page"]) for name in ("page", "viewers")},
        "cpu_time_against_no_page": {
            name: round(float(np.median(np.divide(timings[name].parts_s["cpu"], timings["no page"].parts_s["cpu"]))), 3)
            for name in ("page", "viewers")
        },
        "write_us": {name: _percentiles_us(timings[name].parts_s) for name in ("page", "viewers")},
        "pictures_to_a_reader_a_second": round(seen / args.reading / sum(timings["viewers"].values_s), 1),
        "contenders": {name: {**timing.to_json(), "frames_a_second": STRETCH / timing.median_s} for name, timing in timings.items()},
    }
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({name: record[name] for name in list(record)[2:-1]}, indent=1))
    return 0


def stretch(pipeline: Pipeline, frames: Sequence[Frame], sinks: Sequence[Sink]) -> Contender:
    """All frames through the pipeline into the sinks; the parts are percentiles of what a write took, and the CPU time of this thread."""
    numbers = itertools.count()

    def work() -> Mapping[str, float]:
        writes_s, cpu_s = [], time.thread_time()
        for frame in frames:
            result = pipeline.step(Frame(frame.pixels, next(numbers), time.monotonic(), frame.stream))
            start_s = time.perf_counter()
            for sink in sinks:
                sink.write(frame, result)
            writes_s.append(time.perf_counter() - start_s)
        percentiles = {f"p{percent}": float(np.percentile(writes_s, percent)) for percent in (50, 99, 100)}
        return {**percentiles, "cpu": time.thread_time() - cpu_s}

    return work


@contextmanager
def viewers(port: int, reading: int, stuck: int) -> Iterator[Synchronized[int]]:
    """A process with that many viewers; the value counts the pictures that reach those who read."""
    context = multiprocessing.get_context("spawn")
    pictures, ready = context.Value("q", 0), context.Event()
    process = context.Process(target=_watch, args=(port, reading, stuck, pictures, ready), daemon=True)
    process.start()
    ready.wait()
    try:
        yield pictures
    finally:
        process.terminate()
        process.join()


def _watch(port: int, reading: int, stuck: int, pictures: Synchronized[int], ready: threading.Event) -> None:
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(reading + stuck)]
    for connection in connections:
        connection.sendall(_REQUEST)
    threads = [threading.Thread(target=_read, args=(connection, pictures)) for connection in connections[:reading]]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join()


def _read(connection: socket.socket, pictures: Synchronized[int]) -> None:
    with connection.makefile("rb") as stream:
        for line in stream:
            if line.startswith(b"Content-Length: "):
                stream.read(int(line.partition(b":")[2]) + 4)
                with pictures.get_lock():
                    pictures.value += 1


def _percentiles_us(parts_s: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Microseconds: the median over the stretches of each percentile, and the longest write of all."""
    medians = {name: round(float(np.median(parts_s[name])) * 1e6, 1) for name in ("p50", "p99")}
    return {**medians, "max": round(max(parts_s["p100"]) * 1e6, 1)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=DEMO)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--clip", default="synthetic:seed=7,size=640x360")
    parser.add_argument("--reading", type=int, default=10)
    parser.add_argument("--stuck", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
