"""What is known of the published UPSNet, VPSNet and FlowNet2 files, read from tests/data/panoptic."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

DATA = Path(__file__).parents[3] / "data" / "panoptic"


@functools.cache
def _manifests() -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress((DATA / "manifests.json.gz").read_bytes()))


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Official parameter names and shapes of a file."""
    return {key: tuple(shape) for key, shape in _manifests()[name].items()}
