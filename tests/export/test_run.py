"""The whole way from a weights file to a bundle, with a net of a few channels."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest

import edgeseg
from edgeseg.bundle import LEDGER, MANIFEST, read_bundle, sha256
from edgeseg.errors import CheckpointError, EdgesegError, ExportError, SourceError, UsageError
from edgeseg.families.base import FUSE, IMAGE, KEY
from edgeseg.ledger import read_ledger
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.types import Frame, Step
from export import run
from export.recipes.base import ExportOptions
from export.reduce import Reduction
from export.run import STEPS, Job, export_bundle
from export.samples import Samples, samples, shipped
from tests.export.test_parity import altered
from tests.export.tiny import TINY, TINY_VIDEO, TINY_VPSNET, tiny_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the tiny net."""
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small picture of noise."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "noise.png"), np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    return folder


def _job(weights: Path, pictures: Path, out: Path, **options: Any) -> Job:
    return Job(TINY, weights, out, ExportOptions(**options), _read(pictures))


def _read(pictures: Path) -> Samples:
    return samples(str(pictures), 1, held_out=True)


def test_a_checkpoint_becomes_a_bundle_that_runs(weights: Path, pictures: Path, tmp_path: Path) -> None:
    """Every step is reported, the manifest tells recipe, labels, hashes, versions and parity, and both backends agree."""
    steps: list[str] = []

    bundle = export_bundle(_job(weights, pictures, tmp_path / "out"), steps.append)

    assert tuple(steps) == STEPS
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["key.onnx", LEDGER, MANIFEST]
    assert bundle == read_bundle(tmp_path / "out")
    assert (bundle.recipe, bundle.family, bundle.labels) == ("tiny", "yolact", TINY.labels)
    assert (bundle.input.size, bundle.input.dtype) == ((96, 96), "uint8")
    assert bundle.hashes == {name: sha256(tmp_path / "out" / name) for name in ("key.onnx", LEDGER)}
    assert {"edgeseg", "python", "torch", "onnx", "onnxscript", "onnxruntime", "numpy"} == set(bundle.made_with)
    assert bundle.parity["key"]["pictures"] == 1
    assert bundle.parity["key"]["unmatched"] == 0
    picture = cv2.imread(str(pictures / "noise.png"))
    found = []
    for backend in ("onnxruntime", "openvino"):
        with edgeseg.load(tmp_path / "out", backend=backend, threads=1, score_threshold=0.05) as model:
            found.append(model(picture).instances)
    assert len(found[0]) > 0
    assert found[0].classes.tolist() == found[1].classes.tolist()
    np.testing.assert_allclose(found[0].scores, found[1].scores, atol=1e-4)


def test_a_video_checkpoint_becomes_two_graphs_that_share_their_weights(pictures: Path, tmp_path: Path) -> None:
    """The manifest holds both, what the first carries to the second, both comparisons, and the hash of every file."""
    job = Job(TINY_VIDEO, tiny_weights(tmp_path, TINY_VIDEO), tmp_path / "out", ExportOptions(), _read(pictures))

    bundle = export_bundle(job, lambda _: None)

    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["key.onnx", LEDGER, MANIFEST, "warp.onnx", "weights.bin"]
    assert bundle.hashes == {name: sha256(path) for name, path in files.items() if name != MANIFEST}
    assert [*bundle.graphs] == ["key", "warp"] == [*bundle.parity]
    assert bundle.graphs["key"].carry == {"key_sum4": "sum4", "key_sum5": "sum5", "key_reduced": "reduced"}
    assert [entry["pictures"] for entry in bundle.parity.values()] == [1, 1]
    assert min(entry["instances"] for entry in bundle.parity.values()) > 5
    assert sum(files[name].stat().st_size for name in ("key.onnx", "warp.onnx")) < files["weights.bin"].stat().st_size / 4
    picture = cv2.imread(str(pictures / "noise.png"))
    settings = StreamSettings(schedule="fixed:2")
    for backend in ("onnxruntime", "openvino"):
        with edgeseg.load(tmp_path / "out", backend=backend, threads=1, score_threshold=0.05) as model, Pipeline(model, settings) as stream:
            results = [stream.step(Frame(picture, index=i)) for i in range(3)]
        assert [result.step for result in results] == [Step.KEY, Step.WARP, Step.KEY]
        assert all(len(result.instances) > 5 for result in results)


def test_a_warp_graph_that_is_not_the_net_is_refused(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although its key graph is."""
    real = run.graphs_to_onnx

    def graphs_to_onnx(*args: Any) -> Any:
        graphs = real(*args)
        file = args[2] / graphs["warp"].files["fp32"]
        altered(file, file, "flow_net.pred2.scale.weight", 1.5)
        return graphs

    monkeypatch.setattr(run, "graphs_to_onnx", graphs_to_onnx)
    weights = tiny_weights(tmp_path, TINY_VIDEO)

    job = Job(TINY_VIDEO, weights, tmp_path / "out", ExportOptions(), _read(pictures))
    _require_refused(job, ExportError, "does not match the network")


def test_the_same_weights_give_the_same_graph(weights: Path, pictures: Path, tmp_path: Path) -> None:
    """Byte for byte, so that a hash tells one model from another; the options make another one."""
    hashes = [
        export_bundle(_job(weights, pictures, tmp_path / name, **options), lambda _: None).hashes["key.onnx"]
        for name, options in (("a", {}), ("b", {}), ("c", {"cross_class_nms": True}))
    ]

    assert hashes[0] == hashes[1] != hashes[2]


def test_an_altered_graph_is_refused_and_nothing_is_written(
    weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the tracer got wrong."""
    real = run.graphs_to_onnx

    def graphs_to_onnx(*args: Any) -> Any:
        graphs = real(*args)
        file = args[2] / graphs["key"].files["fp32"]
        altered(file, file, "proto_net.10.weight", 1.01)
        return graphs

    monkeypatch.setattr(run, "graphs_to_onnx", graphs_to_onnx)

    _require_refused(_job(weights, pictures, tmp_path / "out"), ExportError, "does not match the network")


def test_a_disk_that_fills_up_leaves_nothing(weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the graph is being written."""

    def graphs_to_onnx(*args: Any) -> NoReturn:
        (args[2] / "key.onnx").write_bytes(b"half a graph")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run, "graphs_to_onnx", graphs_to_onnx)

    _require_refused(_job(weights, pictures, tmp_path / "out"), ExportError, "No space left on device. Nothing was left behind")


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from edgeseg.errors import ExportError
from export.recipes.base import ExportOptions
from export.run import Job, export_bundle
from export.samples import samples
from tests.export.tiny import TINY
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
weights, pictures, out = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export_bundle(Job(TINY, weights, out, ExportOptions(), samples(str(pictures), 1, held_out=True)), lambda _: None)
except ExportError as error:
    sys.exit(str(error))
"""


def test_a_file_that_the_system_stops_in_the_middle_leaves_nothing(weights: Path, pictures: Path, tmp_path: Path, checkout: Path) -> None:
    """The graph of this net needs more than the 20 kB that are allowed: a real failure inside the tracer's own writing."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, weights, pictures, tmp_path / "out"], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"cannot write {tmp_path / 'out'}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["missing/out", "pictures"])
def test_a_place_that_will_not_do_is_refused_before_any_work(weights: Path, pictures: Path, tmp_path: Path, out: str) -> None:
    """Not after minutes of tracing."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").touch()

    with pytest.raises(UsageError):
        export_bundle(_job(weights, pictures, tmp_path / out), lambda step: pytest.fail(f"{step} was done"))


def test_weights_or_pictures_that_will_not_do_are_refused(weights: Path, pictures: Path, tmp_path: Path) -> None:
    """And leave nothing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("no weights")

    _require_refused(_job(tmp_path / "text.pth", pictures, tmp_path / "out"), CheckpointError, "cannot be read as a PyTorch weights file")
    with pytest.raises(SourceError, match="empty"):
        _job(weights, tmp_path / "empty", tmp_path / "out")


def _require_refused(job: Job, error: type[EdgesegError], message: str) -> None:
    before = sorted(job.out.parent.iterdir())
    with pytest.raises(error, match=message):
        export_bundle(job, lambda _: None)
    assert sorted(job.out.parent.iterdir()) == before


@pytest.mark.slow
def test_a_fusing_net_becomes_a_bundle_of_two_graphs_in_every_precision(tmp_path: Path) -> None:
    """Both give all outputs and carry the same; what is compared of each is the maps, what is carried and the things."""
    weights, out = tiny_weights(tmp_path, TINY_VPSNET), tmp_path / "out"
    options = ExportOptions(proposals=40, detections=20)
    reduction = Reduction(("fp16", "int8"), shipped().first(3), shipped().first(3), accept_loss=True)

    bundle = export_bundle(Job(TINY_VPSNET, weights, out, options, shipped().first(3), reduction), lambda _: None)

    key, fuse = bundle.graphs[KEY], bundle.graphs[FUSE]
    assert key.carry == fuse.carry
    assert key.outputs == fuse.outputs
    assert [spec.name for spec in fuse.inputs] == [IMAGE, *key.carry]
    assert set(key.files) == set(fuse.files) == {"fp32", "fp16", "int8"}
    for name in (KEY, FUSE):
        assert bundle.parity[name]["instances"] > 3
        assert bundle.parity[name]["dense_error"].keys() == {"semantic", *key.carry.values()}
    assert {(entry.graph, entry.precision) for entry in read_ledger(bundle).entries} == {
        (graph, precision) for graph in (KEY, FUSE) for precision in ("fp32", "fp16", "int8")
    }
