"""JSON lines: their content, that they are there at once, and what happens when they cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import SinkError
from edgeseg.sinks import JsonlSink


def test_each_frame_is_one_line_at_once(tmp_path, make_frame, make_result):
    """After every frame the file holds one more whole line, before it is closed."""
    path = tmp_path / "out.jsonl"
    with JsonlSink(str(path)) as sink:
        for index in range(3):
            sink.write(make_frame(index), make_result(index=index))
            lines = path.read_text().splitlines()

            assert [json.loads(line)["frame"] for line in lines] == list(range(index + 1))


def test_line_holds_what_the_documentation_says(tmp_path, make_frame, make_result):
    """Every field of docs/jsonl.md is there, and the floats are good to six digits and more."""
    with JsonlSink(str(tmp_path / "out.jsonl")) as sink:
        sink.write(make_frame(1), make_result([(20, 40, 60, 80), (1, 2, 3, 4)], index=1, track_ids=[5, -1]))
    record = json.loads((tmp_path / "out.jsonl").read_text())

    first, second = record.pop("instances")

    assert record == {
        "frame": 1,
        "time_s": pytest.approx(1 / 30, rel=1e-8),
        "step": "key",
        "since_key": 0,
        "age_ms": pytest.approx(12.3456789, rel=1e-8),
        "image_size": [96, 128],
    }
    assert first == {
        "class_id": 0,
        "category_id": 17,
        "label": "cat",
        "score": pytest.approx(0.9, rel=1e-6),
        "box": [20, 40, 60, 80],
        "mask": {"size": [96, 128], "counts": first["mask"]["counts"]},
        "track_id": 5,
    }
    assert (second["label"], second["track_id"]) == ("dog", None)


def test_floats_come_back_exactly_as_float32(tmp_path, make_frame, make_result):
    """Shortening a float32 does not change it."""
    result = make_result([(1 / 3, 2 / 3, 1000 / 7, 2000 / 7)])
    with JsonlSink(str(tmp_path / "out.jsonl")) as sink:
        sink.write(make_frame(), result)

    text = (tmp_path / "out.jsonl").read_text()

    assert np.array_equal(np.array(json.loads(text)["instances"][0]["box"], np.float32), result.instances.boxes[0])
    assert "0.333333343" in text


def test_older_file_stays_until_the_first_frame(tmp_path, make_frame, make_result):
    """Opening the sink does not touch an older file; the first frame replaces it."""
    path = tmp_path / "out.jsonl"
    path.write_text("older\n")

    with JsonlSink(str(path)):
        pass
    assert path.read_text() == "older\n"

    with JsonlSink(str(path)) as sink:
        sink.write(make_frame(), make_result())
    assert "older" not in path.read_text()


def test_full_disk_is_an_error(make_frame, make_result):
    """Writing to a full disk says so."""
    with JsonlSink("/dev/full") as sink, pytest.raises(SinkError, match=r"/dev/full cannot be written: No space left on device"):
        sink.write(make_frame(), make_result())


def test_half_line_is_taken_back(tmp_path, make_frame, make_result, file_size_limit):
    """When the disk fills up in the middle of a line, the file ends with the last whole one."""
    path = tmp_path / "out.jsonl"
    with JsonlSink(str(path)) as sink:
        sink.write(make_frame(0), make_result(index=0))
        whole = path.read_bytes()
        with file_size_limit(len(whole) + 20), pytest.raises(SinkError, match="cannot be written"):
            sink.write(make_frame(1), make_result(index=1))

    assert path.read_bytes() == whole


def test_numbers_that_are_not_finite_are_an_error(tmp_path, make_frame, make_result):
    """NaN has no place in JSON: better an error than a line that no reader takes."""
    result = make_result()
    result.instances.scores[0] = np.nan

    with JsonlSink(str(tmp_path / "out.jsonl")) as sink, pytest.raises(SinkError, match="not finite"):
        sink.write(make_frame(), result)


def test_dash_is_the_standard_output(capfdbinary, make_frame, make_result):
    """``-`` writes the same lines to the standard output and leaves it open."""
    with JsonlSink("-") as sink:
        sink.write(make_frame(), make_result())
    sys.stdout.write("still open")

    first, second = capfdbinary.readouterr().out.splitlines()
    assert json.loads(first)["frame"] == 0
    assert second == b"still open"


def test_reader_that_has_enough_stops_the_run(checkout):
    """When the program behind the pipe ends, the sink asks for the end instead of failing."""
    script = (
        "import sys, time\nfrom edgeseg.sinks import JsonlSink\nfrom edgeseg.types import Frame, Result, Step\nimport numpy as np\n"
        "sys.stdin.read()\nsink = JsonlSink('-')\n"
        "sink.write(Frame(np.zeros((1, 1, 3), np.uint8)), Result(0, Step.KEY, (), (1, 1)))\n"
        "print(sink.wants_stop, file=sys.stderr)\nsys.stderr.flush()\nimport os; os._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    process.stdin.close()

    assert process.stderr.read().strip() == b"True"
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize("place", ["missing/out.jsonl", "file/out.jsonl", "."])
def test_place_that_cannot_be_written_is_found_out_at_once(tmp_path, place):
    """A folder that is missing, is a file, or is given in place of a file fails when the sink is made."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match=r"does not exist|is a file|is a folder"):
        JsonlSink(str(tmp_path / place))


def test_folder_that_takes_no_files_is_found_out_at_once():
    """A folder in which the system creates no file fails when the sink is made."""
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc, a folder that not even root can write")

    with pytest.raises(SinkError, match="no file can be created in /proc"):
        JsonlSink("/proc/out.jsonl")
