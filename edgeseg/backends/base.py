"""What a backend is: it opens a graph and runs named tensors through it. It knows nothing of meaning."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray

Tensor: TypeAlias = tuple[str, str, Sequence[int | None]]
"""Name, dtype as numpy calls it, and shape of an input or output as a library reports it; None where a side is not fixed."""


@dataclass(frozen=True)
class Probe:
    """Whether a backend can be used on this machine, and what to do if not."""

    usable: bool
    version: str = ""
    """Version of the package behind it; empty when not installed."""
    detail: str = ""
    """What it would run on, or why it cannot."""
    remedy: str = ""
    """The command that makes it usable; empty when it is."""


@dataclass(frozen=True, repr=False, eq=False)
class Carried:
    """A tensor that one graph gave and a later one takes; it stays where the backend keeps it."""

    spec: TensorSpec
    handle: Any
    """Only sessions of the backend that made it can open it."""

    def __repr__(self) -> str:
        return f"Carried({self.spec})"


class Session(abc.ABC):
    """An open graph. A context manager: leaving it frees what the backend holds."""

    def __init__(self, graph: Graph, runs_on: str) -> None:
        self.graph = graph
        self.runs_on = runs_on
        """Where it runs, in words: device, precision, threads."""
        self._closed = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def run(self, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the graph once.

        Args:
            feeds: input name -> C-contiguous array of exactly the declared dtype and shape.

        Returns:
            Output name -> array. The caller owns the arrays: a later run does not touch them.

        Raises:
            BackendError: the feeds do not fit the graph, the session is closed, or the run failed.
        """
        self._check(feeds, {})
        return self._run(feeds, {}, frozenset())[0]

    def run_carrying(self, feeds: Mapping[str, AnyArray], carried: Mapping[str, Carried]) -> tuple[dict[str, AnyArray], dict[str, Carried]]:
        """Run the graph once on feeds and on tensors that an earlier run left in the backend.

        Args:
            feeds: input name -> array, as for `run`.
            carried: input name -> tensor from a session of the same backend. It stays valid and unchanged.

        Returns:
            The outputs that are not carried, as `run` gives them; and by the input of a later graph each output that
            `Graph.carry` names. These are not copied, and later runs do not touch them.

        Raises:
            BackendError: as for `run`.
        """
        self._check(feeds, carried)
        carry, specs = self.graph.carry, {spec.name: spec for spec in self.graph.outputs}
        outputs, kept = self._run(feeds, {name: tensor.handle for name, tensor in carried.items()}, frozenset(carry.values()))
        return outputs, {name: Carried(specs[output], kept[output]) for name, output in carry.items()}

    def _check(self, feeds: Mapping[str, AnyArray], carried: Mapping[str, Carried]) -> None:
        if self._closed:
            raise BackendError("the session is closed; open the model again")
        given = {name: (array.dtype, array.shape) for name, array in feeds.items()}
        check_feeds(self.graph.inputs, given | {name: (np.dtype(c.spec.dtype), c.spec.shape) for name, c in carried.items()})

    def close(self) -> None:
        """Free what the backend holds. Calling it twice is fine."""
        if not self._closed:
            self._closed = True
            self._release()

    @abc.abstractmethod
    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Run once with inputs that are known to fit; the outputs in ``keep`` come back second, as handles of their own memory."""

    @abc.abstractmethod
    def _release(self) -> None: ...


class Backend(Protocol):
    """One way to run ONNX graphs."""

    name: str
    own_precisions: Mapping[str, str]
    """Precisions that are not in a graph but the backend's own, such as bfloat16 -> the precision of the graph that it then runs."""

    def probe(self) -> Probe:
        """Look whether it can be used, without raising."""
        ...

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:
        """Load ``file``; ``threads`` of None means all cores.

        Raises:
            MissingDependencyError: the package behind it is not installed.
            BackendError: it cannot load the file, or the file's inputs and outputs are not those of ``graph``.
        """
        ...


@runtime_checkable
class FallsBack(Protocol):
    """A backend of a GPU that could leave part of a graph to the CPU, and refuses to until it is allowed."""

    def allowing_cpu_fallback(self) -> Backend:
        """The same backend, allowed to."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A backend that builds something for each file on this machine, an engine, before it opens it the first time.

    ``open`` builds what is not there; ``prepare`` builds without opening, so that it can be done aside and given up.
    """

    def ready(self, file: Path, graph: Graph, precision: str) -> bool:
        """Whether ``open`` would find it built already. Quick, and raises nothing."""
        ...

    def prepare(self, file: Path, graph: Graph, precision: str, report: Callable[[str, float], None]) -> None:
        """Build what ``open`` needs and keep it on disk.

        Args:
            file, graph, precision: as for ``open``.
            report: told the phase and how far it has come, 0 to 1, at least every few seconds. What it raises ends the build
                without a trace and comes out of this call.
        """
        ...


def is_ready(backend: Backend, file: Path, graph: Graph, precision: str) -> bool:
    """Whether a backend can open a file at once. Most have nothing to build."""
    return not isinstance(backend, Prepares) or backend.ready(file, graph, precision)


def get_ready(backend: Backend, file: Path, graph: Graph, precision: str, report: Callable[[str, float], None]) -> None:
    """Let a backend build what it needs for a file, if it needs anything; see `Prepares`."""
    if isinstance(backend, Prepares):
        backend.prepare(file, graph, precision, report)


def check_feeds(expected: tuple[TensorSpec, ...], given: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> None:
    """Raise unless the given tensors, by name with dtype and shape, are exactly those that a graph expects."""
    problems = [f"{name}: not an input" for name in given if name not in {spec.name for spec in expected}]
    for spec in expected:
        found = given.get(spec.name)
        if found is None:
            problems.append(f"{spec.name}: missing")
        elif found != (np.dtype(spec.dtype), spec.shape):
            problems.append(f"{spec.name}: got {found[0]} {list(found[1])}")
    if problems:
        raise BackendError(f"the graph expects {'; '.join(map(str, expected))}. Problems: {'; '.join(problems)}.")


def check_tensors(file: Path, graph: Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Raise unless a loaded file has the inputs and outputs that the manifest declares, of the declared dtypes and shapes."""
    for what, declared, found in (("inputs", graph.inputs, inputs), ("outputs", graph.outputs, outputs)):
        tensors = {name: (dtype, shape) for name, dtype, shape in found}
        wrong = [str(spec) for spec in declared if spec.name not in tensors or not _fits(spec, *tensors[spec.name])]
        if wrong:
            has = "; ".join(f"{name}: {dtype} {list(shape)}" for name, (dtype, shape) in tensors.items())
            raise BackendError(
                f"{file} lacks the {what} {'; '.join(wrong)} that model.json declares; it has {has}. Export the model again."
            )


def _fits(spec: TensorSpec, dtype: str, shape: Sequence[int | None]) -> bool:
    known = len(shape) == len(spec.shape) and all(side in (None, wanted) for side, wanted in zip(shape, spec.shape, strict=True))
    return dtype == spec.dtype and known
