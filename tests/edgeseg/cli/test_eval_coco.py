"""``edgeseg eval --coco``: annotated pictures of a data set."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgeseg.cli import main
from edgeseg.opencv import opencv
from tests.bundles import tiny_bundle

OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]
BOXES = {
    7: [(10, (12, 14, 36, 50), 0), (20, (20, 4, 32, 40), 0)],
    8: [(10, (12, 20, 36, 52), 0), (10, (30, 40, 60, 64), 0)],
    9: [(20, (20, 4, 30, 36), 1)],
}
"""Picture -> category, corners and whether it is a crowd, in pixels of 64 x 64."""


def annotation(number, image_id, category_id, box, crowd):
    """Of a rectangle; crowds have run-length codes."""
    x0, y0, x1, y1 = box
    mask = np.zeros((64, 64), np.uint8)
    mask[y0:y1, x0:x1] = 1
    runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]]))).tolist()
    counts = np.diff([0, *runs, mask.size]).tolist()
    polygon = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": {"counts": counts, "size": [64, 64]} if crowd else polygon,
        "area": (x1 - x0) * (y1 - y0),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": crowd,
    }


@pytest.fixture
def data_set(tmp_path):
    """Pictures ``val/7.png`` to ``9.png`` and ``val.json``."""
    (tmp_path / "val").mkdir()
    for number in BOXES:
        opencv().imwrite(str(tmp_path / "val" / f"{number}.png"), np.full((64, 64, 3), 20 * number, np.uint8))
    there = [(number, *one) for number, boxes in BOXES.items() for one in boxes]
    content = {
        "info": {},
        "images": [{"id": number, "file_name": f"{number}.png", "height": 64, "width": 64} for number in BOXES],
        "categories": [{"id": 10, "name": "thing_0"}, {"id": 20, "name": "thing_1"}],
        "annotations": [annotation(k + 1, *one) for k, one in enumerate(there)],
    }
    (tmp_path / "val.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """One that finds the same things everywhere."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def test_scores_are_those_of_pycocotools(bundle, data_set, capsys):
    """On the file that `edgeseg run --coco` writes, with the annotations as they are."""
    found, scores = data_set / "found.json", data_set / "scores.json"
    assert main(["run", str(bundle), str(data_set / "val"), "--coco", str(found), "--score", "0.05", *OPTIONS]) == 0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data_set / "val.json"))
        expected = COCOeval(truth, truth.loadRes(str(found)), "segm")
        expected.evaluate()
        expected.accumulate()
        expected.summarize()
    assert 0.1 < expected.stats[0] < 0.9

    command = ["eval", str(bundle), "--coco", str(data_set / "val.json"), "--pictures", str(data_set / "val")]
    assert main([*command, "--json", str(scores), *OPTIONS]) == 0

    ap = json.loads(scores.read_text())["runs"][0]["mask_ap"]
    assert [ap["ap"], ap["ap50"], ap["ap75"]] == pytest.approx(expected.stats[:3].tolist(), abs=1e-6)
    assert (ap["images"], ap["instances"]) == (3, 4)
    text = capsys.readouterr().out
    assert f"3 pictures of {data_set / 'val.json'}\n" in text
    assert "4 true instances of 2 classes" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["every"][1] == f"{ap['ap']:.3f}"


def test_pictures_that_are_not_there_are_told_of(bundle, data_set, capsys):
    """They may lie in folders of the data set, not elsewhere; without --pictures beside the file. --clips takes the first."""
    (data_set / "val" / "8.png").rename(data_set / "7.png")
    content = json.loads((data_set / "val.json").read_text())
    content["images"][1]["file_name"] = "../8.png"
    content["images"][2]["file_name"] = "val/9.png"
    (data_set / "val.json").write_text(json.dumps(content))

    assert main(["eval", str(bundle), "--coco", str(data_set / "val.json"), "--run", "every", "--run", "fixed:2", *OPTIONS]) == 0
    text = capsys.readouterr().out
    assert f"2 pictures of {data_set / 'val.json'}; 1 of its pictures is not in {data_set}\n" in text
    assert "2 true instances of 2 classes" in text
    assert main(["eval", str(bundle), "--coco", str(data_set / "val.json"), "--clips", "1", *OPTIONS]) == 0
    assert f"1 picture of {data_set / 'val.json'}; 1 of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--coco", "TMP/none.json"], 1, "none.json cannot be read as COCO annotations"),
        (
            ["--coco", "TMP/val.json"],
            1,
            "none of the 3 pictures of TMP/val.json, such as 7.png, is in TMP. Give their folder with --pictures",
        ),
        (["--coco", "TMP/small.json", "--pictures", "TMP/val"], 1, "7.png has (64, 64) pixels, the annotations say (64, 32)"),
        (["--synthetic", "--pictures", "TMP"], 2, "Give --coco FILE as well"),
        (["--synthetic", "--coco", "TMP/val.json"], 2, "not allowed with"),
    ],
)
def test_what_cannot_work_is_one_message_and_a_code(bundle, data_set, capsys, arguments, code, message):
    """And no traceback."""
    content = json.loads((data_set / "val.json").read_text())
    content["images"][0]["width"] = 32
    (data_set / "small.json").write_text(json.dumps(content))
    given = [argument.replace("TMP", str(data_set)) for argument in arguments]

    assert main(["eval", str(bundle), *given, *OPTIONS]) == code

    assert message.replace("TMP", str(data_set)) in capsys.readouterr().err
