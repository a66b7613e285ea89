"""Checkpoints: marked whole when they are, looked at again before they are used, cleared by a rule.

While training, the two newest stay. Once the adapter is saved, only the newest does.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from alt_lite.rundir import read_json, write_json

# Written last, with every file's digest: without it the checkpoint was cut by a kill, and a file that has
# another digest now was cut or damaged afterwards (a full disk, a power cut, a bad copy).
COMPLETE = "complete"
KEPT = 2


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def mark(checkpoint: Path) -> None:
    """Say that a checkpoint is whole."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE]
    write_json(checkpoint / COMPLETE, {path.relative_to(checkpoint).as_posix(): _digest(path) for path in sorted(files)})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint was completed and every file still is what it was then."""
    try:
        digests = read_json(checkpoint / COMPLETE)
        return bool(digests) and all(_digest(checkpoint / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def last(folder: Path, tell: Callable[[str], None] = lambda text: None) -> Path | None:
    """Find the newest whole checkpoint; those that are not whole are removed, which is said."""
    found = sorted((path for path in folder.glob("checkpoint-*") if path.is_dir()), key=step_of)
    whole = [path for path in found if is_whole(path)]
    for path in found:
        if path not in whole:
            before = f"step {step_of(whole[-1])}" if whole else "the beginning"
            tell(f"train: {path.name} is cut or damaged; goes on from {before}")
            shutil.rmtree(path)
    return whole[-1] if whole else None


def can_resume(folder: Path) -> bool:
    """Tell whether training would go on from a checkpoint; nothing is removed."""
    return any(is_whole(path) for path in folder.glob("checkpoint-*"))


def clear(folder: Path) -> None:
    """Remove all checkpoints but the newest: the adapter is saved."""
    for path in sorted(folder.glob("checkpoint-*"), key=step_of)[:-1]:
        shutil.rmtree(path)
