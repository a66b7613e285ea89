"""Verbs about rows and traces: mask, structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from alt_lite import config
from alt_lite.cli.run_verbs import Name, Overrides
from alt_lite.console import emit, json_line, results
from alt_lite.data.rows import read_jsonl, read_training_rows, summarise
from alt_lite.errors import UserError
from alt_lite.method.structure import describe, split_completion


def register(app: typer.Typer) -> None:
    for verb in (mask, structure):
        app.command()(verb)


def mask(
    name: Name, overrides: Overrides = None,
    rows: Annotated[Path | None, typer.Option(help="a JSONL file of TrainingRows; default: the recipe's own")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="a tokenizer's folder; default: the model's")] = None,
    n: Annotated[int, typer.Option(min=1, help="rows shown")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="id, input_ids and labels per line")] = False,
) -> None:
    """Show what training would see of a row: what is trained in green, the prompt dim."""
    from alt_lite.dataset import rows_for
    from alt_lite.model.backend import prepare_environment
    from alt_lite.report.tables import coloured_row
    from alt_lite.tokens import tokenizer as tokenizers_io
    from alt_lite.tokens.encode import encode_rows
    from alt_lite.tokens.families import FAMILIES

    recipe = config.load_recipe(name, overrides or [])
    prepare_environment()
    if tokenizer:
        tokens = tokenizers_io.load(tokenizer, FAMILIES[recipe.model.family])
    else:
        from alt_lite.model.load import load_tokens

        tokens = load_tokens(recipe.model)
    picked = (read_training_rows(rows) if rows else rows_for(recipe, look=True))[:n]
    for encoded in encode_rows(tokens, picked, recipe.data.target, recipe.model.max_length, recipe.data.answer):
        if as_json:
            line = {"id": encoded.id, "input_ids": encoded.input_ids, "labels": encoded.labels}
            emit(json_line(line))
        else:
            results.print(coloured_row(tokens, encoded))


def structure(
    file: Annotated[Path, typer.Argument(help="JSONL with id, prompt and completion, or trace and answer")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
) -> None:
    """Find the steps of reasoning traces: understanding, assessment, solving, refusing."""
    lines = read_jsonl(file)
    found = [{"id": row["id"], **describe(row["trace"])} for row in with_parts(file, lines)]
    if as_json:
        for line in found:
            emit(json_line(line))
        return
    table = Table("id", "verdict", "order", "assessment at", box=None)
    for line in found:
        place: Any = line["assessment_position"]
        order: Any = line["order"]
        cells = (line["id"], line["verdict"] or "–", " → ".join(order or ()) or "–", "–" if place is None else f"{place:.0%}")
        table.add_row(*(Text(str(cell)) for cell in cells))
    results.print(table)


def with_parts(file: Path, lines: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Complete rows of `structure` and `judge`: id, trace, answer; every bad row is named at once.

    Raises:
        UserError: a row has neither a completion nor a trace or an answer, or a field is no text.
    """
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    for number, row in lines:
        fields = {key: row.get(key) for key in ("completion", "trace", "answer")}
        wrong = [key for key, value in fields.items() if value is not None and not isinstance(value, str)]
        if wrong:
            bad.append(f"line {number}: {wrong[0]!r} is not text")
            continue
        if fields["completion"] is not None:
            # A completion after a prompt that opened the trace holds `</think>` alone.
            trace, answer = split_completion(fields["completion"], prompt_opened_trace=False)
        elif fields["trace"] is not None or fields["answer"] is not None:
            trace, answer = fields["trace"], fields["answer"]
        else:
            bad.append(f"line {number}: neither 'completion' nor 'trace' and 'answer'")
            continue
        rows.append({"finish": "stop", "reference": None, "label": None, **row, "id": row.get("id", f"line-{number}"), "trace": trace, "answer": answer})
    if bad:
        raise UserError(f"{file}: {summarise(bad)}", "give each line id, prompt and a completion, or trace and answer")
    return rows
