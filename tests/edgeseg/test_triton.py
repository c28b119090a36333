"""A bundle as a model repository for Triton. The oracles are Triton's own protobuf classes and the onnx package."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from google.protobuf import text_format

from edgeseg import triton
from edgeseg.bundle import _DTYPES, MANIFEST, TensorSpec, read_bundle
from edgeseg.data import demo_bundle, panoptic_demo_bundle
from edgeseg.errors import BackendError, BundleError, SinkError, UsageError
from edgeseg.triton import config_text, export_repository
from tests.bundles import tiny_bundle

pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")


def parse(text: str):
    """A configuration as Triton reads it."""
    return text_format.Parse(text, pb2.ModelConfig())


def tensors(ports) -> list[tuple]:
    """Name, dtype as Triton calls it, and shape."""
    return [(port.name, pb2.DataType.Name(port.data_type), list(port.dims)) for port in ports]


def tensors_of_onnx(values) -> list[tuple]:
    """The same, of a graph as the onnx package reads it."""
    names = {"FLOAT": "FP32", "FLOAT16": "FP16"}
    types = [(value, onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)) for value in values]
    return [(v.name, f"TYPE_{names.get(t, t)}", [side.dim_value for side in v.type.tensor_type.shape.dim]) for v, t in types]


@pytest.mark.parametrize("source", ["demo", "demo fp16", "panoptic", "tiny"])
def test_repository_is_what_triton_reads_and_the_graphs_are(tmp_path, source):
    """Each graph is a model: its configuration has the names, types and shapes of the file and of the manifest; weights lie beside it."""
    folder = {"panoptic": panoptic_demo_bundle(), "tiny": None}.get(source, demo_bundle())
    bundle = read_bundle(folder or tiny_bundle(tmp_path / "tiny", warp=True, fuse=True))
    precision = "fp16" if "fp16" in source else "fp32"

    names = export_repository(bundle, tmp_path / "models", precision, "street")

    assert names == tuple(f"street_{graph}" for graph in bundle.graphs)
    for graph, name in zip(bundle.graphs, names, strict=True):
        made = tmp_path / "models" / name
        config = parse((made / "config.pbtxt").read_text())
        model = onnx.load(made / "1" / "model.onnx")
        assert (config.name, config.backend, config.max_batch_size) == (name, "onnxruntime", 0)
        assert [(group.count, pb2.ModelInstanceGroup.Kind.Name(group.kind)) for group in config.instance_group] == [(1, "KIND_AUTO")]
        assert tensors(config.input) == tensors_of_onnx(model.graph.input)
        assert tensors(config.output) == tensors_of_onnx(model.graph.output)
        assert [(name, shape) for name, _, shape in tensors(config.input)] == [(s.name, list(s.shape)) for s in bundle.graphs[graph].inputs]
        assert (made / "labels.txt").read_text().splitlines() == [label.name for label in bundle.labels]
        weights = {"demo fp16": ["fp16.weights.bin"], "tiny": []}.get(source, ["weights.bin"])
        assert sorted(path.name for path in (made / "1").iterdir()) == sorted(["model.onnx", *weights])
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "tiny") == ["models"]


def test_every_dtype_of_a_manifest_has_its_name():
    """As Triton's clients translate it; and any shape comes through."""
    from tritonclient.utils import triton_to_np_dtype

    rng = np.random.default_rng(0)
    for _ in range(200):
        specs = [
            TensorSpec(f'out "{i}"\\', str(rng.choice(_DTYPES)), tuple(rng.integers(1, 3000, rng.integers(1, 6)).tolist()))
            for i in range(rng.integers(1, 9))
        ]
        config = parse(config_text("a_key", specs[:1], specs))
        found = [(name, np.dtype(triton_to_np_dtype(dtype.removeprefix("TYPE_"))), shape) for name, dtype, shape in tensors(config.output)]
        assert found == [(spec.name, np.dtype(spec.dtype), list(spec.shape)) for spec in specs]


@pytest.mark.parametrize("name", ['a"\n]\nbackend: "python"', "ä", "\U0001f600", "a\u2028b", "x\\u0041", "\x7f\x00\t\b\f", "a'b"])
def test_name_of_a_tensor_stays_one(name):
    """Whatever is in it, the configuration says nothing else."""
    config = parse(config_text("a_key", [], [TensorSpec(name, "float32", (1,))]))

    assert tensors(config.output) == [(name, "TYPE_FP32", [1])]
    assert config.backend == "onnxruntime"


def test_tensor_without_dimension_is_refused():
    """Triton has none."""
    with pytest.raises(BundleError, match="state has no dimension"):
        config_text("a_key", [], [TensorSpec("state", "float32", ())])


def test_export_replaces_an_earlier_one_and_nothing_else(tmp_path):
    """Under another name too; a folder with anything else in it is refused and stays as it was."""
    bundle, out = read_bundle(tiny_bundle(tmp_path / "b", warp=True)), tmp_path / "models"
    out.mkdir()
    export_repository(bundle, out, "fp32", "one")
    export_repository(bundle, out, "fp32", "two")
    assert sorted(path.name for path in out.iterdir()) == ["edgeseg-triton.json", "two_key", "two_warp"]

    (out / "two_key" / "notes.txt").write_text("mine")
    before = sorted(out.rglob("*"))
    with pytest.raises(UsageError, match=r"did not write: two_key/notes\.txt"):
        export_repository(bundle, out, "fp32", "three")
    assert sorted(out.rglob("*")) == before


def test_foreign_folder_or_file_is_refused(tmp_path):
    """Also with a listing that is none."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "config.pbtxt").write_text("mine")

    for _ in range(2):
        with pytest.raises(UsageError, match=r"did not write: config\.pbtxt"):
            export_repository(bundle, tmp_path / "models", "fp32", "a")
        (tmp_path / "models" / "edgeseg-triton.json").write_text("[]")
    with pytest.raises(UsageError, match="is a file"):
        export_repository(bundle, tmp_path / "file", "fp32", "a")
    with pytest.raises(SinkError, match="mkdir -p"):
        export_repository(bundle, tmp_path / "none" / "models", "fp32", "a")


@pytest.mark.parametrize("harm", ["graph", "disk"])
def test_export_that_fails_leaves_what_was_there(tmp_path, monkeypatch, harm):
    """A graph that is not what the manifest says, or a disk that is full: the older repository stays whole, nothing is left beside it."""
    folder, out = tiny_bundle(tmp_path / "b", warp=True), tmp_path / "models"
    export_repository(read_bundle(folder), out, "fp32", "a")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    if harm == "graph":
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["graphs"]["warp"]["outputs"][0]["shape"] = [7, 4]
        (folder / MANIFEST).write_text(json.dumps(manifest))
    else:
        monkeypatch.setattr(triton, "_write_listing", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(BackendError if harm == "graph" else SinkError, match="model.json declares" if harm == "graph" else "No space left"):
        export_repository(read_bundle(folder), out, "fp32", "b")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "models"]


def test_swap_that_fails_puts_the_older_folder_back(tmp_path):
    """Between two renames there is nothing at the folder's name."""
    (tmp_path / "models").mkdir()

    with pytest.raises(OSError, match="No such file"):
        triton._swap(tmp_path / "models", tmp_path / "missing", tmp_path / "before")
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_graph_with_a_further_input_is_refused(tmp_path):
    """Triton would refuse to load it; here running it does."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b", warp=True))
    warp = bundle.graphs["warp"]
    short = replace(bundle, graphs={**bundle.graphs, "warp": replace(warp, inputs=warp.inputs[:1])})

    with pytest.raises(BackendError, match="key_state"):
        export_repository(short, tmp_path / "models", "fp32", "a")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("graph", ["x/../../../evil", "", "a b", ".."])
def test_graph_whose_name_leads_elsewhere_is_refused(tmp_path, graph):
    """A manifest may come from anywhere; nothing is written."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(BundleError, match="cannot be a part of a model's name"):
        export_repository(replace(bundle, graphs={**bundle.graphs, graph: bundle.graphs["key"]}), tmp_path / "models", "fp32", "a")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["deep/weights.bin", "model.onnx"])
def test_weights_are_where_the_graph_looks_for_them(tmp_path, name):
    """In a folder beside it too; not in the place of the graph itself."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))
    file = bundle.file("key", "fp32")
    model = onnx.load(file)
    model.graph.initializer.add(name="unused", data_type=1, dims=[1], data_location=1).external_data.add(key="location", value=name)
    file.write_bytes(model.SerializeToString())
    (bundle.path / name).parent.mkdir(exist_ok=True)
    (bundle.path / name).write_bytes(bytes(4))
    bundle = replace(bundle, hashes={**bundle.hashes, name: ""})

    if name == "model.onnx":
        with pytest.raises(BundleError, match="as Triton calls the graph itself"):
            export_repository(bundle, tmp_path / "models", "fp32", "a")
        return
    export_repository(bundle, tmp_path / "models", "fp32", "a")
    assert (tmp_path / "models" / "a_key" / "1" / name).read_bytes() == bytes(4)


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "ä"])
def test_name_must_be_one_for_a_folder(tmp_path, name):
    """Triton calls a model as its folder is called."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))

    with pytest.raises(UsageError, match="a model cannot be called"):
        export_repository(bundle, tmp_path / "models", "fp32", name)
