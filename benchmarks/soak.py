"""Does `edgeseg run` grow or slow down over hours of a camera that misbehaves? A real RTSP server on loopback and the command itself.

python -m benchmarks.soak --minutes 60 --out benchmarks/results/soak.json

Every minute the server does one thing that cameras do: damaged packets, a stall, a frozen picture, another size, or it dies and comes
back. The command serves its web page to one viewer and writes JSON lines all the while; at the end it gets SIGTERM.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path

import numpy as np

import edgeseg
from edgeseg.cli.progress import progress
from edgeseg.cli.signals import sigterm_stops

from .conditions import conditions
from .rtsp_chaos import Server

TROUBLES = ("garble 0.1", "stall", "freeze", "size 320x240", "kill", "size 640x360")
TROUBLE_S = 15.0
"""How long each lasts; the rest of its minute is quiet. A killed server comes back after ``KILL_S``."""
KILL_S, PERIOD_S, SAMPLE_S = 3.0, 60.0, 10.0
OPTIONS = ("--schedule", "fixed:5", "--track", "--score", "0.15", "--stall-timeout", "2", "--frozen-after", "5", "--reconnect", "forever")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Sample:
    """What the command held at a time, and how old its results were since the sample before."""

    at_s: float
    memory_mb: float
    threads: int
    handles: int
    results: int
    age_ms: float | None
    """Median; None without results."""


@dataclass
class Lines:
    """Follows a file of JSON lines as it grows."""

    file: Path
    count: int = 0
    instances: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    _at: int = 0

    def new_ages_ms(self) -> list[float]:
        """Ages of the results since the last call, whole lines only."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as stream:
            stream.seek(self._at)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self._at += len(whole) + len(newline)
        results = [json.loads(line) for line in whole.splitlines()]
        for result in results:
            self.steps[result["step"]] = self.steps.get(result["step"], 0) + 1
            self.instances += len(result["instances"])
        self.count += len(results)
        return [result["age_ms"] for result in results]


def main() -> int:
    """Run, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="(default: %(default)s)")
    parser.add_argument("--warm-up-minutes", type=float, default=10.0, help="left out of the slopes (default: %(default)s)")
    parser.add_argument("--server-python", default="/usr/bin/python3", help="a Python that has GStreamer's bindings (default: %(default)s)")
    parser.add_argument("--beside", metavar="TEXT", help="what else ran on the machine meanwhile, for the record")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    if args.minutes < args.warm_up_minutes + 1:
        parser.error("--minutes must be at least one more than --warm-up-minutes: slopes are of the rest")
    before = conditions()
    with sigterm_stops(), tempfile.TemporaryDirectory() as folder, Server(args.server_python) as server:
        record = {
            "minutes": args.minutes,
            "warm_up_minutes": args.warm_up_minutes,
            "options": " ".join(OPTIONS),
            "beside": args.beside,
            "conditions": before,
            **soak(server, Path(folder), args.minutes * 60, args.warm_up_minutes * 60),
            "load_1_min_at_the_end": round(os.getloadavg()[0], 2),
        }
    print(json.dumps({name: value for name, value in record.items() if name != "samples"}, indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def soak(server: Server, folder: Path, seconds: float, warm_up_s: float) -> dict[str, object]:
    """Run the command beside a server that makes trouble, and look at what it holds."""
    lines, log = Lines(folder / "results.jsonl"), folder / "log.txt"
    samples: list[Sample] = []
    with ExitStack() as stack:
        command = stack.enter_context(running(server.url, lines.file, log))
        stack.enter_context(viewer(page_url(log)))
        done = threading.Event()
        stack.callback(done.set)
        happened: dict[str, int] = {}
        threading.Thread(target=make_trouble, args=(server, done, happened), daemon=True).start()
        begin_s = time.monotonic()
        bar = stack.enter_context(progress("soaking, seconds", round(seconds)))
        while (at_s := time.monotonic() - begin_s) < seconds:
            time.sleep(SAMPLE_S)
            if command.poll() is not None:
                raise SystemExit(f"the command ended with {command.returncode}:\n{log.read_text(encoding='utf-8')}")
            samples.append(sample(command.pid, at_s + SAMPLE_S, lines))
            bar.advance(round(SAMPLE_S), f"{samples[-1].memory_mb:.0f} MB, {lines.count} results")
        done.set()
        command.send_signal(signal.SIGTERM)
        code = command.wait(30)
    lines.new_ages_ms()
    return {
        "troubles": happened,
        "results": lines.count,
        "steps": lines.steps,
        "instances": lines.instances,
        "exit_code_after_sigterm": code,
        "file_ends_with_a_whole_line": lines.file.read_bytes().endswith(b"\n"),
        "slopes_per_hour": slopes([each for each in samples if each.at_s >= warm_up_s]),
        "samples": [asdict(each) for each in samples],
        "last_words": log.read_text(encoding="utf-8").splitlines()[-12:],
    }


@contextmanager
def running(url: str, lines: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process of its own, killed if it is still there at the end."""
    arguments = ["run", str(edgeseg.demo_bundle()), url, *OPTIONS, "--jsonl", str(lines), "--serve", "127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "edgeseg", *arguments], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def page_url(log: Path) -> str:
    """Where the command says that its page is, as soon as it does."""
    for _ in range(600):
        found = [line.removeprefix("web page ") for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("web page ")]
        if found:
            return found[0]
        time.sleep(0.1)
    raise SystemExit(f"the command does not start:\n{log.read_text(encoding='utf-8')}")


@contextmanager
def viewer(url: str) -> Iterator[None]:
    """Someone who watches the page's pictures and its numbers, until the end or until the page ends."""
    done = threading.Event()

    def watch() -> None:
        with suppress(OSError, HTTPException), urllib.request.urlopen(f"{url.rstrip('/')}/stream.mjpg", timeout=60) as stream:  # noqa: S310 - the page that runs here
            while not done.is_set() and stream.read(65536):
                pass

    def ask() -> None:
        with suppress(OSError, HTTPException):
            while not done.wait(5):
                urllib.request.urlopen(f"{url.rstrip('/')}/metrics", timeout=60).read()  # noqa: S310 - as above

    for work in (watch, ask):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def make_trouble(server: Server, done: threading.Event, happened: dict[str, int]) -> None:
    """One trouble a period, in turn."""
    for trouble in itertools.cycle(TROUBLES):
        if done.wait(PERIOD_S - TROUBLE_S):
            return
        happened[trouble] = happened.get(trouble, 0) + 1
        if trouble == "kill":
            server.kill()
            done.wait(KILL_S)
            server.start()
            continue
        server.say(trouble)
        done.wait(TROUBLE_S)
        server.say("go")


def sample(process_id: int, at_s: float, lines: Lines) -> Sample:
    """What a process holds now."""
    ages_ms, place = lines.new_ages_ms(), Path("/proc") / str(process_id)
    return Sample(
        at_s=round(at_s, 1),
        memory_mb=round(int((place / "statm").read_text().split()[1]) * _PAGE_MB, 2),
        threads=len(list((place / "task").iterdir())),
        handles=len(list((place / "fd").iterdir())),
        results=len(ages_ms),
        age_ms=round(float(np.median(ages_ms)), 2) if ages_ms else None,
    )


def slopes(samples: Sequence[Sample]) -> dict[str, float]:
    """Growth an hour by least squares, of what is held and of how old results are."""
    found = {}
    for name in ("memory_mb", "threads", "handles", "age_ms"):
        known = [(each.at_s / 3600, value) for each in samples if (value := getattr(each, name)) is not None]
        found[name] = round(float(np.polyfit(*zip(*known, strict=True), 1)[0]), 3)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
