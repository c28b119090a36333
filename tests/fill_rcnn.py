"""The deterministic weights of `benchmarks.fill_rcnn`, which tests may import and benchmarks may not import from here."""

from benchmarks.fill_rcnn import BACKGROUND, OVERRIDES, fill_rcnn

__all__ = ["BACKGROUND", "OVERRIDES", "fill_rcnn"]
