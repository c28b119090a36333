"""Does a network camera fall behind or fall over? A real RTSP server on loopback against a model that needs 100 ms.

python -m benchmarks.rtsp_chaos --minutes 2 --kills 5 --out benchmarks/results/rtsp_chaos.json

``steady``: how old results are when they are there, by the time that each picture itself carries, and what is dropped.
``kills``: the server is killed and started again; how long until the next result, and what grows.
``troubles``: lost packets, a stall, a frozen picture and another size, one after the other.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import read_bundle
from edgeseg.cli.progress import progress
from edgeseg.sinks import Sink
from edgeseg.sources import LiveSettings
from edgeseg.types import AnyArray, Frame, Result, U8Array

from .conditions import conditions

SERVER = Path(__file__).with_name("rtsp_server.py")
STAMP_BITS, BLOCK = 32, 8
"""As in the server, which runs in another Python."""
INFER_S = 0.1
STALL_S, FROZEN_S = 2.0, 5.0
TROUBLES = (("garble 0.1", 15.0), ("stall", 6.0), ("freeze", 20.0), ("size 320x240", 10.0))
"""A command, and the seconds until all is well again."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rtsp_chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="length of the steady part (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--server-python", default="/usr/bin/python3", help="a Python that has GStreamer's bindings (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record: dict[str, object] = {"infer_s": INFER_S, "conditions": conditions()}
    with Server(args.server_python) as server:
        record["steady"] = Run(server).steady(args.minutes * 60)
        record["kills"] = Run(server).kills(args.kills)
        record["troubles"] = Run(server).troubles()
    print(json.dumps(record, indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


class Server:
    """The server as a process that can be killed and started again on the same port."""

    def __init__(self, python: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._command = [python, str(SERVER), "--port", str(self._port)]
        self.url = f"rtsp://user:secret@127.0.0.1:{self._port}/clip"
        self.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it listens."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            raise SystemExit(f"{self._command[0]} cannot run the server; see the head of {SERVER}")

    def kill(self) -> None:
        """Without a word to those who watch."""
        self._process.kill()
        self._process.communicate()

    def say(self, command: str) -> None:
        """Send a command."""
        if self._process.stdin is not None:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()


@dataclass
class Watch(Sink):
    """Takes the place of an output and notes when each result came."""

    done: threading.Event = field(default_factory=threading.Event)
    times_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    """By the time that the picture carries; nan where it cannot be read."""
    stated_ages_s: list[float] = field(default_factory=list)
    """As the results state them."""
    indices: list[int] = field(default_factory=list)

    def write(self, frame: Frame, result: Result) -> None:
        now_s = time.monotonic()
        self.times_s.append(now_s)
        self.ages_s.append(stamped_age_s(frame.pixels, now_s))
        self.stated_ages_s.append(result.age_s)
        self.indices.append(frame.index)
        self.wants_stop = self.done.is_set()


class Run:
    """One stream from the server through a model that sleeps."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._watch = Watch()
        self._notes: list[str] = []
        self._begin_s = time.monotonic()

    def steady(self, seconds: float) -> dict[str, object]:
        """Nothing happens."""
        counts, held = self._while(lambda: self._samples(seconds))
        watch = self._watch
        return {
            "seconds": seconds,
            "results": len(watch.times_s),
            "frames_came": watch.indices[-1] + 1,
            "counts": counts,
            "age_ms": _spread(watch.ages_s),
            "stated_age_ms": _spread(watch.stated_ages_s),
            "age_ms_first_and_last_tenth": [_spread(part)["median"] for part in (_tenth(watch.ages_s, 0), _tenth(watch.ages_s, 9))],
            "held": held,
        }

    def kills(self, count: int) -> dict[str, object]:
        """The server dies, and comes back after one to five seconds."""
        resumed_s: list[float] = []

        def act() -> list[dict[str, float]]:
            held = []
            for turn in range(count):
                time.sleep(4)
                held.append(_held())
                self._server.kill()
                time.sleep(1 + turn % 5)
                self._server.start()
                resumed_s.append(round(self._until_next_result(), 2))
            time.sleep(4)
            return [*held, _held()]

        counts, held = self._while(act)
        return {"resumed_after_s": resumed_s, "counts": counts, "held_before_each_and_at_the_end": held, "notes": self._notes}

    def troubles(self) -> dict[str, object]:
        """One after the other, each with the results that came during it and the time until they came again afterwards."""
        found: dict[str, object] = {}

        def act() -> list[dict[str, float]]:
            held = []
            for command, seconds in TROUBLES:
                time.sleep(4)
                held.append(_held())
                before = len(self._watch.times_s)
                self._server.say(command)
                time.sleep(seconds)
                during = len(self._watch.times_s) - before
                self._server.say("go")
                found[command] = {"seconds": seconds, "results": during, "next_result_after_s": round(self._until_next_result(), 2)}
            return [*held, _held()]

        counts, held = self._while(act)
        return {**found, "counts": counts, "held_before_each_and_at_the_end": held, "notes": self._notes}

    def _while(self, act: Callable[[], list[dict[str, float]]]) -> tuple[dict[str, int], list[dict[str, float]]]:
        """Run the stream for as long as ``act`` takes. What happened to it, and what ``act`` returned."""
        held: list[dict[str, float]] = []

        def work() -> None:
            try:
                self._until_next_result()
                held.extend(act())
            finally:
                self._watch.done.set()

        settings = LiveSettings(stall_s=STALL_S, frozen_s=FROZEN_S, note=self._note)
        with _sleepy_model() as model, edgeseg.Pipeline(model) as pipeline, edgeseg.open_source(self._server.url, settings) as source:
            threading.Thread(target=work, daemon=True).start()
            with progress("streaming", None) as bar:
                edgeseg.run(source, pipeline, [self._watch], on_frame=lambda _: bar.advance())
            return asdict(source.counts), held

    def _samples(self, seconds: float) -> list[dict[str, float]]:
        """What the process holds, ten times."""
        held = []
        for _ in range(10):
            time.sleep(seconds / 10)
            held.append(_held())
        return held

    def _until_next_result(self) -> float:
        """Seconds until a result comes."""
        begin_s, seen = time.monotonic(), len(self._watch.times_s)
        while len(self._watch.times_s) == seen:
            time.sleep(0.01)
        return time.monotonic() - begin_s

    def _note(self, line: str) -> None:
        self._notes.append(f"{time.monotonic() - self._begin_s:.1f} s: {line}")


def stamped_age_s(pixels: U8Array, now_s: float) -> float:
    """How long ago the server made a picture; nan where its blocks are neither black nor white."""
    blocks = pixels[BLOCK // 2, BLOCK // 2 : STAMP_BITS * BLOCK : BLOCK, 1]
    if len(blocks) < STAMP_BITS or np.any((blocks > 64) & (blocks < 192)):
        return float("nan")
    stamp = int("".join("1" if block > 128 else "0" for block in blocks), 2)
    return ((int(now_s * 1e6) - stamp) % (1 << STAMP_BITS)) / 1e6


def _sleepy_model() -> edgeseg.Model:
    """The demo bundle, with nothing found after ``INFER_S``."""
    bundle = read_bundle(edgeseg.demo_bundle())

    def answer(_: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        time.sleep(INFER_S)
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in bundle.graphs["key"].outputs}

    return edgeseg.Model(
        bundle, lambda name: Fake(answer).open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", None), Choice("fake", "asked for")
    )


def _held() -> dict[str, float]:
    """Memory, threads and file handles of this process."""
    gc.collect()
    return {
        "memory_mb": round(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB, 1),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "handles": len(list(Path("/proc/self/fd").iterdir())),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    known = np.array(seconds)[~np.isnan(seconds)] * 1e3
    return {name: round(float(np.percentile(known, at)), 1) for name, at in (("median", 50), ("p90", 90), ("p99", 99), ("max", 100))}


def _tenth(values: list[float], number: int) -> list[float]:
    size = len(values) // 10
    return values[number * size : (number + 1) * size]


if __name__ == "__main__":
    raise SystemExit(main())
