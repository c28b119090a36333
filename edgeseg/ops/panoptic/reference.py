"""The panoptic head, the vote and the object channel in plain numpy: what every faster form has to give, pixel by pixel.

Written from the papers and from a description of the originals' behaviour, their quirks included.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.ops.panoptic.detections import VOID, Detections, SlotMap
from edgeseg.types import BoolArray, F32Array, I32Array, I64Array, SizeHW

OVERLAP_MAX = 0.3
"""Part of a mask that kept masks of its class may cover."""
CONVERT_SHARE = 0.5
"""Part of an instance's pixels from which on the stuff that the semantics see there takes its place."""
DUPLICATE_FROM = 100
"""The originals' first number for an object whose id another object of the frame has too."""


def mask_removal(detections: Detections, image_hw: SizeHW, overlap_max: float = OVERLAP_MAX) -> tuple[I64Array, F32Array]:
    """Drop detections that kept ones of their class cover.

    By descending score; of equal scores the higher index goes first, however many there are. A mask is where the logits,
    resized to the whole pixels of its box and cut at the picture, are above 0.

    Returns:
        int64 (K,): the kept detections in that order, and float32 (K, H, W): their logits, 0 outside their boxes. If all
        are dropped: the first detection, whatever its score, with a plane of zeros.
    """
    kept: list[int] = []
    planes: list[F32Array] = []
    taken: dict[int, BoolArray] = {}
    for i in np.argsort(detections.scores, kind="stable")[::-1].tolist():
        plane, mask = pasted(detections.mask_logits[i], detections.boxes[i], image_hw)
        union = taken.setdefault(int(detections.classes[i]), np.zeros(image_hw, bool))
        area = int(mask.sum())
        if area == 0 or int((mask & union).sum()) / area > overlap_max:
            continue
        union |= mask
        kept.append(i)
        planes.append(plane)
    if not kept:
        kept, planes = [0], [np.zeros(image_hw, np.float32)]
    return np.array(kept, np.int64), np.stack(planes)


def pasted(logits: F32Array, box: F32Array, image_hw: SizeHW) -> tuple[F32Array, BoolArray]:
    """Mask logits (m, m) over a box (4,) in a plane of zeros, float32 (H, W), and where they are above 0, bool (H, W)."""
    cv2 = opencv()
    height, width = image_hw
    x1, y1, x2, y2 = (int(corner) for corner in box)
    size = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    resized = cv2.resize(np.ascontiguousarray(logits), size, interpolation=cv2.INTER_LINEAR)
    plane = np.zeros(image_hw, np.float32)
    for y in range(max(y1, 0), min(y2 + 1, height)):
        left, right = max(x1, 0), min(x2 + 1, width)
        if left < right:
            plane[y, left:right] = resized[y - y1, left - x1 : right - x1]
    return plane, plane > 0


def panoptic_head(logits: F32Array, stuff: int, detections: Detections, void: bool) -> SlotMap:
    """The winner of every pixel among stuff, instances and, if asked for, the unknown class.

    Of equal values the first wins, in that order. An instance counts 0 outside its box, not minus infinity. Without any
    detection an instance of no class is there, which counts 0 everywhere.

    Args:
        logits: float32 (C, H, W): semantic logits at full resolution; stuff first, then things.
        stuff: how many of C are stuff. If all are, there is neither an instance nor an unknown class.
        detections: in pixels of the logits.
        void: whether the unknown class competes: what the semantics see of things, less what instances explain of it.
    """
    image_hw = (logits.shape[1], logits.shape[2])
    semantic = logits.argmax(axis=0).astype(np.int32)
    if stuff == len(logits):
        return SlotMap(semantic, np.zeros(0, np.int64), np.zeros(0, np.int64), semantic)
    if len(detections):
        kept, masks = mask_removal(detections, image_hw)
        classes = detections.classes[kept]
        segs = np.stack([in_box(logits, stuff, detections.boxes[i], int(detections.classes[i])) for i in kept.tolist()])
    else:
        kept, classes = np.zeros(0, np.int64), np.zeros(1, np.int64)
        masks = segs = np.zeros((1, *image_hw), np.float32)
    planes = [logits[:stuff], segs + masks]
    if void:
        planes.append((logits[stuff:].max(axis=0) - segs.max(axis=0))[None])
    ids = np.concatenate(planes).argmax(axis=0).astype(np.int32)
    ids[ids == stuff + len(classes)] = VOID
    return SlotMap(ids, classes, kept, semantic)


def in_box(logits: F32Array, stuff: int, box: F32Array, class_id: int) -> F32Array:
    """float32 (H, W): the semantic logits (C, H, W) of a thing class, counted from 1, in a box (4,); 0 outside, and of class 0.

    The box goes from its truncated to its rounded corners (halves to even), so that its end may differ by a pixel from that
    of the pasted mask.
    """
    plane = np.zeros(logits.shape[1:], np.float32)
    if class_id > 0:
        x1, y1 = max(int(box[0]), 0), max(int(box[1]), 0)
        x2, y2 = max(int(np.round(box[2]) + 1), 0), max(int(np.round(box[3]) + 1), 0)
        plane[y1:y2, x1:x2] = logits[stuff - 1 + class_id, y1:y2, x1:x2]
    return plane


def unify(found: SlotMap, stuff: int, area_limit: int) -> tuple[I32Array, I32Array]:
    """Classes and instance numbers of a map, after a vote of the semantics on each instance.

    Args:
        found: of the head, both of its maps at the picture's size.
        stuff: how many labels are stuff.
        area_limit: pixels below which a stuff class becomes void, counted after the vote.

    Returns:
        int32 (H, W): label, or `VOID`; int32 (H, W): 1, 2 ... in the order of the slots that have a pixel, those that the
        vote made stuff counted too, and 0 where there is no instance. The stand-in for no detection counts as an instance of
        the last stuff class.
    """
    classes = np.where(found.ids < stuff, found.ids, VOID)
    numbers = np.zeros_like(found.ids)
    for number, (slot, region, converted) in enumerate(voted(found, stuff), 1):
        classes[region] = stuff - 1 + found.classes[slot] if converted is None else converted
        numbers[region] = number if converted is None else 0
    for label in range(stuff):
        region = classes == label
        if region.sum() < area_limit:
            classes[region] = VOID
    return classes, numbers


def voted(found: SlotMap, stuff: int) -> Iterator[tuple[int, BoolArray, int | None]]:
    """For each slot that has a pixel: its place, its region, and the stuff class that the region becomes, if it does.

    It does where the most frequent label of the semantics, the lowest of equals, is stuff, is not the slot's own, and has at
    least half of the region.
    """
    for slot in range(len(found.classes)):
        region = found.ids == stuff + slot
        if not region.any():
            continue
        labels, counts = np.unique(found.semantic[region], return_counts=True)
        most = int(labels[counts.argmax()])
        other = most != stuff - 1 + int(found.classes[slot])
        converted = other and most < stuff and counts.max() / region.sum() >= CONVERT_SHARE
        yield slot, region, most if converted else None


def object_channel(found: SlotMap, stuff: int, object_ids: I64Array, faithful: bool) -> I32Array:
    """int32 (H, W): the third channel of Cityscapes-VPS results: object id + 1; 0 where the vote made stuff of an instance.

    Elsewhere it is the map's own number: the stuff class, or `VOID`.

    Args:
        found: of the head, both of its maps at the picture's size.
        stuff: how many labels are stuff.
        object_ids: int64 (K,): of each slot.
        faithful: whether to keep the original's defects: an object takes the id of as many slots further up as have no pixel,
            equal ids are renumbered from 100, and numbers wrap at 256.
    """
    channel = found.ids.copy()
    ids = renumbered(object_ids) if faithful else object_ids
    for place, (slot, region, converted) in enumerate(voted(found, stuff)):
        number = int(ids[place if faithful else slot]) + 1
        channel[region] = 0 if converted is not None else number % 256 if faithful else number
    return channel


def renumbered(object_ids: I64Array) -> I64Array:
    """int64 (K,): ids of which all that occur again, but for the first of them, are 100, 101 ... from the last slot on."""
    backward = object_ids[::-1].copy()
    number = DUPLICATE_FROM
    for place in range(len(backward)):
        if (backward[place + 1 :] == backward[place]).any():
            backward[place] = number
            number += 1
    return backward[::-1].copy()
