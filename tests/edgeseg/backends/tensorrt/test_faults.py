"""Complaints of TensorRT, as recorded, become one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.backends.tensorrt.faults import Fault, cannot_load


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Non-zero zero point is not supported. Please set kENABLE_UINT8", "and TensorRT takes symmetric int8 alone. Export"),
        ("Error Code 2: OutOfMemory (Requested size was 1073741824 bytes.)", "memory ran out while building. End what else uses the GPU"),
        ("Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version is insufficient for)", "there is no GPU, or its driver"),
        ("(Antialiasing is not supported currently)", "Resize is not supported as used here (Antialiasing is not supported currently)"),
        (
            "[tacticSupply.cpp::getFormats::48] Error Code 9: Internal Error (Coffee is cold In brew at /_src/pot.cpp:47)",
            "it says: Coffee is cold. Export",
        ),
    ],
)
def test_what_it_says_becomes_cause_and_remedy(text, expected):
    """Known causes are explained; the rest is quoted without the places in the library's own source."""
    error = str(cannot_load("TensorRT 10.3.0", Path("key.onnx"), Fault((text,), "Resize", "'up'")))

    assert error.startswith("TensorRT 10.3.0 cannot load key.onnx: node 'up' (Resize): ")
    assert expected in error
    assert "\n" not in error
    assert ".cpp" not in error


def test_silence_is_told_as_such():
    """A failure without any words still gives a sentence with a remedy."""
    assert str(cannot_load("T 1", Path("k.onnx"), Fault(()))) == (
        "T 1 cannot load k.onnx: it says: nothing. Export the model again, or run it with --backend onnxruntime."
    )
