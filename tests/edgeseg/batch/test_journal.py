"""The journal of a result folder."""

from __future__ import annotations

import json
import os

import pytest

from edgeseg.batch.fingerprint import Fingerprint
from edgeseg.batch.journal import DONE, FAILED, WAITING, Entry, Journal
from edgeseg.errors import SinkError, UsageError

SETTINGS = {"score": 0.3, "schedule": "every"}
ENTRY = Entry("/clips/a.mp4", "a", DONE, 4, 8, {"a.jsonl": 100}, Fingerprint(10, 1, "abc"))


_ODD: tuple[dict, ...] = (
    *({"source": ["/clips/a.mp4"]}, {"name": ""}, {"name": ".."}, {"name": "a\0"}, {"name": "batch"}),
    *({"files": ["a.jsonl"]}, {"files": {"..": 1}}, {"files": {"b.jsonl": 1}}, {"files": {"a.\0": 1}}, {"files": None}),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "batch.jsonl"


def test_what_is_written_is_read_again(path):
    """Entries with and without a fingerprint, and a name that no encoding of text can hold."""
    journal = Journal(path, SETTINGS)
    entries = [ENTRY, Entry("/clips/b.mp4", "b", FAILED, error="it is damaged"), Entry("/clips/\udce4.mp4", "\udce4")]
    journal.write()
    for entry in entries:
        journal.record(entry)

    assert list(Journal.read(path, SETTINGS).entries.values()) == entries
    journal.write()
    assert list(Journal.read(path, SETTINGS).entries.values()) == entries


def test_last_line_of_a_clip_counts(path):
    """Lines are added while a batch goes on; a fresh write leaves one for each clip."""
    journal = Journal(path, SETTINGS, [Entry(ENTRY.source, ENTRY.name)])
    journal.write()
    journal.record(ENTRY)

    assert len(path.read_text().splitlines()) == 3
    journal.write()
    assert [json.loads(line)["state"] for line in path.read_text().splitlines()[1:]] == [DONE]


def test_half_a_line_is_a_clip_that_waits(path):
    """A power cut in the middle of writing loses that line alone."""
    journal = Journal(path, SETTINGS)
    journal.write()
    journal.record(ENTRY)
    other = Entry("/clips/b.mp4", "b", DONE)
    journal.record(other)
    whole = path.read_bytes()

    for cut in range(1, len(whole.splitlines()[-1])):
        path.write_bytes(whole[: -1 - cut])
        assert list(Journal.read(path, SETTINGS).entries.values()) == [ENTRY]


@pytest.mark.parametrize("harm", [{"name": "../a"}, {"files": {"/etc/passwd": 1}}, {"files": {"x/../../a.jsonl": 1}}, {"more": 1}, *_ODD])
def test_line_that_names_files_elsewhere_is_not_believed(path, harm):
    """Nothing outside the folder is ever replaced or removed."""
    journal = Journal(path, SETTINGS, [ENTRY])
    journal.write()
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n{json.dumps({**json.loads(line), **harm})}\n")

    assert Journal.read(path, SETTINGS).entries == {}


def test_names_are_given_once_and_stay(path):
    """Two clips of one name in different folders do not collide, nor does one with the journal; what has a name keeps it."""
    journal = Journal(path, SETTINGS)
    journal.add(["/one/a.mp4", "/two/a.mov", "/one/batch.mp4", "/one/a-2.mp4"])
    journal.write()
    again = Journal.read(path, SETTINGS)
    again.add(["/three/a.mp4", "/two/a.mov"])

    names = {source: entry.name for source, entry in again.entries.items()}
    assert names == {"/one/a.mp4": "a", "/two/a.mov": "a-2", "/one/batch.mp4": "batch-2", "/one/a-2.mp4": "a-2-2", "/three/a.mp4": "a-3"}
    assert {entry.state for entry in again.entries.values()} == {WAITING}


def test_names_of_files_that_are_there_are_taken(path):
    """Whatever lies in the folder beside results is not overwritten; a clip's own older results keep its name."""
    journal = Journal(path, SETTINGS, [ENTRY])
    journal.add([ENTRY.source, "/clips/b.mp4"], ["a.jsonl", "b.mp4"])

    assert {source: entry.name for source, entry in journal.entries.items()} == {ENTRY.source: "a", "/clips/b.mp4": "b-2"}


def test_name_leaves_room_for_its_number_and_ending(path):
    """A file's name may be as long as a file system takes, with letters of several bytes."""
    journal = Journal(path, SETTINGS)
    stem = "ä" * 125
    journal.add([f"/one/{stem}.mp4", f"/two/{stem}.mp4"])

    assert [entry.name for entry in journal.entries.values()] == ["ä" * 120, f"{'ä' * 120}-2"]


def test_journal_reaches_the_disk_before_it_gets_its_name(path, monkeypatch):
    """After a power cut there is the older one or the whole new one."""
    kept = []
    monkeypatch.setattr(os, "fsync", lambda handle: kept.append((os.fstat(handle).st_size, path.exists())))

    Journal(path, SETTINGS, [ENTRY]).write()

    assert kept == [(path.stat().st_size, False)]


def test_full_disk_leaves_the_older_journal_alone(path, monkeypatch):
    """And nothing beside it."""
    Journal(path, SETTINGS, [ENTRY]).write()
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(SinkError, match="No space left"):
        Journal(path, SETTINGS).write()
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == {path.name: before}


def test_journal_that_cannot_be_read_is_refused(path):
    """A folder of its name, and lines too deep for any reader."""
    path.mkdir()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        Journal.read(path, SETTINGS)
    path.rmdir()
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match="is not the journal"):
        Journal.read(path, SETTINGS)


def test_other_settings_are_named(path):
    """A folder holds results of one way alone; the message says which differ."""
    Journal(path, SETTINGS).write()

    with pytest.raises(UsageError, match=r"other settings: score 0\.3 instead of 0\.5, track None instead of True\."):
        Journal.read(path, {**SETTINGS, "score": 0.5, "track": True})


@pytest.mark.parametrize("text", ["", "a text", "[]", '{"format": "edgeseg-batch", "version": 2, "settings": {}}'])
def test_foreign_file_is_no_journal(path, text):
    """It is left alone."""
    path.write_text(text)

    with pytest.raises(UsageError, match="is not the journal of an 'edgeseg batch'"):
        Journal.read(path, SETTINGS)
    assert path.read_text() == text
