"""Graphs of one net hold mostly the same weights: these move into one file, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import onnx

MIN_BYTES = 1024
"""Smaller tensors, such as shapes, stay in the graphs, where tools expect to read them."""
_ALIGNMENT = 4096
"""A memory page, as ONNX recommends (onnx.proto, external_data)."""


def share_weights(graphs: Sequence[Path], weights: Path) -> None:
    """Move the weights of ONNX files into ``weights`` beside them; equal ones, whatever their names, are written once.

    Args:
        graphs: files with all their weights inside; rewritten.
        weights: the new file, in the same folder.
    """
    offsets: dict[bytes, int] = {}
    with weights.open("wb") as stream:
        for file in graphs:
            model = onnx.load(file)
            for tensor in model.graph.initializer:
                if len(tensor.raw_data) >= MIN_BYTES:
                    digest = hashlib.sha256(tensor.raw_data).digest()
                    if digest not in offsets:
                        offsets[digest] = _append(stream, tensor.raw_data)
                    _refer(tensor, weights.name, offsets[digest])
            file.write_bytes(model.SerializeToString(deterministic=True))


def _append(stream: BinaryIO, data: bytes) -> int:
    """Write at the next multiple of the alignment and return it."""
    stream.write(bytes(-stream.tell() % _ALIGNMENT))
    offset = stream.tell()
    stream.write(data)
    return offset


def _refer(tensor: onnx.TensorProto, location: str, offset: int) -> None:
    """Replace a tensor's data by the place where it now lies."""
    place = {"location": location, "offset": offset, "length": len(tensor.raw_data)}
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.extend(onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in place.items())
