"""Lists in one text, as the command line and a recipe give them: with commas, or as JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path


def items(text: str) -> list[str]:
    """Cut a list: as JSON where it begins with a bracket; else at commas outside of double quotes. The text of a
    path that exists is whole, whatever it holds.

    Raises:
        ValueError: the text begins as a JSON list and is none of texts.
    """
    text = text.strip()
    if text.startswith("[") and not _exists(text):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no JSON list ({error})") from None
        if not all(isinstance(item, str) for item in found):
            raise ValueError(f"{text!r} is no list of texts")
        return found
    if "," in text and _exists(text):
        return [text]
    return next(csv.reader([text], skipinitialspace=True), [])


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False  # too long for a path, or no home


def joined(values: list[str]) -> str:
    """Write values as a list that `items` reads back, whatever stands in them."""
    return json.dumps(values, ensure_ascii=False)
