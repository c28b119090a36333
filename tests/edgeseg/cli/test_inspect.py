"""``edgeseg inspect``: what it shows of a bundle, and of a damaged one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgeseg.bundle import LEDGER, sha256
from edgeseg.cli import main
from edgeseg.data import demo_bundle
from edgeseg.ledger import Ledger
from tests.bundles import tiny_bundle
from tests.edgeseg.test_ledger import ENTRY

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


def test_a_bundle_that_fuses_shows_that_graph_and_the_settings(tmp_path, capsys):
    """What both graphs of key frames carry to the next one, and what the exporter set for the family."""
    bundle = tiny_bundle(tmp_path / "b", fuse=True)
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["settings"] = {"void": True, "stuff_area_limit": 2048}
    (bundle / "model.json").write_text(json.dumps(manifest))

    assert main(["inspect", str(bundle)]) == 0

    text = capsys.readouterr().out
    for part in ("graph fuse", "reference_state: float32 [1]", "void True, stuff_area_limit 2048"):
        assert part in text
    assert text.count("state -> reference_state") == 2


def test_parity_is_shown_as_it_was_recorded(bundle, capsys):
    """The exporter's figures appear in words and short numbers."""
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["parity"] = {"key": {"pictures": 2, "max_score_error": 1.23456789e-6}}
    (bundle / "model.json").write_text(json.dumps(manifest))

    assert main(["inspect", str(bundle)]) == 0

    assert "parity key" in (text := capsys.readouterr().out)
    assert "pictures 2, max score error 1.235e-06" in text


def test_json_is_the_manifest_with_sizes(bundle, capsys):
    """--json prints model.json's content plus the size of every file and, here, that nobody measured anything."""
    assert main(["inspect", str(bundle), "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("file_bytes") == {"key.onnx": (bundle / "key.onnx").stat().st_size}
    assert shown.pop("ledger") == []
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


def _with_ledger(bundle, **changes):
    entry = replace(ENTRY, sha256=sha256(bundle / "key.onnx"), **changes)
    (bundle / LEDGER).write_text(json.dumps(Ledger((entry,)).to_json()))
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["hashes"][LEDGER] = sha256(bundle / LEDGER)
    (bundle / "model.json").write_text(json.dumps(manifest))
    return entry


def test_the_ledger_is_a_table_below(bundle, capsys):
    """A row for every graph and precision, with the verdict; its file is not listed among the weights."""
    _with_ledger(bundle, lost=20)

    assert main(["inspect", str(bundle)]) == 0

    text, _, ledger = capsys.readouterr().out.partition("\n\n")
    assert LEDGER not in text
    head, row = ledger.splitlines()
    assert head.split()[:3] == ["precision", "graph", "against"]
    assert row.startswith("int8       key    fp32")
    assert row.endswith("20 of 100 instances lost and 2 extra, 15 are allowed")


def test_json_has_the_ledger_too(bundle, capsys):
    """Every field of every entry, with the verdict."""
    entry = _with_ledger(bundle)

    assert main(["inspect", str(bundle), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["ledger"] == [json.loads(json.dumps(entry.to_json()))]


def test_a_damaged_ledger_is_an_error(bundle, capsys):
    """With exit code 1 and the file's name."""
    _with_ledger(bundle)
    (bundle / LEDGER).write_text("{")
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["hashes"][LEDGER] = sha256(bundle / LEDGER)
    (bundle / "model.json").write_text(json.dumps(manifest))

    assert main(["inspect", str(bundle)]) == 1

    assert "ledger.json is not a valid ledger" in capsys.readouterr().err
