"""``edgeseg inspect``: what it shows of a bundle, and of a damaged one."""

from __future__ import annotations

import json

import pytest

from edgeseg.cli import main
from edgeseg.data import demo_bundle

SHARED = demo_bundle() / "weights.bin"


def test_text_names_all_there_is(bundle, capsys):
    """Family, labels, input, graphs with their tensors and sizes, hashes and versions are in the table."""
    assert main(["inspect", str(bundle)]) == 0

    text = capsys.readouterr().out
    size = (bundle / "key.onnx").stat().st_size
    for part in ("yolact", "tiny", "2: thing_0, thing_1", "64x64 uint8, stretch, bilinear", "graph key", f"key.onnx, {size / 1e6:.1f} MB",
                 "image: uint8 [1, 64, 64, 3]", "boxes: float32 [5, 4]", "every file matches its SHA-256", "edgeseg test"):  # fmt: skip
        assert part in text


def test_a_video_bundle_shows_what_joins_its_graphs(capsys):
    """What the key graph carries to the light one, and the weights that both share."""
    assert main(["inspect", str(demo_bundle())]) == 0

    text = capsys.readouterr().out
    for part in ("graph warp", "sum4 -> key_sum4", "reduced -> key_reduced", f"weights.bin, {SHARED.stat().st_size / 1e6:.1f} MB"):
        assert part in text


def test_parity_is_shown_as_it_was_recorded(bundle, capsys):
    """The exporter's figures appear in words and short numbers."""
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["parity"] = {"key": {"pictures": 2, "max_score_error": 1.23456789e-6}}
    (bundle / "model.json").write_text(json.dumps(manifest))

    assert main(["inspect", str(bundle)]) == 0

    assert "parity key" in (text := capsys.readouterr().out)
    assert "pictures 2, max score error 1.235e-06" in text


def test_json_is_the_manifest_with_sizes(bundle, capsys):
    """--json prints model.json's content plus the size of every file."""
    assert main(["inspect", str(bundle), "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("file_bytes") == {"key.onnx": (bundle / "key.onnx").stat().st_size}
    assert shown == json.loads((bundle / "model.json").read_text())


@pytest.mark.parametrize(
    ("damage", "message"), [("change", "was changed or damaged"), ("remove", "is missing"), ("no manifest", "is not a bundle")]
)
def test_damaged_bundle_is_an_error(bundle, capsys, damage, message):
    """A changed or missing graph and a missing manifest are named, with exit code 1."""
    graph = bundle / "key.onnx"
    if damage == "change":
        graph.write_bytes(graph.read_bytes() + b"x")
    else:
        (graph if damage == "remove" else bundle / "model.json").unlink()

    assert main(["inspect", str(bundle)]) == 1

    assert message in capsys.readouterr().err
