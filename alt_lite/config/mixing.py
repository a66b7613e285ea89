"""Further sources of benign rows, as `data.benign_from` names them: read, weighed, shared out; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What may stand before a colon that belongs to a path: a drive's letter.
_DRIVE = re.compile(r"[A-Za-z]")


@dataclass(frozen=True)
class Further:
    """A further source: a preset's name, a hub id, a file or folder; and its weight among them."""

    name: str
    weight: float = 1.0


def further(text: str) -> Further:
    """Read `NAME` or `NAME:WEIGHT`; the colon of a path (`C:\\x`) or an address separates no weight.

    Raises:
        ValueError: the name is empty, or the weight is no positive number.
    """
    text = text.strip()
    name, colon, weight = (part.strip() for part in text.rpartition(":"))
    if not colon or _DRIVE.fullmatch(name) or "/" in weight or "\\" in weight or _exists(text):
        name, weight = text, "1"
    if not name:
        raise ValueError(f"{text!r} names no source")
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{text!r}: the weight {weight!r} is no positive number")
    return Further(name, number)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False  # too long for a path


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Share `total` rows out by weight, what is left over by largest remainder; the first of equal ones comes first."""
    exact = [total * weight / sum(weights) for weight in weights]
    given = [math.floor(part) for part in exact]
    order = sorted(range(len(weights)), key=lambda i: (given[i] - exact[i], i))
    for i in order[: total - sum(given)]:
        given[i] += 1
    return given


def problems(source: str, texts: Sequence[str], builds: bool) -> list[str]:
    """Say what is wrong with `data.benign_from` as it is written.

    Args:
        source: data.source.
        texts: data.benign_from.
        builds: whether the rows of data.source are built from prompts and responses.
    """
    if not texts:
        return []
    if not builds:
        what = "brings its own rows along" if source in ("tiny", "r1act") else "is finished training rows"
        return [f"data.benign_from: does not apply to data.source={source}, which {what}; leave it out, or name another data.source"]
    found: list[str] = []
    seen = {_same(source)}
    for text in texts:
        try:
            name = further(text).name
        except ValueError as error:
            found.append(f"data.benign_from: {error}; NAME or NAME:WEIGHT, e.g. self_instruct:2,gsm8k_train:1")
            continue
        if _same(name) in seen:
            found.append(f"data.benign_from: {name} is named twice{', data.source being the first' if _same(name) == _same(source) else ''}")
        seen.add(_same(name))
    return found


def _same(name: str) -> str:
    return str(Path(name).resolve()) if _exists(name) else name
