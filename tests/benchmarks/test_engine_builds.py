"""Engines of the bundle that ships are built one by one and put on record."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import engine_builds
from edgeseg.data import demo_bundle
from edgeseg.errors import BackendError
from tests.build_engines import needs_rtx


@needs_rtx
def test_every_graph_is_built_and_recorded(tmp_path, monkeypatch):
    """With sizes, layers and memory, and for which GPUs."""
    out = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["engine_builds", str(demo_bundle()), "--out", str(out)])

    engine_builds.main()

    record = json.loads(out.read_text())
    ((_, graphs),) = record["bundles"].items()
    assert record["generations"] == ["sm80", "sm86", "sm89", "sm120"]
    assert set(graphs) == {"key", "warp"}
    for built in graphs.values():
        assert built["fp32"]["engine_mb"] > 1
        assert built["fp32"]["layers"]["convolutions"] > 50
        assert built["fp32"]["peak_memory_mb"] > 100


@needs_rtx
def test_a_build_that_fails_is_recorded(monkeypatch):
    """With its error, and by a process that ends otherwise with what it said."""

    def fail(*_):
        raise BackendError("no such operator")

    monkeypatch.setattr(engine_builds, "build_engine", fail)

    assert engine_builds.build_here(str(demo_bundle()), "key", "fp32")["failed"] == "no such operator"
    assert "has no fp4 version" in engine_builds.build_apart(str(demo_bundle()), "key", "fp4")["failed"]


def test_it_says_where_to_write(monkeypatch, capsys):
    """Before anything is built."""
    monkeypatch.setattr(sys, "argv", ["engine_builds", str(demo_bundle())])

    with pytest.raises(SystemExit):
        engine_builds.main()
    assert "--out" in capsys.readouterr().err
