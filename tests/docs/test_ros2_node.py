"""The ROS 2 node of the documentation, on stand-ins for ROS 2."""

from __future__ import annotations

import array
import importlib.util

import numpy as np
import pytest

from tests.bundles import tiny_bundle, tiny_expected
from tests.docs import fake_ros2
from tests.docs.fake_ros2 import ExternalShutdownException, Header, Image, Node, Time

HW = (48, 64)


@pytest.fixture
def ros(monkeypatch):
    """The stand-ins."""
    return fake_ros2.install(monkeypatch)


@pytest.fixture
def example(ros, checkout):
    """The module."""
    spec = importlib.util.spec_from_file_location("ros2_node", checkout / "docs" / "examples" / "ros2_node.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_node(example, tmp_path, monkeypatch):
    """A node on a bundle: ``make_node(family, **parameters)``."""
    made = []

    def make(family="yolact", **parameters):
        bundle = tiny_bundle(tmp_path / "bundle", family=family)
        monkeypatch.setattr(Node, "parameters", {"bundle": str(bundle), "backend": "onnxruntime", **parameters})
        made.append(example.SegmentationNode())
        return made[0]

    yield make
    for node in made:
        node.destroy_node()


def picture(encoding="bgr8", channels=3, padding=0, hw=HW) -> tuple[Image, np.ndarray]:
    """A message, and the bytes of its pixels uint8 (H, W, channels)."""
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, channels), np.uint8)
    rows = np.zeros((hw[0], hw[1] * channels + padding), np.uint8)
    rows[:, : hw[1] * channels] = pixels.reshape(hw[0], -1)
    header = Header(Time(12, 345), "camera_optical_frame")
    return Image(header, hw[0], hw[1], encoding, 0, rows.shape[1], array.array("B", rows.tobytes())), pixels


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels", "order"),
    [("bgr8", 3, (0, 1, 2)), ("rgb8", 3, (2, 1, 0)), ("bgra8", 4, (0, 1, 2)), ("rgba8", 4, (2, 1, 0)), ("mono8", 1, (0, 0, 0))],
)
def test_pictures_of_every_encoding_become_bgr(example, encoding, channels, order, padding):
    """Padding of rows, alpha and order of channels are seen to."""
    message, pixels = picture(encoding, channels, padding)

    assert np.array_equal(example.pixels_of(message), pixels[..., order])


@pytest.mark.parametrize(
    ("change", "text"),
    [({"encoding": "16UC1"}, "'16UC1' is not read"), ({"height": 49}, "not fit"), ({"step": 100}, "not fit"), ({"width": 0}, "not fit")],
)
def test_other_pictures_are_refused_in_words(example, make_node, change, text):
    """The node says so and goes on with the next one."""
    node, (message, _) = make_node(), picture()
    for name, value in change.items():
        setattr(message, name, value)
    node.segment(message)
    node.segment(picture()[0])

    assert [text in line for line in node.logged] == [True]
    assert len(node.publishers_[0].sent) == 1


def test_detections_are_those_of_the_model(make_node):
    """Names, scores, boxes and the header of the picture, stamp and frame id."""
    node, (message, _) = make_node(), picture()
    node.segment(message)

    (sent,) = node.publishers_[0].sent
    assert sent.header == message.header
    expected = tiny_expected(HW)
    assert len(sent.detections) == len(expected) == 2
    for one, known in zip(sent.detections, expected, strict=True):
        x1, y1, x2, y2 = known.box
        centre = one.bbox.center.position
        assert (one.header, one.id) == (message.header, "")
        assert [(kind.hypothesis.class_id, kind.hypothesis.score) for kind in one.results] == [
            (node._model.bundle.labels[known.class_id].name, pytest.approx(known.score))
        ]
        assert (centre.x, centre.y, one.bbox.size_x, one.bbox.size_y) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))


def test_maps_show_where_detections_are(make_node):
    """mono16 in little endian: the place among the detections + 1, and the class + 1; the better one is in front."""
    node, (message, _) = make_node(), picture()
    node.segment(message)

    expected = [(known.class_id, known.mask) for known in tiny_expected(HW)]
    values = {"~/instances": [1, 2], "~/classes": [class_id + 1 for class_id, _ in expected]}
    for publisher in node.publishers_[1:]:
        (sent,) = publisher.sent
        assert (sent.header, sent.height, sent.width, sent.encoding) == (message.header, *HW, "mono16")
        assert (sent.step, sent.is_bigendian) == (2 * HW[1], 0)
        wanted = np.zeros(HW, np.uint16)
        for (_, mask), value in reversed(list(zip(expected, values[publisher.topic], strict=True))):
            wanted[mask] = value
        assert np.array_equal(np.frombuffer(sent.data, "<u2").reshape(HW), wanted)


def test_panoptic_maps_give_every_pixel_its_class(make_node):
    """As the bundle's list has them; 0 is void."""
    node, (message, _) = make_node("panoptic"), picture()
    node.segment(message)
    result = node._pipeline.step(example_frame(message))

    classes = {segment.id: segment.class_id + 1 for segment in result.panoptic.segments}
    wanted = np.vectorize(lambda number: classes.get(number, 0))(result.panoptic.ids)
    (sent,) = node.publishers_[2].sent
    assert np.array_equal(np.frombuffer(sent.data, "<u2").reshape(HW), wanted)
    assert len(np.unique(wanted)) > 1


def example_frame(message):
    from edgeseg import Frame

    return Frame(np.frombuffer(message.data, np.uint8).reshape(*HW, 3).copy())


def test_maps_nobody_looks_at_are_not_made(make_node):
    """Detections are sent all the same."""
    node = make_node()
    for publisher in node.publishers_:
        publisher.subscribers = 0
    node.segment(picture()[0])

    assert [len(publisher.sent) for publisher in node.publishers_] == [1, 0, 0]


def test_newest_picture_wins(make_node):
    """The queue holds one, and nothing is sent again: a picture that is late is replaced."""
    node = make_node()

    (subscription,) = node.subscriptions_
    assert (subscription.kind, subscription.topic) == (Image, "image")
    assert (subscription.qos.depth, subscription.qos.reliability.name, subscription.qos.history.name) == (1, "BEST_EFFORT", "KEEP_LAST")
    assert [(sent.topic, sent.qos) for sent in node.publishers_] == [("~/detections", 1), ("~/instances", 1), ("~/classes", 1)]


def test_parameters_are_followed(make_node):
    """Score, schedule and tracking; tracked instances carry their id."""
    node = make_node(score=0.7, schedule="fixed:2", track=True)
    for _ in range(4):
        node.segment(picture()[0])

    sent = [[one.id for one in message.detections] for message in node.publishers_[0].sent]
    assert [len(ids) for ids in sent] == [1, 1, 1, 1]
    assert sent[-1] == sent[1] != [""]


@pytest.mark.parametrize("end", [KeyboardInterrupt, ExternalShutdownException, None])
def test_the_end_frees_the_model(example, ros, tmp_path, monkeypatch, end):
    """Ctrl-C and a shutdown of ROS end the program in order."""
    monkeypatch.setattr(Node, "parameters", {"bundle": str(tiny_bundle(tmp_path / "b")), "backend": "onnxruntime"})
    nodes = []

    def spin(node):
        nodes.append(node)
        if end is not None:
            raise end

    ros.spin = spin
    example.main()

    assert nodes[0].destroyed
    assert ros.calls == ["init", "shutdown"]


def test_a_bundle_that_is_not_there_is_one_message(example, ros, tmp_path, monkeypatch):
    """As on the command line; ROS is ended in order."""
    monkeypatch.setattr(Node, "parameters", {"bundle": str(tmp_path / "none")})

    with pytest.raises(SystemExit, match=r"edgeseg: error: there is no bundle at .*none"):
        example.main()

    assert ros.calls == ["init", "shutdown"]
