"""The backend without a library, beyond what the contract asks of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.backends.fake import Fake
from edgeseg.bundle import Graph, TensorSpec


def test_without_an_answer_it_gives_zeros_of_the_declared_kind(tmp_path: Path) -> None:
    """Every declared output is there, with its dtype and shape, whatever the file holds."""
    file = tmp_path / "anything"
    file.touch()
    graph = Graph({}, (), (TensorSpec("boxes", "float32", (5, 4)), TensorSpec("classes", "int64", (5,))))

    with Fake().open(file, graph, "fp32", None) as session:
        outputs = session.run({})

    assert {name: (array.dtype, array.shape) for name, array in outputs.items()} == {
        "boxes": (np.dtype("float32"), (5, 4)),
        "classes": (np.dtype("int64"), (5,)),
    }
    assert not any(array.any() for array in outputs.values())
