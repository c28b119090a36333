"""The training recipe behind the demo bundle: a small YOLACT on synthetic video (``python -m export.training``)."""
