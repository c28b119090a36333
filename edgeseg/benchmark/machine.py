"""What machine a number was measured on."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgeseg.backends.tensorrt.gpu import find_gpu

PACKAGES = (
    *("edgeseg", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "numpy", "opencv-python", "opencv-python-headless"),
    *("pycocotools", "trackeval"),
)


def machine() -> dict[str, object]:
    """Processor, cores, GPU, system, Python and package versions."""
    gpu = find_gpu()
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        **({} if gpu is None else {"gpu": str(gpu)}),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def cpu_name(root: Path = Path("/")) -> str:
    """The processor as the system names it; empty where it does not."""
    lines = read_text(root / "proc/cpuinfo").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def peak_memory_mib() -> float | None:
    """The most memory that this process held at once; None where the system does not say (Windows)."""
    held = _status_mib("VmHWM:")
    if held is not None:
        return held
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return None
    # Second choice: a child inherits this value from its parent.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def memory_mib() -> float | None:
    """The memory that this process holds now; None where the system does not say."""
    return _status_mib("VmRSS:")


def read_text(file: Path) -> str:
    """What a file of the system says, without blanks around it; empty where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _status_mib(name: str) -> float | None:
    lines = read_text(Path("/proc/self/status")).splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), None)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
