"""A lock between processes, and the moment in which its file is removed."""

from __future__ import annotations

import fcntl

import pytest

from edgeseg.backends.tensorrt import locks
from edgeseg.backends.tensorrt.locks import FileLock


@pytest.fixture
def path(tmp_path):
    """Where the lock lies."""
    return tmp_path / "key.lock"


def test_only_one_holds_it(path):
    """Within a process as well as between two; released, it is free and leaves no file."""
    held = FileLock.attempt(path)
    assert FileLock.attempt(path) is None

    held.release()

    assert not path.exists()
    FileLock.attempt(path).release()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_while_waiting_is_no_lock(path, monkeypatch, replaced):
    """The last holder removed it, and perhaps another process has made a new one: the wait goes on for that one."""
    waits, turns = [], []

    def flock(stream, how):
        turns.append(how)
        fcntl.flock(stream, how)
        if len(turns) == 1:
            path.unlink()
            if replaced:
                path.touch()

    monkeypatch.setattr(locks, "fcntl", type("Fcntl", (), {**vars(fcntl), "flock": staticmethod(flock)}))

    held = FileLock.wait(path, lambda: waits.append("waiting"))

    assert (len(turns), waits) == (2, ["waiting"])
    monkeypatch.undo()
    assert FileLock.attempt(path) is None
    held.release()
