"""The table of recipes."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from export.recipes import RECIPES, recipe
from export.recipes.labels import COCO, PASCAL, YOUTUBE_VIS


def test_recipes_are_found_by_name() -> None:
    """Every key of the table is the name of its config."""
    assert all(recipe(name).name == name for name in RECIPES)


@pytest.mark.parametrize(("name", "hint"), [("yolact_resnet-50", "yolact_resnet50"), ("mask2former", "--list")])
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    """A near miss names the recipe that was probably meant, anything else the list."""
    with pytest.raises(UsageError, match=hint):
        recipe(name)


def test_labels_are_complete() -> None:
    """The three data sets have their published numbers of classes and category ids."""
    coco = {label.name: label.category_id for label in COCO}

    assert (80, 20, 40) == (len(coco), len(PASCAL), len(YOUTUBE_VIS))
    assert (1, 13, 44, 90) == (coco["person"], coco["stop sign"], coco["bottle"], coco["toothbrush"])
    assert ("person", 15) == (PASCAL[14].name, PASCAL[14].category_id)
    assert ("tennis_racket", 40) == (YOUTUBE_VIS[-1].name, YOUTUBE_VIS[-1].category_id)


def test_a_video_recipe_is_another_net_than_its_image_part() -> None:
    """With SPA, without it and without the flow branch are three nets, although trunk, size and classes are the same."""
    names = ("yolact_edge_vid", "yolact_edge_vid_minimal", "yolact_edge_youtubevis")

    same = [(a, b) for a in names for b in names if recipe(a).same_net(recipe(b))]

    assert same == [(name, name) for name in names]
