"""Class names and category ids of the data sets the official checkpoints were trained on."""

from __future__ import annotations

from collections.abc import Iterable

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


def _labels(names: str, ids: Iterable[int]) -> tuple[Label, ...]:
    return tuple(Label(name, number) for name, number in zip(names.split(", "), ids, strict=True))


COCO = _labels(_COCO_NAMES, (number for number in range(1, 91) if number not in _COCO_UNUSED_IDS))
_COCO_BY_ID = {label.category_id: label.name for label in COCO}
COCO_WITH_GAPS = tuple(Label(_COCO_BY_ID.get(number, "N/A"), number) for number in range(1, 91))
"""One entry for each category id, used or not: how torchvision numbers its classes."""
PASCAL = _labels(_PASCAL_NAMES, range(1, 21))
YOUTUBE_VIS = _labels(_YOUTUBE_VIS_NAMES, range(1, 41))
