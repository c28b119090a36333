"""The file of cases: what of it is read, and what each mistake is told as."""

from __future__ import annotations

import sys

import pytest

from benchmarks.case import read_cases
from benchmarks.cases import FILE
from edgeseg.errors import MissingDependencyError, UsageError

GOOD = {
    "what": '"a case"',
    "bundle": '"edgeseg/data/demo"',
    "source": '"synthetic"',
    "source_size": "[36, 64]",
    "contenders": '["onnxruntime fp32", "openvino int8"]',
    "rounds": "3",
    "warm_up": "1",
}


@pytest.fixture
def read(tmp_path):
    """Reads a file with one case: that of `GOOD` with other keys; None takes one out."""

    def cases(**changes):
        keys = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
        file = tmp_path / "cases.toml"
        file.write_text("[one]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()), encoding="utf-8")
        return read_cases(file)

    return cases


def test_the_committed_cases_are_right():
    """All can be read, both kinds are among them, and so is every kind of peer."""
    cases = read_cases(FILE)

    assert {case.bundle is None for case in cases.values()} == {True, False}
    assert {peer for case in cases.values() for peer in case.peers} == {"torch eager", "torchvision", "ultralytics yolo11n-seg"}


def test_keys_become_a_case(read):
    """Lists become tuples, and options of the export are those of the command."""
    case = read(bundle=None, net='"maskrcnn_resnet50_fpn"', export="{ size = [480], frame = [1080, 1920], proposals = 300 }")["one"]

    assert (case.source_size, case.contenders) == ((36, 64), ("onnxruntime fp32", "openvino int8"))
    assert (case.options.size, case.options.frame, case.options.proposals) == ((480,), (1080, 1920), 300)
    assert (case.run, case.score, case.peers) == ("every", 0.3, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rounds": None}, "'rounds' is missing"),
        ({"round": "3"}, "there is no key 'round'; there are what, source"),
        ({"rounds": "0"}, "key 'rounds': must be a whole number, 1 or more, got 0"),
        ({"warm_up": "true"}, "key 'warm_up': must be a whole number"),
        ({"what": '""'}, "key 'what': must be a text"),
        ({"source": '"camera"'}, "key 'source': must be one of picture, synthetic"),
        ({"source_size": "[36]"}, "key 'source_size': must be [height, width]"),
        ({"contenders": "[]"}, "key 'contenders': must be a list of different texts BACKEND PRECISION"),
        ({"contenders": '["onnxruntime"]'}, "key 'contenders': must be a list"),
        ({"contenders": '["abacus fp32"]'}, "with a backend of"),
        ({"bundle": '"nowhere"'}, "key 'bundle': must be a bundle's folder"),
        ({"bundle": None}, "give either 'bundle' or 'net'"),
        ({"net": '"yolact_resnet50"'}, "give either 'bundle' or 'net'"),
        ({"bundle": None, "net": '"yolact_resnet5"'}, "key 'net': there is no recipe 'yolact_resnet5'; did you mean"),
        ({"weights": '"nowhere.pth"'}, "key 'weights': must be a checkpoint that is there"),
        ({"export": "{ size = [480] }"}, "'weights' and 'export' go with 'net'"),
        ({"bundle": None, "net": '"yolact_resnet50"', "export": "{ sise = 4 }"}, "key 'export': "),
        ({"run": '"fixed:5+fly"'}, "key 'run': run 'fixed:5+fly': 'fly' is not known"),
        ({"run": '"every+overlap"'}, "key 'run': must be SCHEDULE"),
        ({"score": "2.0"}, "key 'score': must be a number from 0.0 to 1.0"),
        ({"found": "20"}, 'goes with source = "picture"'),
        ({"peers": '["others"]'}, "key 'peers': must be a list of torch eager"),
        ({"peers": '["torchvision"]'}, "'torchvision' runs the case's own net, which a bundle does not hold"),
        (
            {"bundle": None, "net": '"maskrcnn_resnet50_fpn"', "export": "{ proposals = 300 }", "peers": '["torch eager"]'},
            "peers work as the original does; leave 'proposals' out of 'export'",
        ),
        ({"peers": '["ultralytics yolo11n-seg"]', "run": '"fixed:5"'}, "peers process every frame anew"),
    ],
)
def test_a_mistake_is_told_with_its_case_and_key(read, changes, words):
    """Before anything is measured."""
    with pytest.raises(UsageError) as error:
        read(**changes)

    assert str(error.value).startswith("case one")
    assert words in str(error.value)


def test_without_a_reader_of_toml_the_extra_is_named(read, monkeypatch):
    """Python 3.10 has none of its own."""
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingDependencyError, match=r"edgeseg\[dev\]"):
        read()


@pytest.mark.parametrize(("text", "words"), [("[one", "cannot be read as TOML"), ("rounds = 3", "'rounds' stands outside of a case")])
def test_a_file_that_holds_no_cases_is_refused(tmp_path, text, words):
    """Neither what is no TOML, nor keys without a case."""
    (tmp_path / "cases.toml").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=words):
        read_cases(tmp_path / "cases.toml")
