"""Collects what TensorRT would print."""

from __future__ import annotations

from typing import SupportsInt

from edgeseg.backends.tensorrt.api import ILogger
from edgeseg.backends.tensorrt.library import Module


def collector(module: Module, errors: list[str]) -> ILogger:
    """A logger that puts what the library calls an error into ``errors``, oldest first, and keeps everything off the terminal."""

    class Logger(module.ILogger):  # type: ignore[name-defined,misc]  # a class of the loaded module
        def __init__(self) -> None:
            module.ILogger.__init__(self)  # its C++ half

        def log(self, severity: SupportsInt, message: str) -> None:
            if int(severity) <= int(module.ILogger.ERROR):
                errors.append(message)

    logger: ILogger = Logger()
    return logger
