"""Stand-ins for what a node uses of ROS 2, as rclpy and the message packages of Humble have it: unknown fields and wrong types are errors.

Fields and types follow sensor_msgs/Image, std_msgs/Header, and vision_msgs 4 (Detection2D.msg, BoundingBox2D.msg, Pose2D.msg,
ObjectHypothesis.msg); rclpy's own classes are not run.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest


class Message:
    """A message takes only its own fields, of their types."""

    kinds: ClassVar[dict[str, type]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.kinds, f"{type(self).__name__} has no field {name}"
        # A bool or an integer of NumPy is none that rclpy takes for one.
        assert isinstance(value, self.kinds[name]), (name, value)
        assert not isinstance(value, bool | np.generic), (name, value)
        super().__setattr__(name, value)


def _message(name: str, **kinds: type) -> Any:
    """A type of messages with fields of these types, which begin empty."""
    made = [(field, kind, _begins(kind)) for field, kind in kinds.items()]
    return make_dataclass(name, made, bases=(Message,), namespace={"kinds": kinds})


def _begins(kind: type) -> Any:
    return field(default_factory=(lambda: array.array("B")) if kind is array.array else kind)


Time = _message("Time", sec=int, nanosec=int)
Header = _message("Header", stamp=Time, frame_id=str)
Image = _message("Image", header=Header, height=int, width=int, encoding=str, is_bigendian=int, step=int, data=array.array)
Point2D = _message("Point2D", x=float, y=float)
Pose2D = _message("Pose2D", position=Point2D, theta=float)
BoundingBox2D = _message("BoundingBox2D", center=Pose2D, size_x=float, size_y=float)
ObjectHypothesis = _message("ObjectHypothesis", class_id=str, score=float)
ObjectHypothesisWithPose = _message("ObjectHypothesisWithPose", hypothesis=ObjectHypothesis)
Detection2D = _message("Detection2D", header=Header, results=list, bbox=BoundingBox2D, id=str)
Detection2DArray = _message("Detection2DArray", header=Header, detections=list)
HistoryPolicy = Enum("HistoryPolicy", ["KEEP_LAST"])
ReliabilityPolicy = Enum("ReliabilityPolicy", ["RELIABLE", "BEST_EFFORT"])
QoSProfile = make_dataclass("QoSProfile", ["history", "depth", "reliability"])
ExternalShutdownException = type("ExternalShutdownException", (Exception,), {})


@dataclass
class Publisher:
    """Keeps what is published."""

    kind: type
    topic: str
    qos: Any
    subscribers: int = 1
    sent: list[Any] = field(default_factory=list)

    def publish(self, message: Any) -> None:
        assert isinstance(message, self.kind)
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return self.subscribers


class Node:
    """What the node under test is made of; parameters come from `parameters`."""

    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.name, self.publishers_, self.subscriptions_, self.logged, self.destroyed = name, [], [], [], False

    def declare_parameter(self, name: str, default: Any) -> SimpleNamespace:
        value = self.parameters.get(name, default)
        assert type(value) is type(default), f"rclpy refuses another type for {name}"
        return SimpleNamespace(value=value)

    def create_publisher(self, kind: type, topic: str, qos: Any) -> Publisher:
        self.publishers_.append(Publisher(kind, topic, qos))
        return self.publishers_[-1]

    def create_subscription(self, kind: type, topic: str, callback: Any, qos: Any) -> None:
        self.subscriptions_.append(SimpleNamespace(kind=kind, topic=topic, callback=callback, qos=qos))

    def get_logger(self) -> SimpleNamespace:
        def log(text: str, throttle_duration_sec: float = 0.0) -> None:
            self.logged.append(text)

        return SimpleNamespace(info=log, error=log)

    def destroy_node(self) -> None:
        self.destroyed = True


def install(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put the stand-ins in place of the packages; what ``spin`` does can be replaced in what is returned."""
    hooks = SimpleNamespace(spin=id, calls=[])
    parts = {
        "rclpy": {
            "init": lambda: hooks.calls.append("init"),
            "spin": lambda node: hooks.spin(node),  # noqa: PLW0108 - it may be replaced
            "try_shutdown": lambda: hooks.calls.append("shutdown"),
        },
        "rclpy.node": {"Node": Node},
        "rclpy.executors": {"ExternalShutdownException": ExternalShutdownException},
        "rclpy.qos": {"HistoryPolicy": HistoryPolicy, "QoSProfile": QoSProfile, "ReliabilityPolicy": ReliabilityPolicy},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": Image},
        "vision_msgs": {},
        "vision_msgs.msg": {
            "Detection2D": Detection2D, "Detection2DArray": Detection2DArray, "ObjectHypothesisWithPose": ObjectHypothesisWithPose
        },
    }  # fmt: skip
    for name, held in parts.items():
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, name, module)
    return hooks
