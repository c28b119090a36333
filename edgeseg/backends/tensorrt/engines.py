"""An engine for a graph: the one that was built before, or a new one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.backends.tensorrt.build import build_engine
from edgeseg.backends.tensorrt.cache import EngineCache, cache_folder
from edgeseg.backends.tensorrt.gpu import Gpu, find_gpu
from edgeseg.backends.tensorrt.identity import Identity, identify
from edgeseg.backends.tensorrt.library import find
from edgeseg.backends.tensorrt.progress import Report
from edgeseg.backends.tensorrt.target import THIS, choose_target
from edgeseg.bundle import Graph
from edgeseg.errors import EdgesegError
from edgeseg.events import Event

Note = Callable[[str], None]
"""Takes one line for the user: why an engine that is there is built again, or what is being waited for."""


@dataclass(frozen=True)
class Request:
    """Which engine is wanted."""

    file: Path
    """The ONNX file, in ``precision``."""
    graph: Graph
    precision: str
    wanted: tuple[str, ...] = (THIS,)
    """See `edgeseg.backends.tensorrt.target.choose_target`."""
    force: bool = False
    """Build it even if it is there."""

    @property
    def origin(self) -> dict[str, object]:
        """Where the request came from. Not part of the engine's identity, but tells which older engine it replaces."""
        return {"source": str(self.file.absolute()), "precision": self.precision, "for": list(self.wanted)}


@dataclass(frozen=True, repr=False)
class Engine:
    """An engine and where it came from."""

    plan: bytes
    identity: Identity
    build_s: float | None = None
    """None when it was there."""

    @property
    def fits(self) -> tuple[str, ...]:
        """The GPU or the generations it is for."""
        return self.identity.fits


def engine_for(file: Path, graph: Graph, precision: str, report: Report, note: Note) -> bytes:
    """The plan of ``file`` for this machine's GPU, from the cache or built now.

    Args:
        file: the ONNX file; weights may lie beside it.
        graph: what the manifest says of it.
        precision: that of the file: ``fp32``, ``fp16`` or ``int8``.
        report: takes phase and fraction while a build goes on, from another thread; what it raises cancels the build.
        note: takes one line that explains a build or a wait.

    Raises:
        MissingDependencyError: there is no TensorRT.
        BackendError: the file cannot be built, or the engine cannot be kept.
        BundleError: the file is of another precision.
    """
    return obtain(Request(file, graph, precision), report, note).plan


def is_there(request: Request) -> bool:
    """Whether the cache has the engine already."""
    try:
        return _found(request) is not None
    except EdgesegError:
        return False


def fingerprint(request: Request) -> str | None:
    """The SHA-256 of the engine that the cache has; None where it has none."""
    engine = _found(request)
    return None if engine is None else hashlib.sha256(engine.plan).hexdigest()


def describe(request: Request, agreement: Mapping[str, object]) -> None:
    """Write into the description of an engine that is there how near it comes to the graph it was built from.

    Raises:
        BackendError: the cache cannot be written.
    """
    if (engine := _found(request)) is not None:
        EngineCache(cache_folder()).describe(engine.identity, agreement)


def _found(request: Request) -> Engine | None:
    library, gpu = find(), find_gpu()
    target = choose_target(library, gpu, request.precision, request.wanted)
    return _there(EngineCache(cache_folder()), identify(library, target, request.file, request.graph), gpu)


def obtain(request: Request, report: Report, note: Note) -> Engine:
    """As `engine_for`, for any GPU that the library can build for."""
    library, gpu = find(), find_gpu()
    target = choose_target(library, gpu, request.precision, request.wanted)
    identity = identify(library, target, request.file, request.graph)
    cache, name = EngineCache(cache_folder()), request.file.name
    if not request.force and (found := _there(cache, identity, gpu)) is not None:
        return found
    waiting = Event("engine.waiting", f"another process is building the engine for {name}: waiting for it", graph=name)
    with cache.lock(identity.key, lambda: note(waiting)):
        if not request.force:
            loaded = cache.load(identity)
            if loaded.plan is not None:
                return Engine(loaded.plan, identity)
            if refusal := loaded.refusal or _outdated(cache, identity, request):
                text = f"engine for {name} {refusal}: building it again"
                note(Event("engine.rebuilding", text, logging.WARNING, graph=name, reason=refusal))
        built = build_engine(library, request.file, request.graph, target, report)
        cache.store(identity, request.origin, built)
    return Engine(built.plan, identity, built.summary["build_s"])


def _there(cache: EngineCache, identity: Identity, gpu: Gpu | None) -> Engine | None:
    """The engine of this identity, else one that was built for several GPU generations, of which this GPU's is one."""
    if (plan := cache.load(identity).plan) is not None:
        return Engine(plan, identity)
    if gpu is None or identity.fits != (str(gpu),):
        return None
    lists = (fits for told in cache.entries() if isinstance(fits := _identity(told).get("fits"), list))
    for fits in (tuple(map(str, fits)) for fits in lists if gpu.sm in fits):
        wider = replace(identity, fits=fits)
        if (plan := cache.load(wider).plan) is not None:
            return Engine(plan, wider)
    return None


def _outdated(cache: EngineCache, identity: Identity, request: Request) -> str:
    """Why the last engine that was built for the same request is not this one; empty if there is none."""
    last = next((told for told in cache.entries() if told.get("origin") == request.origin), None)
    return identity.difference(_identity(last)) if last is not None else ""


def _identity(told: dict[str, object]) -> dict[str, object]:
    found = told.get("identity")
    return found if isinstance(found, dict) else {}
