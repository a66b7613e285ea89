"""Read files line by line: JSON lines, a JSON document, texts; in UTF-8, or UTF-16 and UTF-32 with their mark."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alt_lite.config.peek import encoding, opened
from alt_lite.console import say
from alt_lite.data import charset
from alt_lite.data.rows import summarise, tell
from alt_lite.data.texts import HALVES, clean_all, may_hold_halves
from alt_lite.errors import UserError

# What the list of rows is called in a document that holds more.
_LISTS = {"data", "rows", "examples", "instances", "items", "records", "samples", "train", "dataset", "prompts", "questions", "results"}
# What the turns of one conversation are called.
_TURNS = {"messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "history"}
Numbered = tuple[int, dict[str, Any]]


def decoded_lines(path: Path, kind: str) -> Iterator[tuple[int, bytes, str | None]]:
    """Yield (number, bytes, text) of each line that is not blank; the text is None where it is not of that encoding."""
    with opened(path) as file:
        if kind in ("utf-8", "utf-8-sig"):
            for number, raw in enumerate(file, 1):
                if raw.strip(b"\xef\xbb\xbf \t\r\n"):
                    try:
                        yield number, raw, raw.decode("utf-8-sig" if number == 1 else "utf-8")
                    except UnicodeDecodeError:
                        yield number, raw, None
            return
        # Not universal line ends: a text may hold them raw.
        for number, line in enumerate(io.TextIOWrapper(file, kind, errors="replace", newline="\n"), 1):
            if line.strip():
                yield number, line.encode("utf-8", "replace"), line


def texts(path: Path) -> Iterator[Numbered]:
    """Yield (line, its text) of the lines that are not blank.

    Raises:
        UserError: lines are no UTF-8.
    """
    bad: list[str] = []
    for number, _, line in decoded_lines(path, charset.of(path)):
        if line is None:
            bad.append(f"line {number}: not UTF-8")
        else:
            yield number, {"text": line.rstrip("\r\n")}
    _require(path, bad)


def _require(path: Path, bad: list[str]) -> None:
    if bad:
        fix = "save it as UTF-8; nothing has been written" if all(item.endswith("not UTF-8") for item in bad) else "mend these lines; nothing has been written"
        raise UserError(f"{path}: {summarise(bad)}", fix)


def objects(path: Path) -> Iterator[Numbered]:
    """Yield (line, object) of JSON lines, or of one document: a list of objects, or an object that holds one.

    Raises:
        UserError: lines are no JSON objects or no UTF-8; all of them at once, when the file is read to its end.
    """
    with opened(path) as file:
        kind = encoding(file.read(4))
    halves: list[int] = []
    first = next(iter(decoded_lines(path, kind)), None)
    if first is None:
        raise UserError(f"{path} is empty", "give a file with at least one row")
    try:
        value = json.loads(first[2] or "")
    except ValueError as error:
        # Several objects in a line are lines, too; a document goes over many.
        by_line = first[2] is None or (first[2].lstrip().startswith("{") and "Extra data" in str(error)) or _is_broken_line(path, kind)
    else:
        by_line = not _single(path, kind) or not (isinstance(value, list) or (isinstance(value, dict) and _inner(value)))
    yield from _by_line(path, kind, halves) if by_line else _by_document(path, kind, halves)
    if halves:
        tell(path, {HALVES: halves})


def _single(path: Path, kind: str) -> bool:
    return sum(1 for _ in zip(decoded_lines(path, kind), range(2), strict=False)) == 1


def _is_broken_line(path: Path, kind: str) -> bool:
    """Whether a file whose first line is no JSON is one of lines all the same: its second line is an object."""
    lines = [line for _, (_, _, line) in zip(range(2), decoded_lines(path, kind), strict=False)]
    try:
        return len(lines) == 2 and isinstance(json.loads(lines[1] or ""), dict) and not (lines[0] or "").strip().startswith("[")
    except ValueError:
        return False


def _inner(value: dict[str, Any]) -> list[Any] | None:
    """The one list of objects that a document holds, where the document is no row itself."""
    lists = {key: item for key, item in value.items() if isinstance(item, list) and item and all(isinstance(part, dict) for part in item)}
    if len(lists) != 1:
        return None
    (key, rows), = lists.items()
    turns = {"role", "from"} & set(rows[0]) or (key.lower() in _TURNS and not any(isinstance(part, list) for part in rows[0].values()))
    return rows if (len(value) == 1 or key.lower() in _LISTS) and not turns else None


def _by_line(path: Path, kind: str, halves: list[int]) -> Iterator[Numbered]:
    bad: list[str] = []
    decoder = json.JSONDecoder(parse_constant=_absent)
    for number, raw, line in decoded_lines(path, kind):
        if line is None:
            bad.append(f"line {number}: not UTF-8")
            continue
        line = line.strip()
        at = 0
        while at < len(line):
            try:
                value, at = decoder.raw_decode(line, at)
            except (ValueError, RecursionError) as error:
                bad.append(f"line {number}: not JSON ({getattr(error, 'msg', 'nested too deeply')})")
                break
            while at < len(line) and line[at].isspace():
                at += 1
            if isinstance(value, dict):
                yield number, _whole(value, may_hold_halves(raw), number, halves)
            else:
                bad.append(f"line {number}: a JSON {type(value).__name__}, not an object")
    _require(path, bad)


def _by_document(path: Path, kind: str, halves: list[int]) -> Iterator[Numbered]:
    """Yield the objects of a list one by one: of a large file the text is in memory, the objects are not."""
    bad: list[str] = []
    with opened(path) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8-sig" if kind == "utf-8" else kind)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: line {raw.count(10, 0, error.start) + 1}: not UTF-8", "save it as UTF-8; nothing has been written") from error
    surrogates = may_hold_halves(raw)
    del raw
    for number, value in _objects(text, bad):
        if not isinstance(value, dict):
            bad.append(f"line {number}: a JSON {type(value).__name__}, not an object")
        elif inner := _inner(value):
            say(f"data: {path} is one object; its list of {len(inner):,} objects are the rows")
            for place, row in enumerate(inner, 1):
                yield place, _whole(row, surrogates, number, halves)
        else:
            yield number, _whole(value, surrogates, number, halves)
    _require(path, bad)


def _objects(text: str, bad: list[str]) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of a list's parts, or of values that follow one another."""
    decoder = json.JSONDecoder(parse_constant=_absent)
    at, counted, line = _skip(text, 0, ""), 0, 1
    listed = text.startswith("[", at)
    at += listed
    while (at := _skip(text, at, "," if not listed else "")) < len(text):
        if listed and text[at] == "]":
            if _skip(text, at + 1, "") < len(text):
                bad.append(f"line {text.count(chr(10), 0, at) + 1}: more text behind the list")
            return
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            place = line + text.count("\n", counted, getattr(error, "pos", at))
            bad.append(f"line {place}: not JSON ({getattr(error, 'msg', 'nested too deeply')})")
            return
        yield line, value
        at = _skip(text, at, "")
        if listed and text.startswith(",", at):
            at += 1
    if listed:
        bad.append(f"line {text.count(chr(10)) + 1}: the list is not closed")


def _absent(name: str) -> None:
    """What pandas writes for a value that is not there (NaN), which JSON does not know."""


def _skip(text: str, at: int, more: str) -> int:
    while at < len(text) and (text[at] in " \t\r\n" or text[at] in more):
        at += 1
    return at


def _whole(row: dict[str, Any], suspicious: bool, number: int, halves: list[int]) -> dict[str, Any]:
    if suspicious:
        row, found = clean_all(row, halves_only=True)
        if found:
            halves.append(number)
    return row
