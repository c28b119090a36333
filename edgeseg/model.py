"""Model: a bundle with its family and open sessions; the one object that infers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edgeseg.backends import Carried, Choice, Session
from edgeseg.bundle import Bundle
from edgeseg.errors import BackendError, BundleError, SourceError, UsageError
from edgeseg.families import Decoded, family, panoptic
from edgeseg.families.base import FUSE, IMAGE, KEY, WARP
from edgeseg.geometry import Fit
from edgeseg.swap import Opened, Swap
from edgeseg.types import Frame, Result, SizeHW, Step, U8Array

DEFAULT_SCORE = 0.3


@dataclass(frozen=True, repr=False)
class Carry:
    """What a key frame leaves for the frames after it. It belongs to the stream, so that streams can share a model."""

    tensors: Mapping[str, Carried]
    image_hw: SizeHW
    opened: Opened
    """The graphs of the backend that the tensors belong to."""


@dataclass(frozen=True, repr=False)
class Inference:
    """What one graph run found in one frame."""

    decoded: Decoded
    carry: Carry
    """After a key frame, what `Model.warp` and the next `Model.key` take; else empty."""
    spans: Mapping[str, float]
    """Stage name -> seconds: ``prepare``, ``infer``, ``decode``."""


class Model:
    """Runs the graphs of a bundle. A context manager.

    It keeps nothing of a stream. ``key`` may run on one thread while ``warp`` runs on another; neither on two at once.
    """

    def __init__(
        self,
        bundle: Bundle,
        open_session: Callable[[str], Session],
        choice: Choice,
        score_threshold: float = DEFAULT_SCORE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise UsageError(f"the score threshold must be from 0 to 1, got {score_threshold}")
        self.bundle = bundle
        self.score_threshold = score_threshold
        self.clock = clock
        self._family = family(bundle.family).configured(bundle)
        self._closed = False
        self._swap: Swap | None = None
        self._retired: weakref.WeakSet[Opened] = weakref.WeakSet()
        _check_graphs(bundle, self._family.outputs)
        if bundle.input.fit not in self._family.fits:
            raise BundleError(
                f"{bundle.path} has input fit {bundle.input.fit!r}, which family {bundle.family} cannot have. Export the model again."
            )
        self._opened = Opened(choice, open_session)
        self._opened.session(KEY)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def choice(self) -> Choice:
        """The backend that serves key frames now, and why."""
        return self._opened.choice

    @property
    def runs_on(self) -> str:
        """Where the graphs run now, in words."""
        return self._opened.session(KEY).runs_on

    @property
    def can_warp(self) -> bool:
        """Whether the bundle has the light graph that works on a key frame's features."""
        return WARP in self.bundle.graphs

    @property
    def can_fuse(self) -> bool:
        """Whether the bundle has the graph that sees a key frame together with the key frame before."""
        return FUSE in self.bundle.graphs

    @property
    def gives_panoptic(self) -> bool:
        """Whether results have a panoptic map."""
        return self.bundle.family == panoptic.NAME

    @property
    def gives_embeddings(self) -> bool:
        """Whether the graph tells objects apart by a track head of its own."""
        return self.gives_panoptic and any(spec.name == panoptic.EMBEDDINGS for spec in self.bundle.graphs[KEY].outputs)

    def __call__(self, image_bgr: U8Array) -> Result:
        """Segment one picture, uint8 (H, W, 3) BGR."""
        frame = Frame(np.asarray(image_bgr), captured_s=self.clock())
        found = self.key(frame)
        return self.result(frame, Step.KEY, found.decoded, found.spans)

    def key(self, frame: Frame, before: Carry | None = None) -> Inference:
        """Run the full graph on a frame; on the backend of `swap_to` from the first such frame on for which it is ready.

        Args:
            frame: the frame.
            before: what the key frame before left. A bundle that can fuse the two does so, if that had the same size and ran on
                the same backend; else, and for all other bundles, the frame is seen alone.
        """
        newer = None if self._swap is None else self._swap.take()
        if newer is not None:
            # Frames that rest on an earlier key frame still need the graphs that it ran on.
            self._retired.add(self._opened)
            self._opened = newer
        if self.can_fuse and before is not None and before.opened is self._opened and before.image_hw == frame.image_hw:
            return self._run(FUSE, self._opened, frame, before.tensors)
        return self._run(KEY, self._opened, frame, {})

    def warp(self, frame: Frame, carry: Carry) -> Inference:
        """Run the light graph on a frame and on what a key frame of the same size left.

        Raises:
            BackendError: the bundle has no such graph, or the key frame had another size.
        """
        if not self.can_warp:
            raise BackendError(f"{self.bundle.path} has no graph {WARP!r}: its frames cannot be warped, only propagated")
        if carry.image_hw != frame.image_hw:
            raise BackendError(f"the key frame had {carry.image_hw} pixels, this one has {frame.image_hw}; run a key frame first")
        return self._run(WARP, carry.opened, frame, carry.tensors)

    def reopen_key(self) -> None:
        """Open what key frames run anew, from the calling thread."""
        for name in (KEY, FUSE) if self.can_fuse else (KEY,):
            self._opened.reopen(name)

    def prepare_warp(self) -> None:
        """Open the light graph now, so that no frame waits for it. Doing it twice is fine."""
        self._opened.session(WARP)

    def prepare_fuse(self) -> None:
        """Open the graph that fuses key frames now, so that the second key frame does not wait for it. Doing it twice is fine."""
        self._opened.session(FUSE)

    def swap_to(self, swap: Swap) -> None:
        """Get another backend ready beside the one that serves; a later key frame changes over to it, the next frames follow."""
        self._swap = swap
        swap.start(lambda: self._opened.names)

    def result(self, frame: Frame, step: Step, decoded: Decoded, spans: Mapping[str, float] | None = None, *, since_key: int = 0) -> Result:
        """What was found in a frame, with the frame's own numbers and its age at this moment."""
        return Result(
            frame_index=frame.index,
            step=step,
            labels=self.bundle.labels,
            image_hw=frame.image_hw,
            instances=decoded.instances,
            panoptic=decoded.panoptic,
            time_s=frame.time_s,
            age_s=self.clock() - frame.captured_s,
            since_key=since_key,
            reconnects=frame.reconnects,
            spans=spans or {},
        )

    def _run(self, name: str, opened: Opened, frame: Frame, carried: Mapping[str, Carried]) -> Inference:
        if self._closed:
            raise BackendError("the model is closed; open it again")
        session = opened.session(name)
        start_s = self.clock()
        fit = self._place(frame)
        feeds = {IMAGE: fit.apply(frame.pixels, self.bundle.input.dtype)}
        prepared_s = self.clock()
        taken = {spec.name: carried[spec.name] for spec in session.graph.inputs if spec.name not in feeds}
        outputs, carry = session.run_carrying(feeds, taken)
        inferred_s = self.clock()
        decoded = self._family.decode(outputs, fit, self.score_threshold)
        self._check_classes(decoded)
        spans = {"prepare": prepared_s - start_s, "infer": inferred_s - prepared_s, "decode": self.clock() - inferred_s}
        return Inference(decoded, Carry(carry, frame.image_hw, opened), spans)

    def _place(self, frame: Frame) -> Fit:
        try:
            return self.bundle.input.place(frame.image_hw)
        except SourceError as error:
            name = f" ({frame.stream})" if frame.stream else ""
            raise SourceError(f"frame {frame.index}{name} cannot be segmented: {error}") from error

    def _check_classes(self, decoded: Decoded) -> None:
        found = decoded.instances
        if found is None or not len(found):
            return
        if found.classes.min() < 0 or found.classes.max() >= len(self.bundle.labels):
            raise BundleError(
                f"{self.bundle.path} names {len(self.bundle.labels)} labels but its graph gave another class. Export the model again."
            )

    def close(self) -> None:
        """Free the sessions, and give up what `swap_to` has begun. Calling it twice is fine."""
        self._closed = True
        if self._swap is not None:
            self._swap.close()
        for opened in (self._opened, *self._retired):
            opened.close()


def _check_graphs(bundle: Bundle, wanted: tuple[str, ...]) -> None:
    """Raise BundleError unless the graphs give what the family decodes, and whatever key frames run feeds the others."""
    if KEY not in bundle.graphs:
        raise BundleError(f"{bundle.path} has no graph {KEY!r}, only {sorted(bundle.graphs)}. Export the model again.")
    carried = bundle.graphs[KEY].carry.keys()
    fed = {KEY: {IMAGE}, WARP: {IMAGE, *carried}, FUSE: {IMAGE, *carried}}
    for name, graph in bundle.graphs.items():
        lacking = set(wanted) - {spec.name for spec in graph.outputs} | set(wanted) & set(graph.carry.values())
        if lacking:
            raise BundleError(
                f"{bundle.path}: graph {name!r} lacks the outputs {sorted(lacking)} of family {bundle.family}. Export the model again."
            )
        unfed = {spec.name for spec in graph.inputs} - fed.get(name, set())
        if unfed:
            raise BundleError(f"{bundle.path}: nothing feeds the inputs {sorted(unfed)} of graph {name!r}. Export the model again.")
    if FUSE in bundle.graphs and bundle.graphs[FUSE].carry.keys() != carried:
        raise BundleError(
            f"{bundle.path}: graph {FUSE!r} carries to {sorted(bundle.graphs[FUSE].carry)}, graph {KEY!r} to {sorted(carried)}; "
            "the next key frame needs the same of both. Export the model again."
        )
