"""An ONNX Runtime with a GPU's provider, made of the real one's CPU: it computes, and says of itself what a test wants."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import onnxruntime

CPU = "CPUExecutionProvider"


@dataclass
class StandIn:
    """What the module ``onnxruntime`` is for a backend."""

    nodes: Mapping[str, Sequence[str]] | None
    """Provider -> kinds of its nodes, as a session reports them; None for an ONNX Runtime that does not."""
    built: Sequence[str] = ("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU)
    registered: Sequence[str] | None = None
    """What sessions end up with; None: what they ask for."""
    gpu_error: Exception | None = None
    """What touching the GPU gives."""
    devices: Sequence[str] = ()
    """Providers of the devices that plug-ins add."""
    asked: list[Any] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    """Output -> device of the last run."""
    libraries: list[tuple[str, str]] = field(default_factory=list)
    severities: list[int] = field(default_factory=list)
    """What the log was set to."""

    def module(self) -> types.ModuleType:
        """To be put in place of the real one."""
        made = types.ModuleType("onnxruntime")
        vars(made).update(
            __version__="9.9",
            get_available_providers=lambda: list(self.built),
            SessionOptions=lambda: _Options(self),
            InferenceSession=lambda file, options, **asked: _Session(self, file, options, asked),
            OrtValue=SimpleNamespace(ortvalue_from_numpy=self._value),
            register_execution_provider_library=lambda name, path: self.libraries.append((name, path)),
            set_default_logger_severity=self.severities.append,
            get_ep_devices=lambda: [SimpleNamespace(ep_name=name) for name in (CPU, *self.devices)],
        )
        return made

    def _value(self, array: Any, device: str = "cpu", _number: int = 0) -> Any:
        if device != "cpu" and self.gpu_error is not None:
            raise self.gpu_error
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)


class _Options:
    def __init__(self, owner: StandIn) -> None:
        self.real = onnxruntime.SessionOptions()
        self.owner = owner
        self.devices: list[str] = []

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.owner.settings[key] = value

    def add_provider_for_devices(self, devices: Sequence[Any], _options: Mapping[str, str]) -> None:
        self.devices = [device.ep_name for device in devices]


class _Session:
    """Runs on the real CPU."""

    def __init__(self, owner: StandIn, file: str, options: _Options, asked: Mapping[str, Any]) -> None:
        owner.asked.append(asked)
        self._owner = owner
        self._real = onnxruntime.InferenceSession(file, options.real, providers=[CPU])
        self._providers = [name for name, _ in asked.get("providers", ())] or [*options.devices, CPU]
        if owner.nodes is not None:
            self.get_provider_graph_assignment_info = lambda: [_part(name, kinds) for name, kinds in owner.nodes.items()]

    def __getattr__(self, name: str) -> Any:
        if name == "get_provider_graph_assignment_info":
            raise AttributeError(name)
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return list(self._providers if self._owner.registered is None else self._owner.registered)

    def io_binding(self) -> Any:
        return _Binding(self._owner, self._real.io_binding())

    def run_with_iobinding(self, binding: Any) -> None:
        self._real.run_with_iobinding(binding.real)


class _Binding:
    """Notes the devices, and binds to the CPU instead."""

    def __init__(self, owner: StandIn, real: Any) -> None:
        self.real = real
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def bind_output(self, name: str, device: str) -> None:
        self._owner.bound[name] = device
        self.real.bind_output(name, "cpu")


def _part(name: str, kinds: Sequence[str]) -> Any:
    return SimpleNamespace(ep_name=name, get_nodes=lambda: [SimpleNamespace(name=kind.lower(), op_type=kind) for kind in kinds])
