"""Builds an ONNX file with TensorRT-RTX on the CPU, as a program of its own, and prints what came of it as JSON.

python build_rtx.py FILE [SM80 ...]

Its libraries are loaded for the whole process, so they get one without PyTorch's.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

LIBRARIES = "onnxruntime_ep_nv_tensorrt_rtx"
BINDINGS = "tensorrt_rtx_bindings"
_DTYPES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32", "BOOL": "bool"}
"""TensorRT's names of dtypes -> numpy's."""


def load() -> Any:
    """The bindings, with the libraries that another wheel carries.

    The libraries are loaded from their files: importing that wheel would write links into site-packages and change the environment.
    """
    folder = Path(next(iter(importlib.util.find_spec(LIBRARIES).submodule_search_locations)))
    # The parser needs the first one's symbols.
    for stem in ("libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*"):
        ctypes.CDLL(str(max(folder.glob(stem))), mode=ctypes.RTLD_GLOBAL)
    return importlib.import_module(BINDINGS)


def build(tensorrt: Any, file: str, capabilities: list[str]) -> dict[str, Any]:
    """Bytes of the engine, and the network's inputs and outputs as TensorRT understood them.

    ``capabilities`` names the GPUs that the engine is for; none = portable.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(file):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        raise SystemExit(f"not parsed: {[f'{error.node_operator()} {error.node_name()}: {error.desc()}' for error in errors]}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(capabilities)
    for index, name in enumerate(capabilities):
        config.set_compute_capability(getattr(tensorrt.ComputeCapability, name), index)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise SystemExit("parsed, but did not build")
    return {
        "bytes": engine.nbytes,
        "inputs": [_spec(network.get_input(i)) for i in range(network.num_inputs)],
        "outputs": [_spec(network.get_output(i)) for i in range(network.num_outputs)],
    }


def _spec(tensor: Any) -> tuple[str, str, list[int]]:
    return tensor.name, _DTYPES[str(tensor.dtype).rpartition(".")[2]], list(tensor.shape)


if __name__ == "__main__":
    json.dump(build(load(), sys.argv[1], sys.argv[2:]), sys.stdout)
