"""The training rows of a recipe: what its source stands for, built on first use and kept.

A set is built in a folder of the cache (`ALT_LITE_CACHE`, else `~/.cache/alt_lite`) named by all that
determines it, so that every run and every target of an ablation trains on the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.config import Recipe, mixing
from alt_lite.config.peek import names_gguf
from alt_lite.console import progress, say
from alt_lite.data import cache
from alt_lite.data.rows import TrainingRow, content_id, dump_rows, read_training_rows
from alt_lite.errors import OutOfTime, UserError
from alt_lite.method import wording
from alt_lite.rundir import append_jsonl, path_digest, places_of, read_json, read_rows, write_jsonl, write_text

if TYPE_CHECKING:
    from alt_lite.data.alttrain import Assessor, Counts
    from alt_lite.data.overlap import Overlap
    from alt_lite.generate.engine import Engine
    from alt_lite.tokens.tokenizer import Plain, Tokens

ROWS, CARD, ASSESSMENTS, UNCHECKED = "train.jsonl", "card.md", "assessments.jsonl", "unchecked.json"
Stop = Callable[[], bool]
# Conversations → (number of the conversation, reply), in any order.
Writer = Callable[[list[list[dict[str, str]]]], Iterator[tuple[int, str]]]
# Part of every set's name: a change of how sets are built makes new ones.
_VERSION = 2
# Sets of this process of which it was said that their overlap with an evaluation was not checked.
_TOLD: set[Path] = set()
_ASSESS_TOKENS = 1024
_LONGEST_NAME = 80  # characters of a set's sources


def rows_for(
    recipe: Recipe, assessor: str | None = None, tokens: Tokens | Plain | None = None, look: bool = False, stop: Stop = lambda: False
) -> list[TrainingRow]:
    """Give the training rows that the recipe's source stands for.

    Args:
        recipe: of which the sections data, model and endpoint are read.
        assessor: who writes assessments where a set is built; None: the recipe's, else the template.
        tokens: counts tokens for the data card.
        look: the rows are wanted for a look only; where a model would have to write the assessments,
            the template's stand in for them.
        stop: asked between replies of a model that writes assessments.

    Raises:
        UserError: the source cannot be had or its rows are not usable.
        OutOfTime: `stop` said so; what was written is kept.
    """
    source = recipe.data.source
    if source == "tiny":
        rows = _tiny_rows(recipe)
    elif not recipe.builds_rows and source != "r1act":
        rows = read_training_rows(Path(source))
    else:
        rows = _built(recipe, assessor or recipe.data.assessor or "template", tokens, look, stop)
    system = system_prompt(recipe)
    return [row if row.system else row.model_copy(update={"system": system}) for row in rows] if system else rows


def system_prompt(recipe: Recipe) -> str | None:
    """The system prompt of every row: the recipe's; R1-Act's own for its set, by the model's family."""
    if recipe.data.system or recipe.data.source != "r1act":
        return recipe.data.system
    name = Path(recipe.model.name).name if names_gguf(recipe.model.name) else recipe.model.name  # its folder may be llama.cpp's
    return wording.R1ACT_SYSTEM["llama" if "llama" in name.lower() else "qwen"]


def _tiny_rows(recipe: Recipe) -> list[TrainingRow]:
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import training_rows

    data = recipe.data
    rows = training_rows(Split(data.split_seed), data.harmful, data.benign, data.skills, data.seed)
    if not rows:
        raise UserError("data.harmful, data.benign and data.skills are all 0", "ask for at least one row")
    return rows


def _built(recipe: Recipe, assessor: str, tokens: Tokens | Plain | None, look: bool, stop: Stop) -> list[TrainingRow]:
    folder = set_folder(recipe, assessor)
    if (folder / ROWS).is_file():
        say(f"data: the set in {folder}, built before")
        unchecked = read_json(folder / UNCHECKED) if (folder / UNCHECKED).is_file() else {}
        if unchecked and folder not in _TOLD:
            _TOLD.add(folder)
            say(f"data: its overlap with {', '.join(unchecked)} was NOT checked when it was built; remove that folder to build it again")
        return _fit(recipe, read_training_rows(folder / ROWS))
    if look and assessor != "template":
        say(f"data: looked at with template assessments; {assessor} writes its own when the set is built")
        return _built(recipe, "template", tokens, look, stop)
    return build(recipe, assessor, folder, tokens, stop)


def _fit(recipe: Recipe, rows: list[TrainingRow]) -> list[TrainingRow]:
    """Rows that were built for another target may lack the traces that this one needs.

    Raises:
        UserError: they do.
    """
    from alt_lite.method.targets import needs_trace

    target = recipe.data.target
    lacking = sum(not row.understanding and needs_trace(target, row.label) for row in rows)
    if lacking and recipe.builds_rows:
        raise UserError(f"{lacking} of the set's {len(rows)} rows have no trace, which the target {target} needs", "data.target=no_cot, data.untraced=template, fewer rows (data.harmful, data.benign), or a source with traces")
    return rows


def set_name(recipe: Recipe, assessor: str) -> str:
    """Name a set by its sources, its counts, its assessor and its seed."""
    data = recipe.data
    source = _short(data.source)
    if data.benign_from:
        named = "+".join([source, *(_short(mixing.further(text).name) for text in data.benign_from)])
        source = named if len(named) <= _LONGEST_NAME else f"{source}+{len(data.benign_from)}"
    return f"{source}_{data.harmful}h_{data.benign}b_{assessor}_seed{data.seed}"


def _short(source: str) -> str:
    return Path(source).stem if Path(source).suffix else Path(source).name if Path(source).is_absolute() else source.replace("/", "_")


def set_folder(recipe: Recipe, assessor: str) -> Path:
    """Where a set is kept: its name, with a hash of all that determines it."""
    data = recipe.section("data")
    kept = {key: data[key] for key in ("source", "revision", "columns", "harmful", "benign", "adversarial", "seed", "against")}
    # Left out where they change nothing, so that the sets of versions without them are found again.
    kept |= {key: data[key] for key in ("benign_from", "untraced", "longest") if data[key] != type(recipe.data).model_fields[key].default and data[key]}
    writer = {"self": [recipe.model.name, recipe.model.revision], "endpoint": [recipe.endpoint.url, recipe.endpoint.model]}.get(assessor)
    files = [path_digest(Path(name)) for name in (*places_of(recipe), *recipe.data.against)]
    return cache.root() / "sets" / f"{set_name(recipe, assessor)}_{content_id(_VERSION, kept, writer, files)}"


def build(recipe: Recipe, assessor: str, folder: Path, tokens: Tokens | Plain | None = None, stop: Stop = lambda: False) -> list[TrainingRow]:
    """Build a set into `folder`: `train.jsonl`, written last, and `card.md` beside it; assessments of a
    model are kept as they come, so that the same call goes on where it was stopped.

    Raises:
        UserError: the source or the assessor cannot be had, or has too few usable rows.
    """
    from alt_lite.data import alttrain, mixture
    from alt_lite.data.card import render
    from alt_lite.data.carding import made_card
    from alt_lite.families import ALL_CONTROLS

    data = recipe.data
    sources = mixture.opened(recipe)
    origins = ", ".join(f"{source.table.origin} ({len(source.table):,} rows)" for source in sources)
    say(f"data: building {set_name(recipe, assessor)} from {origins}")
    overlap, unchecked = evaluation_prompts(data.against, recipe.eval.data)
    controls = tokens.controls if tokens else frozenset(ALL_CONTROLS)
    if data.source == "r1act":
        (source,) = sources
        rows = [alttrain.act_row(c, source.table.response(c.index), source.table) for c in alttrain.candidates(source.table, source.counts)]
        for row in rows:
            if hit := overlap.find(row.prompt):
                source.counts.overlap[f"{hit[0]} ({hit[1]}), kept as published"] += 1
    else:
        plan = alttrain.Plan(data.seed, data.adversarial, data.target, data.untraced, data.longest)
        with progress("data: select", data.harmful + data.benign) as bar:
            rows = alttrain.select(sources, plan, overlap, controls, bar)
        if not rows:
            raise UserError("data.harmful and data.benign are both 0", "ask for at least one row")
        for line in mixture.told(sources):
            say(f"data: {line}")
        folder.mkdir(parents=True, exist_ok=True)  # before the long part
        rows = _assessed(recipe, assessor, rows, folder, controls, sources[0].counts, stop)
    _TOLD.update([folder] if unchecked else [])
    card = made_card(recipe, set_name(recipe, assessor), assessor, sources, rows, overlap, unchecked, tokens)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / UNCHECKED, json.dumps(unchecked))
    write_text(folder / CARD, render(card))
    write_text(folder / ROWS, dump_rows(rows))
    left_out = sum(sum(source.counts.dropped.values()) + sum(source.counts.overlap.values()) for source in sources)
    say(f"data: {len(rows):,} rows, {left_out:,} of those looked at left out; why stands in {folder / CARD}")
    return rows


def evaluation_prompts(names: Sequence[str], copies: str | None = None) -> tuple[Overlap, dict[str, str]]:
    """Load the prompts that training rows must not overlap with: benchmarks, hub ids, files, `tiny`.

    Benchmarks come from the folder `copies` (eval.data) and from their public places, as in an evaluation. Gives the
    index, and for what could not be had the reason; that is said, too.

    Raises:
        UserError: a file that is named does not exist or is not readable.
    """
    from alt_lite.data.local import is_data
    from alt_lite.data.overlap import Overlap
    from alt_lite.data.places import Reach
    from alt_lite.data.report import prompts
    from alt_lite.data.sources import Place, open_table
    from alt_lite.evals.tasks import TASKS
    from alt_lite.evals.tasks.benchmark import load, local_copy
    from alt_lite.net import Unreachable

    overlap, unchecked, reach = Overlap(), dict[str, str](), Reach()
    for name in names:
        if name == "tiny":
            from alt_lite.tiny.splits import Split
            from alt_lite.tiny.tasks import tasks

            for task in tasks(Split(0), "heldout"):
                overlap.add(f"tiny/{task.name}", (prompt.messages[-1]["content"] for prompt in task.prompts))
        elif Path(name).exists():
            overlap.add(Path(name).stem, prompts(open_table(Place(name))))
        elif name in TASKS:
            local = local_copy(Path(copies), name) if copies else None
            try:
                task, _ = load(TASKS[name], local, None, 0, reach)
            except UserError as error:
                if local:
                    raise
                unchecked[name] = error.message
            else:
                overlap.add(name, (prompt.messages[-1]["content"] for prompt in task.prompts))
        elif "/" not in name or is_data(Path(name)):
            raise UserError(f"data.against: no such file: {name}", f"a file, a hub id, tiny, or one of {', '.join(TASKS)}")
        else:
            try:
                overlap.add(name, prompts(open_table(Place(name))))
            except Unreachable as error:
                unchecked[name] = error.message
    if unchecked:
        say(
            f"data: overlap with {', '.join(unchecked)} NOT checked: {next(iter(unchecked.values()))} (copies in eval.data=FOLDER are read, and data.against "
            "takes local files)"
        )
    return overlap, unchecked


def _assessed(
    recipe: Recipe, assessor: str, rows: list[TrainingRow], folder: Path, controls: Collection[str], counts: Counts, stop: Stop
) -> list[TrainingRow]:
    from alt_lite.data import alttrain

    if assessor == "template":
        counts.assessments["written by the template"] = len(rows)
        return rows
    writers: dict[str, Writer] = {"self": lambda asked: _ask_self(recipe, asked), "endpoint": lambda asked: _ask_endpoint(recipe, asked)}
    with progress(f"data: assess ({assessor})", len(rows)) as bar:
        done = alttrain.assess(rows, _resumable(folder / ASSESSMENTS, _writer_key(recipe, assessor), writers[assessor], bar, stop), controls, counts)
    replaced = sum(number for why, number in counts.assessments.items() if why != "kept")
    if replaced:
        say(f"data: {replaced} of {len(rows)} assessments replaced by the template's: " + ", ".join(f"{why.partition(': ')[2]} {n}" for why, n in counts.assessments.items() if why != "kept"))
    return done


def _writer_key(recipe: Recipe, assessor: str) -> list[Any]:
    """What determines an assessment beside the request."""
    if assessor == "self":
        return [recipe.model.name, recipe.model.revision, recipe.model.load_in_4bit]
    return [recipe.endpoint.url, recipe.endpoint.model]


def _resumable(path: Path, writer: list[Any], write: Writer, bar: Callable[[int, str], None], stop: Stop) -> Assessor:
    """An assessor that keeps every reply as it comes, and asks only for those that are missing."""

    def assessor(rows: Sequence[TrainingRow]) -> Iterator[tuple[int, str]]:
        requests = [wording.assessment_request(row.prompt, row.label) for row in rows]
        keys = [content_id(writer, request) for request in requests]
        # Written whole first: a line that a kill has cut must not be appended to.
        kept = [line for line in read_rows(path) if line["id"] in set(keys)]
        write_jsonl(path, kept)
        have = {line["id"]: line["text"] for line in kept}
        missing = [number for number, key in enumerate(keys) if key not in have]
        yield from ((number, have[key]) for number, key in enumerate(keys) if key in have)
        done = len(rows) - len(missing)
        bar(done, "")
        asked = [[{"role": "user", "content": requests[n]}] for n in missing]
        for index, text in write(asked) if asked else ():
            append_jsonl(path, [{"id": keys[missing[index]], "text": text}])
            done += 1
            bar(done, "")
            yield missing[index], text
            if stop():
                raise OutOfTime

    return assessor


def _ask_self(recipe: Recipe, asked: list[list[dict[str, str]]]) -> Iterator[tuple[int, str]]:
    """The model to be tuned writes, in the precision that it is trained in."""
    from alt_lite.generate.engine import here
    from alt_lite.model import backend, load

    device = backend.device(recipe)
    source = load.model_folder(recipe.model)

    def loaded() -> Any:
        return load.load_quantized(source, device) if recipe.model.load_in_4bit else load.load_full(source, device)

    yield from _replies(here(load.load_tokens(recipe.model), loaded, recipe.eval.batch_size or 16), recipe, asked)


def _ask_endpoint(recipe: Recipe, asked: list[list[dict[str, str]]]) -> Iterator[tuple[int, str]]:
    from alt_lite.generate.engine import served

    yield from _replies(served(endpoint_of(recipe)), recipe, asked)


def _replies(engine: Engine, recipe: Recipe, asked: list[list[dict[str, str]]]) -> Iterator[tuple[int, str]]:
    """The answers, without their traces, as they come.

    Raises:
        UserError: requests failed, after all others have been answered.
    """
    from alt_lite.generate.engine import Ask, Decoding

    decoding = Decoding(min(_ASSESS_TOKENS, recipe.model.max_length or _ASSESS_TOKENS))
    failed: list[str | None] = []
    for batch in engine([Ask(messages) for messages in asked], decoding):
        failed += [reply.error for reply in batch if reply.finish == "error"]
        yield from ((reply.index, reply.answer or "") for reply in batch if reply.finish != "error")
    if failed:
        raise UserError(f"{len(failed)} of {len(asked)} requests failed, the first: {failed[0]}", "the same command asks for these again, the others are kept")


def endpoint_of(recipe: Recipe, key: str = "endpoint.model") -> Any:
    """The recipe's server, with its only model where none is named by `key`.

    Raises:
        UserError: there is no server, or it has several models.
    """
    from alt_lite.generate import endpoint

    section = recipe.endpoint
    if not section.url:
        raise UserError("no endpoint is given", "endpoint.url=http://localhost:8000/v1")
    server = endpoint.Endpoint(section.url, section.model or "", section.key_variable, section.concurrency, timeout=section.timeout)
    models = endpoint.check(server)
    if section.model:
        return server
    if len(models) != 1:
        raise UserError(f"{section.url} names {f'{len(models)} models: ' + ', '.join(models[:5]) if models else 'no model'}", f"{key}=NAME")
    say(f"endpoint: the model {models[0]}, the only one at {section.url}")
    return endpoint.Endpoint(section.url, models[0], section.key_variable, section.concurrency, timeout=section.timeout)
