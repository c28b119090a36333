"""Several processes that share a cache, one that dies, and where the cache lies."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgeseg.backends.tensorrt.cache import cache_folder
from tests.build_engines import ROOT

PROCESS = """
import os, sys
from pathlib import Path
from edgeseg.backends.tensorrt import cache, engines
from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import Library
from edgeseg.bundle import Graph

def build(*_):
    print("building", flush=True)
    sys.stdin.readline()
    return BuiltEngine(b"plan", {"build_s": 1.0})

def die(_):
    os.kill(os.getpid(), 9)

engines.find, engines.find_gpu, engines.build_engine = lambda: Library(None, "tensorrt", "10"), lambda: Gpu("Orin", (8, 7)), build
if sys.argv[2:] == ["die"]:
    cache.os.fsync = die
found = engines.obtain(engines.Request(Path(sys.argv[1]), Graph({}, (), ()), "fp32"), print, lambda line: print(line, flush=True))
print("was there" if found.build_s is None else "built", found.plan.decode())
"""


@pytest.fixture
def start(folder, file):
    """A function that starts a process which asks for the engine of ``file``; its builder waits for a line."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", PROCESS, str(file), *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_builder_waits_and_takes_the_first_ones_engine(start, folder):
    """Two processes that want the same engine build it once."""
    first = start()
    assert first.stdout.readline() == "building\n"
    second = start()
    assert second.stdout.readline() == "another process is building the engine for key.onnx: waiting for it\n"

    assert first.communicate("\n")[0] == "built plan\n"
    assert second.communicate()[0] == "was there plan\n"
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_a_dead_builder_frees_its_lock(start):
    """A process that is killed while it builds keeps nobody waiting."""
    first = start()
    first.stdout.readline()
    second = start()
    second.stdout.readline()

    first.kill()

    assert second.communicate("\n")[0] == "building\nbuilt plan\n"


def test_an_interrupted_write_leaves_no_engine_and_is_cleaned_up(start, folder, file):
    """A process that dies between writing and renaming leaves a file that is no engine, and the builder of any other engine removes it."""
    first = start("die")
    first.communicate("\n")
    assert [path.name.partition(".")[2] for path in sorted(folder.iterdir())] == ["engine.tmp", "lock"]

    file.write_bytes(b"another graph")

    assert start().communicate("\n")[0] == "building\nbuilt plan\n"
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_the_folder_follows_the_usual_variables(monkeypatch):
    """Ours, else the desktop standards', else the home folder; a relative XDG_CACHE_HOME is ignored, as the standard says."""
    monkeypatch.setattr(os, "environ", {"HOME": "/home/x", "XDG_CACHE_HOME": "/cache", "EDGESEG_CACHE": "~/engines"})

    assert str(cache_folder()) == "/home/x/engines"
    del os.environ["EDGESEG_CACHE"]
    assert str(cache_folder()) == "/cache/edgeseg/engines"
    os.environ["XDG_CACHE_HOME"] = "relative"
    assert str(cache_folder()) == "/home/x/.cache/edgeseg/engines"
