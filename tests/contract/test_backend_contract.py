"""What every backend promises, checked on every backend."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.backends import BACKENDS, Backend, Session
from edgeseg.backends.base import Carried
from edgeseg.backends.fake import Fake
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray
from tests.contract import fake_tensorrt
from tests.contract.graphs import GRAPHS, TinyGraph

ALWAYS = ("onnxruntime", "openvino", "fake")
"""Those that every machine has where the tests run."""
INSTALLED = tuple(name for name in BACKENDS if name in ALWAYS or BACKENDS[name].probe().usable)
"""Those that run here as a user would run them."""
# Where there is no GPU, its logic runs on a fake device; one for all tests, as one GPU is.
TENSORRT = BACKENDS["tensorrt"] if "tensorrt" in INSTALLED else fake_tensorrt.backend()
TRIED = tuple(name for name in BACKENDS if name in (*INSTALLED, "tensorrt"))
READERS = tuple(name for name in TRIED if name != "fake")
"""Those that read the file."""
DIFFERENCE = GRAPHS[0]


def _backend(name: str, tiny: TinyGraph = DIFFERENCE) -> Backend:
    return {"fake": Fake(tiny.reference), "tensorrt": TENSORRT}.get(name, BACKENDS[name])


def _session(name: str, tiny: TinyGraph, folder: Path, threads: int | None = 1) -> Session:
    return _backend(name, tiny).open(*tiny.write(folder), "fp32", threads)


@pytest.fixture(params=TRIED)
def tried(request: pytest.FixtureRequest) -> str:
    """The name of each backend."""
    return str(request.param)


@pytest.fixture
def difference(tried: str, tmp_path: Path) -> Session:
    """An open session of ``y = a - b`` on each backend."""
    return _session(tried, DIFFERENCE, tmp_path)


def _feeds() -> dict[str, AnyArray]:
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones((2, 3), np.float32)}


@pytest.mark.parametrize("name", TRIED)
def test_a_probe_of_an_installed_backend_says_usable(name: str) -> None:
    """Every backend can be used where the tests run; a probe that is usable has nothing to remedy."""
    probe = _backend(name).probe()

    assert (probe.usable, probe.remedy, BACKENDS[name].name) == (True, "", name)
    assert probe.detail


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in ALWAYS])
def test_backends_of_a_gpu_go_through_all_of_this_where_there_is_one(name: str) -> None:
    """What the other machines lack is the reason that is printed."""
    if name not in INSTALLED:
        pytest.skip(f"{name}: {BACKENDS[name].probe().detail}")


@pytest.mark.parametrize("threads", [1, None])
@pytest.mark.parametrize("tiny", GRAPHS, ids=lambda tiny: tiny.name)
@pytest.mark.parametrize("name", TRIED)
def test_outputs_are_those_of_the_reference(name: str, tiny: TinyGraph, threads: int | None, tmp_path: Path) -> None:
    """Names, dtypes, shapes and values of all outputs, for several inputs in a row."""
    random = np.random.default_rng(0)
    with _session(name, tiny, tmp_path, threads) as session:
        for _ in range(3):
            feeds = tiny.feeds(random)
            found, wanted = session.run(feeds), tiny.reference(feeds)

            assert set(found) == {spec.name for spec in session.graph.outputs}
            for spec in session.graph.outputs:
                assert (found[spec.name].dtype.name, found[spec.name].shape) == (spec.dtype, spec.shape)
                np.testing.assert_allclose(found[spec.name], wanted[spec.name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"b": None}, "b: missing"),
        ({"c": np.zeros(1, np.float32)}, "c: not an input"),
        ({"b": np.zeros((2, 3), np.float64)}, r"b: got float64 \[2, 3\]"),
        ({"b": np.zeros((3, 2), np.float32)}, r"b: got float32 \[3, 2\]"),
        ({"b": np.zeros((1, 2, 3), np.float32)}, r"b: got float32 \[1, 2, 3\]"),
        ({"b": np.zeros((2, 3), ">f4")}, r"b: got >f4 \[2, 3\]"),
    ],
    ids=["missing", "unknown", "dtype", "shape", "rank", "byte_order"],
)
def test_feeds_that_do_not_fit_are_refused(difference: Session, change: dict[str, AnyArray | None], problem: str) -> None:
    """The error names what the graph expects and what it got; the session goes on working."""
    feeds = {name: array for name, array in {**_feeds(), **change}.items() if array is not None}

    with pytest.raises(BackendError, match=rf"expects a: float32 \[2, 3\]; b: float32 \[2, 3\].*{problem}"):
        difference.run(feeds)
    assert difference.run(_feeds())["y"][1, 2] == 4


def test_several_problems_are_all_named(difference: Session) -> None:
    """One message tells everything that is wrong with the feeds."""
    with pytest.raises(BackendError, match=r"image: not an input; a: got int64 \[2, 3\]; b: missing"):
        difference.run({"image": np.zeros(1), "a": np.zeros((2, 3), np.int64)})


def test_the_caller_owns_the_outputs(difference: Session) -> None:
    """A later run, a change of the feeds and closing leave earlier outputs alone, and writing to them harms nothing."""
    feeds = _feeds()
    first = difference.run(feeds)["y"]
    kept = first.copy()

    feeds["a"][:] = 100
    second = difference.run(feeds)["y"]
    second[:] = -1
    third = difference.run(feeds)["y"]
    difference.close()

    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(third, np.full((2, 3), 99, np.float32))


def test_outputs_that_are_inputs_are_copies(tmp_path: Path) -> None:
    """A graph that hands an input through does not hand out the caller's own array."""
    tiny = next(tiny for tiny in GRAPHS if tiny.name == "unchanged")
    for name in TRIED:
        feeds = tiny.feeds(np.random.default_rng(1))
        with _session(name, tiny, tmp_path) as session:
            found = session.run(feeds)
        wanted = feeds["x"].copy()
        feeds["x"][:] = 0
        np.testing.assert_array_equal(found["same_x"], wanted, err_msg=name)


def test_two_sessions_do_not_disturb_each_other(difference: Session, tried: str, tmp_path: Path) -> None:
    """Closing one session leaves another of the same file and backend usable."""
    with _session(tried, DIFFERENCE, tmp_path) as other:
        assert other.run(_feeds())["y"][0, 0] == -1

    assert difference.run(_feeds())["y"][0, 0] == -1


@pytest.fixture
def countdown(tried: str, tmp_path: Path) -> Session:
    """An open session of ``y = a - b`` whose output feeds ``a`` of a later run."""
    file, graph = DIFFERENCE.write(tmp_path)
    return _backend(tried, DIFFERENCE).open(file, replace(graph, carry={"a": "y"}), "fp32", 1)


def _ones() -> dict[str, AnyArray]:
    return {"b": np.ones((2, 3), np.float32)}


def test_a_carried_tensor_feeds_a_later_run(countdown: Session) -> None:
    """It comes under the name of the input that takes it, and not among the outputs."""
    outputs, carry = countdown.run_carrying(_feeds(), {})
    assert (outputs, list(carry), str(carry["a"].spec)) == ({}, ["a"], "y: float32 [2, 3]")

    for _ in range(3):
        _, carry = countdown.run_carrying(_ones(), carry)

    np.testing.assert_array_equal(_read(countdown, carry["a"]), _feeds()["a"] - 4)


def test_carried_tensors_outlive_later_runs_and_can_be_used_again(countdown: Session) -> None:
    """One key frame serves many later frames, and an older one may be needed while a newer one is made."""
    _, first = countdown.run_carrying(_feeds(), {})
    _, second = countdown.run_carrying(_ones(), first)
    countdown.run_carrying({"a": np.full((2, 3), 50, np.float32), **_ones()}, {})

    for _ in range(2):
        np.testing.assert_array_equal(_read(countdown, first["a"]), _feeds()["a"] - 1)
    np.testing.assert_array_equal(_read(countdown, second["a"]), _feeds()["a"] - 2)


def test_a_carried_tensor_serves_another_session(countdown: Session, tried: str, tmp_path: Path) -> None:
    """The graph that takes it is another one than the graph that gave it."""
    _, carry = countdown.run_carrying(_feeds(), {})
    with _session(tried, DIFFERENCE, tmp_path) as other:
        countdown.close()
        outputs, kept = other.run_carrying(_ones(), carry)

    np.testing.assert_array_equal(outputs["y"], _feeds()["a"] - 2)
    assert kept == {}


def test_carried_outputs_are_arrays_for_a_plain_run(countdown: Session) -> None:
    """`run` gives every output, whoever else may want it."""
    np.testing.assert_array_equal(countdown.run(_feeds())["y"], _feeds()["a"] - 1)


def test_a_carried_tensor_that_does_not_fit_is_refused(countdown: Session) -> None:
    """As an array would be."""
    _, carry = countdown.run_carrying(_feeds(), {})

    with pytest.raises(BackendError, match="Problems: c: not an input; b: missing"):
        countdown.run_carrying({}, {**carry, "c": carry["a"]})


ACCUMULATOR = TinyGraph(
    "accumulator",
    """(uint8[1,4,6,3] image, float[1] total, uint8[1,4,6,3] before) => (float[1] sum, uint8[1,4,6,3] seen, int64[1] changed) {
        level = Cast<to = 1>(image)  mean = ReduceMean<keepdims = 0>(level)  sum = Add(total, mean)  seen = Identity(image)
        same = Equal(image, before)  differs = Not(same)  each = Cast<to = 7>(differs)  axes = Constant<value_ints = [0, 1, 2, 3]>()
        some = ReduceMax<keepdims = 0>(each, axes)  one = Constant<value_ints = [1]>()  changed = Reshape(some, one)
    }""",
    lambda feeds: {
        "sum": feeds["total"] + feeds["image"].astype(np.float32).mean(),
        "seen": feeds["image"].copy(),
        "changed": np.array([int((feeds["image"] != feeds["before"]).any())]),
    },
    lambda random: {
        "image": random.integers(0, 256, (1, 4, 6, 3), dtype=np.uint8),
        "total": np.zeros(1, np.float32),
        "before": np.zeros((1, 4, 6, 3), np.uint8),
    },
)


@pytest.mark.parametrize("name", TRIED)
def test_a_graph_feeds_itself_frame_after_frame(name: str, tmp_path: Path) -> None:
    """With what it computed and with the picture itself, which the caller overwrites meanwhile; two streams do not mix."""
    file, graph = ACCUMULATOR.write(tmp_path)
    own = replace(graph, carry={"total": "sum", "before": "seen"})
    image, start = np.zeros((1, 4, 6, 3), np.uint8), {"total": np.zeros(1, np.float32), "before": np.zeros((1, 4, 6, 3), np.uint8)}
    with _backend(name, ACCUMULATOR).open(file, own, "fp32", 1) as session:
        _, carry = session.run_carrying({"image": image, **start}, {})
        streams, levels, changes = [carry, carry], [0, 0], []
        for number in range(1, 9):
            stream, step = number % 2, number + number % 2
            image[:] = step
            outputs, streams[stream] = session.run_carrying({"image": image}, streams[stream])
            levels[stream] += step
            changes.append(int(outputs["changed"][0]))
        image[:] = 8
        outputs, _ = session.run_carrying({"image": image}, streams[0])
        assert (changes, outputs) == ([1] * 8, {"changed": [0]})
        session.graph = graph
        sums = [session.run_carrying({"image": image}, carry)[0]["sum"].tolist() for carry in streams]

    assert sums == [[level + 8] for level in levels]


def _read(session: Session, tensor: Carried) -> AnyArray:
    """What a carried tensor holds, by way of ``a - 0``."""
    plain = replace(session.graph, carry={})
    session.graph = plain
    outputs, _ = session.run_carrying({"b": np.zeros((2, 3), np.float32)}, {"a": tensor})
    session.graph = replace(plain, carry={"a": "y"})
    return outputs["y"]


def test_a_closed_session_says_so(difference: Session) -> None:
    """Closing twice is fine; running afterwards is an error that says what to do."""
    difference.close()
    difference.close()

    with pytest.raises(BackendError, match="closed; open the model again"):
        difference.run(_feeds())


def test_leaving_the_block_closes(difference: Session) -> None:
    """A session is a context manager."""
    with difference as session:
        session.run(_feeds())

    with pytest.raises(BackendError, match="closed"):
        session.run(_feeds())


SIGNALLED = """
import signal, sys
from pathlib import Path
import edgeseg
from edgeseg.backends import BACKENDS
from edgeseg.bundle import read_bundle

bundle = read_bundle(edgeseg.demo_bundle())
sessions = [BACKENDS[sys.argv[1]].open(bundle.file(name, "fp32"), graph, "fp32", 1) for name, graph in bundle.graphs.items()]
while sessions:
    sessions.pop(0).close()
signal.signal(signal.SIGINT, lambda *_: print("caught"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("name", [name for name in READERS if name in INSTALLED])
def test_signals_are_caught_after_sessions_are_closed(name: str) -> None:
    """Closed in the order in which they were opened, they must leave the thread's stack for signals in place."""
    ended = subprocess.run([sys.executable, "-c", SIGNALLED, name], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "caught\n", "")


def test_runs_on_tells_where(difference: Session) -> None:
    """Every session says in words where it runs."""
    assert difference.runs_on


@pytest.mark.parametrize("name", TRIED)
def test_a_file_that_is_not_there_is_an_error(name: str, tmp_path: Path) -> None:
    """The message names the file."""
    _, graph = DIFFERENCE.write(tmp_path)

    with pytest.raises(BackendError, match=r"nowhere\.onnx"):
        _backend(name).open(tmp_path / "nowhere.onnx", graph, "fp32", 1)


@pytest.mark.parametrize("content", ["empty", "text", "half", "other_domain"])
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_no_standard_onnx_is_an_error(name: str, content: str, tmp_path: Path) -> None:
    """Damaged files and operators outside the standard are refused with the file's name and the library's version."""
    file, graph = DIFFERENCE.write(tmp_path)
    whole = file.read_bytes()
    # The operator's name in the file; one of the same length keeps the rest of it valid.
    strange = {"empty": b"", "text": b"no graph at all", "half": whole[: len(whole) // 2], "other_domain": whole.replace(b"Sub", b"Sud")}
    file.write_bytes(strange[content])

    with pytest.raises(BackendError, match=rf"{_backend(name).probe().version}.* cannot load .*difference\.onnx"):
        _backend(name).open(file, graph, "fp32", 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (("a", "c"), ("y",), r"lacks the inputs c: float32 \[2, 3\].* it has a: float32 \[2, 3\]; b: float32 \[2, 3\]"),
        (("a", "b"), ("z",), r"lacks the outputs z: float32 \[2, 3\].* it has y: float32 \[2, 3\]"),
    ],
)
@pytest.mark.parametrize("name", READERS)
def test_names_that_the_file_lacks_are_an_error(
    name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """A manifest that declares other tensors than the file has is found out when the file is opened."""
    file, _ = DIFFERENCE.write(tmp_path)
    declared = Graph({"fp32": file.name}, *(tuple(TensorSpec(n, "float32", (2, 3)) for n in names) for names in (inputs, outputs)))

    with pytest.raises(BackendError, match=message):
        _backend(name).open(file, declared, "fp32", 1)


@pytest.mark.parametrize(("dtype", "shape"), [("int64", (2, 3)), ("float32", (4, 3)), ("float32", (2, 3, 1))])
@pytest.mark.parametrize("name", READERS)
def test_dtypes_and_shapes_that_the_file_has_otherwise_are_an_error(name: str, dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Wrong dtypes or shapes in a manifest are found out when the file is opened, not converted or met while running."""
    file, _ = DIFFERENCE.write(tmp_path)
    specs = tuple(TensorSpec(n, dtype, shape) for n in "aby")

    with pytest.raises(BackendError, match=r"that model\.json declares"):
        _backend(name).open(file, Graph({"fp32": file.name}, specs[:2], specs[2:]), "fp32", 1)


@pytest.mark.parametrize("name", READERS)
def test_fp32_means_fp32(name: str, tmp_path: Path) -> None:
    """Products are exact to float32 even on CPUs that are faster in bfloat16, which would be off by more than a thousandth."""
    tiny = TinyGraph(
        "product",
        "(float[32,256] x, float[256,64] w) => (float[32,64] y) { y = MatMul(x, w) }",
        lambda feeds: {"y": feeds["x"] @ feeds["w"]},
        lambda random: {n: random.uniform(-1, 1, shape).astype(np.float32) for n, shape in (("x", (32, 256)), ("w", (256, 64)))},
    )
    feeds = tiny.feeds(np.random.default_rng(0))
    exact = feeds["x"].astype(np.float64) @ feeds["w"]
    rounded = {n: (array.view(np.uint32) & 0xFFFF0000).view(np.float32) for n, array in feeds.items()}

    with _session(name, tiny, tmp_path, None) as session:
        error = np.abs(session.run(feeds)["y"] - exact).max()

    assert np.abs(tiny.reference(rounded)["y"] - exact).max() > 1e-3
    assert error < 2e-5
