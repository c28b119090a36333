"""Collects what TensorRT would print, and keeps Python from being in its way meanwhile."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def letting_go() -> Iterator[None]:
    """When functions called in the block fail, the objects of the library that they hold are freed at once.

    The exception would keep them, often in a cycle, until Python collects garbage. That may happen while the library calls our
    logger and holds a lock that its destructors wait for: the process would stand still (seen with TensorRT-RTX 1.7.1).
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise
