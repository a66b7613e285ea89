"""The cache that all runs share: `ALT_LITE_CACHE`, else `~/.cache/alt_lite`."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Give the cache's folder, which need not exist yet."""
    return Path(os.environ.get("ALT_LITE_CACHE") or Path.home() / ".cache" / "alt_lite").expanduser()
