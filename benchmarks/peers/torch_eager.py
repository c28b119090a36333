"""The same module in eager PyTorch, with post-processing as the original code bases do it."""

from __future__ import annotations

from importlib.metadata import version

from edgeseg.errors import UsageError
from edgeseg.types import U8Array
from export.recipes.base import ExportOptions
from export.recipes.maskrcnn import RcnnRecipe
from export.recipes.yolact import YolactRecipe

from .base import Answer, Opened, Peer, Subject


def _open(subject: Subject) -> Opened:
    from ..eager_rcnn import EagerRcnn
    from ..eager_yolact import EagerYolact

    if isinstance(subject.recipe, YolactRecipe):
        eager = EagerYolact(subject.net, subject.score)
    elif isinstance(subject.recipe, RcnnRecipe):
        eager = EagerRcnn(subject.net, subject.recipe.input_spec(ExportOptions()).size, subject.score)
    else:
        raise UsageError("the peer 'torch eager' knows YOLACT and Mask R-CNN only")

    def run(image_bgr: U8Array) -> Answer:
        return Answer(len(eager(image_bgr)), {})

    return Opened(run, {"torch": version("torch")})


TORCH_EAGER = Peer(
    same="net, weights, score threshold, and masks as run-length code in the size of the frame",
    differs="frames are resized in float; post-processing is the original's, with every mask enlarged to the whole frame",
    needs_net=True,
    open=_open,
)
