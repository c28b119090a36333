"""Is an engine the graph that it was built from? Both run on the same frames, and what they find is matched."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from edgeseg.backends import BACKENDS, Choice, is_ready
from edgeseg.backends.tensorrt.engines import Request, describe
from edgeseg.backends.tensorrt.gpu import find_gpu
from edgeseg.bundle import Bundle
from edgeseg.evaluation.agreement import LEAST_SCORE, Agreement, Agreements
from edgeseg.families import Decoded
from edgeseg.families.base import FUSE, KEY, WARP
from edgeseg.ledger import Entry
from edgeseg.model import Carry, Model
from edgeseg.sources import open_source
from edgeseg.types import Frame

ENGINE = "tensorrt"
REFERENCES = ("onnxruntime", "openvino")
"""What computes exactly what the graph says comes first."""
FRAMES = 16


def obstacle(bundle: Bundle, precision: str) -> str:
    """Why the engines of a precision cannot be compared on this machine; empty if they can."""
    if not BACKENDS[ENGINE].probe().usable:
        return "no GPU" if find_gpu() is None else "this GPU cannot be used, see 'edgeseg doctor'"
    if not all(_is_there(bundle, graph, precision) for graph in bundle.graphs):
        return "not for this GPU"
    return "" if _reference() else f"neither of {', '.join(REFERENCES)} is installed"


def compare(bundle: Bundle, precision: str, pictures: str | None, notice: Callable[[], None]) -> dict[str, Entry]:
    """Graph -> how near its engine comes to the same graph on the CPU, on the first frames of a source.

    Args:
        bundle: whose engines are there; see `obstacle`.
        precision: of the engines, and of the graphs that they are compared with.
        pictures: a source as ``edgeseg run`` takes it; None: made-up scenes at the input's size.
        notice: called after each frame.

    Raises:
        SourceError: the source cannot be read, or its frames do not fit the bundle.
        BackendError: a graph fails.
    """
    height, width = bundle.input.size
    source = pictures or f"synthetic:frames={FRAMES},size={width}x{height}"
    reference_name = _reference()
    found = {graph: Agreements() for graph in bundle.graphs}
    with _opened(bundle, precision, ENGINE) as engine, _opened(bundle, precision, reference_name) as reference:
        sides = _Side(engine), _Side(reference)
        with open_source(source) as frames:
            for frame in itertools.islice(frames, FRAMES):
                for (graph, given), (_, wanted) in zip(*(side.runs(frame) for side in sides), strict=True):
                    if wanted.instances is not None and given.instances is not None:
                        found[graph].add(wanted.instances, given.instances)
                notice()
    return {graph: _entry(bundle, graph, precision, reference_name, one.shown) for graph, one in found.items()}


def keep(bundle: Bundle, entry: Entry) -> None:
    """Write what was measured into the description beside the engine."""
    describe(_request(bundle, entry.graph, entry.precision), entry.to_json())


def sentence(entry: Entry) -> str:
    """For the table."""
    numbers = f"score error {entry.max_score_error:.1e}, mask IoU {entry.mean_mask_iou:.4f}"
    return f"{entry.instances} instances above {entry.score:g}, {entry.lost} lost, {entry.extra} extra, {numbers}"


class _Side:
    """One backend on a stream: the other graphs get what its own key graph left of the frame before."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._carry: Carry | None = None

    def runs(self, frame: Frame) -> Iterator[tuple[str, Decoded]]:
        """Every graph once."""
        key = self._model.key(frame)
        yield KEY, key.decoded
        before = self._carry if self._carry is not None and self._carry.image_hw == frame.image_hw else key.carry
        if self._model.can_fuse:
            yield FUSE, self._model.key(frame, before).decoded
        if self._model.can_warp:
            yield WARP, self._model.warp(frame, before).decoded
        self._carry = key.carry


def _opened(bundle: Bundle, precision: str, backend: str) -> Model:
    return Model(
        bundle,
        lambda graph: BACKENDS[backend].open(bundle.file(graph, precision), bundle.graphs[graph], precision, None),
        Choice(backend, "compared"),
        LEAST_SCORE,
    )


def _reference() -> str:
    return next((name for name in REFERENCES if BACKENDS[name].probe().usable), "")


def _request(bundle: Bundle, graph: str, precision: str) -> Request:
    return Request(bundle.file(graph, precision), bundle.graphs[graph], precision)


def _is_there(bundle: Bundle, graph: str, precision: str) -> bool:
    return is_ready(BACKENDS[ENGINE], bundle.file(graph, precision), bundle.graphs[graph], precision)


def _entry(bundle: Bundle, graph: str, precision: str, reference: str, agreement: Agreement) -> Entry:
    return Entry(
        precision=precision,
        graph=graph,
        against=f"{precision} on {reference} {BACKENDS[reference].probe().version}",
        backend=f"{ENGINE} {BACKENDS[ENGINE].probe().version}",
        sha256=bundle.hashes[bundle.graphs[graph].files[precision]],
        **agreement.numbers(),
    )
