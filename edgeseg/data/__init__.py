"""What ships with the package: the demo bundle."""

from __future__ import annotations

from pathlib import Path


def demo_bundle() -> Path:
    """Folder of the demo bundle: a small YOLACT trained on `synthetic:` video."""
    return Path(__file__).parent / "demo"
