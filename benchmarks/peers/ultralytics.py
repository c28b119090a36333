"""Ultralytics' yolo11n-seg, exported to ONNX and run in ONNX Runtime, with its own pre- and post-processing up to masks."""

from __future__ import annotations

import importlib
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

from edgeseg.bundle import sha256
from edgeseg.opencv import opencv
from edgeseg.types import U8Array

from .base import Answer, Opened, Peer, Subject

NET, SIDE = "yolo11n-seg", 640
_MS = 1e-3


def _open(subject: Subject) -> Opened:
    # Nothing is fetched, installed or reported, and no settings are left behind.
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(subject.folder)}
    yolo = importlib.import_module("ultralytics").YOLO
    file = _exported(_random(yolo, subject.picture), subject.folder)
    model = yolo(str(file), task="segment")
    score = subject.score if subject.found is None else _score_for(model, subject.picture, subject.found)

    def run(image_bgr: U8Array) -> Answer:
        start_s = time.perf_counter()
        result = _predicted(model, image_bgr, score)
        masks = () if result.masks is None else result.masks.data.numpy().astype(np.uint8)
        codes = [coco.encode(np.asfortranarray(mask)) for mask in masks]
        return Answer(len(codes), {"infer": result.speed["inference"] * _MS, "total": time.perf_counter() - start_s})

    return Opened(run, {"ultralytics": version("ultralytics"), "onnx_sha256": sha256(file), "score": score})


def _random(yolo: Any, picture: U8Array) -> Any:
    """The net with random weights, and with normalisation by what it sees in a picture: without it nothing would come through."""
    torch.manual_seed(0)
    model = yolo(f"{NET}.yaml", task="segment")
    for module in model.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.model.train()(torch.from_numpy(_letterboxed(picture)).permute(2, 0, 1)[None].float() / 255)
    model.model.eval()
    return model


def _letterboxed(picture: U8Array) -> U8Array:
    """As the package lays a frame into its input: uint8 (640, 640, 3) RGB, in the middle of grey."""
    height, width = (round(side * SIDE / max(picture.shape[:2])) for side in picture.shape[:2])
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square = np.full((SIDE, SIDE, 3), 114, np.uint8)
    square[top : top + height, left : left + width] = opencv().resize(picture, (width, height))[:, :, ::-1]
    return square


def _exported(model: Any, folder: Path) -> Path:
    """The ONNX graph, in the folder. Ultralytics writes beside the file of weights that a model has, and else where it runs."""
    model.model.pt_path = str(folder / f"{NET}.pt")
    return Path(model.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False))


def _predicted(model: Any, image_bgr: U8Array, score: float) -> Any:
    return model.predict(image_bgr, conf=score, imgsz=SIDE, retina_masks=True, device="cpu", verbose=False)[0]


def _score_for(model: Any, picture: U8Array, count: int) -> float:
    """The threshold that lets about so many through, half way to the next score."""
    scores = np.sort(_predicted(model, picture, 0.0).boxes.conf.numpy())[::-1]
    return float(scores[count - 1 : count + 1].mean())


ULTRALYTICS = Peer(
    same="about as many instances where the case asks for a number, and masks as run-length code in the size of the frame",
    differs="another and much smaller net with random weights (no download), letterboxed to 640; its times say what the package's way "
    "costs, not how good it is, and random weights let more candidates through to its suppression than trained ones would. "
    "Its code is AGPL-3.0",
    needs_net=False,
    open=_open,
)
