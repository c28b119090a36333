"""Which provider each node of a session really runs on: a listed provider may take none, and the CPU takes what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.backends.onnxruntime.providers import CPU_PROVIDER, Provider

RECORD = ("session.record_ep_graph_assignment_info", "1")
"""Session setting under which ONNX Runtime notes it."""
SINCE = "1.24"
"""The first ONNX Runtime that does."""
SHAPE_OPS = frozenset(
    {
        *("Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Greater", "Identity", "Less", "Max"),
        *("Min", "Mod", "Mul", "Neg", "Range", "ReduceProd", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Sub", "Unsqueeze"),
        "Where",
    }
)
"""What arithmetic on shapes and indices is made of. CUDA leaves that to the CPU on purpose, because its results are needed there.

ONNX Runtime tells the kinds of the nodes, not what they work on: an Add of whole pictures on the CPU would pass as one of indices.
It is still counted in what the session says of itself.
"""


@dataclass(frozen=True)
class Assignment:
    """How many nodes of which kind each provider has."""

    nodes: Mapping[str, Counter[str]]
    """Provider's name -> kind of node (ONNX's ``op_type``) -> how many."""

    @property
    def fallen(self) -> Counter[str]:
        """Nodes on the CPU that do more than arithmetic on shapes."""
        return Counter({kind: count for kind, count in self.nodes.get(CPU_PROVIDER, Counter()).items() if kind not in SHAPE_OPS})

    def text(self, provider: Provider) -> str:
        """Like ``CUDA: 412 of 415 nodes, 3 on CPU: 2 Gather, 1 Shape``."""
        total = sum(map(Counter.total, self.nodes.values()))
        parts = [f"{provider.word}: {self.nodes.get(provider.name, Counter()).total()} of {total} nodes"]
        for name, kinds in self.nodes.items():
            if name != provider.name:
                parts.append(f"{kinds.total()} on {name.removesuffix('ExecutionProvider')}: {counted(kinds)}")
        return ", ".join(parts)


def counted(kinds: Counter[str]) -> str:
    """Like ``2 Gather, 1 Shape``, most frequent first."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0])))


def assignment(handle: Any) -> Assignment | None:
    """What an open ``InferenceSession`` noted; None where this ONNX Runtime notes nothing."""
    if not hasattr(handle, "get_provider_graph_assignment_info"):
        return None
    nodes: dict[str, Counter[str]] = {}
    for part in handle.get_provider_graph_assignment_info():
        nodes.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return Assignment(nodes)
