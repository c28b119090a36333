"""The client of docs/serving.md, against a server that is made of Triton's own definition of its protocol and of ONNX Runtime."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import edgeseg
from edgeseg.bundle import read_bundle
from edgeseg.triton import export_repository
from tests.bundles import tiny_bundle

grpc = pytest.importorskip("grpc", reason="tritonclient[grpc] is not installed")
client = pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed")

RECIPE = "yolact_demo_video"
SOURCE = "synthetic:frames=4,size=64x48"


@pytest.fixture
def server(tmp_path):
    """The port of a server of `tmp_path`/models, and the bundle that it serves."""
    from tritonclient.grpc import service_pb2_grpc

    bundle = tiny_bundle(tmp_path / "b", warp=True)
    export_repository(read_bundle(bundle), tmp_path / "models", "fp32", RECIPE)

    class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelInfer(self, request, _):  # noqa: N802  the protocol's name
            return infer(tmp_path / "models", request)

    running = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(), running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield port, bundle
    running.stop(None).wait()


def infer(models: Path, request):
    """What Triton answers to a request for one of the models."""
    from tritonclient.grpc import service_pb2
    from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

    session = onnxruntime.InferenceSession(models / request.model_name / "1" / "model.onnx")
    feeds = {
        tensor.name: np.frombuffer(raw, triton_to_np_dtype(tensor.datatype)).reshape(tuple(tensor.shape))
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
    }
    names = [output.name for output in session.get_outputs()]
    response = service_pb2.ModelInferResponse(model_name=request.model_name)
    for name, array in zip(names, session.run(names, feeds), strict=True):
        response.outputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    return response


def test_client_of_the_document_finds_over_the_wire_what_a_local_model_finds(server, checkout):
    """Key and warped frames, every number the same."""
    port, bundle = server
    text = (checkout / "docs" / "serving.md").read_text(encoding="utf-8")
    example = re.search(r"^```python\n(.*?)^@functools.cache\ndef session", text, re.MULTILINE | re.DOTALL).group(1)
    names = {}
    exec(compile(example, "docs/serving.md", "exec"), names)  # noqa: S102  our own document
    with client.InferenceServerClient(f"127.0.0.1:{port}") as connection:
        names["client"] = lambda: connection
        with edgeseg.load_remote(bundle, names["ask_triton"]) as remote, edgeseg.load(bundle, backend="onnxruntime") as local:
            found, expected = (
                [{**result.to_json(), "age_ms": 0} for _, result in edgeseg.stream(model, SOURCE, schedule="fixed:2")]
                for model in (remote, local)
            )

    assert found == expected
    assert [record["step"] for record in found] == ["key", "warp"] * 2
