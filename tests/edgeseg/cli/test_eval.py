"""``edgeseg eval``: what it prints, writes and refuses."""

from __future__ import annotations

import json

import pytest

from edgeseg.bundle import MANIFEST
from edgeseg.cli import eval as evaluate
from edgeseg.cli import main
from edgeseg.data import demo_bundle
from edgeseg.sources.synthetic import LABELS
from tests.bundles import tiny_bundle

SHORT = ["--synthetic", "--clips", "2", "--frames", "4", "--backend", "onnxruntime", "--threads", "1"]


def labelled(folder, *, warp):
    """A tiny bundle whose labels are those of the synthetic scenes."""
    tiny_bundle(folder, labels=len(LABELS), warp=warp)
    manifest = json.loads((folder / MANIFEST).read_text())
    for label, known in zip(manifest["labels"], LABELS, strict=True):
        label["name"] = known.name
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def scene_bundle(tmp_path_factory):
    """One that has the light graph."""
    return labelled(tmp_path_factory.mktemp("bundles") / "tiny", warp=True)


def rows(text):
    """Lines by their first word, each as a list of the words after it."""
    found = {}
    for name, *cells in filter(None, map(str.split, text.splitlines())):
        found.setdefault(name, []).append(cells)
    return found


def test_default_runs_are_compared(scene_bundle, capsys):
    """Without --run: every frame, tracked, warped, propagated, adaptive. Each has its row; what is not tracked has no HOTA."""
    assert main(["eval", str(scene_bundle), *SHORT]) == 0

    text = capsys.readouterr().out
    table = rows(text)
    assert "backend onnxruntime (as asked)" in text
    assert "2 synthetic clips of 4 frames, 640x360, seeds 900200 to 900201; objects of which less than 15% is seen are ignored" in text
    assert table["every"][0][1:4] == ["8", "0", "0"]
    assert table["fixed:5+warp"][0][1:4] == ["2", "6", "0"]
    assert table["fixed:5+propagate"][0][1:4] == ["2", "0", "6"]
    assert table["every"][0][5:7] == ["-", "-"]
    assert float(table["every+track+smooth"][0][5]) >= 0
    assert "adaptive" in table
    assert [len(table[name][1]) for name in ("every", "fixed:5+warp", "fixed:5+propagate")] == [1, 4, 4]


def test_runs_and_record(scene_bundle, tmp_path, capsys):
    """--run names what is compared, once each; --json holds every run's numbers and what they were measured on."""
    out = tmp_path / "scores.json"
    wanted = ["--run", "every", "--run", "fixed:3+propagate+track+overlap", "--run", "every", "--seed", "900300"]

    assert main(["eval", str(scene_bundle), *SHORT, *wanted, "--json", str(out)]) == 0

    record = json.loads(out.read_text())
    assert [run["run"] for run in record["runs"]] == ["every", "fixed:3+propagate+track+overlap"]
    assert "seeds 900300 to 900301" in record["what"]
    assert record["runs_on"].startswith("onnxruntime: ")
    assert record["runs"][1]["identity"]["instances"] == record["runs"][1]["mask_ap"]["instances"]
    assert capsys.readouterr().out.endswith(f"wrote {out}\n")


def test_bundle_without_light_graph_is_not_warped(tmp_path, capsys):
    """The default runs leave that out; asked for, it is refused with the remedy."""
    key_only = str(labelled(tmp_path / "key_only", warp=False))

    assert main(["eval", key_only, *SHORT]) == 0
    assert set(rows(capsys.readouterr().out)) >= {"every", "every+track+smooth", "fixed:5+propagate", "adaptive"}

    assert main(["eval", key_only, *SHORT, "--run", "fixed:5+warp"]) == 2
    assert "no graph for warped frames" in capsys.readouterr().err


def test_shipped_model_is_scored(capsys, tmp_path):
    """On a few frames it is far from useless, its tracks hold, and a key frame of a fixed schedule is as good as any other."""
    out = tmp_path / "scores.json"
    runs = ["--run", "every+track", "--run", "fixed:4+propagate"]

    assert main(["eval", str(demo_bundle()), "--synthetic", "--clips", "2", "--frames", "5", *runs, "--json", str(out)]) == 0

    every, fixed = json.loads(out.read_text())["runs"]
    assert every["mask_ap"]["ap50"] > 0.5
    assert every["identity"]["hota"] > 0.3
    assert 0 <= every["stability"]["flicker"] < 0.3
    assert fixed["steps"] == {"key": 4, "propagate": 6}
    assert list(fixed["mask_ap_by_distance"]) == ["0", "1", "2", "3"]


def test_many_distances_are_cut(scene_bundle, capsys):
    """A wide table stops at 12 frames and says where the rest is."""
    assert main(["eval", str(scene_bundle), *SHORT, "--clips", "1", "--frames", "16", "--run", "fixed:100+propagate"]) == 0

    text = capsys.readouterr().out
    assert "mask AP by frames since the key frame (up to 12; --json has those to 15):" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--synthetic"),
        (["--synthetic", "--run", "now and then"], 2, "there is no schedule 'now and then'"),
        (["--synthetic", "--run", "every+fast"], 2, "'fast' is not known"),
        (["--synthetic", "--clips", "0"], 2, "not a whole number from 1"),
        (["--synthetic", "--json", "missing/scores.json"], 1, "mkdir -p missing"),
    ],
)
def test_wrong_usage_is_found_before_the_model_is_loaded(arguments, code, message, capsys, monkeypatch):
    """The message says what is wrong; nothing is loaded."""
    monkeypatch.setattr(evaluate, "load", lambda *_args, **_options: pytest.fail("the model was loaded"))

    assert main(["eval", "BUNDLE", *arguments]) == code

    assert message in capsys.readouterr().err


def test_bundle_for_other_classes_is_refused(bundle, capsys):
    """Synthetic scenes have no cups: the message names both sets of classes and says what to give instead."""
    assert main(["eval", str(bundle), *SHORT]) == 2

    error = capsys.readouterr().err
    for part in ("thing_0, thing_1)", "circle, square, triangle, star, ring, cross", "like the one that ships"):
        assert part in error
