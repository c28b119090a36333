"""ONNX file -> plan. Strongly typed: the precision is that of the file, and no switch of the builder changes it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgeseg.backends.tensorrt.api import Builder, IBuilderConfig, IHostMemory, INetworkDefinition
from edgeseg.backends.tensorrt.faults import CPU_OPERATORS, Fault, cannot_load
from edgeseg.backends.tensorrt.library import Library, Module
from edgeseg.backends.tensorrt.log import collector, letting_go
from edgeseg.backends.tensorrt.parse import check, layers, parse
from edgeseg.backends.tensorrt.progress import Phases, Report, monitor
from edgeseg.backends.tensorrt.target import BuildTarget
from edgeseg.bundle import Graph

FLAGS = ("STRONGLY_TYPED", "no TF32")
"""The builder's switches; an engine that was built with others is another engine."""


@dataclass(frozen=True, repr=False)
class BuiltEngine:
    """What a build gives."""

    plan: bytes
    summary: Mapping[str, float]
    """Numbers of layers, and ``build_s``: seconds from parsing to the plan."""


def build_engine(library: Library, file: Path, graph: Graph, target: BuildTarget, report: Report) -> BuiltEngine:
    """Parse, check and build.

    Ctrl-C, and anything that ``report`` raises, ends the build at the builder's next step and comes out of here.

    Args:
        library: what builds.
        file: the ONNX file, in the target's precision; weights may lie beside it.
        graph: what the manifest says of it.
        target: what to build for.
        report: takes the phase and the fraction done, 0 to 1; called from another thread.

    Raises:
        BackendError: TensorRT cannot parse or build it, or its inputs and outputs are not those of ``graph``.
        BundleError: the file is of another precision.
    """
    phases = Phases(report)
    # The builder has a thread of its own, because the main thread hears of Ctrl-C only while it runs Python.
    with ThreadPoolExecutor(1, "tensorrt-build") as worker:
        built = worker.submit(_build_and_let_go, library, file, graph, target, phases)
        try:
            found = built.result()
        except BaseException:
            phases.cancelled = True
            raise
    report("done", 1.0)
    return found


def _build_and_let_go(library: Library, file: Path, graph: Graph, target: BuildTarget, phases: Phases) -> BuiltEngine:
    with letting_go():
        return _build(library, file, graph, target, phases)


def _build(library: Library, file: Path, graph: Graph, target: BuildTarget, phases: Phases) -> BuiltEngine:
    begin_s = time.monotonic()
    errors: list[str] = []
    module, logger = library.module, collector(library.module, errors)
    builder = module.Builder(logger)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    phases.begin("reading the graph", None, 1)
    parse(library, file, logger, network)
    census = check(library, file, graph, target.precision, network)
    phases.end("reading the graph")
    config = _config(module, builder, target)
    config.progress_monitor = monitor(module, phases)
    plan = None if phases.cancelled else builder.build_serialized_network(network, config)
    if phases.failure is not None:
        raise phases.failure
    if plan is None:
        raise cannot_load(library, file, _fault(module, network, errors))
    return BuiltEngine(_bytes(plan), {**census.to_json(), "build_s": time.monotonic() - begin_s})


def _config(module: Module, builder: Builder, target: BuildTarget) -> IBuilderConfig:
    config = builder.create_builder_config()
    # On by default, it would round the inputs of fp32 convolutions to 10 bits; less than fp32 is asked for by name.
    config.clear_flag(module.BuilderFlag.TF32)
    if target.capabilities:
        config.num_compute_capabilities = len(target.capabilities)
        for index, name in enumerate(target.capabilities):
            config.set_compute_capability(getattr(module.ComputeCapability, name), index)
    return config


def _bytes(plan: IHostMemory) -> bytes:
    return bytes(memoryview(plan))  # type: ignore[arg-type]  # it has the buffer protocol


def _fault(module: Module, network: INetworkDefinition, errors: list[str]) -> Fault:
    """What the builder stumbled on. It names layers, which are called after their ONNX nodes."""
    kinds = module.LayerType
    operators = {kinds.NMS: CPU_OPERATORS[0], kinds.NON_ZERO: CPU_OPERATORS[1], kinds.TOPK: "TopK"}
    words = set(re.findall(r"[^\s:,()]+", " ".join(errors)))
    named = [layer for layer in layers(network) if layer.name in words]
    if not named:
        return Fault(errors[:1])
    return Fault(errors[:1], operators.get(named[0].type, str(named[0].type).rpartition(".")[2]), repr(named[0].name))
