"""The result folder of a batch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.batch import Outcome, Results, process
from edgeseg.batch.journal import JOURNAL
from edgeseg.errors import SinkError, SourceError, UsageError


def do(folder, options, sources) -> list[str]:
    """Do what is missing in a folder; returns the names of what was."""
    with Results(folder, options) as results:
        jobs = results.missing(sources)
        for job in jobs:
            results.record(job, process(job))
    return [job.name for job in jobs]


def test_what_is_complete_is_not_missing(make_clip, folder, options):
    """The second time nothing is, the third only what is new; a copy with new times is the same clip."""
    first, second = str(make_clip("a.mp4")), str(make_clip("b.mp4", frames=2))

    assert do(folder, options, [first]) == ["a"]
    assert do(folder, options, [first]) == []
    os.utime(first, ns=(1, 1))
    assert do(folder, options, [first, second]) == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "b.jsonl", JOURNAL]


@pytest.mark.parametrize("harm", ["source changed", "result cut", "result gone", "failed before"])
def test_what_is_not_whole_is_missing(make_clip, folder, options, harm):
    """Of two clips, the one that something happened to."""
    first, second = str(make_clip("a.mp4")), str(make_clip("b.mp4"))
    do(folder, options, [first, second])
    if harm == "source changed":
        make_clip("a.mp4", frames=3)
    elif harm == "result cut":
        os.truncate(folder / "a.jsonl", 10)
    elif harm == "result gone":
        (folder / "a.jsonl").unlink()
    else:
        Path(first).write_bytes(b"no video")
        assert do(folder, options, [first, second]) == ["a"]
        # What was found in another file does not stay.
        assert not (folder / "a.jsonl").exists()

    assert do(folder, options, [first, second]) == ["a"]


def test_what_workers_left_half_done_goes_away(make_clip, folder, options):
    """When a batch begins and when it ends."""
    left = folder / ".work-abc"
    for _ in range(2):
        left.mkdir()
        (left / "a.jsonl").write_text("half")
        with Results(folder, options):
            assert not left.exists()
            left.mkdir()
    assert [path.name for path in folder.iterdir()] == [JOURNAL]


def test_clip_in_the_result_folder_is_refused(make_clip, folder, options):
    """Its own results could take its place, also through a link."""
    do(folder, options, [str(make_clip("a.mp4"))])
    mine = make_clip("b.mp4").rename(folder / "b.mp4")
    link = folder.parent / "link.mp4"
    link.symlink_to(mine)

    for source in (mine, link):
        with Results(folder, options) as results, pytest.raises(UsageError, match="lies in the result folder"):
            results.missing([str(source)])


def test_foreign_file_beside_results_stays(make_clip, folder, options):
    """A clip whose results would have its name gets another."""
    do(folder, options, [str(make_clip("a.mp4"))])
    (folder / "b.jsonl").write_text("mine")

    assert do(folder, options, [str(make_clip("b.mp4"))]) == ["b-2"]
    assert (folder / "b.jsonl").read_text() == "mine"


def test_results_of_a_lost_worker_do_not_stay_with_a_clip_that_fails(make_clip, folder, options):
    """It gave its files their names and died before it could say so; then the clip was damaged."""
    source = str(make_clip("a.mp4"))
    with Results(folder, options) as results:
        process(*results.missing([source]))
    Path(source).write_bytes(b"no video")

    assert do(folder, options, [source]) == ["a"]
    assert [path.name for path in folder.iterdir()] == [JOURNAL]


def test_one_batch_at_a_time(folder, options):
    """The second is refused while the first is at work."""
    with Results(folder, options), pytest.raises(UsageError, match="another 'edgeseg batch' is at work"):
        Results(folder, options)
    with Results(folder, options):
        pass


def test_lock_that_cannot_be_had_is_a_message(folder, options):
    """A folder in its place, or a file system without locks."""
    (folder / ".batch.lock").mkdir()

    with pytest.raises(SinkError, match="Is a directory"):
        Results(folder, options)


def test_foreign_folder_is_refused(folder, options):
    """And left as it was."""
    (folder / "clip.jsonl").write_text("mine")

    with pytest.raises(UsageError, match=r"did not write: clip\.jsonl"):
        Results(folder, options)
    assert [path.name for path in folder.iterdir()] == ["clip.jsonl"]


def test_other_settings_are_refused_and_leave_no_lock(folder, options):
    """The next batch with the settings of before comes in."""
    with Results(folder, options):
        pass
    with pytest.raises(UsageError, match=r"score 0\.3 instead of 0\.5"):
        Results(folder, replace(options, score=0.5))
    with Results(folder, options):
        pass


def test_folder_is_made_where_its_parent_exists(tmp_path, options):
    """Else the message says how to make it."""
    with Results(tmp_path / "new", options):
        pass
    with pytest.raises(SinkError, match="mkdir -p"):
        Results(tmp_path / "none" / "new", options)


def test_failure_is_in_the_journal(make_clip, folder, options):
    """With its words; and it is missing the next time."""
    source = str(make_clip("a.mp4"))
    with Results(folder, options) as results:
        (job,) = results.missing([source])
        results.record(job, Outcome(error=SourceError("it is damaged")))

    assert '"state":"failed"' in (folder / JOURNAL).read_text()
    assert "it is damaged" in (folder / JOURNAL).read_text()
