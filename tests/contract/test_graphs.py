"""The graphs of the contract are the same in text, in the stored file and in numpy."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.contract.graphs import GRAPHS, STORED, TinyGraph


@pytest.mark.parametrize("tiny", GRAPHS, ids=lambda tiny: tiny.name)
def test_the_stored_file_is_the_text(tiny: TinyGraph, tmp_path: Path) -> None:
    """Machines without the onnx package run the same graphs, with the same inputs and outputs."""
    file, graph = tiny.stored()

    assert onnx.load(file) == tiny.model(), f"write it anew: onnx.save(tiny.model(), '{file}')"
    assert graph == tiny.write(tmp_path)[1]


def test_no_file_is_left_over() -> None:
    """Each stored graph is one of the contract's."""
    assert {file.stem for file in STORED.iterdir()} == {tiny.name for tiny in GRAPHS}
