"""Official configurations with known weights, exported once for all tests that need them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.recipes import RECIPES
from export.recipes.base import ExportOptions
from export.run import Job, export_bundle
from tests.export.nets.facts import manifest
from tests.fill_weights import fill_state_dict


@pytest.fixture(scope="session")
def official_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Recipe name -> bundle of its float32-input graph with the filler weights, through a weights file like an official one."""

    @functools.cache
    def export(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        weights = folder / f"{name}_54_800000.pth"
        torch.save(fill_state_dict(manifest(name)), weights)
        export_bundle(Job(RECIPES[name], weights, folder / "bundle", ExportOptions(input_dtype="float32")), lambda _: None)
        weights.unlink()
        return folder / "bundle"

    return export
