"""What became of a set's texts, for the person who builds it and for the data card; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from alt_lite.data.candidates import SPOKEN, Counts
from alt_lite.data.making import is_templated
from alt_lite.data.rows import TrainingRow
from alt_lite.data.table import INPUT, NOTHING, SYSTEM, TAGS, TURNS, Table
from alt_lite.method import wording
from alt_lite.method.targets import naturally_empty


def without_wording(rows: Sequence[TrainingRow]) -> dict[str, int]:
    """Count rows by languages in which there is no refusal of ours, so that theirs is English."""
    return dict(Counter(row.language for row in rows if row.language not in wording.REFUSAL))


def texts(table: Table, counts: Counts) -> dict[str, int]:
    """Count the rows, of those that were read, in which texts were put together or mended."""
    columns = table.columns
    found = {
        f"{columns.get('input', 'input')} joined to the prompt after a blank line": len(table.noted.get(INPUT, ())),
        "several turns: the last reply alone is trained, what came before is its context": len(table.noted.get(TURNS, ())),
        "a system prompt of their own": len(table.noted.get(SYSTEM, ())),
        "a word for nothing (None, nan, N/A) in an optional column, read as empty": len(table.noted.get(NOTHING, ())),
        "a trace in other tags than <think>, read as one": len(table.noted.get(TAGS, ())),
        "without a trace, kept for targets that need none": counts.untraced,
        "whose trace opens with another sentence than one that restates the request; it is their understanding all the same (data.untraced=template writes one)": counts.unrestated,
        "with steps that their source does not have, written by template": counts.templated,
        **table.changes(),
        **{f"language {name!r} is not known; told by the prompt's script and words": number for name, number in counts.languages.most_common(5)},
    }
    return {what: number for what, number in found.items() if number}


def told(table: Table, rows: Sequence[TrainingRow], counts: Counts) -> Iterator[str]:
    """Give the lines that are said once when a set is built."""
    for what, number in texts(table, counts).items():
        yield f"{number:,} row{'s' if number != 1 else ''}: {what}"
    if left := {why: number for why, number in counts.dropped.items() if why.startswith(SPOKEN)}:
        yield "left out: " + ", ".join(f"{number:,} row{'s' if number != 1 else ''}: {why}" for why, number in left.items())
    if other := without_wording(rows):
        yield f"rows in {', '.join(f'{language} ({number:,})' for language, number in other.items())} get English refusals and assessments: there is no wording in their language"


def written_otherwise(rows: Sequence[TrainingRow], target: str, built: bool) -> Iterator[str]:
    """Tell how many rows' traces are not what their sources wrote: empty ones, and steps written by template.

    Args:
        built: the rows are of a set whose missing steps were written by template.
    """
    if empty := sum(naturally_empty(row, target) for row in rows):
        yield f"{empty:,} row{'s' if empty != 1 else ''} without a trace: the target {target} writes an empty one before their own answer"
    if written := sum(map(is_templated, rows)) if built else 0:
        yield f"{written:,} row{'s' if written != 1 else ''} with steps that their source does not have, written by template (data.untraced)"


def prompts(table: Table) -> Iterator[str]:
    """Give all that a set's rows ask, earlier turns included."""
    for _, row in table.rows("prompt", "history"):
        yield row["prompt"] if isinstance(row["prompt"], str) else ""
        yield from (turn.content for turn in row.get("history") or () if turn.role == "user")
