"""A model writes its own training rows: sample, let a guard judge, keep the safe ones; resumable at any row.

    python -m alt_lite data generate tiny --limit 40
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.config import Recipe
from alt_lite.console import progress, say
from alt_lite.data.carding import row_lengths
from alt_lite.data.rows import TrainingRow, content_id, dump_rows
from alt_lite.data.sampled import Method, Sample, before_guard, messages, row_seed, select
from alt_lite.dataset import endpoint_of
from alt_lite.errors import UserError
from alt_lite.generate.engine import Ask, Decoding, Engine, Response, here, served
from alt_lite.rundir import RunDir, append_jsonl, read_rows, set_aside, write_jsonl, write_text

if TYPE_CHECKING:
    from alt_lite.evals.judging.guards import Guard

RESPONSES, VERDICTS, ROWS, CARD = "responses.jsonl", "verdicts.jsonl", "train.jsonl", "card.md"
# ThinkSafe's sampling (arXiv 2601.23143, code); `top_k` is 20 for Qwen3, off for R1. The seed is that of
# its training: that of its sampling is not published.
PUBLISHED = Decoding(max_new_tokens=16384, temperature=0.6, top_p=0.95)
SEED = 42


def generate(
    recipe: Recipe, rows: Sequence[TrainingRow], method: Method, decoding: Decoding, guard: tuple[str, Guard] | None, out: Path, seed: int = SEED,
) -> list[TrainingRow]:
    """Sample one response per row, from `endpoint.url` where it is given, else from the recipe's model;
    write `responses.jsonl`, `verdicts.jsonl`, then `card.md` and `train.jsonl`.

    Raises:
        UserError: model, server or guard cannot be had, or no sample is kept.
    """
    with RunDir(out).locked():
        return _generate(recipe, rows, method, decoding, guard, out, seed)


def _generate(
    recipe: Recipe, rows: Sequence[TrainingRow], method: Method, decoding: Decoding, guard: tuple[str, Guard] | None, out: Path, seed: int
) -> list[TrainingRow]:
    who, engine, controls, tokens = _model(recipe)
    wanted = {content_id(who, messages(row, method), vars(decoding), row_seed(row, seed)): row for row in rows}
    kept = set_aside(out / RESPONSES, wanted, "generate")
    write_jsonl(out / RESPONSES, kept)
    have = {line["id"] for line in kept}
    missing = [(id_, row) for id_, row in wanted.items() if id_ not in have]
    with progress(f"generate ({method}, {who})", len(wanted)) as bar:
        bar(len(have), "")
        asked = [Ask(messages(row, method), row_seed(row, seed)) for _, row in missing]
        for batch in engine(asked, decoding) if asked else ():
            append_jsonl(out / RESPONSES, [_line(*missing[made.index], asked[made.index], made) for made in batch])
            have |= {missing[made.index][0] for made in batch}
            bar(len(have), "")
    responses = [line for line in read_rows(out / RESPONSES) if line["id"] in wanted]
    for line in responses:
        if line["error"]:
            say(f"generate: row {line['row']}: {line['error']}")
    verdicts = _judge(responses, guard, out, controls)
    samples = {line["row"]: _sample(line) for line in responses}
    by_row = {line["row"]: verdicts.get(line["id"]) if guard else "safe" for line in responses}
    made_rows, taken, dropped = select(rows, samples, by_row, method, f"{method}/{who}", controls)
    for why, number in sorted(dropped.items()):
        say(f"generate: dropped {number} ({why})")
    if not made_rows:
        raise UserError(f"none of {len(responses)} samples was kept", f"look into {out / RESPONSES}; another model, guard or decoding may do")
    settings = {"method": method, "model": who, **vars(decoding), "seed": seed, "samples per prompt": 1, "guard": guard[0] if guard else "none"}
    counts = {"Asked": _labels(rows), "Kept": dict(taken), "Dropped": dict(dropped)}
    write_text(out / CARD, _card(recipe, made_rows, settings, counts, tokens))
    write_text(out / ROWS, dump_rows(made_rows))
    say(f"generate: kept {len(made_rows)} of {len(responses)} samples in {out / ROWS}")
    return made_rows


def _sample(line: dict[str, Any]) -> Sample:
    # Without `</think>` a text is all trace, or all answer: it was not closed.
    closed = line["trace"] is not None and line["answer"] is not None
    return Sample(line["trace"] if closed else None, line["answer"], line["finish"])


def _labels(rows: Sequence[TrainingRow]) -> dict[str, int]:
    return {label: count for label in ("harmful", "benign") if (count := sum(row.label == label for row in rows))}


def _judge(responses: list[dict[str, Any]], guard: tuple[str, Guard] | None, out: Path, controls: Any) -> dict[str, str | None]:
    if guard is None:
        say("generate: --guard none: nothing checks whether samples are safe")
        return {}
    name, judge = guard
    known = {line["id"] for line in responses}
    kept = [line for line in read_rows(out / VERDICTS) if line["guard"] == name and line["id"] in known and line["verdict"]]
    write_jsonl(out / VERDICTS, kept)
    verdicts: dict[str, str | None] = {line["id"]: line["verdict"] for line in kept}
    judged = [
        line for line in responses
        if line["id"] not in verdicts and not before_guard(_sample(line), controls)
    ]
    with progress(f"generate: guard {name}", len(judged)) as bar:
        for done, (number, verdict, score) in enumerate(judge(judged), 1):
            id_ = judged[number]["id"]
            append_jsonl(out / VERDICTS, [{"id": id_, "guard": name, "verdict": verdict, "score": score}])
            verdicts[id_] = verdict
            bar(done, "")
    return verdicts


def _model(recipe: Recipe) -> tuple[str, Engine, frozenset[str], Any]:
    """Who samples: (name, engine, control texts, tokenizer where there is one here)."""
    from alt_lite.families import ALL_CONTROLS, FAMILIES

    if recipe.endpoint.url:
        server = endpoint_of(recipe)
        say("generate: through an endpoint, control tokens in a user's text cannot be kept apart from the template's own")
        return f"{server.model}@{server.url}", served(server, FAMILIES.get(recipe.model.family)), frozenset(ALL_CONTROLS), None
    from alt_lite.decide import chosen, decide
    from alt_lite.model import backend, load

    device = backend.device(recipe)
    decisions = decide(recipe, device)
    source, tokens = load.model_folder(recipe.model), load.load_tokens(recipe.model)
    precision = chosen(decisions, "eval.precision")

    def loaded() -> Any:
        return load.load_quantized(source, device) if precision == "4bit" else load.load_full(source, device)

    name = f"{recipe.model.name}:{load.weights_digest(source)}:{precision}"
    return name, here(tokens, loaded, chosen(decisions, "eval.batch_size")), tokens.controls, tokens


def _line(id_: str, row: TrainingRow, asked: Ask, made: Response) -> dict[str, Any]:
    # A guard judges the answer to the original prompt, not to the steered one.
    return {
        "id": id_, "row": row.id, "label": row.label, "asked": list(asked.messages), "messages": [{"role": "user", "content": row.prompt}],
        "completion": made.text, "trace": made.trace, "answer": made.answer, "n_tokens": made.n_tokens, "finish": made.finish,
        "error": made.error, "reference": None,
    }


def _card(recipe: Recipe, rows: Sequence[TrainingRow], settings: dict[str, Any], counts: dict[str, dict[str, int]], tokens: Any) -> str:
    from alt_lite.data.card import Card, render

    lengths, unit = row_lengths(rows, tokens)
    return render(Card(f"{recipe.name}, {settings['method']}", recipe.data.source, settings, counts, lengths, unit))
