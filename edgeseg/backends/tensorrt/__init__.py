"""TensorRT and TensorRT-RTX: engines are built on the machine they run on, and kept for the next time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.backends.base import Probe, Session, check_tensors
from edgeseg.backends.tensorrt.api import Runtime
from edgeseg.backends.tensorrt.engines import Note, Request, is_there, obtain
from edgeseg.backends.tensorrt.gpu import Gpu, find_gpu
from edgeseg.backends.tensorrt.library import REMEDY, Library, find
from edgeseg.backends.tensorrt.log import collector, letting_go
from edgeseg.backends.tensorrt.progress import Report
from edgeseg.backends.tensorrt.runtime import Engine, PlanRefusedError, load_engine
from edgeseg.backends.tensorrt.session import TensorRtSession
from edgeseg.backends.tensorrt.target import unfit
from edgeseg.bundle import Graph
from edgeseg.device import Device, DeviceProbe, Driver, choose_device
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.events import Event, to_log

_TO_LOG = to_log(__name__)
Plans = Callable[[Request, Report, Note], bytes]


def _plan(request: Request, report: Report, note: Note) -> bytes:
    return obtain(request, report, note).plan


@dataclass(frozen=True)
class Parts:
    """What the backend is made of; tests put others in place."""

    find_library: Callable[[], Library] = find
    choose_device: Callable[[], tuple[Driver | None, DeviceProbe]] = choose_device
    plan: Plans = _plan
    is_there: Callable[[Request], bool] = is_there
    find_gpu: Callable[[], Gpu | None] = find_gpu


class TensorRt:
    """Runs graphs as TensorRT engines, which it builds when there is none yet for this file, library and GPU.

    Args:
        parts: library, device and builder.
        report: takes the phase and the fraction done, 0 to 1, while an engine is built.
        note: takes one line for the user, such as why an engine is built again.
    """

    name = "tensorrt"
    own_precisions: Mapping[str, str] = {}

    def __init__(self, parts: Parts | None = None, report: Report = lambda *_: None, note: Note = _TO_LOG) -> None:
        self._parts = parts or Parts()
        self._report, self._note = report, note
        self._device: Device | None = None
        self._lock = threading.Lock()

    def probe(self) -> Probe:
        """See `edgeseg.backends.base.Backend`."""
        try:
            library = self._parts.find_library()
        except MissingDependencyError as error:
            return Probe(False, detail=str(error), remedy=REMEDY)
        driver, found = self._parts.choose_device()
        if driver is None:
            return Probe(False, library.version, f"{library} is installed, but no GPU can be used. {found.detail}", found.remedy)
        if problem := unfit(library, self._parts.find_gpu()):
            return Probe(False, library.version, problem, "install TensorRT itself, which runs on all of NVIDIA's GPUs")
        return Probe(True, library.version, f"{library} on {found.detail}, by {driver.name} {found.version}")

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:  # noqa: ARG002  the protocol's arguments
        """See `edgeseg.backends.base.Backend`."""
        library = self._parts.find_library()
        device = self._open_device(library)
        if not file.is_file():
            raise BackendError(f"there is no file {file}")
        with device.active(), letting_go():
            return self._session(library, device, Request(file, graph, precision))

    def _session(self, library: Library, device: Device, request: Request) -> Session:
        try:
            engine = self._load(library, request)
        except PlanRefusedError as refusal:
            graph, reason = request.file.name, str(refusal)
            text = f"{library} cannot load the engine for {graph} ({reason}): building it again"
            self._note(Event("engine.rebuilding", text, logging.WARNING, graph=graph, reason=reason))
            engine = self._load_new(library, replace(request, force=True))
        check_tensors(request.file, request.graph, engine.inputs, engine.outputs)
        return TensorRtSession(request.graph, f"{device.name}, {library}, {request.precision}, {device.driven_by}", device, engine)

    def ready(self, file: Path, graph: Graph, precision: str) -> bool:
        """See `edgeseg.backends.base.Prepares`."""
        return self._parts.is_there(Request(file, graph, precision))

    def prepare(self, file: Path, graph: Graph, precision: str, report: Report) -> None:
        """See `edgeseg.backends.base.Prepares`."""
        self._parts.plan(Request(file, graph, precision), report, self._note)

    def _load(self, library: Library, request: Request) -> Engine:
        plan = self._parts.plan(request, self._report, self._note)
        return load_engine(lambda errors: _runtime(library, errors), plan)

    def _load_new(self, library: Library, request: Request) -> Engine:
        try:
            return self._load(library, request)
        except PlanRefusedError as refusal:
            raise BackendError(
                f"{library} cannot load {request.file}: it refuses even the engine that it has just built ({refusal})."
                " Try another TensorRT version, or --backend onnxruntime."
            ) from refusal

    def _open_device(self, library: Library) -> Device:
        """The one device of this backend, opened when it is first needed."""
        with self._lock:
            if self._device is None:
                driver, found = self._parts.choose_device()
                if driver is None:
                    raise BackendError(f"{library} is installed, but no GPU can be used. {found.detail}. To get it: {found.remedy}")
                self._device = driver.open()
            return self._device


def _runtime(library: Library, errors: list[str]) -> Runtime:
    return library.module.Runtime(collector(library.module, errors))
