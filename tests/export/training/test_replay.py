"""Batches that come back."""

from __future__ import annotations

from export.training.replay import Replay


def test_each_new_batch_comes_first_and_kept_ones_follow() -> None:
    """As many as asked for, from the last few only, and not always the same one."""
    replay: Replay[int] = Replay(size=4, repeats=20, seed=0)
    for batch in range(10):
        first, *others = replay.after(batch)
        assert first == batch
        assert len(others) == 20
        assert set(others) <= set(range(batch - 3, batch + 1))
    assert set(others) == {6, 7, 8, 9}


def test_the_choice_is_a_function_of_the_seed() -> None:
    """Same seed, same order; another seed, another one."""
    runs = [[list(replay.after(batch)) for batch in range(8)] for replay in (Replay(4, 5, seed) for seed in (1, 1, 2))]
    assert runs[0] == runs[1] != runs[2]
