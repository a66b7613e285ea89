"""The sources of a set: the one of harmful rows, or of all, and further ones that give its benign rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from alt_lite.config import Recipe, mixing
from alt_lite.config.peek import holds_steps
from alt_lite.console import say
from alt_lite.data import report
from alt_lite.data.local import is_copy
from alt_lite.data.selection import LONGER, Source
from alt_lite.data.sources import PRESETS, Place, known, open_table, parse_columns
from alt_lite.errors import UserError

_NEEDS = ("prompt", "response", "label")


def opened(recipe: Recipe) -> list[Source]:
    """Open a recipe's sources, that of data.source first, each with the number of rows that it gives.

    Raises:
        UserError: a name is unknown, a source cannot be had, or it holds finished rows; no source is opened before all names are known.
    """
    data = recipe.data
    columns = parse_columns(data.columns)
    folder = Path(data.path) if data.benign_from and data.path and Path(data.path).is_dir() else None
    further = _sharing(recipe)
    path = _copy(folder, data.source) if folder else Path(data.path) if data.path else None
    places = [Place(data.source, path, data.revision, columns, _local(folder, data.source) if folder else "data.path=FILE")]
    for one, _ in further:
        places.append(Place(one.name, _copy(folder, one.name) if folder else None, local=_local(folder, one.name), unlabelled="benign"))
    for place in places:
        if place.path is None:
            known(place.name)
            if folder and not _of_its_own(place.name):
                say(f"data: {folder} holds no copy of {place.name}, which is asked for at its public place")
        if not place.columns and holds_steps(given := place.path or Path(place.name)):
            ways = f"data.source={given} trains on them; data.columns=response=COLUMN,… builds a set of them all the same"
            raise UserError(f"{given} holds training rows, which are finished", ways if place is places[0] else "name a set of prompts and responses in data.benign_from")
    found: list[Source] = []
    for place, (weight, wanted) in zip(places, [(1.0, 0), *((one.weight, number) for one, number in further)], strict=True):
        table = open_table(place, _NEEDS)
        if place.name not in PRESETS:
            say(f"data: {'its rows' if len(places) == 1 else f'the rows of {place.name}'} hold prompts and responses: {', '.join(f'{ours}={theirs}' for ours, theirs in table.columns.items())}")
            if place.unlabelled and table.label and "label" not in table.columns:
                say(f"data: {table.origin} has no column of labels; all its rows are {table.label}, as data.benign_from has it")
        if place is not places[0]:
            found.append(Source(table, {"benign": wanted}, place.name, weight))
        elif data.benign_from:
            found.append(Source(table, {"harmful": data.harmful}, place.name))
        else:
            found.append(Source(table, {"harmful": data.harmful, "benign": data.benign}, place.name))
    return found


def _sharing(recipe: Recipe) -> list[tuple[mixing.Further, int]]:
    """The further sources that give rows, with how many; those that give none are told, and not opened."""
    data = recipe.data
    named = [mixing.further(text) for text in data.benign_from]
    if named and not data.benign:
        say("data: data.benign=0, so that the sources of data.benign_from give no row")
    parts = list(zip(named, mixing.shares(data.benign, [one.weight for one in named]), strict=True)) if named else []
    for one, number in parts:
        if data.benign and not number:
            say(f"data: {one.name} gives no row: its share of data.benign={data.benign} is less than one")
    return [(one, number) for one, number in parts if number]


def _copy(folder: Path, name: str) -> Path | None:
    """Find a source's copy in a folder of copies: `NAME.jsonl` and the like, or a folder `NAME`; None where it has none."""
    if _of_its_own(name):
        return None
    found = [path for path in sorted(folder.iterdir()) if is_copy(path, Path(name).name)]
    if len(found) > 1:
        say(f"data: {name}: {found[0].name} is read, {', '.join(path.name for path in found[1:])} not")
    return next(iter(found), None)


def _of_its_own(name: str) -> bool:
    """Tell whether a source is named by the path of its file or folder."""
    return name not in PRESETS and Path(name).exists()


def _local(folder: Path | None, name: str) -> str:
    """How a local copy of a further source is given."""
    return f"data.path={folder or 'FOLDER'}, which holds {Path(name).name}.jsonl"


def told(sources: list[Source]) -> Iterator[str]:
    """Give the lines that are said once when a set is built, by source where there are several."""
    if len(sources) > 1:
        yield "; ".join(f"{source.name} gives {given(source)}" for source in sources)
    for source in sources:
        for line in report.told(source.table, source.taken, source.counts):
            yield f"{source.name}: {line}" if len(sources) > 1 else line
        if (long := sum(number for why, number in source.counts.dropped.items() if why.startswith(LONGER))):
            yield f"{source.name}: {long:,} row{'s' if long != 1 else ''} left out, longer than data.longest"


def given(source: Source) -> str:
    """Say how many rows of each label were taken of a source."""
    taken = Counter(row.label for row in source.taken)
    return " and ".join(f"{number:,} {label} rows" for label, number in taken.items()) or "no row"
