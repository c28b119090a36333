"""A batch on a Ray of its own: ``python -m tests.edgeseg.batch.ray_batch JOBS SLOTS TOLD``, in a process that Ray may use as it likes.

JOBS is a pickle. Clips whose name has an ``x`` kill their first worker. The file TOLD gets the names of the clips that are done and what
was told; Ray writes what it likes on the standard output.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from edgeseg.batch import run_batch
from edgeseg.batch.executors import RayExecutor
from edgeseg.batch.executors.on_ray import LOCAL
from tests.edgeseg.batch.workers import killed_once


def main(jobs: str, slots: str, file: str) -> None:
    """Run the jobs."""
    done, told = [], []
    with RayExecutor(LOCAL, int(slots), {"CPU": 1, "GPU": 0}, killed_once) as executor:
        run_batch(
            pickle.loads(Path(jobs).read_bytes()),  # noqa: S301  of the test that started us
            executor,
            lambda job, outcome: done.append(job.name if outcome.error is None else f"{job.name} failed: {outcome.error}"),
            told.append,
        )
    Path(file).write_text("\n".join([*sorted(done), *told]))


if __name__ == "__main__":
    main(*sys.argv[1:])
