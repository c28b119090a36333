"""What TensorRT's parser and builder complain of, in one plain sentence: which node, what is wrong with it, what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import BackendError

CPU_OPERATORS = ("NonMaxSuppression", "NonZero", "RoiAlign")
"""Operators of graphs that were exported for CPUs."""
_OTHER_BACKEND = "or run it with --backend onnxruntime"
_NOISE = re.compile(
    r"\[\w+\.cpp::\w+::\d+\] |\b\w+::\w+: |Error Code \d+: [\w ]*| In \w+ at \S+|Assertion failed: |Invalid Node - \S*|\w+ == \S+: "
)
"""Where in the library's own source a complaint was made."""


@dataclass(frozen=True)
class Fault:
    """The first complaint about a file."""

    texts: Sequence[str]
    """The library's words."""
    operator: str = ""
    """The ONNX operator of the node; empty where the complaint is not about a node."""
    node: str = ""
    """Its name, or its number in the graph."""


# What the library's words contain -> what that means, and what to do about it.
_MEANINGS = (
    (r"cannot be found, or is not a regular file", "the file is not there", "Copy the whole bundle folder, or export the model again."),
    (r"Failed to parse the ONNX model", "the file is damaged or no ONNX file", "Copy the bundle again, or export the model again."),
    (r"Failed to import initializer", "a file of weights beside it is missing or damaged", "Copy the whole bundle folder again."),
    (
        r"K exceeds the maximum value|K .*3840",
        "it takes more than the 3840 best that TensorRT can",
        "Export the model again with fewer candidates, for Mask R-CNN with --proposals.",
    ),
    (
        r"must have same input types|types? .* and .* mismatch",
        "its inputs have different dtypes, which a strongly typed network cannot have",
        "Export the model again.",
    ),
    (
        r"[Nn]on-zero zero point|zero point is not supported",
        "it is quantised with a zero point, and TensorRT takes symmetric int8 alone",
        "Export the model again with --precision int8.",
    ),
    (r"no optimization profile", "its inputs have no fixed size", "Export the model again with edgeseg, whose graphs have."),
    (r"[Oo]ut of memory|OutOfMemory", "the GPU's memory ran out while building", "End what else uses the GPU and try again."),
    (
        r"driver version is insufficient",
        "there is no GPU, or its driver is too old for this library",
        "Upgrade the driver, or run this on a machine with a GPU.",
    ),
)


def cannot_load(library: object, file: Path, fault: Fault) -> BackendError:
    """The error that a user reads."""
    where = f"node {fault.node} ({fault.operator}): " if fault.operator else ""
    what, remedy = _explain(fault)
    return BackendError(f"{library} cannot load {file}: {where}{what}. {remedy}")


def _explain(fault: Fault) -> tuple[str, str]:
    if fault.operator in CPU_OPERATORS:
        return (
            f"the graph was exported for CPUs, and TensorRT does not take its {fault.operator}",
            f"Export the model again with --target tensorrt, {_OTHER_BACKEND}.",
        )
    text = " ".join(fault.texts)
    for pattern, what, remedy in _MEANINGS:
        if re.search(pattern, text):
            return what, remedy
    if re.search(r"Plugin not found|[Uu]nsupported|not supported|plugin was not found|^false$|no runners", text):
        said = _plain(text)
        why = "" if re.search(r"[Pp]lugin|^false|no runners", said) else f" as used here ({said})"
        return (
            f"the operator {fault.operator or 'of a node'} is not supported{why}",
            f"Export the model again without it, {_OTHER_BACKEND}.",
        )
    return f"it says: {_plain(text) or 'nothing'}", f"Export the model again, {_OTHER_BACKEND}."


def _plain(text: str) -> str:
    """The library's words without the places in its source, on one line."""
    return " ".join(_NOISE.sub("", text).split()).strip(" .()")
