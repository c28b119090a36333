"""An archive of clips through one bundle, on many processes or machines, again and again until all is there (docs/serving.md)."""

from __future__ import annotations

from edgeseg.batch.clip import Job, Options, Outcome, process
from edgeseg.batch.results import Results
from edgeseg.batch.run import ATTEMPTS, run_batch

__all__ = ["ATTEMPTS", "Job", "Options", "Outcome", "Results", "process", "run_batch"]
