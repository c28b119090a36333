"""A synthetic scene as a video source."""

from __future__ import annotations

from collections.abc import Iterator

from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.synthetic.config import SceneConfig
from edgeseg.sources.synthetic.scene import Scene
from edgeseg.types import Frame, SizeHW


class SyntheticSource(Source):
    """The frames of one scene in order, rendered as they are asked for; iterating again starts at frame 0."""

    def __init__(self, config: SceneConfig) -> None:
        self.scene = Scene(config)
        self.info = SourceInfo(self.scene.name, config.fps, config.frame_count, config.size_hw)
        self._closed = False

    @property
    def fps(self) -> float:
        """Frames a second of the stream's own time."""
        return self.scene.config.fps

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        return self.scene.config.frame_count

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) of the frames in pixels."""
        return self.scene.config.size_hw

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frame_count):
            if self._closed:
                return
            yield self.scene.frame(index)

    def close(self) -> None:
        """End the stream: an iteration that is under way stops before its next frame."""
        self._closed = True
