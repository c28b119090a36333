"""Work beside the caller."""

from __future__ import annotations

import threading

import pytest

from edgeseg.background import in_background


def test_result_and_error_are_in_the_future():
    """Also what is no ordinary error."""

    def stop():
        raise KeyboardInterrupt

    assert in_background(lambda: 7, "test").result(30) == 7
    with pytest.raises(KeyboardInterrupt):
        in_background(stop, "test").result(30)


def test_thread_keeps_no_process():
    """It is a daemon, and has the name."""
    thread = in_background(threading.current_thread, "edgeseg-test").result(30)

    assert (thread.daemon, thread.name) == (True, "edgeseg-test")
