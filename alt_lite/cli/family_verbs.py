"""The verb `families`: what models are known by their way of writing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from alt_lite.console import emit, results
from alt_lite.families import FAMILIES, Family

_HEADS = ("model.family", "models", "a trace stands between", "written by", "sampling", "vLLM's parser", "tried on")


def register(app: typer.Typer) -> None:
    app.command()(families)


def families(markdown: Annotated[bool, typer.Option("--markdown", help="print the table of docs/families.md")] = False) -> None:
    """List the model families: their tags, their makers' sampling, on which tokenizer each was tried."""
    rows = [cells(family) for family in FAMILIES.values()]
    if markdown:
        for row in (_HEADS, ("---",) * len(_HEADS), *((f"`{row[0]}`", row[1], " and ".join(f"`{tag}`" for tag in row[2].split(" and ")), *row[3:]) for row in rows)):
            emit("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        return
    table = Table(*_HEADS, box=None)
    for row in rows:
        table.add_row(*map(Text, row))
    results.print(table)


def cells(family: Family) -> tuple[str, ...]:
    """A family's line of the table."""
    advice = family.sampling
    drawn = f"{advice.temperature:g}, top-p {advice.top_p:g}" + (f", top-k {advice.top_k}" if advice.top_k else "") if advice.temperature else "greedy"
    drawn += "" if advice.advised else " (ours)"
    tags = f"{family.open_tag} and {family.close_tag}"
    kind = "plain text" if family.plain_tags else "control tokens"
    return family.name, family.models, tags, f"{'the prompt' if family.opens_trace else 'the model'}, in {kind}", drawn, family.parser or "none", family.tried
