"""Open sets of prompts and responses: hub ids, local files and folders; find which of their columns are ours.

A set becomes a `Table`: a `datasets.Dataset`, the names of the columns that stand for ours, and where it
came from. A local copy at a given path takes the hub's place with the same code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alt_lite.console import say
from alt_lite.data import local, remote
from alt_lite.data.conversations import is_conversation
from alt_lite.data.folders import read_folder
from alt_lite.data.presets import PRESETS, Preset
from alt_lite.data.rows import Label, summarise
from alt_lite.data.table import Table
from alt_lite.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["PRESETS", "Place", "Preset", "known", "open_data", "open_table", "parse_columns"]

# What our columns are often called elsewhere, tried in this order where no mapping is given, then in any case of letters.
_ALIASES = {
    "prompt": ("prompt", "instruction", "question", "query", "Goal", "Behavior", "forbidden_prompt", "adversarial", "user", "text"),
    "response": ("response", "output", "completion", "answer", "assistant", "model_response", "generation", "content"),
    "label": ("label",),
    "category": ("category",),
    "language": ("language", "lang"),
    "input": ("input", "context"),
    "system": ("system", "system_prompt"),
    "trace": (
        "trace", "reasoning_content", "reasoning", "thinking", "thought", "thoughts", "cot", "chain_of_thought", "complex_cot", "rationale",
        "reasoning_trace", "thought_process", "think", "thinking_trajectory", "thinking_trajectories", "deepseek_thinking_trajectory",
    ),
    "history": ("history",),
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat"),
}
_PAIRS = re.compile(rf",\s*(?=(?:{'|'.join(_ALIASES)})\s*=)")
# Of these what is found is text that is trained, so that a row of another type must not pass as its JSON.
_TRAINED = ("prompt", "response", "trace", "system", "input")


@dataclass(frozen=True)
class Place:
    """Where a set is asked for: a preset, hub id or path; a local copy of it; a commit; a column mapping;
    by which setting a local copy is given; and the label of its rows where no column and no preset tells it."""

    name: str
    path: Path | None = None
    revision: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    local: str = "data.path=FILE"
    unlabelled: Label | None = None


def parse_columns(pairs: Sequence[str]) -> dict[str, str]:
    """Read `ours=theirs` pairs; what follows a comma belongs to the name before, unless it is a pair of ours.

    Raises:
        UserError: a pair is malformed or names a column that we do not have.
    """
    whole: list[str] = []
    for pair in (piece for text in pairs for piece in _PAIRS.split(text)):
        if whole and "=" not in pair:
            whole[-1] += f", {pair}"
        else:
            whole.append(pair)
    columns: dict[str, str] = {}
    for pair in whole:
        ours, sign, theirs = (part.strip() for part in pair.partition("="))
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
    data, origin, clashes = _opened(place, preset)
    columns, label = _columns(data, place, preset, origin, needs)
    _require_text(data, columns, clashes, origin)
    _tell(clashes, origin, [name for name in clashes if name not in columns.values()], ", and nothing asks for it")
    labelled = preset.labelled if preset and "label" not in place.columns else None
    return Table(data, columns, origin, label, labelled)


def open_data(place: Place, preset: Preset | None) -> tuple[Dataset, str]:
    """Open a set as it is: (rows, where they came from).

    Raises:
        UserError: it cannot be had, or is empty.
    """
    data, origin, clashes = _opened(place, preset)
    _tell(clashes, origin, list(clashes), "")
    return data, origin


def _opened(place: Place, preset: Preset | None) -> tuple[Dataset, str, dict[str, list[str]]]:
    path = place.path or (Path(place.name) if preset is None and Path(place.name).exists() else None)
    if path is None and preset is None and (Path(place.name).is_absolute() or local.is_data(Path(place.name))):
        path = Path(place.name)
    clashes: dict[str, list[str]] = {}
    if path is not None and path.is_dir():
        (data, clashes), origin = read_folder(path), str(path)
    elif path is not None:
        found, origin = local.read_file(path, preset.header if preset else None), str(path)
        data, clashes = local.dataset(found.table), found.clashes
    else:
        known(place.name)
        data, origin = remote.hub_set(place.name if preset is None else preset.hub, place.revision, preset, place.local)
    if preset and preset.reshape:
        shape = preset.reshape
        again = local.gather(((number, shape(row)) for number, row in enumerate(data, 1)), "row")
        data, clashes = local.dataset(again.table), again.clashes
    if len(data) == 0:
        raise UserError(f"{origin} holds no rows", "give a set with at least one row")
    return data, origin, clashes


def known(name: str) -> None:
    """See that a source's name is a preset, a file or folder, or may be a hub id.

    Raises:
        UserError: it is none of them; the nearest names are told.
    """
    path = Path(name)
    if name in PRESETS or "/" in name or path.exists() or path.is_absolute() or local.is_data(path):
        return
    near = difflib.get_close_matches(name, PRESETS, n=3, cutoff=0.6)
    asked = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"no data source {name!r}{asked}", f"one of {', '.join(PRESETS)}, a hub id (owner/name), or a file or folder that exists")


def _tell(clashes: Mapping[str, list[str]], origin: str, names: Sequence[str], why: str) -> None:
    for name in names:
        say(f"data: {origin}: the column {name!r} holds values of several types ({clashes[name][0]}); they are read as JSON text{why}")


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
            columns.pop(ours, None)
            found = _find(names, [name for name in have if name not in columns.values()])
            if found and not (ours == "label" and label):
                columns[ours] = found
    _one_form(columns, given)
    if not (label or "label" in columns or (preset and preset.labelled)):
        label = place.unlabelled
    derived = label or (preset and preset.labelled)
    spoken = ("prompt", "response") if "messages" in columns else ()
    missing = [ours for ours in needs if ours not in columns and ours not in spoken and not (ours == "label" and derived)]
    missing += [f"{ours} (named {theirs!r})" for ours, theirs in given.items() if theirs not in have and ours not in missing]
    if missing:
        raise UserError(f"{origin} has no column for {', '.join(missing)}; its columns are {_listed(have)}", _ways_out(missing))
    return {ours: theirs for ours, theirs in columns.items() if theirs in have}, label


def _find(names: Sequence[str], have: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(have)}
    return next((name for name in names if name in have), None) or next((lowered[name.lower()] for name in names if name.lower() in lowered), None)


def _one_form(columns: dict[str, str], given: Mapping[str, str]) -> None:
    """A row is a conversation or a pair of texts: keep the columns of one of them, those that are named first."""
    if "prompt" not in columns and "messages" not in columns and "input" in columns and "input" not in given:
        columns["prompt"] = columns.pop("input")
    if "messages" not in columns:
        return
    pair = "prompt" in columns and "response" in columns and columns["prompt"].lower() != "text"
    if "messages" not in given and (pair or {"prompt", "response"} <= set(given)):
        del columns["messages"]
        return
    for ours in ("prompt", "response", "input"):
        if ours not in given and not (ours == "response" and "prompt" not in columns):
            columns.pop(ours, None)


def _listed(have: Sequence[str]) -> str:
    # A file without a header has its first row there.
    names = [" ".join(name.split()) for name in have[:30]]
    shown = ", ".join(name if len(name) <= 60 else name[:60] + "…" for name in names)
    return shown if len(have) <= 30 else f"{shown} and {len(have) - 30} more"


def _ways_out(missing: Sequence[str]) -> str:
    names = [name.split()[0] for name in missing]
    ways = [f"data.columns={','.join(f'{name}=COLUMN' for name in names)} (data build, data inspect: {' '.join(f'--column {name}=COLUMN' for name in names)})"]
    if "label" in names:
        ways.append("label=harmful or label=benign where all rows are")
    if {"prompt", "response"} & set(names):
        ways.append("messages=COLUMN where rows are conversations")
    return "; ".join(ways)


def _require_text(data: Dataset, columns: Mapping[str, str], clashes: Mapping[str, list[str]], origin: str) -> None:
    """Prompts and responses must be text, or lists of messages; rows of another type are named all at once. Only
    a column whose type says so is looked through, for in a column of text every row is text or missing."""
    bad: list[str] = []
    for ours in _TRAINED:
        column = columns.get(ours)
        if column in clashes:
            bad += clashes[column]
        elif column is not None and ours in ("prompt", "response") and str(getattr(data.features[column], "dtype", "")) not in ("string", "large_string", "null"):
            bad += [
                f"row {number}: {column!r} is {type(value).__name__}, not text"
                for number, value in enumerate(data[column], 1) if not isinstance(value, str | None) and not is_conversation(value)
            ]
    if bad:
        raise UserError(f"{origin}: {summarise(bad)}", "mend these rows, or name the columns that hold text: data.columns=prompt=COLUMN,response=COLUMN")
