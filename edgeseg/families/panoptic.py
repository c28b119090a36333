"""Panoptic models (UPSNet, VPSNet): detections and semantic logits become a panoptic map, its things instances too.

The names of the graph's tensors are constants here; the exporter imports them, so the two sides cannot drift.
"""

from __future__ import annotations

NAME = "panoptic"
BOXES = "boxes"
"""float32 (N, 4): corners in pixels of the network's input, as the panoptic head gets them: best first, class-agnostic suppression done."""
SCORES = "scores"
"""float32 (N,): descending; -1 in rows without a detection."""
CLASSES = "classes"
"""int64 (N,): places in the labels, which are stuff first, then things."""
MASK_LOGITS = "mask_logits"
"""float32 (N, 28, 28): raw logits of the row's class inside its box."""
SEMANTIC = "semantic"
"""float32 (C, PH / 4, PW / 4): logits of all labels; PH and PW are the input's sides, up to multiples of 32."""
EMBEDDINGS = "embeddings"
"""float32 (N, D): what the track head makes of each row; only from models that have one."""

BSF, CARRIED_IMAGE = "bsf", "carried_image"
"""float32 (1, C, H / 4, W / 4): a frame's balanced features before fusing, and its picture as the graph got it; of models that fuse."""
REFERENCE_BSF, REFERENCE_IMAGE = "reference_bsf", "reference_image"
"""The same of the frame before, as inputs of the graph that fuses."""

VOID, STUFF_AREA_LIMIT = "void", "stuff_area_limit"
"""Settings of a bundle: whether the unknown class competes; pixels of the picture below which a stuff class becomes void."""
