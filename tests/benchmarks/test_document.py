"""docs/benchmarks.md: it is what the records make, and each kind of record has its table."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest

from benchmarks import document
from benchmarks.document import RESULTS, read_records
from benchmarks.sections import SECTIONS, lines

CONDITIONS = {"cpu": "Acme", "cores": 2, "load_1_min": 0.5, "python": "3.11", "packages": {"numpy": "2.0", "pip": "1"}}
RATIO = {"median": 1.5, "lower_quartile": 1.25, "upper_quartile": 1.75}
HELD = {"at_s": 30.0, "memory_mb": 80.0, "threads": 5, "handles": 9, "results": 100, "age_ms": 20.0}
SOAK = {
    "minutes": 2,
    "warm_up_minutes": 1,
    "conditions": CONDITIONS,
    "troubles": {"stall": 2},
    "results": 300,
    "steps": {"key": 300},
    "exit_code_after_sigterm": 143,
    "file_ends_with_a_whole_line": True,
    "slopes_per_hour": {"memory_mb": 0.25, "threads": 0.0, "handles": 0.0, "age_ms": -1.5},
    "samples": [HELD, HELD | {"at_s": 60.0, "memory_mb": 81.0}, HELD | {"at_s": 90.0, "memory_mb": 81.5}],
}
BATCHING = {
    "conditions": CONDITIONS,
    "rounds": 20,
    "a_net": {"openvino": {"4": {"ms_a_picture": {"runs": 10.0, "batch": 8.0}, "runs_over_batch": RATIO}}},
}


@pytest.fixture(scope="module")
def records():
    return read_records(RESULTS)


def part(name, record):
    """The lines of the section that shows a record."""
    return list(lines(next(section for section in SECTIONS if name in section.records), {name: record}))


def test_the_document_is_what_the_records_make():
    """Whoever commits a record runs `python -m benchmarks.document`."""
    assert document.DOCUMENT.read_text(encoding="utf-8") == document.document(read_records(RESULTS)), "run: python -m benchmarks.document"


def test_check_fails_where_the_document_is_old(tmp_path, monkeypatch, capsys):
    """It says what to run; after that it is content, until somebody edits the file."""
    (tmp_path / "batching.json").write_text(json.dumps(BATCHING), encoding="utf-8")
    monkeypatch.setattr(document, "RESULTS", tmp_path)
    monkeypatch.setattr(document, "DOCUMENT", tmp_path / "benchmarks.md")
    monkeypatch.setattr(sys, "argv", ["document", "--check"])
    assert document.main() == 1
    assert "python -m benchmarks.document" in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", ["document"])
    assert document.main() == 0
    monkeypatch.setattr(sys, "argv", ["document", "--check"])
    assert document.main() == 0

    document.DOCUMENT.write_text(document.DOCUMENT.read_text(encoding="utf-8").replace("10.0 ms", "9.0 ms"), encoding="utf-8")
    assert document.main() == 1


def test_a_number_comes_from_its_record(records):
    """Another median is another document."""
    found = records["yolact_frame"]
    changed = {name: timing | {"median_ms": 123456.0} for name, timing in found["timings"].items()}

    assert "123456 ms" in document.document({"yolact_frame": found | {"timings": changed}})
    assert "123456 ms" not in document.document({"yolact_frame": found})


def test_sections_without_records_are_left_out_and_others_are_named():
    """Nothing but the head without records; a record that no section knows is linked at least."""
    assert "\n## " not in document.document({})
    assert document.document({"new": {}}).rstrip().endswith("[new.json](../benchmarks/results/new.json)")


def test_every_table_is_whole(records):
    """Each row has as many cells as its head, in every section."""
    wrong, head = [], 0
    for line in document.document(records | {"soak": SOAK, "batching": BATCHING}).splitlines():
        cells = line.count("|") if line.startswith("|") else 0
        head = cells if cells and not head else head if cells else 0
        wrong += [line] if cells != head else []

    assert wrong == []


def test_a_soak_tells_slopes_and_what_was_held_after_the_warm_up():
    """As benchmarks.soak writes it."""
    text = "\n".join(part("soak", SOAK))

    assert "| memory | 81 to 81.5 MB; +0.25 MB an hour |" in text
    assert "| after SIGTERM | exit code 143, whole lines |" in text
    assert "Machine: Acme, 2 cores; Python 3.11, numpy 2.0; load average at the beginning 0.5 on 2 processors." in text


def test_batches_tell_both_ways():
    """As benchmarks.batching writes it."""
    assert "| `a_net` | openvino | 4 | 10.0 ms | 8.0 ms | 1.50 (1.25 to 1.75) |" in part("batching", BATCHING)


def test_a_machine_that_was_busy_is_called_so():
    """More programs than half the processors."""
    text = "\n".join(part("batching", BATCHING | {"conditions": CONDITIONS | {"load_1_min": 5.0}}))

    assert "load average at the beginning 5.0 on 2 processors: **other work shortly before or meanwhile**." in text


@pytest.mark.parametrize(
    "command", sorted({command for section in SECTIONS for command in section.repeat if command.startswith("python -m ")})
)
def test_commands_name_modules_and_options_that_exist(command, checkout):
    """They take long, so that no test runs them."""
    words = shlex.split(command)
    file = checkout.joinpath(*words[2].split(".")).with_suffix(".py")
    source = file.read_text(encoding="utf-8")
    known = set(re.findall(r'"(--[a-z-]+)"', source)) | ({"--upsnet", "--vpsnet"} if 'f"--{name}"' in source else set())
    assert {word for word in words if word.startswith("--")} <= known


def test_peer_on_the_gpu_is_shown(records):
    """Every precision of it, whichever is faster."""
    record = records["gpu_h100"]
    text = part("gpu_h100", record)

    peers = [(name, precision, one["median_ms"]) for name, found in record["eager"].items() for precision, one in found.items()]
    assert peers
    for name, precision, median_ms in peers:
        assert any(line.startswith(f"| {name} | {precision} | {median_ms:.1f} ms |") for line in text)
