"""One stream: schedule, motion, model and tracker make a result of every frame."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.families import Decoded
from edgeseg.forward import follow, moved
from edgeseg.identities import Identities
from edgeseg.keyframes import FinishedKey, KeyWorker
from edgeseg.model import Carry, Inference, Model
from edgeseg.motion import Motion, MotionEstimator, Trail
from edgeseg.schedule import Policy
from edgeseg.schedule import schedule as policy_of
from edgeseg.types import Frame, Result, SizeHW, Step, Tick

BETWEEN = ("auto", "warp", "propagate")
RECENT_COSTS = 5
"""Durations of each step that a schedule's estimate rests on."""
STEPS_FORWARD = 2
"""Frames by which a key frame that is ready comes forward at least while one more comes in."""


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is processed."""

    schedule: str | Policy = "every"
    """A name of `edgeseg.schedule.SCHEDULES` with its argument, or a policy of your own."""
    between: str = "auto"
    """What frames between key frames get: ``warp``, ``propagate``, or ``auto``: the light graph where the bundle has one
    and key frames are not overlapped, else propagation."""
    overlap: bool = False
    """Run the full graph on a thread of its own: no frame waits for it."""
    track: bool = False
    """Give instances ids, and the segments of a panoptic map that they are."""
    smooth: bool = False
    """Smooth the masks of tracked instances along the flow. Not for panoptic results, whose masks are the regions of a map."""
    faithful: bool = False
    """Restore what is repaired of a panoptic video model's original: the first frame goes through the flow net together with
    itself, and ids are given as there, with a memory that never forgets and its mistakes."""

    def __post_init__(self) -> None:
        if self.between not in BETWEEN:
            raise UsageError(f"between must be one of {', '.join(BETWEEN)}, got {self.between!r}")
        if self.smooth and not self.track:
            raise UsageError("smoothing follows tracked instances: switch tracking on as well (--track)")


@dataclass(frozen=True, repr=False)
class _Key:
    """The last key frame."""

    carry: Carry
    trail: Trail
    confidence: float


@dataclass(frozen=True, repr=False)
class _Base:
    """The last result of a graph: what later frames are propagated from."""

    decoded: Decoded
    trail: Trail


class Pipeline:
    """One stream's state around a model. Two streams are two pipelines. A context manager; close it before the model.

    The first frame, and the first after the picture's size changed or the stream was connected anew, are key frames whatever the schedule
    says.
    """

    def __init__(self, model: Model, settings: StreamSettings | None = None) -> None:
        settings = settings or StreamSettings()
        self.model = model
        self._policy = settings.schedule if isinstance(settings.schedule, Policy) else policy_of(settings.schedule)
        _check(settings, model)
        self._between = _between(settings, model)
        self._faithful = settings.faithful
        self._ids = Identities(smooth=settings.smooth, faithful=settings.faithful) if settings.track else None
        self._worker = KeyWorker(model) if settings.overlap else None
        propagates = self._policy.skips and self._between is Step.PROPAGATE
        watches = settings.track or settings.overlap or self._policy.watches or propagates
        self._estimator = MotionEstimator() if watches else None
        self._seen: tuple[SizeHW, int] | None = None
        self._key: _Key | None = None
        self._base: _Base | None = None
        self._arriving: FinishedKey | None = None
        self._since_key = 0
        self._confidence = 0.0
        self._costs_s: dict[Step, deque[float]] = {step: deque(maxlen=RECENT_COSTS) for step in Step}
        if self._between is Step.WARP and (self._policy.skips or settings.overlap):
            model.prepare_warp()
        if model.can_fuse:
            model.prepare_fuse()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def step(self, frame: Frame) -> Result:
        """Process one frame; frames must come in order.

        Raises:
            EdgesegError: a graph failed, on this frame or, overlapped, on an earlier one.
        """
        start_s = self.model.clock()
        if self._seen != (frame.image_hw, frame.reconnects):
            self._forget(frame)
        self._since_key += 1
        spans: dict[str, float] = {}
        motion = self._look(frame, spans)
        self._receive(frame, motion, spans)
        step = self._choose(frame)
        decoded = self._act(step, frame, motion, spans)
        if step is not Step.DROP:
            self._confidence = _mean_score(decoded)
        result = self.model.result(frame, step, decoded, spans, since_key=self._since_key)
        self._costs_s[step].append(self.model.clock() - start_s - spans.get("forward", 0.0))
        return result

    def _look(self, frame: Frame, spans: dict[str, float]) -> Motion | None:
        """How the picture moved since the last frame, told to all that follow it."""
        if self._estimator is None:
            return None
        start_s = self.model.clock()
        motion = self._estimator.update(frame)
        if motion is not None:
            for trail in {held.trail for held in (self._key, self._base, self._arriving) if held is not None}:
                trail.add(motion)
            if self._worker is not None:
                self._worker.follow(motion)
        spans["motion"] = self.model.clock() - start_s
        return motion

    def _choose(self, frame: Frame) -> Step:
        """What the schedule wants; a key frame on the other thread leaves this one with the step between."""
        if self._key is None:
            return Step.KEY
        trail = self._key.trail
        tick = Tick(
            frame.index,
            self._since_key,
            age_s=self.model.clock() - frame.captured_s,
            between=self._between,
            costs_s={step: self._cost_s(step) for step, costs_s in self._costs_s.items() if costs_s},
            shift=trail.shift,
            unexplained=trail.unexplained,
            confidence=self._confidence / self._key.confidence if self._key.confidence else 1.0,
        )
        step = self._policy(tick)
        if step is not Step.KEY or self._worker is None:
            return step
        if self._worker.idle:
            # One that is ready is newer than the one that frames rest on until it has come forward.
            self._worker.submit(frame, (self._key if self._arriving is None else self._arriving.inference).carry)
        return self._between

    def _cost_s(self, step: Step) -> float:
        """What a step took lately; 0 where none was taken."""
        return statistics.median_low(self._costs_s[step] or [0.0])

    def _act(self, step: Step, frame: Frame, motion: Motion | None, spans: dict[str, float]) -> Decoded:
        if step is Step.DROP:
            return Decoded()
        if step is Step.PROPAGATE:
            return self._propagate(frame, motion, spans)
        if step is Step.WARP and self._key is not None:
            inference = self.model.warp(frame, self._key.carry)
        else:
            inference = self._run_key(frame)
            self._since_key = 0
            self._key = _Key(inference.carry, Trail(), _mean_score(inference.decoded))
        spans |= inference.spans
        decoded = self._matched(frame, self._recognised(inference.decoded), motion, spans)
        self._base = _Base(decoded, Trail())
        return decoded

    def _run_key(self, frame: Frame) -> Inference:
        """The full graph on a frame, together with what the key frame before left."""
        if self._key is not None:
            return self.model.key(frame, self._key.carry)
        alone = self.model.key(frame)
        if not self._faithful:
            return alone
        with_itself = self.model.key(frame, alone.carry)
        return replace(with_itself, spans={name: alone.spans[name] + lasted_s for name, lasted_s in with_itself.spans.items()})

    def _propagate(self, frame: Frame, motion: Motion | None, spans: dict[str, float]) -> Decoded:
        """The last result of a graph, moved along the flow."""
        if self._base is None or self._estimator is None:
            raise UsageError("the schedule asked for propagate without watching the motion; give its Policy watches=True")
        start_s = self.model.clock()
        decoded = moved(self._base.decoded, self._base.trail, self.model.score_threshold)
        moved_s = self.model.clock()
        spans["propagate"] = moved_s - start_s
        if self._ids is not None and len(self._base.trail):
            decoded = self._ids.follow(frame, decoded, motion)
            spans["track"] = self.model.clock() - moved_s
        return decoded

    def _recognised(self, decoded: Decoded) -> Decoded:
        """What a graph found, before it is brought forward, with the ids that its track head gives, if any."""
        return decoded if self._ids is None else self._ids.recognise(decoded)

    def _matched(self, frame: Frame, decoded: Decoded, motion: Motion | None, spans: dict[str, float]) -> Decoded:
        if self._ids is None or decoded.instances is None:
            return decoded
        start_s = self.model.clock()
        decoded = self._ids.match(frame, decoded, motion)
        spans["track"] = self.model.clock() - start_s
        return decoded

    def _receive(self, frame: Frame, motion: Motion | None, spans: dict[str, float]) -> None:
        """Bring an overlapped key frame that is ready forward to this frame, a few frames at a time, and let it take over."""
        if self._worker is None:
            return
        self._arriving = self._arriving or self._take()
        if self._arriving is None:
            return
        start_s = self.model.clock()
        if self._between is not Step.PROPAGATE or self._is_forward(self._arriving, start_s):
            self._take_over(frame, self._arriving, motion, spans)
            self._arriving = None
        spans["forward"] = self.model.clock() - start_s

    def _take(self) -> FinishedKey | None:
        """An overlapped key frame that is ready, if any."""
        finished = None if self._worker is None else self._worker.take()
        if finished is None:
            return None
        decoded = self._recognised(finished.inference.decoded)
        return replace(finished, inference=replace(finished.inference, decoded=decoded))

    def _is_forward(self, arriving: FinishedKey, start_s: float) -> bool:
        """Follow what was found through the frames since, for about as long as a frame takes anyway; whether it has reached this one."""
        found, until_s = arriving.inference.decoded, start_s + self._cost_s(Step.PROPAGATE)
        reached = follow(found, arriving.trail, STEPS_FORWARD)
        while not reached and self.model.clock() < until_s:
            reached = follow(found, arriving.trail, 1)
        return reached

    def _take_over(self, frame: Frame, finished: FinishedKey, motion: Motion | None, spans: dict[str, float]) -> None:
        """Later frames rest on a key frame that was overlapped, brought forward to this one."""
        self._key = _Key(finished.inference.carry, finished.trail, _mean_score(finished.inference.decoded))
        self._since_key = len(finished.trail)
        if self._between is Step.PROPAGATE:
            decoded = moved(finished.inference.decoded, finished.trail, self.model.score_threshold)
            self._base = _Base(self._matched(frame, decoded, motion, spans), Trail())

    def _forget(self, frame: Frame) -> None:
        """Start anew with pictures of another size, or of another time."""
        self._seen = (frame.image_hw, frame.reconnects)
        if self._worker is not None:
            self._worker.wait()
        self._key = self._base = self._arriving = None
        if self._estimator is not None:
            self._estimator.reset()
        if self._ids is not None:
            self._ids.reset()

    def settle(self) -> None:
        """Wait until no key frame is in flight; the next frame takes it over."""
        if self._worker is not None:
            self._worker.settle()

    def close(self) -> None:
        """End the stream: a key frame in flight is waited for and not used. Calling it twice is fine."""
        if self._worker is not None:
            self._worker.close()


def _check(settings: StreamSettings, model: Model) -> None:
    """Raise UsageError for what cannot be done with this model."""
    if settings.smooth and model.gives_panoptic:
        raise UsageError(
            f"the masks of {model.bundle.path} are regions of a panoptic map, and smoothed masks would contradict it. Leave --smooth out."
        )
    if settings.faithful and not model.can_fuse and not (settings.track and model.gives_embeddings):
        raise UsageError(
            f"{model.bundle.path} has nothing that --faithful would restore: it is for panoptic video models, for the first frame of those "
            "that fuse frames, and with --track for the ids of those that have a track head. Leave --faithful out."
        )


def _between(settings: StreamSettings, model: Model) -> Step:
    if settings.between == "warp" and not model.can_warp:
        raise UsageError(f"{model.bundle.path} has no graph for warped frames. Use --between propagate, or export a video model.")
    if settings.between == "auto":
        # Beside an overlapped key frame a second graph would only slow both down.
        return Step.WARP if model.can_warp and not settings.overlap else Step.PROPAGATE
    return Step.WARP if settings.between == "warp" else Step.PROPAGATE


def _mean_score(decoded: Decoded) -> float:
    found = decoded.instances
    return float(np.mean(found.scores)) if found is not None and len(found) else 0.0
