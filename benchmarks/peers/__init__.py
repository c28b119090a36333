"""What others have for the same task. To add one is to write one file with a `Peer` and name it here."""

from __future__ import annotations

from .base import Answer, Opened, Peer, Subject
from .torch_eager import TORCH_EAGER
from .torchvision import TORCHVISION
from .ultralytics import ULTRALYTICS

PEERS: dict[str, Peer] = {
    "torch eager": TORCH_EAGER,
    "torchvision": TORCHVISION,
    "ultralytics yolo11n-seg": ULTRALYTICS,
}

__all__ = ["PEERS", "Answer", "Opened", "Peer", "Subject"]
