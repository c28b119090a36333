"""SIGTERM ends a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from edgeseg.cli import main
from edgeseg.cli.signals import Terminated, sigterm_stops
from edgeseg.sources import open_source
from tests.bundles import tiny_bundle


def test_sigterm_in_a_run_makes_every_output_whole(tmp_path, checkout):
    """``kill -TERM`` while a viewer records: code 143, two playable videos, whole lines, maps with their listing, one message."""
    bundle = tiny_bundle(tmp_path / "b", family="panoptic")
    outputs = ["--out", f"{tmp_path}/a.mp4", "--jsonl", f"{tmp_path}/a.jsonl", "--panoptic-dir", f"{tmp_path}/maps"]
    served = ["--serve", "127.0.0.1:0", "--record-dir", f"{tmp_path}", "--backend", "onnxruntime", "--threads", "1"]
    command = [sys.executable, "-m", "edgeseg", "run", str(bundle), "synthetic:size=64x48,frames=100000", *outputs, *served]
    with subprocess.Popen(command, cwd=checkout, stderr=subprocess.PIPE, text=True) as process:
        port = int(process.stderr.readline().rpartition(":")[2].strip("/\n"))
        frames = frames_after_recording(port)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate()

    assert process.returncode == 143
    assert "edgeseg: stopped; outputs hold the frames up to here" in error
    assert "Traceback" not in error
    lines = (tmp_path / "a.jsonl").read_text()
    records = [json.loads(line) for line in lines.splitlines()]
    assert lines.endswith("\n")
    assert [record["frame"] for record in records] == list(range(len(records)))
    assert len(records) > frames[-1]
    for path in tmp_path.glob("*.mp4"):
        with open_source(path) as source:
            assert sum(1 for _ in source) >= len(frames)
    assert len(list(tmp_path.glob("edgeseg-*.mp4"))) == 1
    assert len(json.loads((tmp_path / "maps" / "panoptic.json").read_text())["annotations"]) > frames[-1]


def frames_after_recording(port: int) -> list[int]:
    """Start a recording once frames come; the indices of five frames that a viewer sees after that."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(method: str, path: str) -> bytes:
        connection.request(method, path)
        return connection.getresponse().read()

    def see(number: int) -> dict:
        while not (body := ask("GET", f"/frame?after={number}")):
            pass
        return json.loads(body[4 : 4 + int.from_bytes(body[:4], "big")])

    facts, frames = see(0), []
    ask("POST", "/record?on=1")
    for _ in range(5):
        facts = see(facts["number"])
        frames.append(facts["frame"])
    connection.close()
    return frames


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def heeds_sighup():
    """The tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_goes_ends_a_command_too(monkeypatch, capsys, heeds_sighup):
    """A lost connection to it must not leave half a video; the exit code says which signal it was."""

    def hang_up(_args):
        os.kill(os.getpid(), signal.SIGHUP)
        raise AssertionError

    monkeypatch.setattr("edgeseg.cli.doctor.main", hang_up)

    assert main(["doctor", "--log-format", "json"]) == 129
    assert json.loads(capsys.readouterr().err)["signal"] == "SIGHUP"


def test_a_sighup_that_is_ignored_stays_so():
    """As nohup does it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sigterm_stops():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_is_raised_in_the_block():
    """As a kind of KeyboardInterrupt; afterwards the handler is that of before."""
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(Terminated), sigterm_stops():
        terminate()

    assert issubclass(Terminated, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("first", [Terminated, KeyboardInterrupt])
def test_second_sigterm_lets_outputs_be_finished(first):
    """While what was open is being closed, also behind another error there, it does nothing."""
    done = []

    def stopped_while_closing():
        try:
            raise first
        finally:
            terminate()
            try:
                done.append(int("x"))
            except ValueError:
                terminate()
            done.append("closed")

    with pytest.raises(first), sigterm_stops():
        stopped_while_closing()

    assert done == ["closed"]


def test_swallowed_sigterm_can_be_sent_again():
    """Where code swallowed the first, the second comes through."""

    def swallow():
        with contextlib.suppress(KeyboardInterrupt):
            terminate()
        terminate()

    with pytest.raises(Terminated), sigterm_stops():
        swallow()


def test_other_threads_are_left_alone():
    """They get no signals and may set no handlers; the block runs."""
    done = []

    def work():
        with sigterm_stops():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [True]
