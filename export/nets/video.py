"""The two graphs of a YolactEdge video model: the whole net on key frames, and the light one that warps what key frames carry."""

from __future__ import annotations

from torch import Tensor

from .detect import YolactGraph
from .flow import YolactVideo


class KeyGraph(YolactGraph):
    """(1, S, S, 3) BGR in; detections and prototypes out, and what `WarpGraph` needs of this frame."""

    net: YolactVideo

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The outputs of `YolactGraph`, the sums at P4 and P5, each (1, C, h, w), and the reduced lateral (1, encode_channels, h, w)."""
        sums, lateral = self.net.key_frame(self.normalise(image))
        found = self.detections(self.net.predict(self.net.fpn.levels(sums)))
        # Reduced here, once, not again for each frame that is compared with this one.
        return (*found, *sums[1:], self.net.flow_net_pre_convs(lateral))


class WarpGraph(YolactGraph):
    """(1, S, S, 3) BGR and what the last key frame left in; detections and prototypes out."""

    net: YolactVideo

    def forward(self, image: Tensor, key_sum4: Tensor, key_sum5: Tensor, key_reduced: Tensor) -> tuple[Tensor, ...]:
        """The outputs of `YolactGraph`. The other inputs are the last three outputs of `KeyGraph`."""
        lateral = self.net.lateral(self.normalise(image))
        predictions = self.net.flow_net(self.net.flow_net_pre_convs(lateral), key_reduced)
        sums = self.net.warped_sums(predictions, (key_sum4, key_sum5), lateral)
        return self.detections(self.net.predict(self.net.fpn.levels(sums)))
