"""Read a local file of rows into memory: JSON, CSV, Parquet, Arrow, text, plain or compressed.

The library's builder is not used: it writes a cache, and fixes a column's type by the file's first part.
Here a column that is empty or missing for long and filled late is read, cells of a CSV stay the text that
they are, and a column whose values are of several types becomes JSON text, with the rows that differ named.
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.console import say
from alt_lite.data import delimited
from alt_lite.data.rows import summarise
from alt_lite.data.texts import clean_all, may_hold_halves
from alt_lite.errors import UserError
from alt_lite.peek import encoding, ending, opened

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

FORMATS = {
    ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON", ".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".txt": "text", ".arrow": "Arrow",
}
_CHUNK = 1000
_KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
# Files that only look like the data that was meant, by their first bytes.
_OTHERWISE = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the data itself", "git lfs pull, in the folder that was cloned"),
    (b"PK\x03\x04", "a zip file or an Excel workbook", "unpack it, or save it as CSV"),
    (b"<!DOCTYPE", "a web page", "get the file itself, by its download link"), (b"<html", "a web page", "get the file itself, by its download link"),
)
# What the list of rows is called in a document that holds more.
_LISTS = {"data", "rows", "examples", "instances", "items", "records", "samples", "train", "dataset", "prompts", "questions", "results"}
Numbered = tuple[int, dict[str, Any]]


@dataclass
class Local:
    """A file's rows. `clashes` names, for each column of several types, the rows that differ from the first."""

    table: pa.Table
    clashes: dict[str, list[str]] = field(default_factory=dict)


def dataset(table: pa.Table) -> Dataset:
    """Hold a table as a `Dataset`, without a cache; a description of its columns that is not understood is left out."""
    from datasets import Dataset, Features
    from datasets.table import InMemoryTable

    try:
        Features.from_arrow_schema(table.schema)
    except (ValueError, TypeError, KeyError):
        table = table.replace_schema_metadata(None)
    # A fingerprint of one's own, or the library would hash the whole table.
    return Dataset(InMemoryTable(table), fingerprint="local")


def is_data(path: Path) -> bool:
    """Tell whether a file's name is that of a format that is read."""
    return ending(path) in FORMATS


def read_file(path: Path, header: tuple[str, ...] | None = None) -> Local:
    """Read a file by its ending.

    Args:
        header: the columns' names for a CSV or TSV whose first row is not that.

    Raises:
        UserError: it is missing, empty, of no known format, or damaged; lines that are wrong are all named at once.
    """
    if not path.is_file():
        raise UserError(f"no such file: {path}", "give the path of a JSONL, JSON, CSV or Parquet file, or of a folder of such files")
    if not is_data(path):
        raise UserError(f"{path}: {path.suffix or 'no ending'} is none of {', '.join(FORMATS)}", "save it in one of these formats; each may be compressed (.gz, .bz2, .xz)")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty", "give a file with at least one row")
    try:
        with opened(path) as file:
            head = file.read(64)
        for mark, what, fix in _OTHERWISE:
            if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(mark):
                raise UserError(f"{path} is {what}", fix)
        kind = "Parquet" if head.startswith(b"PAR1") else FORMATS[ending(path)]
        if kind in ("Parquet", "Arrow"):
            return _columnar(path, kind)
        if kind == "CSV":
            return gather(delimited.rows(path, header), "row")
        return gather(_text_lines(path), "line") if kind == "text" else _json(path, encoding(head))
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}", "get the file anew, and see that it may be read") from error


def gather(rows: Iterable[Numbered], place: str) -> Local:
    """Lay rows out in columns, a thousand at a time, so that Python's objects of a large file are never all there.

    Args:
        rows: (number of the row or line, the row).
        place: what the numbers count, for messages.
    """
    import pyarrow as pa

    parts: list[dict[str, pa.Array]] = []
    sizes: list[int] = []
    first: dict[str, str] = {}
    clashes: dict[str, list[str]] = {}
    chunk: list[dict[str, Any]] = []

    def close() -> None:
        names = dict.fromkeys(name for row in chunk for name in row)
        parts.append({name: _array([row.get(name) for row in chunk], clashes.setdefault(name, [])) for name in names})
        sizes.append(len(chunk))
        chunk.clear()

    for number, row in rows:
        for name, value in row.items():
            if value is None:
                continue
            kind = _KINDS.get(type(value), "text")
            if first.setdefault(name, kind) != kind:
                clashes.setdefault(name, []).append(f"{place} {number}: {name!r} is {type(value).__name__}, {first[name]} before")
        chunk.append(row)
        if len(chunk) == _CHUNK:
            close()
    if chunk:
        close()
    columns = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        arrays = [part.get(name, pa.nulls(size)) for part, size in zip(parts, sizes, strict=True)]
        columns[name] = joined(arrays, clashes[name])
    return Local(pa.table(columns), {name: found for name, found in clashes.items() if found})


def _array(values: list[Any], clash: list[str]) -> pa.Array:
    import pyarrow as pa

    try:
        if not clash:
            return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        clash.append("values of several forms")
    return pa.array([_as_text(value) for value in values], pa.string())


def joined(arrays: list[pa.Array], clash: list[str]) -> pa.ChunkedArray:
    """Put a column's parts together; where their types differ (`clash` says so, or is told) as JSON text."""
    import pyarrow as pa

    if not clash:
        try:
            return pa.concat_tables([pa.table({"x": array}) for array in arrays], promote_options="permissive")["x"]
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            clash.append("values of several forms")
    return pa.chunked_array([pa.array([_as_text(value) for value in array.to_pylist()], pa.string()) for array in arrays])


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _columnar(path: Path, kind: str) -> Local:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # What is compressed as a whole has to be unpacked first.
        with opened(path) as file:
            source = str(path) if type(file).__name__ == "BufferedReader" else pa.BufferReader(file.read())
        if kind == "Parquet":
            return Local(_plain(pq.ParquetFile(source).read()))
        mapped = pa.memory_map(source) if isinstance(source, str) else source
        try:
            return Local(_plain(pa.ipc.open_file(mapped).read_all()))
        except pa.ArrowInvalid:
            mapped.seek(0)
            return Local(_plain(pa.ipc.open_stream(mapped).read_all()))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not readable as {kind}: {str(error).splitlines()[0]}", "get the file anew, or save it again") from error


def _plain(table: pa.Table) -> pa.Table:
    """Texts that are stored as numbers of a list of texts, or as views, as plain texts."""
    import pyarrow as pa

    for place, column in enumerate(table.schema):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        kind = pa.string() if kind == pa.string_view() else kind
        if kind != column.type:
            table = table.set_column(place, pa.field(column.name, kind), table.column(place).cast(kind))
    return table


def decoded_lines(path: Path, kind: str) -> Iterator[tuple[int, bytes, str | None]]:
    """Yield (number, bytes, text) of each line that is not blank; the text is None where it is not of that encoding."""
    import io

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


def _text_lines(path: Path) -> Iterator[Numbered]:
    bad: list[str] = []
    with opened(path) as file:
        kind = encoding(file.read(4))
    for number, _, line in decoded_lines(path, kind):
        if line is None:
            bad.append(f"line {number}: not UTF-8")
        else:
            yield number, {"text": line.rstrip("\r\n")}
    _require(path, bad)


def _require(path: Path, bad: list[str]) -> None:
    if bad:
        fix = "save it as UTF-8; nothing has been written" if all(item.endswith("not UTF-8") for item in bad) else "mend these lines; nothing has been written"
        raise UserError(f"{path}: {summarise(bad)}", fix)


def _json(path: Path, kind: str) -> Local:
    """Read JSON lines, or one document: a list of objects, or an object that holds one."""
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
        by_line = isinstance(value, dict) and not (_inner(value) and _single(path, kind))
        by_line = by_line or not isinstance(value, list) or not _single(path, kind)
    made = gather(_by_line(path, kind, halves) if by_line else _by_document(path, kind, halves), "line")
    if halves:
        places = ", ".join(map(str, halves[:5])) + (f" and {len(halves) - 5} more" if len(halves) > 5 else "")
        say(f"data: {path}: half a character (a lone surrogate) became \N{REPLACEMENT CHARACTER} in line {places}")
    return made


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
    return rows if (len(value) == 1 or key.lower() in _LISTS) and not {"role", "from"} & set(rows[0]) else None


def _by_line(path: Path, kind: str, halves: list[int]) -> Iterator[Numbered]:
    bad: list[str] = []
    decoder = json.JSONDecoder()
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
    decoder = json.JSONDecoder()
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
