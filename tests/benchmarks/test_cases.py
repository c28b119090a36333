"""The runner of cases: contenders and peers in turns, on a tiny bundle; and the real peers, which are slow."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import cases, peers
from benchmarks.case import Case
from benchmarks.case_record import doubts_of, told
from benchmarks.cases import run_case
from benchmarks.filler import write_filler
from benchmarks.frame import frame
from benchmarks.paired import Timing
from benchmarks.peers import Answer, Opened, Peer, Subject
from benchmarks.peers.ultralytics import ULTRALYTICS
from benchmarks.sections import SECTIONS, lines
from edgeseg.benchmark.sensors import Reading, Watch
from edgeseg.errors import UsageError
from edgeseg.types import Step
from export.recipes import recipe
from tests.bundles import tiny_bundle

CONTENDER = "onnxruntime fp32"


def absent(_subject):
    raise ModuleNotFoundError("No module named 'absent'", name="absent")


@pytest.fixture
def case(tmp_path):
    """Three rounds of a tiny model."""
    bundle = str(tiny_bundle(tmp_path / "b"))
    return Case("a tiny model", "synthetic", (36, 64), (CONTENDER,), rounds=3, warm_up=2, bundle=bundle)


@pytest.fixture
def others(monkeypatch):
    """A peer that always finds seven, and one whose package is absent."""
    there = Peer("the frame", "all else", False, lambda _: Opened(lambda _: Answer(7, {"infer": 0.5, "total": 0.75}), {"version": "1"}))
    monkeypatch.setitem(peers.PEERS, "seven", there)
    monkeypatch.setitem(peers.PEERS, "nobody", replace(there, open=absent))
    return "seven", "nobody"


def test_contenders_and_peers_take_turns_and_absent_ones_are_told(case, others, capsys):
    """Every round has each once; who cannot be imported is left out with the reason, in the record and on the screen."""
    found = run_case(replace(case, peers=others))

    assert list(found["contenders"]) == [CONTENDER, "seven"]
    assert {len(one["timing"]["values_ms"]) for one in found["contenders"].values()} == {3}
    assert {len(one["timing"]["warm_up_ms"]) for one in found["contenders"].values()} == {2}
    seven = found["contenders"]["seven"]
    assert (seven["found"], seven["outside_the_network"], seven["version"], seven["same"]) == (7, 0.5, "1", "the frame")
    assert found["left_out"] == {"nobody": "its package cannot be imported: No module named 'absent'"}
    assert "nobody is left out" in capsys.readouterr().out
    assert set(found["artefact"]["hashes"]) >= {"key.onnx"}
    assert f"{CONTENDER}: 3 rounds say nothing certain of p90, which takes 44" in found["doubts"]


def test_a_record_becomes_a_section(case, others, tmp_path, monkeypatch):
    """The command writes it, and the document shows contenders, what is equal, and who was left out."""
    file, out = tmp_path / "cases.toml", tmp_path / "record.json"
    monkeypatch.setattr(cases, "read_cases", lambda _: {"tiny": replace(case, peers=others)})
    monkeypatch.setattr(sys, "argv", ["cases", "tiny", "--file", str(file), "--out", str(out)])

    assert cases.main() == 0

    section = next(section for section in SECTIONS if "cases" in section.records)
    text = "\n".join(lines(section, {"cases": json.loads(out.read_text())}))
    assert "### a tiny model" in text
    assert "- seven. Equal: the frame. Not equal: all else." in text
    assert "- nobody was left out: its package cannot be imported: No module named 'absent'." in text
    assert "too few rounds" in text


def test_a_case_that_is_not_there_is_an_error_in_words(monkeypatch, capsys):
    """With the names of those that are."""
    monkeypatch.setattr(sys, "argv", ["cases", "yolo"])

    assert cases.main() == 2
    assert "error: there is no case 'yolo'; there are demo, " in capsys.readouterr().err


class Scripted:
    """A contender whose steps are known."""

    def __init__(self, steps):
        self.steps, self.found, self.facts = steps, [1] * len(steps), {}


def test_key_and_propagated_frames_are_told_apart():
    """Durations of two kinds are no doubt where they are of two steps, and each step has its own median."""
    steps = [Step.KEY] + [Step.KEY if i % 5 == 0 else Step.PROPAGATE for i in range(500)]
    values_s = tuple((0.05 if step is Step.KEY else 0.002) * (1 + i % 7 / 1000) for i, step in enumerate(steps[1:]))
    timing, calm = Timing((0.1,), values_s, {}), Watch(readings=[Reading(0.0), Reading(10.0)])

    found = told(timing, timing, Scripted(steps))

    assert found["steps"] == {"key": 100, "propagate": 400}
    assert found["step_median_ms"] == {"key": pytest.approx(50.15), "propagate": pytest.approx(2.006)}
    assert found["p99_ms"] <= found["p99_at_most_ms"]
    assert found["times_as_long_as_first"]["median"] == 1
    assert doubts_of({"one": timing}, {"one": Scripted(steps)}, calm) == []


def test_a_net_without_filler_needs_weights(tmp_path):
    """The message says which key to give."""
    with pytest.raises(UsageError, match="there is no filler for vpsnet_demo: give the case 'weights'"):
        write_filler(recipe("vpsnet_demo"), tmp_path / "w.pth")


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["torch eager", "torchvision"])
def test_peers_of_mask_rcnn_find_about_what_edgeseg_does(peer):
    """They have its weights; frames are resized in other ways, so that the last of four may differ."""
    if peer == "torchvision":
        pytest.importorskip("torchvision", reason="torchvision is not installed: it belongs to no extra")
    options = {"size": [240], "frame": [270, 480]}
    found = run_case(
        Case("mask", "picture", (270, 480), (CONTENDER,), 2, 1, net="maskrcnn_resnet50_fpn", export=options, found=4, peers=(peer,))
    )["contenders"]

    assert found[CONTENDER]["found"] == pytest.approx(4, abs=1)
    assert found[peer]["found"] == pytest.approx(4, abs=2)


@pytest.mark.slow
def test_the_peer_of_ultralytics_makes_masks(tmp_path):
    """Random weights find what the threshold lets through, and the parts of its time are told."""
    pytest.importorskip("ultralytics", reason="ultralytics is not installed: it belongs to no extra, and its licence is AGPL-3.0")
    picture = frame()[::4, ::4].copy()

    opened = ULTRALYTICS.open(Subject(None, None, 0.3, 3, picture, tmp_path))
    answer = opened.run(picture)

    assert answer.found == 3
    assert 0 < answer.spans["infer"] < answer.spans["total"]
    assert len(opened.facts["onnx_sha256"]) == 64
