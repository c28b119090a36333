"""Messages: as text, as JSON lines, in a file, or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import re
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeseg import cli
from edgeseg.cli import main
from edgeseg.cli.logs import note
from edgeseg.errors import BackendError
from edgeseg.events import Event, to_log

CLIP = "synthetic:seed=1,frames=4,size=64x48"
SECRET = "hunter2"  # noqa: S105


def tell(_args) -> int:
    """Say something of every kind, then fail."""
    note("plain")
    note(Event("a.told", "five of them", count=5, of=["x", 1.5], by=None))
    to_log("edgeseg.sources.live")(Event("a.warned", "hm", logging.WARNING, source="camera 0"))
    note(Event("a.failed", "one failed", logging.ERROR))
    raise BackendError("no GPU")


def plug_in(monkeypatch, verb) -> None:
    """``edgeseg extra`` does what ``verb`` does."""
    entry = SimpleNamespace(load=lambda: lambda subparsers: subparsers.add_parser("extra").set_defaults(main=verb))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == cli.PLUGINS else [])


@pytest.fixture
def verb(monkeypatch) -> None:
    """``edgeseg extra`` does what `tell` does."""
    plug_in(monkeypatch, tell)


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_text_is_for_people(verb, capsys):
    """Lines as they are; what ends the command says so."""
    assert main(["extra"]) == 1

    out, err = capsys.readouterr()
    assert (out, err) == ("", "plain\nfive of them\nhm\none failed\nedgeseg: error: no GPU\n")


def test_json_lines_hold_what_happened(verb, capsys):
    """Every line is an object with time, level, logger, name, text and figures."""
    before = datetime.now(timezone.utc)
    assert main(["extra", "--log-format", "json"]) == 1

    told = records(capsys.readouterr().err)
    times = [datetime.fromisoformat(record.pop("time").replace("Z", "+00:00")) for record in told]
    assert all(abs((time - before).total_seconds()) < 3600 and time.utcoffset().total_seconds() == 0 for time in times)
    assert told == [
        {"level": "info", "logger": "edgeseg.cli", "event": "message", "message": "plain"},
        {"level": "info", "logger": "edgeseg.cli", "event": "a.told", "message": "five of them", "count": 5, "of": ["x", 1.5], "by": None},
        {"level": "warning", "logger": "edgeseg.sources.live", "event": "a.warned", "message": "hm", "source": "camera 0"},
        {"level": "error", "logger": "edgeseg.cli", "event": "a.failed", "message": "one failed"},
        {"level": "error", "logger": "edgeseg.cli", "event": "run.failed", "message": "no GPU", "kind": "BackendError", "exit_code": 1},
    ]


def test_quiet_leaves_errors(verb, capsys, tmp_path):
    """Nothing else is printed; a log file gets all the same."""
    assert main(["extra", "--quiet", "--log-file", str(tmp_path / "log")]) == 1

    assert capsys.readouterr() == ("", "one failed\nedgeseg: error: no GPU\n")
    logged = records((tmp_path / "log").read_text())
    assert [record["message"] for record in logged] == ["plain", "five of them", "hm", "one failed", "no GPU"]


def test_log_file_is_appended_to_and_may_be_moved_away(verb, tmp_path, monkeypatch):
    """The next command goes on in it; one that was moved while it is written is begun anew."""
    log, moved = tmp_path / "log", tmp_path / "log.1"
    command = ["extra", "--log-file", str(log)]
    main(command)
    main(command)
    assert len(records(log.read_text())) == 10

    def rotate(_args):
        note("before")
        log.rename(moved)
        note("after")
        return 0

    plug_in(monkeypatch, rotate)
    assert main(command) == 0

    assert [record["message"] for record in records(moved.read_text())[10:]] == ["before"]
    assert [record["message"] for record in records(log.read_text())] == ["after"]


@pytest.mark.parametrize(
    ("file", "code", "message"),
    [("video.mp4", 2, "exists and is no log of edgeseg"), ("none/log", 1, "mkdir -p"), ("", 1, "is a folder")],
)
def test_what_is_no_place_for_a_log_is_refused(verb, tmp_path, capsys, file, code, message):
    """And left as it is."""
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0 ftyp")

    assert main(["extra", "--log-file", str(tmp_path / file)]) == code

    error = capsys.readouterr().err
    assert error.startswith("edgeseg: error: ")
    assert message in error
    assert (tmp_path / "video.mp4").read_bytes() == b"\0\0\0 ftyp"


def test_a_full_disk_ends_no_command(verb, capsys):
    """It is said once that messages are missing; they go on elsewhere."""
    assert main(["extra", "--log-file", "/dev/full"]) == 1

    err = capsys.readouterr().err
    assert err.count("edgeseg: warning: /dev/full cannot be written: No space left on device") == 1
    assert err.endswith("edgeseg: error: no GPU\n")


def test_no_credential_reaches_a_log(capsys):
    """Not in the text, not in fields, not in lists of them; what surrounds them stays."""
    urls = [f"rtsp://me:{SECRET}@host/a?x=1", f"http://0.0.0.0:8080/?token={SECRET}", f"v4l2src ! rtspsrc location=rtsp://a:{SECRET}@b ! x"]
    with cli.Logs() as logs:
        logs.follow(SimpleNamespace(log_format="json", quiet=False, log_file=None))
        for url in urls:
            note(Event("a.b", f"see {url} there", url=url, more=[{"url": url}]))

    err = capsys.readouterr().err
    assert SECRET not in err
    assert [record["url"] for record in records(err)][:2] == ["rtsp://***@host/a?x=1", "http://0.0.0.0:8080/?token=***"]
    assert all(re.fullmatch(r"see .* there", record["message"]) for record in records(err))


def test_afterwards_the_log_is_as_before(verb, monkeypatch):
    """What a program that calls the command set up is still there, and nothing of ours."""
    log = logging.getLogger("edgeseg")
    monkeypatch.setattr(log, "level", logging.CRITICAL)
    monkeypatch.setattr(log, "propagate", True)
    before = (list(log.handlers), log.level, log.propagate)
    main(["extra", "--quiet", "--log-format", "json"])

    assert (log.handlers, log.level, log.propagate) == before


def test_scripts_that_use_parts_of_the_command_line_see_lines(capsys):
    """Outside of the command, lines are printed."""
    note(Event("a.b", "told"))

    assert capsys.readouterr() == ("", "told\n")


def test_a_reader_of_messages_may_leave(monkeypatch):
    """Results go on when nobody takes messages any more."""

    class Gone:
        def write(self, _text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    with cli.Logs():
        monkeypatch.setattr("sys.stderr", Gone())
        note("told")


@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_results_on_the_standard_output_are_alone_there(bundle, capfd, options):
    """With JSON messages on the standard error: every line of both is an object; quiet has none."""
    command = ["run", str(bundle), CLIP, "--jsonl", "-", "--log-format", "json", "--backend", "onnxruntime", "--threads", "1"]
    assert main([*command, *options]) == 0

    out, err = capfd.readouterr()
    assert [record["frame"] for record in records(out)] == [0, 1, 2, 3]
    events = {record["event"]: record for record in records(err)}
    assert list(events) == ([] if options else ["backend.serves", "run.summary"])
    if not options:
        assert events["backend.serves"]["backend"] == "onnxruntime"
        assert events["run.summary"].items() >= {"frames": 4, "instances": 8, "steps": {"key": 4}, "dropped": 0}.items()


def test_measuring_can_be_quiet(bundle, capsys):
    """The figures are the result."""
    command = ["bench", str(bundle), CLIP, "--frames", "4", "--warm-up", "1", "--backend", "onnxruntime", "--threads", "1", "--quiet"]
    assert main(command) == 0

    out, err = capsys.readouterr()
    assert "infer" in out
    assert err == ""


@pytest.mark.parametrize("option", ["--quiet", "--log-format=json"])
def test_a_token_that_nobody_would_see_is_refused(bundle, tmp_path, capsys, option):
    """The page of other machines then needs a token from a file; with one, it is not told."""
    command = ["run", str(bundle), CLIP, "--serve", "0.0.0.0:0", option, "--backend", "onnxruntime", "--threads", "1"]
    assert main(command) == 2
    assert "Give one with --token-file FILE" in capsys.readouterr().err

    token = tmp_path / "token"
    token.write_text("0123456789abcdef-of-the-test")
    assert main([*command, "--token-file", str(token)]) == 0
    assert token.read_text() not in capsys.readouterr().err


def test_log_file_that_is_another_output_is_refused(bundle, tmp_path, capsys):
    """Results and messages do not share a file."""
    file = str(tmp_path / "a")
    assert main(["run", str(bundle), CLIP, "--jsonl", file, "--log-file", file]) == 2

    assert "--log-file" in capsys.readouterr().err
    assert Path(file).read_text().count("would overwrite the source or another output") == 1


@pytest.mark.parametrize(
    "command",
    [["run", "ADDRESS", CLIP], ["inspect", "ADDRESS"], ["run", "BUNDLE", CLIP, "--out", "ADDRESS"]],
)
def test_an_address_in_the_wrong_place_keeps_its_password(bundle, tmp_path, capsys, command):
    """Whoever mixes up BUNDLE and SOURCE, or forgets one, does not find it in the message or the log."""
    places, log = {"ADDRESS": f"rtsp://me:{SECRET}@camera/a", "BUNDLE": str(bundle)}, tmp_path / "log"

    assert main([*(places.get(part, part) for part in command), "--log-file", str(log)]) == 1

    assert SECRET not in capsys.readouterr().err + log.read_text()
