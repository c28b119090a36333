"""Nested phases as one fraction."""

from __future__ import annotations

from edgeseg.backends.tensorrt.progress import Phases


def test_a_phase_inside_another_counts_as_part_of_its_step():
    """Half of the second of four steps is three eighths."""
    told = []
    phases = Phases(lambda phase, fraction: told.append((phase, fraction)))

    phases.begin("all", None, 4)
    assert phases.step("all", 0)
    phases.begin("part", "all", 2)
    assert phases.step("part", 0)
    phases.end("part")
    phases.begin("next part", "all", 2)

    assert told == [("all", 0), ("all", 0.25), ("part", 0.25), ("part", 0.375), ("next part", 0.375)]


def test_a_second_whole_does_not_start_again():
    """Libraries may begin another outermost phase; the fraction stays where it was, and below 1 until the builder returns."""
    told = []
    phases = Phases(lambda _, fraction: told.append(fraction))

    for name in ("first", "second"):
        phases.begin(name, None, 2)
        phases.step(name, 1)
        phases.end(name)

    assert told == [0, 0.99, 0.99, 0.99]


def test_steps_of_unknown_phases_and_phases_without_steps_do_no_harm():
    """Whatever a release of the library tells."""
    phases = Phases(lambda *_: None)

    phases.begin("empty", None, 0)

    assert phases.step("empty", 0)
    assert phases.step("unheard of", 3)
    phases.end("unheard of")


def test_a_failing_report_cancels_and_is_kept():
    """It must not pass through the library, which would end the process."""

    def fail(*_):
        raise KeyboardInterrupt

    phases = Phases(fail)
    phases.begin("all", None, 1)

    assert not phases.step("all", 0)
    assert isinstance(phases.failure, KeyboardInterrupt)
