"""A bundle's graphs in one precision on one backend, run on pictures: what is compared with one another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Bundle, InputSpec
from edgeseg.errors import SourceError
from edgeseg.families.base import IMAGE, KEY
from edgeseg.geometry import Fit
from edgeseg.types import AnyArray, U8Array

_VIEW_STEP = 24
"""Two views of one picture are this fraction of its height and width apart."""


@dataclass(frozen=True, repr=False)
class Run:
    """One run of one graph."""

    graph: str
    outputs: Mapping[str, AnyArray]


class Form:
    """Open sessions of some graphs of a bundle. A context manager."""

    def __init__(self, bundle: Bundle, precision: str, backend: str, graphs: Collection[str] | None = None) -> None:
        own = BACKENDS[backend].own_precisions
        self.bundle = bundle
        self.backend = f"{backend} {BACKENDS[backend].probe().version}"
        with ExitStack() as stack:
            self._sessions = {
                name: stack.enter_context(BACKENDS[backend].open(bundle.file(name, own.get(precision, precision)), graph, precision, None))
                for name, graph in bundle.graphs.items()
                if graphs is None or name in graphs or name == KEY
            }
            self._graphs = graphs
            self._stack = stack.pop_all()

    def __enter__(self) -> Form:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def runs(self, picture: U8Array) -> Iterator[Run]:
        """Every graph once on a picture; the light one on a view of it, with what the key graph carries from another view."""
        for name in self._sessions:
            if self._graphs is None or name in self._graphs:
                yield Run(name, self._sessions[name].run(self.feed(name, picture)))

    def feed(self, name: str, picture: U8Array) -> dict[str, AnyArray]:
        """What a graph gets of a picture: uint8 (H, W, 3) BGR."""
        spec = self.bundle.input
        if name == KEY:
            return {IMAGE: prepared(picture, spec)}
        before, after = views(picture)
        key = self._sessions[KEY].run({IMAGE: prepared(before, spec)})
        carry = self.bundle.graphs[KEY].carry
        return {IMAGE: prepared(after, spec)} | {target: key[output] for target, output in carry.items()}


def views(picture: U8Array) -> tuple[U8Array, U8Array]:
    """Two crops of a picture, a few percent of its size apart, as from a camera that has turned a little."""
    height, width = picture.shape[:2]
    dy, dx = height // _VIEW_STEP, width // _VIEW_STEP
    return picture[: height - dy, : width - dx], picture[dy:, dx:]


def placed(picture: U8Array, spec: InputSpec) -> Fit:
    """How a picture of any shape is laid into the input: stretched where the bundle refuses frames of other shapes than its own."""
    image_hw = (picture.shape[0], picture.shape[1])
    try:
        return spec.place(image_hw)
    except SourceError:
        return replace(spec, fit="stretch").place(image_hw)


def prepared(picture: U8Array, spec: InputSpec) -> AnyArray:
    """A picture of any shape as input."""
    return placed(picture, spec).apply(picture, spec.dtype)
