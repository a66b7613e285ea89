"""Open sets of prompts and responses: hub ids, local files and folders, all through `datasets`.

A set becomes a `Table`: a memory-mapped `datasets.Dataset`, the names of the columns that stand for
ours, and where it came from. A local copy at a given path takes the hub's place with the same code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.data import remote
from alt_lite.data.rows import Label, summarise
from alt_lite.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".txt": "text"}
# What our columns are often called elsewhere, tried in this order where no mapping is given.
_ALIASES = {
    "prompt": ("prompt", "instruction", "question", "query", "Behavior", "Goal", "forbidden_prompt", "adversarial", "text"),
    "response": ("response", "output", "completion", "answer"),
    "label": ("label",),
    "category": ("category",),
    "language": ("language",),
}


@dataclass(frozen=True)
class Preset:
    """A published set: its hub id, or the path of a repository's file at a commit, and which of its columns are ours.

    `label` fixes every row's label where the set has no such column; `labelled` reads it off a row.
    `traces` tells whether responses hold reasoning; `revision` is where the hub keeps a set in a form that
    needs no script; `header` names the columns of a local CSV or TSV that has none;
    `parquet` the repository's files, where a set of many configurations is read as one. No commit hash of these sets could be had when this
    was written, so the one that is resolved is recorded; `data.revision` pins it.
    """

    hub: str
    columns: Mapping[str, str]
    config: str | None = None
    split: str = "train"
    label: Label | None = None
    labelled: Callable[[str], Label] | None = None
    traces: bool = True
    files: str | None = None
    revision: str | None = None
    header: tuple[str, ...] | None = None
    parquet: str | None = None


PRESETS: dict[str, Preset] = {
    "safechain": Preset("UWNSL/SafeChain", {"prompt": "instruction", "response": "response", "label": "label"}),
    # R1-Act's refusals end at `</think>`, its benign rows hold no think tag (METHOD of arXiv 2508.00324).
    "r1act": Preset(
        "Yeonjun/R1-Act-train", {"prompt": "instruction", "response": "response"},
        labelled=lambda response: "harmful" if "</think>" in response else "benign",
    ),
    "star1": Preset("UCSC-VLAA/STAR-1", {"prompt": "question", "response": "response", "category": "category"}, label="harmful"),
    # Not on the hub: a file of the repository at a commit.
    "lrm_study": Preset(
        "thu-coai/LRM-Safety-Study", {"prompt": "prompt", "response": "response"}, label="harmful", traces=False,
        files="thu-coai/LRM-Safety-Study/498ef37fca888a9587a34e156b7518f2ac9ce701/dataset/data/sft_train_nocot.json",
    ),
}
@dataclass(frozen=True)
class Table:
    """An opened set. `columns` maps our names to its own; `origin` says where it came from, with the commit."""

    data: Dataset
    columns: dict[str, str]
    origin: str
    label: Label | None = None
    labelled: Callable[[str], Label] | None = None
    traces: bool = True

    def __len__(self) -> int:
        return len(self.data)

    def response(self, index: int) -> str:
        return self._responses[index][self.columns["response"]] or ""

    @cached_property
    def _responses(self) -> Dataset:
        return self.data.select_columns([self.columns["response"]])

    def rows(self, *names: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (row number from 0, our column → value) with only the named columns in memory."""
        have = {name: self.columns[name] for name in names if name in self.columns}
        thin = self.data.select_columns(list(dict.fromkeys(have.values())))
        for start in range(0, len(thin), 1000):
            batch = thin[start : start + 1000]
            size = len(next(iter(batch.values())))
            for offset in range(size):
                yield start + offset, {name: batch[column][offset] for name, column in have.items()}


@dataclass(frozen=True)
class Place:
    """Where a set is asked for: a preset, hub id or path; a local copy of it; a commit; a column mapping;
    and by which setting a local copy is given."""

    name: str
    path: Path | None = None
    revision: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    local: str = "data.path=FILE"


def parse_columns(pairs: Sequence[str]) -> dict[str, str]:
    """Read `ours=theirs` pairs.

    Raises:
        UserError: a pair is malformed or names a column that we do not have.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        ours, sign, theirs = pair.partition("=")
        if not sign or ours not in _ALIASES or not theirs:
            raise UserError(f"data.columns: {pair!r} is not one of {', '.join(f'{name}=COLUMN' for name in _ALIASES)}", "data.columns=prompt=question,response=output,label=kind")
        columns[ours] = theirs
    return columns


def open_table(place: Place, needs: Sequence[str] = ("prompt",)) -> Table:
    """Open a set and find its columns.

    Raises:
        UserError: it cannot be had, is empty, lacks a column that is needed, or a row has a wrong type
            (all such rows at once, with file and line where it is a local file).
    """
    preset = PRESETS.get(place.name)
    data, origin = open_data(place, preset)
    columns, label = _columns(data, place, preset, origin, needs)
    _require_text(data, columns, origin)
    labelled = preset.labelled if preset and "label" not in place.columns else None
    return Table(data, columns, origin, label, labelled, preset.traces if preset else True)


def open_data(place: Place, preset: Preset | None) -> tuple[Dataset, str]:
    """Open a set as it is: (rows, where they came from).

    Raises:
        UserError: it cannot be had, or is empty.
    """
    path = place.path or (Path(place.name) if preset is None and Path(place.name).exists() else None)
    if path is None and preset is None and (Path(place.name).is_absolute() or Path(place.name).suffix.lower() in _FORMATS):
        path = Path(place.name)
    if path is not None:
        data, origin = _local(path, preset.header if preset else None), str(path)
    elif preset is None and "/" not in place.name:
        raise UserError(f"no data source {place.name!r}", f"one of {', '.join(PRESETS)}, a hub id (owner/name), or a file or folder that exists")
    else:
        data, origin = remote.hub_set(place.name if preset is None else preset.hub, place.revision, preset, place.local)
    if len(data) == 0:
        raise UserError(f"{origin} holds no rows", "give a set with at least one row")
    return data, origin


def _columns(data: Dataset, place: Place, preset: Preset | None, origin: str, needs: Sequence[str]) -> tuple[dict[str, str], Label | None]:
    have = data.column_names
    label: Label | None = preset.label if preset else None
    columns = dict(preset.columns) if preset else {}
    given = dict(place.columns)
    # `label=harmful` for a set that has no such column fixes every row's label.
    if (fixed := given.get("label")) in ("harmful", "benign") and fixed not in have:
        label = "harmful" if given.pop("label") == "harmful" else "benign"
        columns.pop("label", None)
    elif fixed:
        label = None  # a column that is named beats what the preset says of all rows
    columns.update(given)
    for ours, names in _ALIASES.items():
        if ours not in given and columns.get(ours) not in have:
            # A mirror of a published set may name its columns otherwise.
            found = next((name for name in names if name in have), None)
            columns.pop(ours, None)
            if found and not (ours == "label" and label):
                columns[ours] = found
    derived = label or (preset and preset.labelled)
    missing = [ours for ours in needs if ours not in columns and not (ours == "label" and derived)]
    missing += [f"{ours} (named {theirs!r})" for ours, theirs in given.items() if theirs not in have and ours not in missing]
    if missing:
        fix = ",".join(f"{name.split()[0]}=COLUMN" for name in missing)
        more = "; label=harmful or label=benign where all rows are" if "label" in missing else ""
        raise UserError(f"{origin} has no column for {', '.join(missing)}; its columns are {', '.join(have)}", f"data.columns={fix}{more}")
    return {ours: theirs for ours, theirs in columns.items() if theirs in have}, label


def _require_text(data: Dataset, columns: Mapping[str, str], origin: str) -> None:
    """Prompts and responses must be text; rows of another type are named all at once. Only a column whose
    type says so is looked through, for in a column of text every row is text or missing."""
    bad: list[str] = []
    for ours in ("prompt", "response"):
        column = columns.get(ours)
        if column is None or str(getattr(data.features[column], "dtype", "")) in ("string", "large_string"):
            continue
        bad += [f"row {number}: {column!r} is {type(value).__name__}, not text" for number, value in enumerate(data[column], 1) if not isinstance(value, str)]
    if bad:
        raise UserError(f"{origin}: {summarise(bad)}", "mend these rows, or name the columns that hold text: data.columns=prompt=COLUMN,response=COLUMN")


def _local(path: Path, header: tuple[str, ...] | None) -> Dataset:
    from datasets import Dataset, DatasetDict, Features, Value, load_from_disk
    from datasets.exceptions import DatasetGenerationError

    if path.is_dir():
        try:
            data = load_from_disk(str(path))
        except (FileNotFoundError, ValueError) as error:
            raise UserError(f"{path} is no folder saved by `datasets`", "save it with Dataset.save_to_disk, or name one of its files") from error
        return _one_split(data, path) if isinstance(data, DatasetDict) else data
    if not path.is_file():
        raise UserError(f"no such file: {path}", "give the path of a JSONL, JSON, CSV or Parquet file, or of a folder saved by `datasets`")
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path}: {path.suffix or 'no ending'} is none of {', '.join(_FORMATS)}", "save it in one of these formats")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty", "give a file with at least one row")
    read: Callable[..., Any] = {"json": Dataset.from_json, "csv": Dataset.from_csv, "parquet": Dataset.from_parquet, "text": Dataset.from_text}[kind]
    options: dict[str, Any] = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
    if kind == "csv" and header and not _has_header(path, header):
        options |= {"names": list(header), "header": None, "features": Features({name: Value("string") for name in header})}
    try:
        return read(str(path), **options)
    except (DatasetGenerationError, ValueError, OSError, TypeError) as error:
        if path.suffix.lower() == ".jsonl":
            _explain_jsonl(path)
        reason = str(error.__cause__ or error).strip().splitlines()[-1]
        if "corresponds to no data" in reason:
            raise UserError(f"{path} holds no rows", "give a file with at least one row") from error
        raise UserError(f"{path} is not readable as {kind}: {reason}", "mend the file; every row must have the same columns of the same types") from error


def _has_header(path: Path, header: tuple[str, ...]) -> bool:
    with path.open(encoding="utf-8") as file:
        return header[0].lower() in file.readline().lower()


def _one_split(data: Any, path: Path) -> Dataset:
    if "train" in data:
        return data["train"]
    if len(data) == 1:
        return next(iter(data.values()))
    raise UserError(f"{path} holds the splits {', '.join(data)}, none named train", f"name one split's folder: {path / next(iter(data))}")


def _explain_jsonl(path: Path) -> None:
    """Name every line that is no object, or whose types differ from the first line's, all at once."""
    bad: list[str] = []
    first: dict[str, type] = {}
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                value = json.loads(raw.decode("utf-8"))
            except UnicodeDecodeError:
                bad.append(f"line {number}: not UTF-8")
                continue
            except json.JSONDecodeError as error:
                bad.append(f"line {number}: not JSON ({error.msg})")
                continue
            if not isinstance(value, dict):
                bad.append(f"line {number}: a JSON {type(value).__name__}, not an object")
                continue
            for key, item in value.items():
                if item is not None and first.setdefault(key, type(item)) is not type(item):
                    bad.append(f"line {number}: {key!r} is {type(item).__name__}, {first[key].__name__} before")
    if bad:
        raise UserError(f"{path}: {summarise(bad)}", "mend these lines; nothing has been written")
