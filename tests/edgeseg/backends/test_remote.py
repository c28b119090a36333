"""A graph that runs elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.backends.remote import RemoteSession
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError

GRAPH = Graph(
    {"fp32": "key.onnx"},
    (TensorSpec("image", "uint8", (1, 2)),),
    (TensorSpec("scores", "float32", (2,)), TensorSpec("state", "float32", (1,))),
    {"key_state": "state"},
)
FEEDS = {"image": np.array([[3, 4]], np.uint8)}


def answer(feeds):
    return {"scores": feeds["image"][0].astype(np.float32), "state": np.ones(1, np.float32), "more": np.zeros(3)}


def test_what_a_server_gives_is_what_the_session_gives():
    """Outputs of the manifest alone; those that are carried come apart."""
    session = RemoteSession(GRAPH, "a server", answer)

    outputs, carried = session.run_carrying(FEEDS, {})

    assert outputs.keys() == {"scores"}
    assert outputs["scores"].tolist() == [3, 4]
    assert carried["key_state"].handle.tolist() == [1]
    assert session.run(FEEDS).keys() == {"scores", "state"}


def test_outputs_are_the_callers_own():
    """A client may give views of a message that it uses again."""
    buffer = np.zeros(3, np.float32)
    session = RemoteSession(GRAPH, "a server", lambda _: {"scores": buffer[:2], "state": buffer[2:]})

    outputs, carried = session.run_carrying(FEEDS, {})
    buffer[:] = 1

    assert outputs["scores"].tolist() == [0, 0]
    assert carried["key_state"].handle.tolist() == [0]


@pytest.mark.parametrize("wrong", [{}, {"scores": np.zeros(2)}, {"scores": np.zeros((1, 2), np.float32)}], ids=["none", "dtype", "shape"])
def test_other_outputs_than_the_manifests_are_refused(wrong):
    """The server may serve another bundle."""
    session = RemoteSession(GRAPH, "the server at home", lambda _: {"state": np.ones(1, np.float32), **wrong})

    with pytest.raises(BackendError, match=r"scores: float32 \[2\] was expected and .* came. Does the server at home serve this bundle\?"):
        session.run(FEEDS)
