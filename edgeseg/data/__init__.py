"""What ships with the package: the demo bundles."""

from __future__ import annotations

from pathlib import Path


def demo_bundle() -> Path:
    """Folder of the demo bundle: a small YOLACT trained on `synthetic:` video."""
    return Path(__file__).parent / "demo"


def panoptic_demo_bundle() -> Path:
    """Folder of the panoptic demo bundle: a small VPSNet trained on `synthetic:` video."""
    return Path(__file__).parent / "panoptic_demo"
