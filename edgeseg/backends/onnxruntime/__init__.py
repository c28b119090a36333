"""ONNX Runtime: its own CPU kernels, and the providers that compute on a GPU, each as a backend of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.backends.base import Probe, Session, check_tensors
from edgeseg.backends.onnxruntime.assignment import RECORD, SINCE, assignment, counted
from edgeseg.backends.onnxruntime.library import (
    FATAL,
    PLUGIN,
    errors,
    library,
    load_provider,
    plugin_installed,
    preload_cuda,
    quiet,
    register_plugin,
)
from edgeseg.backends.onnxruntime.providers import CPU, ON_GPU, Provider
from edgeseg.backends.onnxruntime.session import OnnxRuntimeSession, tensors
from edgeseg.backends.tensorrt.gpu import find_gpu
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError, MissingDependencyError

__all__ = ["CPU", "ON_GPU", "OnnxRuntime", "Provider"]

_REMEDY_CPU = "pip install 'edgeseg[cpu]'"
_REMEDY_GPU = "pip uninstall -y onnxruntime && pip install 'edgeseg[gpu]' (onnxruntime and onnxruntime-gpu own the same files)"
_REMEDY_PLUGIN = "pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"
_REMEDY_DRIVER = "install the driver of an NVIDIA GPU"
_REMEDY_DEVICE = "install the CUDA and cuDNN that this ONNX Runtime was built for"
_REMEDY_TENSORRT = "put the TensorRT that this ONNX Runtime was built for on the loader's path (LD_LIBRARY_PATH), or use onnxruntime-cuda"


class OnnxRuntime:
    """Runs graphs with one provider of ONNX Runtime, in the precision that the file holds.

    A GPU's provider that leaves work to the CPU is refused, unless that is allowed: ONNX Runtime itself would only be slow.
    """

    own_precisions: Mapping[str, str] = {}

    def __init__(self, provider: Provider = CPU, *, allow_cpu_fallback: bool = False) -> None:
        self.name = provider.backend
        self._provider = provider
        self._allow = allow_cpu_fallback or provider is CPU

    def allowing_cpu_fallback(self) -> OnnxRuntime:
        """See `edgeseg.backends.base.FallsBack`."""
        return OnnxRuntime(self._provider, allow_cpu_fallback=True)

    def probe(self) -> Probe:
        """See `edgeseg.backends.base.Backend`."""
        try:
            module = library()
        except ImportError as error:
            return Probe(False, detail=str(error), remedy=_REMEDY_CPU if self._provider is CPU else _REMEDY_GPU)
        built = module.get_available_providers()
        if self._provider is CPU:
            return Probe(True, module.__version__, f"CPU (this build also lists: {', '.join(map(_short, built))})")
        problem, remedy = self._gpu_problem(module, built)
        return Probe(not problem, module.__version__, problem or f"GPU through {self._provider.word}", remedy)

    def _gpu_problem(self, module: Any, built: list[str]) -> tuple[str, str]:
        """Why a GPU's provider cannot be used, and the remedy; both empty if it can. The cheap looks come first."""
        provider = self._provider
        if provider.plugin and not plugin_installed():
            return f"the package {PLUGIN} is not installed", _REMEDY_PLUGIN
        if not provider.plugin and provider.name not in built:
            return f"this build has no provider {provider.word}, only {', '.join(map(_short, built))}", _REMEDY_GPU
        if find_gpu() is None:
            return "there is no NVIDIA GPU with a driver", _REMEDY_DRIVER
        remedy = _REMEDY_DEVICE
        try:
            with quiet():
                if provider.plugin:
                    _plugin_devices(module, provider)
                else:
                    # Loads the library of CUDA's provider and touches the GPU.
                    preload_cuda()
                    module.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32), provider.device, 0)
            if provider.library:
                remedy = _REMEDY_TENSORRT
                load_provider(provider.library)
        except errors(ImportError, OSError, BackendError) as error:
            return f"{provider.word} does not start: {error}", remedy
        return "", ""

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:
        """See `edgeseg.backends.base.Backend`."""
        try:
            module = library()
        except ImportError as error:
            raise MissingDependencyError.for_extra("onnxruntime", "cpu" if self._provider is CPU else "gpu", error) from error
        try:
            with nullcontext() if self._provider is CPU else quiet():
                handle = self._load(module, file, precision, threads)
        except errors(ImportError) as error:
            raise BackendError(f"ONNX Runtime {module.__version__} cannot load {file}: {error}") from error
        check_tensors(file, graph, tensors(handle.get_inputs()), tensors(handle.get_outputs()))
        if self._provider is CPU:
            where = f"CPU, {precision}, {threads or 'all'} threads"
        else:
            where = f"{self._judge(module, file, handle)}, {precision}"
        return OnnxRuntimeSession(graph, where, handle, self._provider.device)

    def _load(self, module: Any, file: Path, precision: str, threads: int | None) -> Any:
        options = module.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = threads or 0
        if self._provider is not CPU:
            options.add_session_config_entry(*RECORD)
            preload_cuda()
        # Without fallback: else a provider that does not start is replaced by the CPU, with a line on the standard output.
        if self._provider.plugin:
            options.add_provider_for_devices(_plugin_devices(module, self._provider), {})
            return module.InferenceSession(str(file), options, enable_fallback=0)
        return module.InferenceSession(str(file), options, providers=list(self._provider.listed(precision).items()), enable_fallback=0)

    def _judge(self, module: Any, file: Path, handle: Any) -> str:
        """Where the nodes run, in words; raises where that is the CPU and should not be."""
        word, remedy = self._provider.word, "To run them there all the same, allow it: --allow-cpu-fallback"
        if self._provider.name not in handle.get_providers() and not self._allow:
            # Unknown providers are dropped with nothing but a warning.
            raise BackendError(
                f"ONNX Runtime {module.__version__} runs {file} on {', '.join(map(_short, handle.get_providers()))} alone, "
                f"although {word} was asked for. {remedy}"
            )
        found = assignment(handle)
        if found is None:
            return f"{word}; which nodes fell to the CPU is not known, ONNX Runtime {module.__version__} does not tell ({SINCE} does)"
        if found.fallen and not self._allow:
            raise BackendError(f"{word} cannot run all of {file}: {counted(found.fallen)} would run on the CPU. {remedy}")
        return found.text(self._provider)


def _plugin_devices(module: Any, provider: Provider) -> list[Any]:
    """The GPUs that a plug-in can use, as ONNX Runtime names them; raises if there are none."""
    register_plugin(provider.name)
    devices = [device for device in module.get_ep_devices() if device.ep_name == provider.name]
    if not devices:
        raise BackendError(f"{provider.word} finds no GPU that it can use")
    return devices


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")
