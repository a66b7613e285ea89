"""What a file is by its first bytes: how it is compressed and encoded, whether its rows are finished training rows."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
from pathlib import Path
from typing import IO, Any, cast

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MAGIC = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINES = (".jsonl", ".ndjson")
# The fields of data.rows.TrainingRow, which the base may not import; a test holds them together.
ROW_FIELDS = frozenset((
    "id", "system", "prompt", "label", "category", "language", "source", "understanding", "assessment", "reasoning", "answer",
    "source_trace", "source_answer", "history", "generated",
))
ROW_NEEDS = frozenset(("id", "prompt", "label", "answer"))
_OURS_ALONE = frozenset(("understanding", "assessment", "source_trace", "source_answer", "generated"))
_LONGEST_LINE = 1 << 26


def ending(path: Path) -> str:
    """Give the ending that names the format, in lower case, without that of a compression."""
    return (Path(path.stem) if path.suffix.lower() in _OPENERS else path).suffix.lower()


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading; what is compressed is decompressed, whatever its name says.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opener in _MAGIC.items():
        if head.startswith(magic):
            return cast(IO[bytes], opener(path, "rb"))
    return path.open("rb")


def encoding(head: bytes) -> str:
    """Name the encoding of a text by the mark at its beginning; without one it is UTF-8, unless every other byte is 0."""
    found = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    if found == "utf-8" and len(head) >= 4 and 0 in head[:4]:
        return "utf-16-le" if head[0] and not head[1] and not head[3] else "utf-16-be" if not head[0] and head[1] and not head[2] else found
    return found


def names_rows(path: Path) -> bool:
    """Tell whether a file's name is one that training rows have: JSONL, compressed or not."""
    return ending(path) in _LINES


def is_training_row(value: Any) -> bool:
    """Tell whether an object is a TrainingRow by its keys, however wrong its values are."""
    if not isinstance(value, dict):
        return False
    keys = set(value)
    return bool(keys & _OURS_ALONE) or ROW_NEEDS <= keys <= ROW_FIELDS


def holds_training_rows(path: Path) -> bool:
    """Tell whether a JSONL holds training rows, by its first object, rather than prompts and responses.

    A file that is missing, empty or no text is taken for training rows: their reader says what is wrong
    with it. A JSON array, and objects over several lines, are sets of prompts and responses.
    """
    try:
        with opened(path) as file:
            text = _first_line(file)
    except (OSError, EOFError, lzma.LZMAError):
        return True
    try:
        return is_training_row(json.loads(text))
    except ValueError:
        return not text.startswith(("{", "[")) or any(f'"{name}"' in text for name in _OURS_ALONE)


def _first_line(file: IO[bytes]) -> str:
    """The first line that is not blank, as text; what is no text in its encoding is left out."""
    first = file.readline(_LONGEST_LINE)
    kind = encoding(first)
    while not first.strip(b"\xef\xbb\xbf\x00 \t\r\n") and (more := file.readline(_LONGEST_LINE)):
        first += more
    return first.decode(kind, errors="ignore").strip("\ufeff \t\r\n")


def are_training_rows(path: Path) -> bool:
    """Tell whether a source is a JSONL of training rows, by its name and its first row."""
    return names_rows(path) and not path.is_dir() and holds_training_rows(path)


def holds_steps(path: Path) -> bool:
    """Tell whether a JSONL holds rows with steps of their own, which no set of prompts and responses has."""
    try:
        with opened(path) as file:
            first = json.loads(_first_line(file)) if names_rows(path) else None
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return False
    return isinstance(first, dict) and bool(set(first) & _OURS_ALONE)


def names_gguf(model: str) -> bool:
    """Whether a model's name is that of a GGUF file, which need not be there; any file is taken for one."""
    return Path(model).is_file() or (model.lower().endswith(".gguf") and not Path(model).is_dir())
