"""Ray: tasks on this machine or on a cluster, whose machines see the clips and the result folder under the same paths."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from edgeseg.batch.clip import Job, Outcome, process
from edgeseg.batch.executors.base import Executor, Lost, Work
from edgeseg.errors import MissingDependencyError, UsageError
from edgeseg.events import Event, to_log

LOCAL = "local"
"""The address of a Ray of our own, on this machine, for as long as the batch runs."""
_STORE_BYTES = 100_000_000
"""Of shared memory. Jobs and outcomes are small; Ray would take a third of the machine's memory."""
_REACH_S = 5.0
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""No telemetry, and no warning about what a task without a GPU will see in later releases."""
_ADVICE = {
    True: "It keeps its files in /tmp/ray, or below RAY_TMPDIR, which must be short. Without --ray the clips run on processes.",
    False: "Does it ask for a token? Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, as where it was started.",
}
"""Whether it is a Ray of our own -> what to do where it does not start."""


class RayExecutor(Executor):
    """Each job is a task that asks for CPUs, and for a GPU where it needs one. Ray starts none of them anew by itself: the batch does.

    Args:
        address: `LOCAL`, or ``HOST:PORT`` of a cluster that this machine belongs to.
        slots: how many jobs at once; None: as many as the cluster has room for.
        needs: how many ``CPU`` and ``GPU`` one job takes.
        work: what a worker does.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: there is no cluster at that address, or Ray does not start.
    """

    def __init__(self, address: str, slots: int | None, needs: Mapping[str, int], work: Work = process) -> None:
        self.slots = slots
        self._ray = _library()
        _start(self._ray, address, slots, needs)
        _warn_of_waiting(self._ray, needs)
        self._task = self._ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=0)(work)
        self._running: dict[Future[Outcome], tuple[Any, Job]] = {}

    def submit(self, job: Job) -> None:
        reference = self._task.remote(job)
        self._running[reference.future()] = (reference, job)

    def next(self) -> tuple[Job, Outcome | Lost]:
        # Not ray.wait, which makes one and the same exception of every signal.
        done = next(iter(wait(self._running, return_when=FIRST_COMPLETED).done))
        _, job = self._running.pop(done)
        try:
            outcome = done.result()
        except self._ray.exceptions.RayError as error:
            return job, Lost(str(error).strip().partition("\n")[0] or type(error).__name__)
        return job, outcome

    def close(self) -> None:
        for reference, _ in self._running.values():
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()


def _library() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingDependencyError.for_extra("ray", "ray", error) from error


def _reach(address: str) -> None:
    """Raise UsageError unless something listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(f"there is no Ray cluster at {address!r} ({error}). Give HOST:PORT as 'ray start' prints it, or none.") from error


def _start(ray: Any, address: str, slots: int | None, needs: Mapping[str, int]) -> None:
    if address != LOCAL:
        _reach(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES, "num_cpus": slots and slots * needs["CPU"]}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **quiet, **(own if address == LOCAL else {}))
    except Exception as error:
        # Of many kinds: where it cannot write, its files' names are too long, or its processes do not start.
        raise UsageError(f"Ray cannot be used at {address!r}: {str(error).rstrip('.')}. {_ADVICE[address == LOCAL]}") from error
    finally:
        # Ray takes SIGTERM over.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _warn_of_waiting(ray: Any, needs: Mapping[str, int]) -> None:
    """Ray itself waits without a word, because a machine that is large enough may still come."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(machine.get(name, 0) >= count for name, count in needs.items()) for machine in machines):
        wanted = " and ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in needs.items() if count)
        there = "; ".join(", ".join(f"{machine.get(name, 0):g} {name}" for name in needs) for machine in machines)
        text = f"no machine of the Ray cluster has the {wanted} of a worker ({there}): clips wait. Try fewer --threads or another --backend"
        to_log(__name__)(Event("cluster.too_small", text, logging.WARNING, needs=dict(needs), machines=len(machines)))
