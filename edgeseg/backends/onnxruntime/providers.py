"""The providers of ONNX Runtime that edgeseg offers, each as a backend of its own name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CPU_PROVIDER = "CPUExecutionProvider"
_CUDA_PROVIDER = "CUDAExecutionProvider"
_EXACT = {"use_tf32": "0"}
"""Left alone, CUDA would round float32 to 10 bits of mantissa on GPUs that multiply so faster."""


@dataclass(frozen=True)
class Provider:
    """One way in which ONNX Runtime computes."""

    backend: str
    """What ``--backend`` calls it."""
    word: str
    """What messages call it."""
    name: str
    """What ONNX Runtime calls it."""
    device: str = "cuda"
    """Where carried tensors stay."""
    options: Mapping[str, str] = field(default_factory=dict)
    precision_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Precision -> options that only files of that precision need."""
    beneath: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """Providers, with their options, that take what this one leaves, before the CPU does."""
    library: str = ""
    """What its library is called, where that has to be looked for before use; see `library.load_provider`."""
    plugin: bool = False
    """Whether it comes in a package of its own and works with ONNX Runtime's CPU build."""

    def listed(self, precision: str) -> dict[str, dict[str, str]]:
        """Name -> options of it and what takes over for it, best first, as a session wants them."""
        own = {**self.options, **self.precision_options.get(precision, {})}
        return {CPU_PROVIDER: {}} if self.name == CPU_PROVIDER else {self.name: own, **self.beneath, CPU_PROVIDER: {}}


CPU = Provider("onnxruntime", "CPU", CPU_PROVIDER, device="cpu")
ON_GPU = (
    Provider("onnxruntime-cuda", "CUDA", _CUDA_PROVIDER, options=_EXACT),
    Provider(
        "onnxruntime-tensorrt",
        "TensorRT",
        "TensorrtExecutionProvider",
        precision_options={"fp16": {"trt_fp16_enable": "1"}, "int8": {"trt_int8_enable": "1", "trt_fp16_enable": "1"}},
        beneath={_CUDA_PROVIDER: _EXACT},
        library="tensorrt",
    ),
    # Carried tensors come back to the host: not every ONNX Runtime that loads a plug-in can name the plug-in's memory.
    Provider("onnxruntime-tensorrt-rtx", "TensorRT-RTX", "NvTensorRTRTXExecutionProvider", device="cpu", plugin=True),
)
"""Best known first."""
