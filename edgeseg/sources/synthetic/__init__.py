"""Synthetic video with exact ground truth: moving textured shapes in front of a landscape, for training, tests and the demo."""

from __future__ import annotations

from edgeseg.sources.synthetic.config import HELD_OUT_FIRST_SEED, SceneConfig, parse
from edgeseg.sources.synthetic.flow import SceneFlow
from edgeseg.sources.synthetic.scene import LABELS, Scene, are_of_scenes, classes_in
from edgeseg.sources.synthetic.source import SyntheticSource
from edgeseg.sources.synthetic.truth import SceneTruth

__all__ = [
    "HELD_OUT_FIRST_SEED",
    "LABELS",
    "Scene",
    "SceneConfig",
    "SceneFlow",
    "SceneTruth",
    "SyntheticSource",
    "are_of_scenes",
    "classes_in",
    "parse",
]
