"""The documentation is true: its commands and examples run, its links lead somewhere, its manifest can be read."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import read_bundle
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.opencv import opencv
from edgeseg.types import Instances, Label, Result, Step

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

# Commands of the docs that no test runs, each with the words that must stand beside it in the text.
NOT_RUN = {
    "edgeseg run r50 0 --show": "needs a camera and a display",
    "edgeseg run edgeseg/data/demo 0 --show": "needs a camera and a display",
    "edgeseg export yolact_edge_mobilenetv2 --weights yolact_edge_mobilenetv2_54_800000.pth --out coco": "are downloaded by hand",
    "edgeseg run coco 0 --overlap --track --max-frames 300 --out camera.mp4 --jsonl camera.jsonl": (
        "with the bundle that the last command wrote"
    ),
    "edgeseg export yolact_resnet50 --weights mine.pth --labels names.txt --out mine": "need a checkpoint of your own",
    "edgeseg export maskrcnn_resnet50_fpn --weights mine.pth --labels names.txt --frame 1080x1920 --target tensorrt --min-score 0.3 "
    "--out mine-mask": "need a checkpoint of your own",
    "edgeseg export maskrcnn_resnet50_fpn_d2 --weights model_final.pth --labels names.txt --frame 1080x1920 --target tensorrt "
    "--min-score 0.3 --out mine-d2": "need a checkpoint of your own",
    "edgeseg inspect mine": "need the bundle of step 3",
    "edgeseg run mine street.mp4 --out look.mp4": "need the bundle of step 3",
    "edgeseg eval mine --coco val.json --pictures val/": "your own annotations",
    "edgeseg quantize mine --precision fp16,int8 --calibration monday.mp4 --pictures tuesday.mp4 --out mine": "on video of *your* camera",
    "scp -r mine jetson:mine": "The copying needs the Jetson",
    "edgeseg build mine --precision fp16": "On the Jetson",
    "edgeseg run mine 0 --backend tensorrt --precision fp16 --show": "On the Jetson",
    "edgeseg bench mine monday.mp4 --backend tensorrt --precision fp16 --frames 500 --json first.json": "On the Jetson",
    "edgeseg run BUNDLE 0 --serve 127.0.0.1:8080 --record-dir recordings/": "needs a camera",
    "edgeseg export maskrcnn_resnet50_fpn --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --frame 1080x1920 --out mask": (
        "needs the checkpoint, which is downloaded by hand"
    ),
    "edgeseg export maskrcnn_resnet50_fpn_d2 --weights model_final_f10217.pkl --out mask": "are downloaded by hand",
    "edgeseg quantize r50 --precision int8 --calibration street.mp4 --out r50": "needs a video of what the model will see",
    "edgeseg export yolact_base --weights my_model.pth --labels names.txt --precision fp32,fp16,int8 --calibration street.mp4 --out mine": (
        "needs a checkpoint of your own"
    ),
    "edgeseg quantize mine --precision bf16 --out mine": "needs a CPU with bfloat16",
    "edgeseg run mine video.mp4 --backend openvino --precision bf16 --out annotated.mp4": "needs a CPU with bfloat16",
    "edgeseg run BUNDLE video.mp4 --backend tensorrt --precision fp16 --out annotated.mp4": "on a machine with the GPU",
    "edgeseg run BUNDLE video.mp4 --precision fp16 --build background --out annotated.mp4": "on a machine with the GPU",
    "sudo apt-get install -y nvidia-jetpack python3-venv python3-dev build-essential": "On a Jetson",
    'PATH=/usr/local/cuda/bin:$PATH CUDA_ROOT=/usr/local/cuda .venv/bin/pip install ".[jetson]"': "On a Jetson",
    "edgeseg build BUNDLE --precision fp16": "on a Jetson",
    "edgeseg run BUNDLE 0 --backend tensorrt --precision fp16 --show": "on a Jetson",
    "sudo nvpmodel -m 0": "On a Jetson",
    "sudo jetson_clocks": "On a Jetson",
    "tegrastats": "On a Jetson",
    "docker build -f docker/jetpack6.Dockerfile -t edgeseg:jetpack6 .": "On a Jetson with NVIDIA's container runtime",
    "docker run --rm -it --runtime nvidia -v edgeseg-engines:/cache edgeseg:jetpack6 doctor": "On a Jetson with NVIDIA's container runtime",
    "python -m export.training --out image.pth": "Each takes ten minutes to an hour",
    "python -m export.training --stage flow --from image.pth --out flow.pth": "Each takes ten minutes to an hour",
    "python -m export.training --stage video --from flow.pth --out demo.pth": "Each takes ten minutes to an hour",
    "edgeseg export yolact_demo_video --weights demo.pth --out edgeseg/data/demo": "needs the weights that training wrote",
    "edgeseg export upsnet_resnet50_cityscapes --weights upsnet_resnet_50_cityscapes_12000.pth --out ups": "are downloaded by hand",
    "edgeseg export vpsnet_fusetrack --weights cityscapes_vps_fusetrack_latest.pth --flow-weights FlowNet2_checkpoint.pth.tar --out vps": (
        "are downloaded by hand"
    ),
    "python -m export.training --stage panoptic --device cuda --workers 6 --minutes 8 --out upsnet_demo.pth": "on a GPU",
    "python -m export.training --stage panoptic-video --device cuda --workers 9 --minutes 8 --out first.pth": "on a GPU",
    "python -m export.training --stage panoptic-video --device cuda --workers 14 --minutes 4 --from first.pth --seed 1 "
    "--learning-rate 1.5e-3 --out vpsnet_demo.pth": "on a GPU",
    "edgeseg export upsnet_demo --weights upsnet_demo.pth --out tests/data/panoptic/upsnet_demo": "needs the weights that training wrote",
    "edgeseg export vpsnet_demo --weights vpsnet_demo.pth --out edgeseg/data/panoptic_demo": "needs the weights that training wrote",
    "python -m export.training --stage rcnn --out mask.pth": "half an hour of one CPU core",
    "edgeseg export maskrcnn_demo --weights mask.pth --proposals 100 --detections 30 --out tests/data/maskrcnn/demo": "needs the weights",
    "python -m benchmarks.demo_accuracy": "takes a minute",
    "python -m benchmarks.demo_accuracy --bundle tests/data/maskrcnn/demo": "takes a minute",
    "python -m benchmarks.video_accuracy --out benchmarks/results/video_accuracy.json": "the second half an hour",
    "python -m benchmarks.plot_video benchmarks/results/video_accuracy.json docs/video_accuracy.png": "the second half an hour",
    "sudo install -m 644 docs/examples/edgeseg.service /etc/systemd/system/": "On a machine with systemd",
    "sudo systemctl enable --now edgeseg": "On a machine with systemd",
    "journalctl -u edgeseg -o cat": "On a machine with systemd",
    "python3 ros2_node.py --ros-args -p bundle:=/path/to/bundle -p schedule:=fixed:5 -p track:=true -r image:=/camera/image_raw": (
        "It needs ROS 2"
    ),
}
TESTS = "python -m pytest -n 2"
INSTALLS = re.compile(r"python3 -m venv |(\S+/)?pip (un)?install ")


def commands(document: str) -> list[str]:
    """The commands of a document's console blocks, in order; chains joined by && come apart."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    return [part for line in lines if line.startswith("$ ") for part in line[2:].split(" && ")]


def runnable(document: str) -> list[str]:
    """The commands that tests run: not those that install, not the tests themselves, not those of NOT_RUN."""
    found = [command.removeprefix(".venv/bin/") for command in commands(document) if not INSTALLS.match(command)]
    return [command for command in found if command not in NOT_RUN and command != TESTS]


def json_example(document: str) -> Any:
    """The JSON block of a document."""
    return json.loads(re.search(r"^```json\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL).group(1))


@pytest.fixture
def desk(tmp_path, checkout) -> Path:
    """A folder with what a reader of the docs has at hand: a checkout, a checkpoint, a picture and a video."""
    cv2 = opencv()
    picture = cv2.imread(str(checkout / "tests" / "data" / "yolact" / "coffee.png"))
    cv2.imwrite(str(tmp_path / "picture.jpg"), picture)
    video = cv2.VideoWriter(str(tmp_path / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (320, 240))
    for shift in range(3):
        video.write(cv2.resize(picture[:, shift * 8 :], (320, 240)))
    video.release()
    (tmp_path / "edgeseg").symlink_to(checkout / "edgeseg")
    return tmp_path


def write_filler_checkpoint(file: Path) -> None:
    """Stands in for the official file of that name, which cannot be downloaded by a test."""
    torch = pytest.importorskip("torch", reason="the export extra is not installed")
    from benchmarks.fill_weights import fill_state_dict
    from export.nets.yolact import Yolact
    from export.recipes import recipe

    net = Yolact(recipe("yolact_resnet50"))
    torch.save(fill_state_dict({name: tuple(value.shape) for name, value in net.state_dict().items()}), file)


@pytest.mark.parametrize("document", [document for document in DOCS if runnable(document)])
def test_commands_of_a_document_run(document, desk, command_path):
    """Every command runs in the order of the text and leaves the files that it names; so does every Python example after them."""
    text = (ROOT / document).read_text(encoding="utf-8")
    if "yolact_resnet50_54_800000.pth" in text:
        write_filler_checkpoint(desk / "yolact_resnet50_54_800000.pth")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    variables = {**os.environ, "PATH": command_path, "EDGESEG_CACHE": str(desk / "engines")}

    for command in [*map(shlex.split, runnable(document)), *([sys.executable, "-c", example] for example in examples)]:
        done = subprocess.run(command, cwd=desk, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        outputs = [name for option, name in itertools.pairwise(command) if option in ("--out", "--jsonl") and name != "-"]
        assert [name for name in outputs if not (desk / name).exists()] == []


def test_ci_runs_the_test_command_of_the_readme():
    """.ci/run and the README's test command are the same commands, one by one."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    ours = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    line = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.endswith(TESTS))

    assert line == "$ " + " && ".join(ours)


@pytest.mark.parametrize("document", DOCS)
def test_install_commands_name_extras_that_exist(document):
    """No document asks pip for an extra that setup.py does not have."""
    extras = {extra for command in commands(document) for group in re.findall(r"\.\[([\w,-]+)\]", command) for extra in group.split(",")}

    assert extras <= set(importlib.metadata.metadata("edgeseg").get_all("Provides-Extra"))


def test_every_command_that_is_not_run_is_in_the_docs_with_its_reason():
    """The list of exceptions holds only commands that the docs contain, and the docs say what they need."""
    texts = {document: (ROOT / document).read_text(encoding="utf-8") for document in DOCS}
    for command, reason in NOT_RUN.items():
        holders = [document for document in DOCS if command in [found.removeprefix(".venv/bin/") for found in commands(document)]]

        assert holders, f"{command} is in no document"
        assert all(reason in texts[document] for document in holders), f"the docs do not say: {reason}"


@pytest.mark.parametrize("document", DOCS)
def test_links_lead_to_files(document):
    """Every relative link and picture of a document exists."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) if "://" not in target]

    assert [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()] == []


def test_index_links_every_document():
    """docs/index.md is a map of the whole folder."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")

    assert [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "index.md" and f"({path.name})" not in index] == []


def test_manifest_of_the_docs_is_what_the_runtime_reads_and_writes(tmp_path):
    """The example in docs/bundle.md opens as a bundle and comes back word for word."""
    manifest = json_example("docs/bundle.md")
    for name in manifest["hashes"]:
        (tmp_path / name).write_bytes(b"a graph")
        manifest["hashes"][name] = hashlib.sha256(b"a graph").hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest), encoding="utf-8")

    assert manifest == read_bundle(tmp_path).to_json()


def test_record_of_the_docs_is_what_a_result_writes():
    """The example in docs/jsonl.md is the JSON of a result with one person whose mask fills the box."""
    image_hw, box = (480, 640), (100, 40, 112, 76)
    masks = SoftMasks((SoftMask(np.ones((1, 1), np.float32), box, box),), image_hw)
    person = Instances(
        boxes=np.array([box], np.float32),
        scores=np.array([0.875], np.float32),
        classes=np.zeros(1, np.int64),
        masks=masks,
        track_ids=np.full(1, -1),
        image_hw=image_hw,
    )
    result = Result(12, Step.KEY, (Label("person", 1),), image_hw, person, time_s=0.4, age_s=0.03125)

    assert json_example("docs/jsonl.md") == result.to_json()
