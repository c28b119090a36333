"""Clips, and what is to be done with them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.batch import Job, Options
from edgeseg.opencv import opencv
from edgeseg.pipeline import StreamSettings
from tests.bundles import tiny_bundle


@pytest.fixture(autouse=True)
def ray_token(monkeypatch) -> None:
    """Without one Ray makes one and keeps it in the home folder."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture(scope="session")
def options(tmp_path_factory) -> Options:
    """A real bundle that finds the same two things in every frame, on one thread."""
    bundle = tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    return Options(str(bundle), StreamSettings(), 0.3, backend="onnxruntime", precision="auto", video=False, panoptic=False, threads=1)


@pytest.fixture
def make_clip(tmp_path) -> Callable[..., Path]:
    """A grey video: ``make_clip(name, frames)``."""

    def make(name: str = "clip.mp4", frames: int = 4) -> Path:
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = opencv().VideoWriter(str(path), opencv().VideoWriter_fourcc(*"mp4v"), 30, (64, 48))
        for index in range(frames):
            writer.write(np.full((48, 64, 3), 40 + 10 * index, np.uint8))
        writer.release()
        return path

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty result folder."""
    path = tmp_path / "results"
    path.mkdir()
    return path


@pytest.fixture
def make_job(make_clip, folder, options) -> Callable[..., Job]:
    """The job of a clip of that name: ``make_job(name, frames)``."""
    return lambda name="clip", frames=4: Job(str(make_clip(f"{name}.mp4", frames)), str(folder), name, options)
