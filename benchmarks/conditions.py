"""Under what conditions a number was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("edgeseg", "torch", "onnxruntime", "openvino", "numpy", "opencv-python", "opencv-python-headless", "pycocotools", "trackeval")


def conditions() -> dict[str, object]:
    """CPU, cores, load, Python and package versions."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, MB. Not from getrusage, whose value a child inherits from its parent."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
