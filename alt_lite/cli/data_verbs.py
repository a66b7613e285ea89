"""Verbs about rows and traces: mask, structure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from alt_lite import config
from alt_lite.cli.run_verbs import Overrides
from alt_lite.console import emit, json_line, results, say
from alt_lite.data.rows import read_jsonl, read_training_rows, summarise
from alt_lite.errors import UserError
from alt_lite.families.splitting import split_completion
from alt_lite.method.structure import describe
from alt_lite.method.targets import TARGETS

if TYPE_CHECKING:
    from alt_lite.tokens.encode import Encoded
    from alt_lite.tokens.tokenizer import Tokens


def register(app: typer.Typer) -> None:
    for verb in (mask, structure):
        app.command()(verb)


def mask(
    name: Annotated[str | None, typer.Argument(help="a recipe's name or path; not needed with --model and --data")] = None,
    overrides: Overrides = None,
    model: Annotated[str | None, typer.Option(help="a model's folder, GGUF file or hub id, of which tokenizer, chat template and config.json are read")] = None,
    data: Annotated[Path | None, typer.Option(help="anybody's rows: prompts and responses, conversations, or TrainingRows")] = None,
    column: Annotated[list[str] | None, typer.Option(help="ours=theirs, for --data: prompt, response, messages, trace, system, history")] = None,
    rows: Annotated[Path | None, typer.Option(help="a JSONL file of TrainingRows; default: the recipe's own")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="a tokenizer's folder; default: the model's")] = None,
    n: Annotated[int, typer.Option(min=1, help="rows shown")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="id, input_ids and labels per line")] = False,
) -> None:
    """Show what training would see of a row, prompt and trained part apart.

    `mask --model MODEL --data FILE` shows it for any model and anybody's rows, without a recipe.
    """
    from alt_lite.families import FAMILIES
    from alt_lite.model.backend import prepare_environment
    from alt_lite.model.load import load_tokens
    from alt_lite.report.tables import coloured_row
    from alt_lite.tokens import tokenizer as tokenizers_io

    if name and "=" in name:  # the first override, where no recipe is named
        name, overrides = None, [name, *(overrides or [])]
    if not name and not (data and (model or tokenizer)):
        raise UserError("whose rows, and which model?", "mask NAME of a recipe, or mask --model MODEL --data FILE")
    if data and not data.expanduser().exists():  # before a hub is asked for the model
        raise UserError(f"no such file: {data}", "the path of a JSONL, JSON, CSV or Parquet file, or of a folder of such files")
    given = [*([f"model.name={model}"] if model else []), *(["model.family=auto"] if model or not name else [])]
    recipe = config.load_recipe(name or "r1_1_5b", [*given, *(overrides or [])])
    prepare_environment()
    tokens = tokenizers_io.load(tokenizer.expanduser(), FAMILIES.get(recipe.model.family), recipe.model.name) if tokenizer else load_tokens(recipe.model)
    if recipe.model.family == "auto":
        say(f"model.family = {tokens.family.name}: {tokens.reason}")
    shown = 0
    for encoded in _masked(recipe, tokens, data.expanduser() if data else None, column or [], rows, n):
        shown += 1
        if as_json:
            emit(json_line({"id": encoded.id, "input_ids": encoded.input_ids, "labels": encoded.labels}))
        else:
            results.print(coloured_row(tokens, encoded))
    if not shown:
        raise UserError("no row can be trained on", "the reasons stand above; data.target=NAME chooses another target")


def _masked(recipe: config.Recipe, tokens: Tokens, data: Path | None, column: list[str], rows: Path | None, n: int) -> Iterator[Encoded]:
    """Encode the first `n` rows: the recipe's or a file's for its target, anybody's as they stand unless a target is named."""
    from alt_lite.config.peek import are_training_rows
    from alt_lite.data import spoken
    from alt_lite.data.report import written_otherwise
    from alt_lite.data.sources import Place, open_table, parse_columns
    from alt_lite.dataset import rows_for
    from alt_lite.tokens.encode import encode_row, encode_rows

    target, answer = recipe.data.target, recipe.data.answer
    if data is None or (not column and are_training_rows(data)):
        picked = read_training_rows(data or rows) if data or rows else rows_for(recipe, look=True)
        for line in written_otherwise(picked, target, not (data or rows) and recipe.builds_rows and recipe.data.untraced == "template"):
            say(f"mask: {line}")
        yield from encode_rows(tokens, picked[:n], target, recipe.model.max_length, answer)
        return
    asked = recipe.origin["data.target"] == "command line"
    if asked and set(TARGETS[target].needs) - {"source_trace", "source_answer"}:
        raise UserError(
            f"data.target={target} writes steps, which rows as they stand do not have", f"data.source={data} in a recipe builds a set of them; data.target=natural or no_cot shows them as they are"
        )
    table, untraced = open_table(Place(str(data), data, columns=parse_columns(column)), ("prompt", "response")), 0
    shown = 0
    for name, row in spoken.rows(table):
        if shown == n:
            break
        try:
            if isinstance(row, str):
                raise ValueError(row)
            encoded = encode_row(tokens, row, target if asked else "natural" if row.source_trace else "no_cot", answer)
            untraced += not row.source_trace
        except ValueError as error:
            say(f"mask: {name} is not shown: {error}")
            continue
        shown += 1
        yield encoded
    if untraced and not asked:
        say(f"mask: {untraced} of these rows have no trace: an empty one stands before their answer (data.target=no_cot)")


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
        if fields["completion"] is not None and fields["trace"] is fields["answer"] is None:
            # A completion after a prompt that opened the trace holds `</think>` alone, or no tag where it was cut inside
            # the trace: a run's rows tell that by their parts.
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
