"""Data sets with panoptic ground truth: COCO's layout, and Cityscapes-VPS, which is that of COCO with videos.

Both are a JSON file in COCO's panoptic format, the pictures, and one PNG map for each labelled picture, in which a pixel's id is
R + 256 G + 65536 B. Pictures and maps lie in folders up to two levels below that of the data set, maps in one whose name begins with
panoptic or beside the JSON file. A data set is named by its folder or by the JSON file.

``coco``: every picture stands alone.

``vps``: pictures belong to videos. Which one ``video_id`` of a picture says; where there is none, ids are taken for 10000 * video + frame.
Frames come in the order of their ids. All are shown to a model, and those that have a map are scored: of Cityscapes-VPS six of thirty,
five frames apart. In maps of a video the same id is the same object. ``panoptic_im_*.json`` may hold the pictures and
``panoptic_gt_*.json`` the maps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import EvaluationError
from edgeseg.evaluation.panoptic_json import MapRecord, PanopticJson, read_json
from edgeseg.opencv import opencv
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import I32Array, Label, SizeHW

COCO, VPS = LAYOUTS = ("coco", "vps")
_FRAMES_PER_VIDEO = 10_000
_IMAGES, _MAPS = "_im_", "_gt_"


@dataclass(frozen=True, repr=False)
class PanopticPicture:
    """One picture and the map of it, neither read yet."""

    path: Path
    image_hw: SizeHW
    map_path: Path | None
    """None where it is not labelled."""
    record: MapRecord | None

    def truth(self, labels: Sequence[Label]) -> PanopticTruth | None:
        """What is in the picture, by `Label.category_id`; segments of other categories are void. None where it is not labelled.

        Raises:
            EvaluationError: the map cannot be read or has another size than the picture.
        """
        if self.map_path is None or self.record is None:
            return None
        ids = read_map(self.map_path, self.image_hw)
        truth = PanopticTruth(ids, {one.id: TruthSegment(one.category_id, one.is_crowd) for one in self.record.segments})
        return truth.in_classes({label.category_id: index for index, label in enumerate(labels)})


@dataclass(frozen=True, repr=False)
class PanopticClip:
    """A video, or a single picture, of a data set."""

    name: str
    pictures: tuple[PanopticPicture, ...]


@dataclass(frozen=True, repr=False)
class PanopticSet:
    """A data set."""

    layout: str
    """One of `LAYOUTS`."""
    file: Path
    """The JSON that has the maps."""
    clips: tuple[PanopticClip, ...]


def open_panoptic(source: Path, labels: Sequence[Label], layout: str | None = None) -> PanopticSet:
    """Find what a data set consists of.

    Args:
        source: its folder or its JSON file.
        labels: the model's.
        layout: one of `LAYOUTS`; None = by what is there: pictures that name a video, or a file name with "vps" in it.

    Raises:
        EvaluationError: it is not such a data set, is incomplete, or has none of the labels.
    """
    images_file, maps_file = _json_files(source)
    maps = read_json(maps_file)
    images = maps if images_file == maps_file else read_json(images_file)
    if not images.images or not maps.maps:
        raise EvaluationError(f"{source} lists {len(images.images)} pictures and {len(maps.maps)} maps: there is nothing to score")
    _check_categories(maps_file, maps, labels)
    is_vps = "vps" in maps_file.name.lower() or any(image.video_id is not None for image in images.images.values())
    chosen = layout or (VPS if is_vps else COCO)
    pictures = _pictures(source, maps_file, images, maps)
    return PanopticSet(chosen, maps_file, _clips(chosen, images, pictures))


def _json_files(source: Path) -> tuple[Path, Path]:
    """The files that have the pictures and the maps, which may be one."""
    if not source.exists():
        raise EvaluationError(f"{source} does not exist. Give the folder of a data set or its JSON file.")
    inside = (file for depth in ("", "*/") for file in source.glob(f"{depth}*panoptic*.json"))
    files = sorted({_partners(file) for file in (inside if source.is_dir() else [source])})
    if len(files) == 1:
        return files[0]
    has = f"several: {', '.join(maps.name for _, maps in files)}" if files else "none"
    raise EvaluationError(
        f"{source} must hold one JSON file with panoptic in its name, by itself or in a folder like annotations; it has {has}. "
        "Give the file itself."
    )


def _partners(file: Path) -> tuple[Path, Path]:
    """The file of pictures and that of maps to which one belongs; it is both where it has no partner."""
    images, maps = (file.with_name(file.name.replace(_MAPS, one).replace(_IMAGES, one)) for one in (_IMAGES, _MAPS))
    return (images, maps) if images.is_file() and maps.is_file() else (file, file)


def _check_categories(file: Path, maps: PanopticJson, labels: Sequence[Label]) -> None:
    there = {segment.category_id for one in maps.maps.values() for segment in one.segments}
    if there.isdisjoint(label.category_id for label in labels):
        raise EvaluationError(f"{file} has none of the model's categories; are these the annotations of another data set?")


def _pictures(source: Path, maps_file: Path, images: PanopticJson, maps: PanopticJson) -> dict[int, PanopticPicture]:
    strange = maps.maps.keys() - images.images.keys()
    if strange:
        raise EvaluationError(f"{maps_file} has a map of image_id {min(strange)}, which is no picture of the data set")
    root = source if source.is_dir() else source.parent
    if root.name.startswith(("annotations", "panoptic")):
        root = root.parent
    folders = list(_folders(root))
    of_maps = [folder for folder in folders if folder.name.startswith("panoptic")]
    others = [folder for folder in folders if folder not in of_maps]
    # Pictures and maps may have the same names, and so may maps of a video and maps of its frames.
    of_maps.sort(key=lambda folder: (folder.name != maps_file.stem, "video" not in folder.name))
    map_folder = _holding([*of_maps, *others], next(iter(maps.maps.values())).file_name, "map", root)
    others.sort(key=lambda folder: "all" not in folder.name)
    image_folder = _holding(others, next(iter(images.images.values())).file_name, "picture", root)
    return {
        image.id: PanopticPicture(
            _existing(image_folder / image.file_name),
            image.image_hw,
            _existing(map_folder / maps.maps[image.id].file_name) if image.id in maps.maps else None,
            maps.maps.get(image.id),
        )
        for image in images.images.values()
    }


def _folders(root: Path) -> Iterable[Path]:
    """The folder and those up to two levels below it."""
    level = [root]
    for _ in range(3):
        yield from level
        level = sorted(path for folder in level for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _holding(folders: Sequence[Path], name: str, what: str, root: Path) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder
    raise EvaluationError(f"the {what} {name} is in no folder of {root}. Put the folder with the {what}s there.")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise EvaluationError(f"{path} is missing from the data set")
    return path


def _clips(layout: str, images: PanopticJson, pictures: dict[int, PanopticPicture]) -> tuple[PanopticClip, ...]:
    if layout == COCO:
        return tuple(PanopticClip(one.path.name, (one,)) for one in pictures.values() if one.record is not None)

    def video_of(number: int) -> int:
        video_id = images.images[number].video_id
        return number // _FRAMES_PER_VIDEO if video_id is None else video_id

    ordered = sorted(pictures, key=lambda number: (video_of(number), number))
    videos = ((str(video), [pictures[number] for number in numbers]) for video, numbers in itertools.groupby(ordered, video_of))
    return tuple(PanopticClip(name, tuple(frames)) for name, frames in videos if any(one.record is not None for one in frames))


def read_map(path: Path, image_hw: SizeHW) -> I32Array:
    """The ids int32 (H, W) in a PNG map.

    Raises:
        EvaluationError: it cannot be read, is not 8-bit RGB, or has another size.
    """
    cv2 = opencv()
    try:
        colours = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise EvaluationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if colours is None or colours.dtype != np.uint8 or colours.ndim != 3 or colours.shape[2] != 3:
        raise EvaluationError(f"{path} is no map in COCO's panoptic format: that is a PNG with three channels of 8 bits")
    if colours.shape[:2] != image_hw:
        raise EvaluationError(f"{path} has {colours.shape[:2]} pixels, the annotations say {image_hw}")
    blue, green, red = (colours[..., channel].astype(np.int32) for channel in range(3))
    ids: I32Array = red | green << 8 | blue << 16
    return ids
