"""Read CSV and TSV as people save them: separator found, quoted line breaks, cells as the text that they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from alt_lite.config.peek import ending, opened
from alt_lite.console import say
from alt_lite.data import charset
from alt_lite.data.rows import summarise
from alt_lite.errors import UserError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# What stands for "none" where a file has one column only; no text holds it.
_NONE = "\x1f"
_SAMPLE = 1 << 18
_RECORDS = 50


def rows(path: Path, header: tuple[str, ...] | None) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield (row number from 1, column → cell); an empty cell is None, every other one its text.

    Args:
        header: the columns' names where the file's first row is not that.

    Raises:
        UserError: quotes are not closed, a line is no UTF-8 or has more cells than the header; all such lines at once.
    """
    csv.field_size_limit(2**31 - 1)
    sample, told = _sample(path)
    separator, skip = told or _separator(sample, "\t" if ending(path) == ".tsv" else ","), int(told is not None)
    if separator not in (_NONE, ",") and not (separator == "\t" and ending(path) == ".tsv"):
        say(f"data: {path} is separated by {_SEPARATORS.get(separator, repr(separator))}s")
    how = _quoting(path, separator, skip)
    records = _records(path, separator, how, skip)
    try:
        first = next(records, None)
        if first is None:
            return
        named = header is None or header[0].lower() in (cell.strip().lower() for cell in first[1])
        names = _names([cell.strip() for cell in first[1]] if named else list(header or ()), path)
        yield from _cells(path, names, records if named else _again(first, records))
    except csv.Error as error:
        raise UserError(f"{path}: {error}", "put cells with quotes or line breaks in double quotes, and double the quotes in them") from error


def _again(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _cells(path: Path, names: list[str], records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, dict[str, str | None]]]:
    bad: list[str] = []
    short = 0
    for number, (line, cells) in enumerate(records, 1):
        while len(cells) > len(names) and not cells[-1].strip():
            cells.pop()
        if any("\udc80" <= char <= "\udcff" for cell in cells if not cell.isascii() for char in cell):
            bad.append(f"line {line}: not UTF-8")
        elif len(cells) > len(names):
            bad.append(f"line {line}: {len(cells)} cells, but {len(names)} columns")
        else:
            short += len(cells) < len(names)
            yield number, {name: (cells[i] if i < len(cells) else None) or None for i, name in enumerate(names)}
    if bad:
        fix = "save it as UTF-8 (Excel: CSV UTF-8)" if all(item.endswith("UTF-8") for item in bad) else "put cells that hold the separator in double quotes"
        raise UserError(f"{path}: {summarise(bad)}", f"{fix}; nothing has been written")
    if short:
        say(f"data: {path}: {short:,} rows have fewer cells than there are columns; the missing cells are empty")


def _names(cells: list[str], path: Path) -> list[str]:
    """Columns' names; one without a name, or with an earlier one's, gets a number."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell or f"column {number}"
        if name in names:
            say(f"data: {path}: the column {name!r} is there twice; the second is called {name} ({number})")
            name = f"{name} ({number})"
        names.append(name)
    return names


def _stream(path: Path) -> io.TextIOWrapper:
    kind = charset.of(path)
    # Bytes that are no UTF-8 come as surrogates, so that their line can be named.
    return io.TextIOWrapper(opened(path), kind, errors="surrogateescape" if kind.startswith("utf-8") else "replace", newline="")


def _sample(path: Path) -> tuple[str, str | None]:
    """The beginning, and the separator where Excel has written it into a line before the header (`sep=;`)."""
    with _stream(path) as stream:
        text = stream.read(_SAMPLE)
    head = text.split("\n", 1)[0].strip("\r")
    return text, head[4] if head.lower().startswith("sep=") and len(head) == 5 else None


def _separator(sample: str, usual: str) -> str:
    """Find the separator: the one that cuts header and rows into equally many cells, the usual one first."""
    best, score = _NONE, (0.0, 0, False)
    for separator in _SEPARATORS:
        widths = _widths(sample, separator)
        if not widths or widths[0] < 2:
            continue
        found = (round(sum(width == widths[0] for width in widths) / len(widths), 2), widths[0], separator == usual)
        best, score = (separator, found) if (found[0], found[2], found[1]) > (score[0], score[2], score[1]) else (best, score)
    return best


def _widths(sample: str, separator: str) -> list[int]:
    widths = []
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=separator):
            if record:
                widths.append(len(record))
            if len(widths) > _RECORDS:
                return widths
    except csv.Error:
        pass
    # The sample's end may cut the last record.
    return widths[:-1] if len(sample) >= _SAMPLE and len(widths) > 1 else widths


def _quoting(path: Path, separator: str, skip: int) -> str:
    """Find how cells are quoted: doubled quotes, quotes behind a backslash, or (TSV) not at all."""
    ways = ["doubled", "backslash", *(["none"] if separator == "\t" else [])]
    for way in ways:
        try:
            for _ in _records(path, separator, way, skip):
                pass
        except csv.Error:
            continue
        if way != "doubled":
            say(f"data: {path}: " + ("quotes stand behind backslashes" if way == "backslash" else "quotes are taken as they are, since they do not come in pairs"))
        return way
    return "doubled"


def _records(path: Path, separator: str, how: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of what is not blank.

    Raises:
        csv.Error: quotes are not as `how` says; the message names the line.
    """
    with _stream(path) as stream:
        for _ in range(skip):
            stream.readline()
        lines = (line.replace('\\"', '""') for line in stream) if how == "backslash" else stream
        quoting = csv.QUOTE_NONE if how == "none" else csv.QUOTE_MINIMAL
        spaced = how != "none" and _spaced(path, separator)
        reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=how != "none", skipinitialspace=spaced)
        began = skip + 1
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise csv.Error(f"line {began}: {error}") from error
            if record is None:
                return
            if any(cell.strip() for cell in record):
                yield began, record
            began = skip + reader.line_num + 1


def _spaced(path: Path, separator: str) -> bool:
    """Whether the header has a blank behind its separators, which then belongs to them in every line."""
    with _stream(path) as stream:
        return f"{separator} " in stream.readline()
