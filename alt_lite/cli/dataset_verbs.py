"""Verbs about sets of training rows: data build, data inspect, data generate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from alt_lite import config
from alt_lite.cli.run_verbs import Name, Overrides
from alt_lite.config.listed import joined
from alt_lite.console import emit, json_line, results, say
from alt_lite.data.rows import TrainingRow
from alt_lite.errors import UserError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Training sets: build AltTrain's, look into one, let a model write one.")

Tokenizer = Annotated[Path | None, typer.Option(help="a tokenizer's folder, to count tokens")]
Against = Annotated[list[str] | None, typer.Option(help="benchmark, hub id, file, or tiny: prompts that must not be trained on; repeatable")]
Columns = Annotated[list[str] | None, typer.Option(help="ours=theirs of the source, e.g. prompt=question; label=harmful for a set of one label; repeatable")]
RecipeName = Annotated[str | None, typer.Option("--recipe", help="a recipe whose model, tokenizer and endpoint are used")]


@app.command()
def build(
    overrides: Overrides = None,
    source: Annotated[str, typer.Option("--from", help="safechain, star1, lrm_study, r1act, self_instruct, self_instruct_user, gsm8k_train, a hub id, a file or a folder")] = "safechain",
    benign_from: Annotated[list[str] | None, typer.Option(help="further source of benign rows, NAME or NAME:WEIGHT; harmful rows alone then come from --from; repeatable")] = None,
    path: Annotated[Path | None, typer.Option(help="a local copy of the source; with --benign-from a folder of copies NAME.jsonl, too")] = None,
    revision: Annotated[str | None, typer.Option(help="hub commit of the source")] = None,
    column: Columns = None,
    harmful: Annotated[int, typer.Option(min=0, help="harmful rows")] = 900,
    benign: Annotated[int, typer.Option(min=0, help="benign rows")] = 100,
    untraced: Annotated[Literal["leave_out", "template"], typer.Option(help="rows without a trace: left out, or their missing steps are written by template")] = "leave_out",
    longest: Annotated[int | None, typer.Option(min=1, help="most words of a row, its prompt and what is trained of it; default: any")] = None,
    adversarial: Annotated[float | None, typer.Option(min=0, max=1, help="share of adversarial prompts; default: the source's")] = None,
    seed: Annotated[int, typer.Option(min=0, help="which rows")] = 1995,
    assessor: Annotated[Literal["self", "endpoint", "template"] | None, typer.Option(help="who writes assessments; default: self on a GPU, endpoint where endpoint.url is given, else template")] = None,
    against: Against = None,
    recipe: RecipeName = None,
    tokenizer: Tokenizer = None,
    out: Annotated[Path | None, typer.Option(help="the set's folder; default data/NAME")] = None,
) -> None:
    """Build AltTrain's training set: train.jsonl and a data card."""
    from alt_lite import dataset
    from alt_lite.decide import decide
    from alt_lite.model import backend
    from alt_lite.settle import settled

    if path is None and Path(source).expanduser().exists() and not (benign_from and Path(source).expanduser().is_dir()):
        path = Path(source)  # a set to build from, even where it is a JSONL, which a recipe takes for finished rows
    pairs = {
        "source": source, "path": path and path.expanduser(), "revision": revision, "columns": joined(column) if column else None, "harmful": harmful, "benign": benign,
        "adversarial": adversarial, "seed": seed, "benign_from": joined(benign_from) if benign_from else None, "untraced": untraced, "longest": longest, "assessor": assessor, "against": joined(against) if against else None,
    }
    given = [f"data.{key}={value}" for key, value in pairs.items() if value is not None]
    resolved = config.load_recipe(recipe or "r1_1_5b", [*given, *(overrides or [])])
    backend.prepare_environment()
    if recipe is None and resolved.data.assessor == "self":
        raise UserError("no model is named to write the assessments", "--recipe NAME, or --assessor template")
    if resolved.data.assessor == "self":
        resolved = settled(resolved)
    tokens = _tokens(resolved, tokenizer, recipe)
    writer = resolved.data.assessor or ("endpoint" if resolved.endpoint.url else "template")
    if recipe and resolved.builds_rows:
        decision = decide(resolved, backend.device(resolved))["data.assessor"]
        writer = decision.value
        say(str(decision))
    elif resolved.builds_rows and resolved.data.assessor is None and writer == "template":
        say("data.assessor = template: no --recipe or endpoint.url names a model to write the assessments")
    folder = out.expanduser() if out else Path("data") / dataset.set_name(resolved, writer)
    if (folder / dataset.ROWS).exists():
        raise UserError(f"{folder} holds a set already", "another --out, or remove that folder")
    rows = dataset.build(resolved, writer, folder, tokens)
    emit(str(folder / dataset.ROWS))
    say(f"next: python -m alt_lite data inspect {folder / dataset.ROWS}; train on it with data.source={folder / dataset.ROWS} ({len(rows)} rows)")


def _tokens(resolved: config.Recipe, tokenizer: Path | None, asked: str | None) -> Any:
    """The tokenizer that lengths are counted with: a folder's, the recipe's, or none."""
    from alt_lite.tokens import tokenizer as tokenizers_io

    if tokenizer:
        return tokenizers_io.load_plain(tokenizer.expanduser())
    if asked is None:
        say("lengths are in words: --tokenizer DIR or --recipe NAME counts tokens")
        return None
    from alt_lite.model.load import load_tokens

    return load_tokens(resolved.model)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="JSONL of TrainingRows; or a set of prompts and responses: JSONL, JSON, CSV, Parquet, a folder")],
    overrides: Overrides = None,
    recipe: RecipeName = None,
    tokenizer: Tokenizer = None,
    against: Against = None,
    column: Columns = None,
    most: Annotated[int, typer.Option(min=1, help="rows looked at of a set that is no TrainingRows, evenly spread over it")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="all facts as one JSON object")] = False,
) -> None:
    """Show what a set holds: schema, labels, lengths, duplicates, overlap, structure, one coloured example."""
    from alt_lite.data.inspection import facts
    from alt_lite.dataset import evaluation_prompts
    from alt_lite.families import FAMILIES
    from alt_lite.model.backend import prepare_environment
    from alt_lite.model.load import load_tokens
    from alt_lite.report import inspection
    from alt_lite.tokens import tokenizer as tokenizers_io
    from alt_lite.tokens.encode import encode_rows

    resolved = config.load_recipe(recipe or "tiny", overrides or [])
    prepare_environment()
    rows, schema, dropped = _rows_of(file.expanduser(), column or [], most)
    tokens = tokenizers_io.load(tokenizer.expanduser(), FAMILIES.get(resolved.model.family) if recipe else None) if tokenizer else load_tokens(resolved.model)
    if not (tokenizer or recipe):
        say("tokens are the embedded model's, which are shorter than a real model's: --recipe NAME or --tokenizer DIR counts yours")
    limit = resolved.model.max_length if tokenizer or recipe else None
    overlap, unchecked = evaluation_prompts(against or resolved.data.against, resolved.eval.data)
    found = {"schema": schema, "unusable": dropped, **facts(rows, overlap)}
    target = resolved.data.target
    if found["targets"][target] < len(rows):
        target = max(found["targets"], key=lambda kind: found["targets"][kind])
        say(f"not every row can be written as {resolved.data.target}; lengths and example are of the target {target}")
    encoded = encode_rows(tokens, rows, target, None, resolved.data.answer) if found["targets"][target] == len(rows) else []
    found["lengths"] = inspection.lengths([len(row.input_ids) for row in encoded], [row.trained for row in encoded], limit)
    found["target"], found["overlap_checked"], found["overlap_unchecked"] = target, overlap.counts, unchecked
    if as_json:
        emit(json_line(found))
    else:
        inspection.show(found, [len(row.input_ids) for row in encoded], results, tokens, encoded[:1])


def _rows_of(file: Path, column: list[str], most: int) -> tuple[list[TrainingRow], dict[str, str], dict[str, int]]:
    """Read TrainingRows, or make rows of another set: (rows, schema, unusable rows by reason)."""
    from alt_lite.config.peek import are_training_rows
    from alt_lite.data import alttrain
    from alt_lite.data.report import texts
    from alt_lite.data.rows import read_training_rows
    from alt_lite.data.sources import Place, open_table, parse_columns
    from alt_lite.families import ALL_CONTROLS

    if not column and are_training_rows(file):
        return read_training_rows(file), {name: str(field.annotation) for name, field in TrainingRow.model_fields.items()}, {}
    table = open_table(Place(str(file), file, columns=parse_columns(column)), ("prompt", "response", "label"))
    counts = alttrain.Counts()
    rows = alttrain.convert(table, ALL_CONTROLS, most, counts)
    say(f"{file} holds prompts and responses: {len(rows):,} rows made of {len(table):,} to look at, with template assessments")
    for what, number in texts(table, counts).items():
        say(f"data: {number:,} row{'s' if number != 1 else ''}: {what}")
    if not rows:
        raise UserError(f"{file} holds no usable row: {', '.join(f'{why} {n}' for why, n in counts.dropped.items())}", "give a set whose responses hold a trace and an answer")
    return rows, {name: str(getattr(kind, "dtype", kind)) for name, kind in table.data.features.items()}, dict(counts.dropped)


@app.command()
def generate(
    name: Name, overrides: Overrides = None,
    method: Annotated[
        Literal["thinksafe", "unsteered", "short"],
        typer.Option(help="thinksafe: whole responses, harmful prompts steered to refusal; unsteered: all prompts as they are; short: short traces for the target short"),
    ] = "thinksafe",
    rows: Annotated[Path | None, typer.Option(help="JSONL of TrainingRows whose prompts are asked; default: the recipe's")] = None,
    model: Annotated[str | None, typer.Option(help="a model's folder in place of the recipe's model")] = None,
    guard: Annotated[str | None, typer.Option(help="URL of a guard model's server; refusal: the refusal rules, where no guard can be had; world: the embedded world's exact judge; none")] = None,
    guard_model: Annotated[str | None, typer.Option(help="the guard model's name there")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="(ThinkSafe: 0.6)")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, help="(ThinkSafe: 0.95)")] = 0.95,
    top_k: Annotated[int | None, typer.Option(min=0, help="0: off (ThinkSafe: 20 for Qwen3, off for R1)")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="(ThinkSafe: 16,384)")] = None,
    seed: Annotated[int, typer.Option(min=0, help="each row's noise comes of it and the row")] = 42,
    limit: Annotated[int | None, typer.Option(min=1, help="rows; default: all")] = None,
    out: Annotated[Path | None, typer.Option(help="the set's folder; default runs/generate_NAME_METHOD")] = None,
) -> None:
    """Let a model write its own training data (ThinkSafe); goes on where it stopped."""
    from alt_lite import selfdata
    from alt_lite.data.rows import read_training_rows
    from alt_lite.dataset import rows_for
    from alt_lite.families import FAMILIES
    from alt_lite.generate.engine import Decoding
    from alt_lite.model import backend
    from alt_lite.settle import settled

    resolved = config.load_recipe(name, [*([f"model.name={model}"] if model else []), *(overrides or [])])
    backend.prepare_environment()
    judge = _guard(guard or ("world" if resolved.data.source == "tiny" else None), guard_model, resolved)
    if not resolved.endpoint.url:  # else the model is on the server
        backend.require_fit(resolved, backend.device(resolved))
        resolved = settled(resolved)
    asked = (read_training_rows(rows.expanduser()) if rows else rows_for(resolved, look=True))[:limit]
    chosen_k = top_k if top_k is not None else (family.sampling.top_k if (family := FAMILIES.get(resolved.model.family)) else None) or 0
    room = min(selfdata.PUBLISHED.max_new_tokens, resolved.model.max_length or 16384)
    decoding = Decoding(max_new_tokens or room, temperature, top_p, chosen_k or None)
    if max_new_tokens is None and room < 16384:
        say(f"generate: {room} new tokens at most, the recipe's model.max_length (ThinkSafe: 16,384)")
    folder = out.expanduser() if out else Path("runs") / f"generate_{resolved.name}_{method}"
    selfdata.generate(resolved, asked, method, decoding, judge, folder, seed)
    emit(str(folder / selfdata.ROWS))
    target = "short" if method == "short" else "natural"
    say(f"next: python -m alt_lite.recipe {name} data.source={folder / selfdata.ROWS} data.target={target}")


def _guard(guard: str | None, model: str | None, resolved: config.Recipe) -> Any:
    """The guard that is asked for, with its name; None for none."""
    from alt_lite.evals.judging import guards

    if guard is None:
        raise UserError("no guard is named, which keeps unsafe samples out", "--guard URL of a served Qwen3Guard-Gen or Llama-Guard-3; --guard refusal keeps refusals of harmful and answers to benign prompts; or --guard none")
    if guard == "none":
        return None
    if guard == "refusal":
        say("generate: no guard model: the refusal rules keep whole refusals of harmful prompts and answers to benign ones; what an answer says they do not judge")
        return guards.BY_REFUSAL, guards.from_judge(guards.by_refusal)
    if guard == "world":
        from alt_lite.tiny.judge import guard as world

        return "world_guard@1", guards.from_judge(world)
    from alt_lite.dataset import endpoint_of

    section = resolved.endpoint.model_copy(update={"url": guard, "model": model})
    server = endpoint_of(replace(resolved, endpoint=section), "--guard-model")
    return f"served_guard@1:{server.model}", guards.served(server)
