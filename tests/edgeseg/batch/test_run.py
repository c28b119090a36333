"""A batch from its first job to its last."""

from __future__ import annotations

import pytest

from edgeseg.batch import ATTEMPTS, Outcome, run_batch
from edgeseg.batch.executors.fake import FakeExecutor, WorkerLost
from edgeseg.errors import BundleError, MissingDependencyError, SourceError, UsageError
from tests.edgeseg.batch.test_clip import without_time
from tests.edgeseg.batch.workers import LINES, lost_always, lost_once


def run(jobs, executor) -> tuple[dict[str, Outcome], list[str]]:
    """What became of clips by name, in the order in which they ended, and what was told."""
    outcomes, told = {}, []
    run_batch(jobs, executor, lambda job, outcome: outcomes.__setitem__(job.name, outcome), told.append)
    return outcomes, told


@pytest.mark.parametrize("slots", [1, 2, 9])
def test_lost_worker_loses_nothing(make_job, folder, slots):
    """Its clip is begun anew behind the others; what is there in the end is what a batch without an accident leaves."""
    jobs = [make_job(name) for name in ("a", "x", "c")]
    run(jobs, FakeExecutor(slots))
    expected = {path.name: without_time(path) for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()

    outcomes, told = run(jobs, FakeExecutor(slots, lost_once))

    assert list(outcomes) == ["a", "c", "x"]
    assert all(outcome.error is None for outcome in outcomes.values())
    assert {path.name: without_time(path) for path in folder.iterdir()} == expected
    assert len(expected) == 3
    assert len(expected["x.jsonl"]) > LINES
    assert len(told) == 1
    assert "x.mp4 was lost (an accident)" in told[0]


def test_clip_that_no_worker_survives_is_given_up(make_job, folder):
    """The others are done."""
    outcomes, told = run([make_job(name) for name in ("x", "b", "c")], FakeExecutor(2, lost_always))

    assert [name for name, outcome in outcomes.items() if outcome.error is None] == ["b", "c"]
    assert f"{ATTEMPTS} workers in a row were lost with it (an accident)" in str(outcomes["x"].error)
    assert len(told) == ATTEMPTS - 1
    assert sorted(path.name for path in folder.iterdir()) == ["b.jsonl", "c.jsonl"]


def test_error_of_one_clip_is_its_own(make_job):
    """It is not tried again."""
    tried = []

    def work(job):
        tried.append(job.name)
        return Outcome(error=SourceError("damaged") if job.name == "a" else None)

    outcomes, told = run([make_job("a"), make_job("b")], FakeExecutor(work=work))

    assert tried == ["a", "b"]
    assert (str(outcomes["a"].error), outcomes["b"].error, told) == ("damaged", None, [])


@pytest.mark.parametrize("error", [UsageError, BundleError, MissingDependencyError])
def test_error_of_all_clips_ends_the_batch(make_job, error):
    """The others are not even tried."""
    with pytest.raises(error, match="of all"):
        run([make_job("a"), make_job("b")], FakeExecutor(work=lambda _: Outcome(error=error("of all"))))


def test_executor_is_never_given_more_than_it_takes(make_job):
    """Also when clips are begun anew."""
    jobs, under_way, most = [make_job(name) for name in "abcdef"], [], []

    class Counting(FakeExecutor):
        def submit(self, job):
            under_way.append(job)
            most.append(len(under_way))
            super().submit(job)

        def next(self):
            job, ended = super().next()
            under_way.remove(job)
            return job, ended

    def work(job):
        if job.attempt < 3:
            raise WorkerLost("gone")
        return Outcome()

    outcomes, _ = run(jobs, Counting(2, work))

    assert len(outcomes) == 6
    assert max(most) == 2
