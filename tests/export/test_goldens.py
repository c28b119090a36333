"""From a weights file to the detections of the original code: checkpoint, export, bundle, backend and command together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

import edgeseg
from edgeseg.cli import main
from tests.export.nets.facts import DATA, golden
from tests.goldens import NEAR_TIES, SCORE, match

BACKENDS = ("onnxruntime", "openvino")
ALWAYS = ("yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_mobilenetv2")
"""Configurations that every run of the tests exports; the others take minutes."""


def _cases() -> list[Any]:
    names = [path.stem.split("__") for path in sorted(DATA.glob("*__*.json"))]
    # Pictures of one configuration in a row share its bundle.
    return [pytest.param(*name, marks=() if name[0] in ALWAYS else pytest.mark.slow, id="-".join(name)) for name in names]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("config", "picture"), _cases())
def test_every_original_detection_is_found_and_no_other(
    official_bundle: Callable[[str], Path], config: str, picture: str, backend: str
) -> None:
    """Class, score, box and mask of each detection of the original code, within the tolerances of tests/goldens.py, and none extra."""
    with edgeseg.load(official_bundle(config), backend=backend, score_threshold=SCORE) as model:
        result = model(cv2.imread(str(DATA / f"{picture}.png")))

    found = match(golden(config, picture)["final"], result.to_json()["instances"])

    allowed = NEAR_TIES.get((config, picture), 0)
    assert (found.missing <= allowed, found.extra <= allowed) == (True, True), str(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("config", "picture"), [("yolact_resnet50", "coffee"), ("yolact_plus_resnet50", "astronaut")])
def test_the_command_writes_the_same_detections(
    official_bundle: Callable[[str], Path], tmp_path: Path, config: str, picture: str, backend: str
) -> None:
    """``edgeseg run`` on the picture's file gives them as one JSON line."""
    out = tmp_path / "found.jsonl"
    arguments = ["run", official_bundle(config), DATA / f"{picture}.png", "--jsonl", out, "--score", SCORE, "--backend", backend]

    assert main([str(argument) for argument in arguments]) == 0

    lines = out.read_text().splitlines()
    found = match(golden(config, picture)["final"], json.loads(lines[0])["instances"])
    assert (len(lines), found.missing, found.extra) == (1, 0, 0), str(found)


def _records(config: str, picture: str) -> list[dict[str, Any]]:
    """A golden's own detections in the form of `Result.to_json`."""
    wanted = golden(config, picture)["final"]
    names = {"class": "class_id", "score": "score", "box": "box", "rle": "mask", "mask_score": "mask_score"}
    return [{names[name]: value for name, value in entry.items() if name in names} for entry in wanted]


@pytest.mark.parametrize(
    ("change", "missing", "extra"),
    [
        (list.copy, 0, 0),
        (lambda records: records.reverse(), 0, 0),
        (lambda records: records.pop(), 1, 0),
        (lambda records: records.append(records[0]), 0, 1),
        (lambda records: records[0].update(class_id=5), 1, 1),
        (lambda records: records[0].update(score=records[0]["score"] + 0.0011), 1, 1),
        (lambda records: records[0].update(mask_score=records[0]["mask_score"] - 0.0011), 1, 1),
        (lambda records: records[0].pop("mask_score"), 1, 1),
        (lambda records: records[0].update(box=[records[0]["box"][0] - 2, *records[0]["box"][1:]]), 1, 1),
        (lambda records: records[0].update(mask=records[1]["mask"]), 1, 1),
    ],
    ids=["same", "order", "missing", "twice", "class", "score", "mask_score", "no_mask_score", "box", "mask"],
)
def test_the_matching_notices_every_kind_of_difference(change: Callable[[list[dict[str, Any]]], object], missing: int, extra: int) -> None:
    """Only the order is free."""
    records = _records("yolact_plus_resnet50", "astronaut")
    change(records)

    found = match(golden("yolact_plus_resnet50", "astronaut")["final"], records)

    assert (found.missing, found.extra) == (missing, extra), str(found)
