"""Class names and category ids of the data sets the official checkpoints were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edgeseg.types import Label

_COCO_NAMES = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking "
    "meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, "
    "suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis "
    "racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, "
    "pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell "
    "phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush"
)
# COCO numbers 90 categories; these ten were never annotated.
_COCO_UNUSED_IDS = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))

_PASCAL_NAMES = (
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike, person, "
    "pottedplant, sheep, sofa, train, tvmonitor"
)

_YOUTUBE_VIS_NAMES = (
    "person, giant_panda, lizard, parrot, skateboard, sedan, ape, dog, snake, monkey, hand, rabbit, duck, cat, cow, fish, "
    "train, horse, turtle, bear, motorbike, giraffe, leopard, fox, deer, owl, surfboard, airplane, truck, zebra, tiger, "
    "elephant, snowboard, boat, shark, mouse, frog, eagle, earless_seal, tennis_racket"
)

_COCO_STUFF_NAMES = (
    "banner, blanket, bridge, cardboard, counter, curtain, door-stuff, floor-wood, flower, fruit, gravel, house, light, "
    "mirror-stuff, net, pillow, platform, playingfield, railroad, river, road, roof, sand, sea, shelf, snow, stairs, tent, "
    "towel, wall-brick, wall-stone, wall-tile, wall-wood, water-other, window-blind, window-other, tree-merged, fence-merged, "
    "ceiling-merged, sky-other-merged, cabinet-merged, table-merged, floor-other-merged, pavement-merged, mountain-merged, "
    "grass-merged, dirt-merged, paper-merged, food-other-merged, building-other-merged, rock-merged, wall-other-merged, rug-merged"
)
_COCO_STUFF_IDS = (
    *(92, 93, 95, 100, 107, 109, 112, 118, 119, 122, 125, 128, 130, 133, 138, 141, 144, 145, 147, 148, 149, 151, 154, 155),
    *(156, 159, 161, 166, 168, 171, 175, 176, 177, 178, 180, 181, *range(184, 201)),
)

_CITYSCAPES_STUFF_NAMES = "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky"
_CITYSCAPES_THING_NAMES = "person, rider, car, truck, bus, train, motorcycle, bicycle"
_CITYSCAPES_STUFF_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23)
_CITYSCAPES_THING_IDS = (24, 25, 26, 27, 28, 31, 32, 33)


def _labels(names: str, ids: Iterable[int], is_thing: bool = True) -> tuple[Label, ...]:
    return tuple(Label(name, number, is_thing) for name, number in zip(names.split(", "), ids, strict=True))


COCO = _labels(_COCO_NAMES, (number for number in range(1, 91) if number not in _COCO_UNUSED_IDS))
_COCO_BY_ID = {label.category_id: label.name for label in COCO}
COCO_WITH_GAPS = tuple(Label(_COCO_BY_ID.get(number, "N/A"), number) for number in range(1, 91))
"""One entry for each category id, used or not: how torchvision numbers its classes."""
PASCAL = _labels(_PASCAL_NAMES, range(1, 21))
YOUTUBE_VIS = _labels(_YOUTUBE_VIS_NAMES, range(1, 41))
COCO_PANOPTIC = (*_labels(_COCO_STUFF_NAMES, _COCO_STUFF_IDS, is_thing=False), *COCO)
"""Stuff first."""
CITYSCAPES = (
    *_labels(_CITYSCAPES_STUFF_NAMES, _CITYSCAPES_STUFF_IDS, is_thing=False),
    *_labels(_CITYSCAPES_THING_NAMES, _CITYSCAPES_THING_IDS),
)
"""Stuff first, under the data set's label ids."""
CITYSCAPES_VPS = tuple(replace(label, category_id=number) for number, label in enumerate(CITYSCAPES))
"""The same classes as Cityscapes-VPS numbers them: by training id."""
