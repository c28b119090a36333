"""From a bundle on disk to a model on the best backend, now and once its engines are built."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgeseg.backends import AUTO, BACKENDS, BACKGROUND, WAIT, Backend, Choice, Session, backend_named, get_ready, is_ready, plan
from edgeseg.backends.remote import RemoteSession
from edgeseg.bundle import Bundle, Graph, read_bundle
from edgeseg.errors import UsageError
from edgeseg.events import Event, to_log
from edgeseg.ledger import PrecisionWarning, caution
from edgeseg.model import DEFAULT_SCORE, Model
from edgeseg.swap import Note, Report, Swap
from edgeseg.types import AnyArray

DEFAULT_PRECISION = "fp32"


def load(
    path: str | Path,
    *,
    backend: str = AUTO,
    precision: str = "auto",
    threads: int | None = None,
    score_threshold: float = DEFAULT_SCORE,
    build: str | None = None,
    allow_cpu_fallback: bool = False,
    note: Note | None = None,
) -> Model:
    """Open a bundle.

    Args:
        path: the folder that ``edgeseg export`` wrote.
        backend: ``auto`` or a name of `edgeseg.backends.BACKENDS`.
        precision: ``auto`` (fp32), one that the bundle holds, or one of the backend's own such as OpenVINO's ``bf16``.
        threads: CPU threads; None = all cores.
        score_threshold: instances must score above it.
        build: where the best backend has no engines of this bundle yet: ``wait`` for them; ``background``: start on the best one that
            needs none and change over at a key frame; ``never``: do without. None: wait for a backend that is named, else background.
        allow_cpu_fallback: let a GPU's backend leave to the CPU what it cannot run; else that is an error.
        note: takes a line when engines are built, and when their backend takes over or fails to; None: the log.

    Raises:
        BundleError: the bundle is damaged, foreign or incomplete.
        MissingDependencyError: the backend is not installed.
        BackendError: the backend cannot run the bundle.
        UsageError: an argument that cannot work.

    Warns:
        PrecisionWarning: the bundle's ledger does not vouch for this precision.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, got {threads}")
    if backend == AUTO:
        # A precision of one backend's own leaves no choice.
        backend = next((name for name, entry in BACKENDS.items() if precision in entry.own_precisions), AUTO)
    loader = _Loader(read_bundle(path), DEFAULT_PRECISION if precision == "auto" else precision, threads, allow_cpu_fallback)
    chosen = plan(backend, build or (BACKGROUND if backend == AUTO else WAIT), loader.is_built)
    now, later, tell = chosen.now, chosen.later, note or to_log(__name__)
    if not loader.is_built(now.name):
        text = f"building engines for backend {now.name}, which can take minutes; 'edgeseg build' does it beforehand"
        tell(Event("engine.building", text, backend=now.name))
        loader.builder(now.name)(lambda _phase, _fraction: None)
    model = Model(loader.bundle, loader.opener(now.name), now, score_threshold)
    if message := caution(loader.bundle, loader.precision, loader.bundle.graphs):
        warnings.warn(message, PrecisionWarning, stacklevel=2)
    if later is not None:
        text = f"building engines for backend {later.name}; {now.name} serves until they are there"
        tell(Event("engine.building", text, backend=later.name, until=now.name))
        model.swap_to(Swap(later, loader.builder(later.name), loader.opener(later.name), tell))
    return model


def load_remote(
    path: str | Path,
    infer: Callable[[str, Mapping[str, AnyArray]], Mapping[str, AnyArray]],
    *,
    where: str = "a server",
    score_threshold: float = DEFAULT_SCORE,
) -> Model:
    """Open a bundle whose graphs run elsewhere. What is carried from one frame to the next comes here and goes there again.

    Args:
        path: the folder that ``edgeseg export`` wrote.
        infer: runs one graph: its name in the bundle (``key``, ``warp``, ``fuse``) and its inputs by name -> its outputs by name, all of
            the dtypes and shapes that the manifest declares. What it raises comes out of the model.
        where: where they run, for people.
        score_threshold: as for `load`.

    Raises:
        BundleError: the bundle is damaged, foreign or incomplete.
        UsageError: the threshold is none.
    """
    bundle = read_bundle(path)
    return Model(
        bundle, lambda name: RemoteSession(bundle.graphs[name], where, partial(infer, name)), Choice("remote", "as asked"), score_threshold
    )


@dataclass(frozen=True)
class _Loader:
    """A bundle in one precision, for whichever backend."""

    bundle: Bundle
    precision: str
    threads: int | None
    allow_cpu_fallback: bool

    def is_built(self, name: str) -> bool:
        """Whether the backend of a name has nothing to build for any graph."""
        return all(is_ready(*self._entry(name, graph)) for graph in self.bundle.graphs)

    def builder(self, name: str) -> Callable[[Report], None]:
        """Builds all that the backend needs."""

        def build(report: Report) -> None:
            for graph in self.bundle.graphs:
                get_ready(*self._entry(name, graph), report)

        return build

    def opener(self, name: str) -> Callable[[str], Session]:
        """Opens a graph on the backend."""

        def open_session(graph: str) -> Session:
            backend, file, spec, precision = self._entry(name, graph)
            return backend.open(file, spec, precision, self.threads)

        return open_session

    def _entry(self, name: str, graph: str) -> tuple[Backend, Path, Graph, str]:
        """A backend, and what it takes of a graph."""
        backend = backend_named(name, allow_cpu_fallback=self.allow_cpu_fallback)
        held = backend.own_precisions.get(self.precision, self.precision)
        return backend, self.bundle.file(graph, held), self.bundle.graphs[graph], self.precision
