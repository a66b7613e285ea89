"""Read a folder of rows: one that `datasets` saved, or parts as a repository cloned from the hub has them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.console import say
from alt_lite.data import local
from alt_lite.data.rows import summarise
from alt_lite.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

# As the library names splits: a word of a file's or a folder's name.
_SPLITS = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing|eval|evaluation"}
_SPLIT = {name: re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])") for name, words in _SPLITS.items()}
_PART = re.compile(r"(.*?)-(\d{5})-of-(\d{5})(.*)")
# Beside the data, not of it.
_BESIDE = {"readme", "license", "licence", "notice", "source", "citation", "changelog", "requirements", "dataset_info", "dataset_infos", "state", "dataset_dict", "croissant", "manifest"}


def read_folder(path: Path) -> tuple[Dataset, dict[str, list[str]]]:
    """Read a folder: (rows, clashes of types by column, as `local.Local` has them).

    Raises:
        UserError: it holds no data, files of several formats, several splits of which none is `train`, or a part is missing.
    """
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _saved(path), {}
    files = [item for item in sorted(path.rglob("*"), key=_natural) if item.is_file() and _counts(item.relative_to(path))]
    if not files:
        raise UserError(
            f"{path} is no folder saved by `datasets`, and holds no file of {', '.join(local.FORMATS)}",
            "save it with Dataset.save_to_disk, or name a file of rows",
        )
    split, parts = _of_one_split(path, _described(path, files) or _by_name(path, files))
    _complete(path, parts)
    parts = _one_format(path, parts)
    read = [local.read_file(part) for part in parts]
    say(f"data: {path}: {sum(one.table.num_rows for one in read):,} rows of {len(parts)} files of {split}")
    made, clashes = _joined(read, [str(part.relative_to(path)) for part in parts])
    return local.dataset(made), clashes


def _saved(path: Path) -> Dataset:
    from datasets import DatasetDict, load_from_disk

    try:
        data = load_from_disk(str(path))
    except (FileNotFoundError, ValueError, OSError) as error:
        raise UserError(f"{path} is no folder saved by `datasets` that can be read: {str(error).splitlines()[0]}", "save it with Dataset.save_to_disk, or name one of its files") from error
    if not isinstance(data, DatasetDict):
        return data
    split = _chosen(path, list(data), lambda name: path / name)
    return data[split]


def _chosen(path: Path, splits: Sequence[str], place: Any) -> str:
    """The split `train`, or the only one; what is left out is said."""
    if "train" not in splits and len(splits) > 1:
        raise UserError(f"{path} holds the splits {', '.join(splits)}, none named train", f"name one split's folder or file: {place(splits[0])}")
    split = "train" if "train" in splits else splits[0]
    if others := [name for name in splits if name != split]:
        say(f"data: {path}: of its splits {split} is read, {', '.join(others)} left out")
    return split


def _natural(path: Path) -> list[Any]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path).lower())]


def _counts(name: Path) -> bool:
    hidden = any(part.startswith((".", "_", "~")) for part in name.parts)
    return not hidden and local.is_data(name) and name.name.split(".")[0].lower() not in _BESIDE


def _by_name(path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Group files by the split that their name, else the nearest folder's, holds; where some do, the others are no data."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        for part in reversed(file.relative_to(path).parts):
            if split := next((name for name, words in _SPLIT.items() if words.search(part.lower())), None):
                found[split].append(file)
                break
        else:
            found[""].append(file)
    if len(found) > 1 and (others := found.pop("", [])):
        say(f"data: {path}: {len(others)} files of no split left out, the first {others[0].relative_to(path)}")
    return {name or "no split": parts for name, parts in found.items()}


def _described(path: Path, files: Sequence[Path]) -> dict[str, list[Path]] | None:
    """Group files as the head of the repository's README says (`configs`); None where it says nothing."""
    import yaml

    readme = path / "README.md"
    if not readme.is_file():
        return None
    text = readme.read_text(encoding="utf-8-sig", errors="replace")
    try:
        head = yaml.safe_load(text.split("---", 2)[1]) if text.lstrip().startswith("---") and text.count("---") > 1 else None
    except yaml.YAMLError:
        return None
    configs = head.get("configs") if isinstance(head, dict) else None
    usable = [one for one in configs if isinstance(one, dict) and one.get("data_files")] if isinstance(configs, list) else []
    if not usable:
        return None
    config = next((one for one in usable if one.get("default") or one.get("config_name") == "default"), usable[0] if len(usable) == 1 else None)
    if config is None:
        raise UserError(f"{path} holds several configurations: {', '.join(str(one.get('config_name')) for one in usable)}", "name the file or folder of one of them")
    if len(usable) > 1:
        say(f"data: {path}: of its configurations {config.get('config_name')} is read")
    given = config["data_files"]
    entries = given if isinstance(given, list) else [given]
    found: dict[str, list[Path]] = defaultdict(list)
    for entry in entries:
        split, patterns = (str(entry.get("split", "train")), entry.get("path", ())) if isinstance(entry, dict) else ("train", entry)
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            matched = [file for file in files if file.relative_to(path).match(str(pattern).removeprefix("./")) or file in set(path.glob(str(pattern)))]
            found[split] += [file for file in matched if file not in found[split]]
    return {split: parts for split, parts in found.items() if parts} or None


def _of_one_split(path: Path, groups: dict[str, list[Path]]) -> tuple[str, list[Path]]:
    split = _chosen(path, list(groups), lambda name: groups[name][0])
    return split, groups[split]


def _one_format(path: Path, parts: list[Path]) -> list[Path]:
    """Parts of one format; texts beside data of another are notes."""
    kinds = {local.FORMATS[local.ending(part)] for part in parts}
    if len(kinds) > 1 and "text" in kinds:
        kept = [part for part in parts if local.FORMATS[local.ending(part)] != "text"]
        say(f"data: {path}: {len(parts) - len(kept)} text files left out")
        return _one_format(path, kept)
    if len(kinds) > 1:
        raise UserError(f"{path} holds files of several formats: {', '.join(sorted(kinds))}", f"name one file, e.g. {parts[0]}, or keep one format in the folder")
    return parts


def _complete(path: Path, parts: Sequence[Path]) -> None:
    """Every part of a set `NAME-00000-of-00002` must be there."""
    sets: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for part in parts:
        if match := _PART.fullmatch(str(part.relative_to(path))):
            sets[match[1], match[4], int(match[3])].add(int(match[2]))
    missing = [
        f"{before}-{number:05}-of-{total:05}{after}" for (before, after, total), have in sets.items() for number in range(total) if number not in have
    ]
    if missing:
        raise UserError(f"{path} lacks parts of a set: {summarise(missing)}", "get the missing files (git lfs pull, or clone it again)")


def _joined(read: Sequence[local.Local], names: Sequence[str]) -> tuple[Any, dict[str, list[str]]]:
    import pyarrow as pa

    clashes = {column: [f"{name}, {place}" for one, name in zip(read, names, strict=True) for place in one.clashes.get(column, ())] for one in read for column in one.clashes}
    tables = [one.table for one in read]
    if len(tables) == 1:
        return tables[0], clashes
    # Each file describes itself; together they are described by their types.
    tables = [table.replace_schema_metadata(None) for table in tables] if len({str(table.schema.metadata) for table in tables}) > 1 else tables
    if not clashes:
        try:
            return pa.concat_tables(tables, promote_options="permissive"), clashes
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass
    columns = {}
    for column in dict.fromkeys(name for table in tables for name in table.column_names):
        chunks = [chunk for table in tables for chunk in (table[column].chunks if column in table.column_names else [pa.nulls(table.num_rows)])]
        noted: list[str] = list(clashes.get(column, ()))
        columns[column] = local.joined(chunks, noted)
        if noted:
            clashes[column] = noted
    return pa.table(columns), clashes
