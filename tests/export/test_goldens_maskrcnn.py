"""From a weights file to the detections of torchvision, through ``edgeseg export`` and ``edgeseg run``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.cli import main
from tests.export.nets.facts import DATA as PICTURES
from tests.export.nets.rcnn.facts import final
from tests.goldens import Match, match

BACKENDS = ("onnxruntime", "openvino")
SCORE = 0.05
"""What torchvision itself keeps."""
BOX_TOLERANCE_PX = 0.1
NEAR_TIES = {("maskrcnn_resnet50_fpn_v2", "coffee_800"): 2}
"""Detections that may differ: the hundredth and the next have nearly equal scores."""
CASES = [
    pytest.param("maskrcnn_resnet50_fpn", "astronaut_480"),
    pytest.param("maskrcnn_resnet50_fpn", "coffee_800", marks=pytest.mark.slow),
    pytest.param("maskrcnn_resnet50_fpn_v2", "astronaut_480", marks=pytest.mark.slow),
    pytest.param("maskrcnn_resnet50_fpn_v2", "coffee_800", marks=pytest.mark.slow),
]


def _records(bundle: Path, case: str, backend: str, folder: Path) -> list[dict[str, Any]]:
    """What the command finds in a case's picture."""
    out, picture = folder / "found.jsonl", PICTURES / f"{case.partition('_')[0]}.png"
    assert main(["run", str(bundle), str(picture), "--jsonl", str(out), "--score", str(SCORE), "--backend", backend]) == 0
    (line,) = out.read_text().splitlines()
    records: list[dict[str, Any]] = json.loads(line)["instances"]
    return records


def _require_same(found: Match, allowed: int) -> None:
    assert (found.missing <= allowed, found.extra <= allowed) == (True, True), str(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_detection_of_torchvision_is_found_and_no_other(
    rcnn_bundle: Callable[..., Path], tmp_path: Path, name: str, case: str, backend: str
) -> None:
    """Class, score, box to a tenth of a pixel and mask; v1 from a file with the names of its publication."""
    records = _records(rcnn_bundle(name, case), case, backend, tmp_path)

    assert all(record["category_id"] == record["class_id"] + 1 for record in records)
    _require_same(match(final(name, case), records, BOX_TOLERANCE_PX), NEAR_TIES.get((name, case), 0))


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_the_graph_for_tensorrt_finds_the_same(rcnn_bundle: Callable[..., Path], tmp_path: Path, name: str, backend: str) -> None:
    """Its operators run on CPUs too."""
    records = _records(rcnn_bundle(name, "astronaut_480", "tensorrt"), "astronaut_480", backend, tmp_path)

    _require_same(match(final(name, "astronaut_480"), records, BOX_TOLERANCE_PX), 0)


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["", "_v2"])
def test_faster_rcnn_finds_the_boxes_of_mask_rcnn(rcnn_bundle: Callable[..., Path], tmp_path: Path, generation: str) -> None:
    """With the same weights and no mask branch: the boxes, scores and classes are the same, and each mask is the box."""
    name, case = f"fasterrcnn_resnet50_fpn{generation}", "astronaut_480"
    records = _records(rcnn_bundle(name, case), case, "onnxruntime", tmp_path)
    wanted = final(name.replace("faster", "mask"), case)

    # Masks are of another kind: every entry is given the one of its record.
    for record in records:
        near = min(wanted, key=lambda entry: sum(abs(a - b) for a, b in zip(entry["box"], record["box"], strict=True)))
        near["rle"] = record["mask"]
    _require_same(match(wanted, records, BOX_TOLERANCE_PX), 0)
