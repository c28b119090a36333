"""What a service manager is told."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from edgeseg.cli import main
from edgeseg.cli.service import notify


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A socket that the service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = f"{tmp_path}/s"
        listener.bind(address)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listener


def told(listener: socket.socket) -> list[str]:
    """All that came so far."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(listener.recv(4096).decode())
    return found


def test_states_reach_the_manager(manager):
    """As they are."""
    notify("READY=1")
    notify("WATCHDOG=1\nSTATUS=läuft")

    assert told(manager) == ["READY=1", "WATCHDOG=1\nSTATUS=läuft"]


def test_abstract_addresses_work(monkeypatch):
    """Those begin with @."""
    name = f"edgeseg-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("STOPPING=1")

        assert told(listener) == ["STOPPING=1"]


@pytest.mark.parametrize("address", [None, "", "/none/there"])
def test_without_a_manager_nothing_happens(monkeypatch, address):
    """Nor where it does not listen."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify("READY=1")


def test_a_manager_that_does_not_read_holds_up_nothing(manager):
    """What it has no room for is left out."""
    for number in range(5000):
        notify(f"STATUS={number}")

    assert 0 < len(told(manager)) < 5000


def test_a_run_is_ready_once_its_model_is_loaded_and_says_when_it_stops(bundle, manager, monkeypatch):
    """With a sign of life and the status line in between; nothing is said of one that cannot begin."""
    monkeypatch.setattr("edgeseg.cli.status.SERVICE_INTERVAL_S", 0.0)
    options = ["--backend", "onnxruntime", "--threads", "1"]
    assert main(["run", str(bundle), "missing.mp4", *options]) == 1
    assert told(manager) == []

    assert main(["run", str(bundle), "synthetic:seed=1,frames=2,size=64x48", *options]) == 0

    first, *alive, last = told(manager)
    assert (first, last) == ("READY=1", "STOPPING=1")
    assert len(alive) == 2
    assert all(state.startswith("WATCHDOG=1\nSTATUS=synthetic:") and "instances" in state for state in alive)
