"""An open TensorRT engine: feeds in, outputs out, and everything between stays on the device."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edgeseg.backends.base import Session
from edgeseg.backends.tensorrt.handles import Handle, Pool
from edgeseg.backends.tensorrt.runtime import Engine, failure
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.device import Buffer, CaptureError, Device, HostBuffer, Recording
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray


@dataclass(frozen=True, repr=False)
class _Port:
    """The fixed places of one input or output: on the device, and in page-locked memory of the host."""

    device: Buffer
    host: HostBuffer
    view: AnyArray
    """The host's place with the tensor's dtype and shape."""


class TensorRtSession(Session):
    """Runs one engine on a stream of its own.

    Inputs and outputs have fixed addresses, so that the run can be captured once and replayed with one call; carried
    tensors are copied from and to them on the device. The first run, on zeros, is made here: no frame waits for it.

    Args:
        graph: what the manifest says; the engine has these inputs and outputs.
        runs_on: device and precision in words.
        device: where the engine was loaded.
        engine: the session owns it from now on.

    Raises:
        BackendError: no memory left, or the engine does not run.
    """

    def __init__(self, graph: Graph, runs_on: str, device: Device, engine: Engine) -> None:
        super().__init__(graph, runs_on)
        self.device_s: float | None = None
        """Seconds that the graph itself took on the device in the last run, without copies; None before the first."""
        self._device = device
        self._engine: Engine | None = engine
        self._recording: Recording | None = None
        self._held = ExitStack()
        with device.active():
            self._stream = self._held.enter_context(device.stream())
        try:
            with device.active():
                self._acquire(device, engine)
                self._warm_up(engine)
        except BaseException:
            self.close()
            raise

    def _acquire(self, device: Device, engine: Engine) -> None:
        self._begin, self._end, self._fetched = (self._held.enter_context(device.event()) for _ in range(3))
        self._pool = Pool(device)
        self._held.callback(self._pool.close)
        self._inputs = {spec.name: self._port(spec) for spec in self.graph.inputs}
        self._outputs = {spec.name: self._port(spec) for spec in self.graph.outputs}
        for name, port in {**self._inputs, **self._outputs}.items():
            if not engine.context.set_tensor_address(name, port.device.ptr):
                raise failure(f"binding {name}", engine.errors)

    def _port(self, spec: TensorSpec) -> _Port:
        dtype = np.dtype(spec.dtype)
        nbytes = prod(spec.shape) * dtype.itemsize
        buffer = self._held.enter_context(self._device.alloc(nbytes))
        host = self._held.enter_context(self._device.pinned(nbytes))
        return _Port(buffer, host, host.array.view(dtype).reshape(spec.shape))

    def _warm_up(self, engine: Engine) -> None:
        """Run once on zeros, then capture a run if that is possible."""
        for port in self._inputs.values():
            port.view[...] = 0
            self._device.h2d(port.device, port.host.array, self._stream)
        self._enqueue(engine)
        self._stream.synchronize()
        try:
            self._recording = self._held.enter_context(self._capture(engine))
            self.runs_on += ", CUDA graph"
        except CaptureError as error:
            engine.errors.clear()
            self.runs_on += f", without CUDA graph: {error}"

    def _capture(self, engine: Engine) -> Recording:
        context = engine.context
        # TensorRT-RTX alone tells.
        if hasattr(context, "is_stream_capturable") and not context.is_stream_capturable(self._stream.handle):
            raise CaptureError("the engine cannot be captured")
        try:
            return self._device.capture(self._stream, lambda: self._enqueue(engine))
        except BackendError as error:
            raise CaptureError(str(error)) from error

    def _enqueue(self, engine: Engine) -> None:
        if not engine.context.execute_async_v3(self._stream.handle):
            raise failure("running the graph", engine.errors)

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        # A run that fails half-way does no harm: all that a later one does comes behind it in the stream.
        with self._device.active():
            return self._step(feeds, handles, keep)

    def _step(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Handle], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        kept = {name: self._pool.take(self._outputs[name].device.nbytes) for name in keep}
        self._put(feeds, handles)
        self._begin.record(self._stream)
        self._compute()
        self._end.record(self._stream)
        fetched = {name: port for name, port in self._outputs.items() if name not in keep}
        for port in fetched.values():
            self._device.d2h(port.host.array, port.device, self._stream)
        self._fetched.record(self._stream)
        # After what the host waits for, so that it does not wait for these.
        for name, handle in kept.items():
            self._device.d2d(handle.buffer, self._outputs[name].device, self._stream)
            handle.ready.record(self._stream)
        self._fetched.synchronize()
        self.device_s = self._end.seconds_since(self._begin)
        return {name: port.view.copy() for name, port in fetched.items()}, kept

    def _put(self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Handle]) -> None:
        """Queue the copies into the fixed places of the inputs."""
        for name, array in feeds.items():
            port = self._inputs[name]
            port.view[...] = array
            self._device.h2d(port.device, port.host.array, self._stream)
        for name, handle in handles.items():
            self._stream.wait(handle.ready)
            self._device.d2d(self._inputs[name].device, handle.buffer, self._stream)

    def _compute(self) -> None:
        if self._recording is not None:
            self._recording.launch(self._stream)
        elif self._engine is not None:
            self._enqueue(self._engine)

    def _release(self) -> None:
        with self._device.active():
            with suppress(BackendError):
                self._stream.synchronize()
            # The library frees the engine with the last reference to it.
            self._engine = None
            self._held.close()
