"""The error tree, as its docstring draws it."""

from __future__ import annotations

import inspect
import re

import pytest

from edgeseg import errors
from edgeseg.errors import EdgesegError, MissingDependencyError, UsageError

CLASSES = [entry for _, entry in inspect.getmembers(errors, inspect.isclass)]


def test_the_drawing_shows_every_error() -> None:
    """The module's docstring names exactly the classes that there are."""
    drawn = re.findall(r"^(?:[|`]-- )?(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)

    assert sorted(drawn) == sorted(entry.__name__ for entry in CLASSES)


@pytest.mark.parametrize("error", CLASSES)
def test_wrong_usage_exits_with_two_and_the_rest_with_one(error: type[EdgesegError]) -> None:
    """All errors share one base, which the command line prints without a traceback."""
    assert issubclass(error, EdgesegError)
    assert error.exit_code == (2 if error is UsageError else 1)


@pytest.mark.parametrize(("cause", "detail"), [(None, ""), (ImportError("libGL.so.1 is missing"), " (libGL.so.1 is missing)")])
def test_a_missing_package_is_named_with_its_extra(cause: ImportError | None, detail: str) -> None:
    """The message has the command that brings the package, and the cause where it is known."""
    text = str(MissingDependencyError.for_extra("OpenVINO", "cpu", cause))

    assert text == f"OpenVINO is needed for this but cannot be imported{detail}. Install it with: pip install 'edgeseg[cpu]'"
