"""A ROS 2 node that segments pictures of a topic with edgeseg (docs/service.md).

It needs ROS 2 Humble or later with vision_msgs 4, and edgeseg in the same Python. In a sourced ROS 2 environment:

    python3 ros2_node.py --ros-args -p bundle:=/path/to/bundle -r image:=/camera/image_raw

It takes ``image`` (sensor_msgs/Image) and publishes, with the header of the picture:

- ``~/detections`` (vision_msgs/Detection2DArray): class names, scores and boxes; the id is that of the track, or empty.
- ``~/instances`` (sensor_msgs/Image, mono16): n + 1 where detection n is, 0 elsewhere.
- ``~/classes`` (sensor_msgs/Image, mono16): class + 1, as in the bundle's list, 0 for none; of panoptic bundles for every pixel.
"""

from __future__ import annotations

import array
import sys
import time
from collections.abc import Callable

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

import edgeseg

# Channels of a pixel, and where blue, green and red are among them.
ENCODINGS = {"bgr8": (3, (0, 1, 2)), "rgb8": (3, (2, 1, 0)), "bgra8": (4, (0, 1, 2)), "rgba8": (4, (2, 1, 0)), "mono8": (1, (0, 0, 0))}
# While a picture is segmented the middleware keeps the newest one only: results never lag behind. Publishers of both kinds fit.
NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class SegmentationNode(Node):
    """One camera, one model."""

    def __init__(self) -> None:
        super().__init__("edgeseg")
        bundle = self.declare_parameter("bundle", "").value or edgeseg.demo_bundle()
        score = self.declare_parameter("score", 0.3).value
        schedule = self.declare_parameter("schedule", "every").value
        track = self.declare_parameter("track", False).value
        backend = self.declare_parameter("backend", "auto").value
        self._model = edgeseg.load(bundle, backend=backend, score_threshold=score, note=self.get_logger().info)
        self._pipeline = edgeseg.Pipeline(self._model, edgeseg.StreamSettings(schedule, track=track))
        self._count = 0
        self._detections = self.create_publisher(Detection2DArray, "~/detections", 1)
        self._instances = self.create_publisher(Image, "~/instances", 1)
        self._classes = self.create_publisher(Image, "~/classes", 1)
        self.create_subscription(Image, "image", self.segment, NEWEST)

    def segment(self, message: Image) -> None:
        """Segment one picture; one that cannot be is told of and left out."""
        try:
            frame = edgeseg.Frame(pixels_of(message), index=self._count, captured_s=time.monotonic())
            result = self._pipeline.step(frame)
        except (ValueError, edgeseg.EdgesegError) as error:
            self.get_logger().error(str(error), throttle_duration_sec=10.0)
            return
        self._count += 1
        self._detections.publish(detections_of(result, message.header))
        # Masks at full size are made only if somebody looks.
        if self._instances.get_subscription_count():
            self._instances.publish(image_of(instance_map(result), message.header))
        if self._classes.get_subscription_count():
            self._classes.publish(image_of(class_map(result), message.header))

    def destroy_node(self) -> None:
        """Free the model as well."""
        self._pipeline.close()
        self._model.close()
        super().destroy_node()


def pixels_of(message: Image) -> np.ndarray:
    """The picture as uint8 (H, W, 3) BGR; rows may be padded.

    Raises:
        ValueError: another encoding, or fewer bytes than the message says.
    """
    if message.encoding not in ENCODINGS:
        raise ValueError(f"encoding {message.encoding!r} is not read; publish one of {', '.join(ENCODINGS)}")
    channels, order = ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    data = np.frombuffer(message.data, np.uint8)
    if min(height, width) < 1 or step < width * channels or data.size < height * step:
        raise ValueError(f"a picture of {width}x{height} in {message.encoding} does not fit {data.size} bytes in rows of {step}")
    rows = data[: height * step].reshape(height, step)[:, : width * channels]
    return np.ascontiguousarray(rows.reshape(height, width, channels)[..., order])


def detections_of(result: edgeseg.Result, header: object) -> Detection2DArray:
    """Instances as detections, in descending order of their scores."""
    message = Detection2DArray(header=header)
    found = result.instances
    for k in range(0 if found is None else len(found)):
        x1, y1, x2, y2 = map(float, found.boxes[k])
        kind = ObjectHypothesisWithPose()
        kind.hypothesis.class_id = result.labels[found.classes[k]].name
        kind.hypothesis.score = float(found.scores[k])
        one = Detection2D(header=header, results=[kind], id="" if found.track_ids[k] < 0 else str(found.track_ids[k]))
        one.bbox.center.position.x, one.bbox.center.position.y = (x1 + x2) / 2, (y1 + y2) / 2
        one.bbox.size_x, one.bbox.size_y = x2 - x1, y2 - y1
        message.detections.append(one)
    return message


def instance_map(result: edgeseg.Result) -> np.ndarray:
    """uint16 (H, W): n + 1 where instance n is, the better one where two are; 0 elsewhere."""
    return _painted(result, lambda k: k + 1)


def class_map(result: edgeseg.Result) -> np.ndarray:
    """uint16 (H, W): class + 1; 0 for none."""
    if result.panoptic is None:
        return _painted(result, lambda k: result.instances.classes[k] + 1)
    ids = np.array([0, *(segment.id for segment in result.panoptic.segments)])
    classes = np.array([0, *(segment.class_id + 1 for segment in result.panoptic.segments)], np.uint16)
    order = np.argsort(ids)
    return classes[order][np.searchsorted(ids[order], result.panoptic.ids)]


def _painted(result: edgeseg.Result, value: Callable[[int], int]) -> np.ndarray:
    painted = np.zeros(result.image_hw, np.uint16)
    found = result.instances
    for k in reversed(range(0 if found is None else len(found))):
        y, x, mask = found.masks.crop(k)
        painted[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = value(k)
    return painted


def image_of(values: np.ndarray, header: object) -> Image:
    """A map uint16 (H, W) as a message."""
    height, width = values.shape
    # rclpy takes an array of bytes as it is; it would look at every element of anything else.
    data = array.array("B", values.astype("<u2").tobytes())
    return Image(header=header, height=height, width=width, encoding="mono16", is_bigendian=0, step=2 * width, data=data)


def main() -> None:
    """Run until Ctrl-C or the end of ROS."""
    rclpy.init()
    try:
        node = SegmentationNode()
    except edgeseg.EdgesegError as error:
        rclpy.try_shutdown()
        sys.exit(f"edgeseg: error: {error}")
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
