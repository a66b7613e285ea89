"""Characters that stand in texts by mistake: carriage returns, halves of a character, NUL; pure."""

from __future__ import annotations

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
CARRIAGE, HALVES, NULS = "carriage returns", "half characters", "NUL characters"
# Scripts without spaces between words, in which a character counts as one.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_UNSPACED_MARKS = re.compile(r"[\u3000-\u303f\uff01-\uff0f\uff1a-\uff1f\u201c\u201d]")
# What is told of each.
BECAME = {CARRIAGE: "line breaks", HALVES: "\N{REPLACEMENT CHARACTER}", NULS: "\N{REPLACEMENT CHARACTER}"}


def clean(text: str) -> tuple[str, set[str]]:
    r"""Mend a text: (text, what was found in it).

    `\r\n` and a lone `\r` become `\n`, which is all that a model should learn to write; a lone surrogate,
    which no file can hold, and NUL become U+FFFD.
    """
    found = set()
    if "\r" in text:
        found.add(CARRIAGE)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x00" in text:
        found.add(NULS)
        text = text.replace("\x00", "\ufffd")
    if _HALF.search(text):
        found.add(HALVES)
        text = _HALF.sub("\ufffd", text)
    return text, found


def clean_all(value: Any, halves_only: bool = False) -> tuple[Any, set[str]]:
    """Mend every text in a value made of lists and dicts, keys too: (value, what was found)."""
    found: set[str] = set()

    def mend(item: Any) -> Any:
        if isinstance(item, str):
            if halves_only:
                text, kinds = (_HALF.sub("\ufffd", item), {HALVES}) if _HALF.search(item) else (item, set())
            else:
                text, kinds = clean(item)
            found.update(kinds)
            return text
        if isinstance(item, list):
            return [mend(part) for part in item]
        if isinstance(item, dict):
            return {mend(key): mend(part) for key, part in item.items()}
        return item

    return mend(value), found


def may_hold_halves(raw: bytes) -> bool:
    """Tell whether a line of JSON may hold an escaped surrogate; most lines do not, and are not looked through."""
    return b"\\ud" in raw or b"\\uD" in raw


def length(text: str) -> int:
    """Count words by white space, in Chinese and Japanese characters."""
    return len(_UNSPACED.findall(text)) + len(_UNSPACED_MARKS.sub(" ", _UNSPACED.sub(" ", text)).split())
