"""Builds TensorRT-RTX engines with edgeseg's own builder, in a process without PyTorch: its libraries stay loaded.

As a program it reads jobs as JSON from the standard input and writes what came of each.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgeseg.backends.tensorrt.build import build_engine
from edgeseg.backends.tensorrt.library import find
from edgeseg.backends.tensorrt.target import THIS, choose_target
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import EdgesegError

ROOT = Path(__file__).resolve().parent.parent
needs_rtx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnxruntime_ep_nv_tensorrt_rtx", "tensorrt_rtx_bindings")),
    reason="TensorRT-RTX is not installed: pip install -e '.[tensorrt-check]'",
)


@dataclass(frozen=True)
class Job:
    """One engine to build."""

    file: Path
    graph: Graph
    precision: str = "fp32"
    wanted: tuple[str, ...] = (THIS,)
    fail_at: float | None = None
    """Fraction from which on the report raises, as a user's Ctrl-C would in it."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    error: str = ""
    """Class and text."""
    plan_bytes: int = 0
    summary: Mapping[str, float] = field(default_factory=dict)
    reports: Sequence[tuple[str, float]] = ()
    """Phase and fraction."""


def build_all(jobs: Sequence[Job]) -> list[Outcome]:
    """Build every job, in one process of their own."""
    told = json.dumps([asdict(job) for job in jobs], default=str)
    command = [sys.executable, "-m", "tests.build_engines"]
    ended = subprocess.run(command, cwd=ROOT, input=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "", "the library's log went to the terminal"
    return [Outcome(**told) for told in json.loads(ended.stdout)]


def require_built(file: Path, graph: Graph, precision: str = "fp32", wanted: tuple[str, ...] = (THIS,)) -> Outcome:
    """The outcome of a build that must succeed."""
    (outcome,) = build_all([Job(file, graph, precision, wanted)])
    assert outcome.error == ""
    return outcome


def _job(told: Mapping[str, Any]) -> Job:
    specs = {
        side: tuple(TensorSpec(spec["name"], spec["dtype"], tuple(spec["shape"])) for spec in told["graph"][side])
        for side in ("inputs", "outputs")
    }
    graph = Graph(told["graph"]["files"], **specs)
    return Job(Path(told["file"]), graph, told["precision"], tuple(told["wanted"]), told["fail_at"])


def _run(job: Job) -> Outcome:
    reports: list[tuple[str, float]] = []

    def report(phase: str, fraction: float) -> None:
        reports.append((phase, fraction))
        if job.fail_at is not None and fraction >= job.fail_at:
            raise InterruptedError("stop")

    library = find()
    try:
        built = build_engine(library, job.file, job.graph, choose_target(library, None, job.precision, job.wanted), report)
    except (EdgesegError, InterruptedError) as error:
        return Outcome(f"{type(error).__name__}: {error}", reports=reports)
    return Outcome(plan_bytes=len(built.plan), summary=built.summary, reports=reports)


if __name__ == "__main__":
    json.dump([asdict(_run(_job(told))) for told in json.load(sys.stdin)], sys.stdout)
