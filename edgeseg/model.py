"""Model: a bundle with its family and an open session; the one object that infers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np

from edgeseg.backends import AUTO, BACKENDS, Choice, Session, choose
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.errors import BundleError, UsageError
from edgeseg.families import Decoded, family
from edgeseg.families.base import IMAGE, KEY
from edgeseg.types import Frame, Result, Step, U8Array

DEFAULT_SCORE = 0.3
DEFAULT_PRECISION = "fp32"


class Model:
    """Segments one picture at a time. A context manager; not for use from several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        session: Session,
        choice: Choice,
        score_threshold: float = DEFAULT_SCORE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise UsageError(f"the score threshold must be from 0 to 1, got {score_threshold}")
        self.bundle = bundle
        self.choice = choice
        self.score_threshold = score_threshold
        self.clock = clock
        self._family = family(bundle.family)
        self._session = session
        lacking = set(self._family.outputs) - {spec.name for spec in bundle.graphs[KEY].outputs}
        if lacking:
            raise BundleError(
                f"{bundle.path}: its graph lacks the outputs {sorted(lacking)} of family {bundle.family}. Export the model again."
            )

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def runs_on(self) -> str:
        """Where the graphs run, in words."""
        return self._session.runs_on

    def __call__(self, image_bgr: U8Array) -> Result:
        """Segment one picture, uint8 (H, W, 3) BGR."""
        return self.key(Frame(np.asarray(image_bgr), captured_s=self.clock()))

    def key(self, frame: Frame) -> Result:
        """Run the full graph on a frame."""
        start_s = self.clock()
        fit = self.bundle.input.place(frame.image_hw)
        feeds = {IMAGE: fit.apply(frame.pixels, self.bundle.input.dtype)}
        prepared_s = self.clock()
        outputs = self._session.run(feeds)
        inferred_s = self.clock()
        decoded = self._family.decode(outputs, fit, self.score_threshold)
        self._check_classes(decoded)
        end_s = self.clock()
        return Result(
            frame_index=frame.index,
            step=Step.KEY,
            labels=self.bundle.labels,
            image_hw=frame.image_hw,
            instances=decoded.instances,
            panoptic=decoded.panoptic,
            time_s=frame.time_s,
            age_s=end_s - frame.captured_s,
            spans={"prepare": prepared_s - start_s, "infer": inferred_s - prepared_s, "decode": end_s - inferred_s},
        )

    def _check_classes(self, decoded: Decoded) -> None:
        found = decoded.instances
        if found is None or not len(found):
            return
        if found.classes.min() < 0 or found.classes.max() >= len(self.bundle.labels):
            raise BundleError(
                f"{self.bundle.path} names {len(self.bundle.labels)} labels but its graph gave another class. Export the model again."
            )

    def close(self) -> None:
        """Free the session. Calling it twice is fine."""
        self._session.close()


def load(
    path: str | Path,
    *,
    backend: str = AUTO,
    precision: str = "auto",
    threads: int | None = None,
    score_threshold: float = DEFAULT_SCORE,
) -> Model:
    """Open a bundle.

    Args:
        path: the folder that ``edgeseg export`` wrote.
        backend: ``auto`` or a name of `edgeseg.backends.BACKENDS`.
        precision: ``auto`` (fp32) or one that the bundle holds.
        threads: CPU threads; None = all cores.
        score_threshold: instances must score above it.

    Raises:
        BundleError: the bundle is damaged, foreign or incomplete.
        MissingDependencyError: the backend is not installed.
        UsageError: an argument that cannot work.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, got {threads}")
    bundle = read_bundle(path)
    choice = choose(backend)
    wanted = DEFAULT_PRECISION if precision == "auto" else precision
    file = bundle.file(KEY, wanted)
    session = BACKENDS[choice.name].open(file, bundle.graphs[KEY], wanted, threads)
    try:
        return Model(bundle, session, choice, score_threshold)
    except BaseException:
        session.close()
        raise
