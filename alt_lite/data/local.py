"""Read a local file of rows into memory: JSON, CSV, Parquet, Arrow, text, plain or compressed.

The library's builder is not used: it writes a cache, and fixes a column's type by the file's first part.
Here a column that is empty or missing for long and filled late is read, cells of a CSV stay the text that
they are, and a column whose values are of several types becomes JSON text, with the rows that differ named.
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.config.peek import ending, opened
from alt_lite.data import delimited, lines
from alt_lite.errors import UserError

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


def is_copy(path: Path, name: str) -> bool:
    """Tell whether a path is that of a set's copy by its name: what stands before the format is the set's."""
    if path.is_dir():
        return path.name == name
    return is_data(path) and path.name.lower().partition(ending(path))[0] == name.lower()


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
        return gather(lines.texts(path) if kind == "text" else lines.objects(path), "line")
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}", "get the file anew, and see that it may be read") from error


def gather(rows: Iterable[tuple[int, dict[str, Any]]], place: str) -> Local:
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
        # The library cannot hold a column whose name has a NUL.
        arrays = [part.get(name, pa.nulls(size)) for part, size in zip(parts, sizes, strict=True)]
        columns[name.replace("\x00", "\ufffd")] = joined(arrays, clashes[name])
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
