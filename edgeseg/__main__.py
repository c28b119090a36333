"""``python -m edgeseg`` is the ``edgeseg`` command."""

from __future__ import annotations

from edgeseg.cli import main

raise SystemExit(main())
