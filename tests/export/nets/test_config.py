"""Sizes, scales and labels derived from a config."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from export.recipes import RECIPES

BASE = RECIPES["yolact_base"]


@pytest.mark.parametrize(("size", "level_sizes"), [(550, (69, 35, 18, 9, 5)), (400, (50, 25, 13, 7, 4)), (700, (88, 44, 22, 11, 6))])
def test_level_sizes_round_up(size: int, level_sizes: tuple[int, ...]) -> None:
    """Each halving rounds up, as the padded convolutions do, and prototypes are twice P3."""
    config = BASE.with_size(size)

    assert level_sizes == config.level_sizes
    assert 2 * level_sizes[0] == config.proto_size


@pytest.mark.parametrize(("size", "sides"), [(400, (17, 34, 69, 139, 279)), (700, (30, 61, 122, 244, 488))])
def test_scales_follow_the_size_as_in_the_official_configs(size: int, sides: tuple[int, ...]) -> None:
    """A custom size truncates the scaled anchor sides, which gives the published 400 and 700 pixel configurations."""
    assert tuple((float(side),) for side in sides) == BASE.with_size(size).scales


def test_further_scales_of_a_level_keep_their_ratio() -> None:
    """YOLACT++ keeps its three scales a third of an octave apart at any size."""
    first, second, third = RECIPES["yolact_plus_base"].with_size(400).scales[0]

    assert first == 17.0
    assert (second / first, third / first) == pytest.approx((2 ** (1 / 3), 2 ** (2 / 3)))


def test_custom_labels_change_the_class_count() -> None:
    """Category ids count from 1 and the background comes on top."""
    config = BASE.with_labels(["cat", " dog "])

    assert config.num_classes == 3
    assert [("cat", 1), ("dog", 2)] == [(label.name, label.category_id) for label in config.labels]
    assert (80, 90) == (len(BASE.labels), BASE.labels[-1].category_id)


@pytest.mark.parametrize(
    ("names", "message"), [([], "empty"), (["cat", ""], "class 2 has no name"), (["cat", "cat"], "more than once: cat")]
)
def test_bad_labels_are_refused(names: list[str], message: str) -> None:
    """An empty list, a nameless class and a repeated name are usage errors."""
    with pytest.raises(UsageError, match=message):
        BASE.with_labels(names)


def test_sizes_the_net_cannot_have_are_refused() -> None:
    """Too small an input is a usage error that names the smallest one, which then works."""
    with pytest.raises(UsageError, match="smallest is 64"):
        BASE.with_size(63)
    with pytest.raises(UsageError, match="use 249 or more"):
        RECIPES["yolact_plus_base"].with_size(248)

    assert RECIPES["yolact_plus_base"].with_size(249).proto_size == 64
    assert BASE.with_size(64).level_sizes == (8, 4, 2, 1, 1)
