"""``edgeseg run --panoptic-dir``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeseg.cli import main
from edgeseg.families import panoptic
from edgeseg.opencv import opencv
from edgeseg.sinks.panoptic import LISTING
from tests.bundles import tiny_bundle

CLIP = "synthetic:seed=1,frames=4,size=64x48"
OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]


def test_every_frame_has_a_map_that_its_line_names(tmp_path, capsys):
    """Maps, their listing and the JSON lines agree; a tracked object has one id in all of them."""
    bundle, maps, lines = tiny_bundle(tmp_path / "bundle", family=panoptic.NAME), tmp_path / "maps", tmp_path / "out.jsonl"

    assert main(["run", str(bundle), CLIP, "--track", "--panoptic-dir", str(maps), "--jsonl", str(lines), *OPTIONS]) == 0

    listing = json.loads((maps / LISTING).read_text())
    records = [json.loads(line)["panoptic"] for line in lines.read_text().splitlines()]
    names = [f"{index:06d}.png" for index in range(4)]
    assert [record["file"] for record in records] == [entry["file_name"] for entry in listing["annotations"]] == names
    things = [{s["track_id"]: s["id"] for s in entry["segments_info"] if s["track_id"] is not None} for entry in listing["annotations"]]
    assert len(things[0]) == 2
    assert all(entry == things[0] for entry in things)
    blue, green, red = opencv().split(opencv().imread(str(maps / names[3])).astype(int))
    assert set((red + 256 * green + 65536 * blue).ravel().tolist()) >= set(things[3].values())
    assert f"wrote {maps}" in capsys.readouterr().err


def test_bundle_without_maps_is_wrong_usage(bundle, tmp_path, capsys):
    """A model of instances has no map to write, and the folder is not made."""
    assert main(["run", str(bundle), CLIP, "--panoptic-dir", str(tmp_path / "maps"), *OPTIONS]) == 2

    assert "Take a panoptic bundle" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    "other",
    [
        ["--panoptic-dir", "pictures"],
        ["--panoptic-dir", "maps", "--out", "maps/"],
        ["--panoptic-dir", "maps", "--jsonl", "maps/panoptic.json"],
    ],
)
def test_maps_do_not_overwrite_other_files(bundle, tmp_path, capsys, monkeypatch, picture, other):
    """Neither pictures of the source nor annotated ones nor lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    picture.rename(tmp_path / "pictures" / "a.png")

    assert main(["run", str(bundle), "pictures", *other, *OPTIONS]) == 2

    assert "would overwrite" in capsys.readouterr().err


def test_names_that_are_not_utf8_stand_in_every_output(tmp_path, monkeypatch):
    """Old archives have such names: lines, listing, log and service manager get an escape, files the name itself."""
    bundle, pictures, maps = tiny_bundle(tmp_path / "bundle", family=panoptic.NAME), tmp_path / "caf\udce9", tmp_path / "maps"
    pictures.mkdir()
    (pictures / "\udcff.png").write_bytes(opencv().imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    files = {name: tmp_path / name for name in ("lines", "log", "coco")}
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setattr("edgeseg.cli.status.SERVICE_INTERVAL_S", 0.0)
    monkeypatch.setattr("edgeseg.cli.status.PLAIN_INTERVAL_S", 0.0)
    outputs = ["--panoptic-dir", str(maps), "--jsonl", str(files["lines"]), "--log-file", str(files["log"]), "--coco", str(files["coco"])]

    assert main(["run", str(bundle), str(pictures), *outputs, *OPTIONS]) == 0

    assert json.loads(files["lines"].read_text())["panoptic"]["file"] == "\udcff.png"
    assert json.loads((maps / LISTING).read_text())["images"][0]["file_name"] == "\udcff.png"
    status = next(record for record in map(json.loads, files["log"].read_text().splitlines()) if record["event"] == "run.status")
    assert status["stream"] == str(pictures)
    assert (maps / "\udcff.png").is_file()
