"""The table of families: what a bundle's ``family`` may be."""

from __future__ import annotations

from edgeseg.errors import BundleError
from edgeseg.families.base import Decoded, Family
from edgeseg.families.maskrcnn import Detectron2Family, FasterRcnnFamily, MaskRcnnFamily
from edgeseg.families.panoptic import PanopticFamily
from edgeseg.families.yolact import YolactFamily

__all__ = ["FAMILIES", "Decoded", "Family", "family"]

FAMILIES: dict[str, Family] = {
    entry.name: entry for entry in (YolactFamily(), MaskRcnnFamily(), Detectron2Family(), FasterRcnnFamily(), PanopticFamily())
}


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        BundleError: this edgeseg does not know it.
    """
    if name not in FAMILIES:
        raise BundleError(
            f"the bundle is of family {name!r}; this edgeseg knows {', '.join(sorted(FAMILIES))}. Upgrade edgeseg: pip install -U edgeseg"
        )
    return FAMILIES[name]
