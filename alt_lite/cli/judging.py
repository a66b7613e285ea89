"""What the verb `judge` does: find the judge that is asked for, complete the rows, judge them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.cli.data_verbs import with_parts
from alt_lite.console import emit, json_line, say
from alt_lite.data.rows import read_jsonl, summarise
from alt_lite.errors import UserError

if TYPE_CHECKING:
    from alt_lite.evals.judging.rejudge import Chosen
    from alt_lite.generate.endpoint import Endpoint

_FIX_URL = "--url http://localhost:8000/v1 --model NAME"


def choose(name: str, url: str | None, model: str | None) -> Chosen:
    """Find a judge: rules by name, a rubric by name (behind `url`), `guard`, or a guard's hub id or folder,
    which is loaded here when it is first needed, or asked behind `url`.

    Raises:
        UserError: there is none of that name, it needs a server or takes none, or the server cannot be used.
    """
    from alt_lite.evals.judging import rubrics
    from alt_lite.evals.judging.judges import JUDGES, find_judge
    from alt_lite.evals.judging.rejudge import Chosen
    from alt_lite.tiny.judge import JUDGES as WORLD

    table: dict[str, Any] = {**JUDGES, **WORLD, **rubrics.RUBRICS, "guard": None}
    known = any(name in (full, full.partition("@")[0]) for full in table)
    if not known and ("/" in name or Path(name).is_dir()):
        return _guard(name, url, model)
    full, found = find_judge(name, table)
    if full == "guard":
        return _guard(None, url, model)
    if full in rubrics.RUBRICS:
        if not url:
            raise UserError(f"{full} asks a model behind a server, and none is given", _FIX_URL)
        server = _server(url, model)
        return Chosen(full, guard=rubrics.judge(full, server), model=server.model, about="harm" if found.harm else "refusal")
    if url or model:
        raise UserError(f"{full} judges by rules and asks no model", f"leave --url and --model out, or name a judge that asks one: guard, {', '.join(rubrics.RUBRICS)}")
    return Chosen(full, rules=found)


def _guard(name: str | None, url: str | None, model: str | None) -> Chosen:
    from alt_lite.evals.judging import guards
    from alt_lite.evals.judging.rejudge import Chosen

    if url:
        server = _server(url, model or name)
        return Chosen(f"{server.model}@1", guard=guards.served(server), model=server.model)
    if model:
        raise UserError("--model names a model behind a server, and none is given", f"{_FIX_URL}, or --judge with the guard's hub id or folder")
    name = name or guards.DEFAULT
    guards.format_of(name)
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise UserError(f"{name} holds no model (no config.json)", "name a guard's complete folder, or its hub id")

    def load_guard() -> tuple[Any, Any]:
        from alt_lite.model import backend, load

        backend.prepare_environment()
        return load.guard(name, backend.device())

    return Chosen(f"{Path(name).name}@1", guard=guards.local(name, load_guard), model=name)


def _server(url: str, model: str | None) -> Endpoint:
    """The server at `url`, with its only model where none is named.

    Raises:
        UserError: it does not answer, or has several models or names none.
    """
    from alt_lite.generate import endpoint

    models = endpoint.check(endpoint.Endpoint(url, model or ""))
    if not model:
        if len(models) != 1:
            raise UserError(f"{url} names {f'{len(models)} models: ' + ', '.join(models[:5]) if models else 'no model'}", "--model NAME")
        (model,) = models
    return endpoint.Endpoint(url, model)


def judge_file(file: Path, chosen: Chosen, out: Path | None) -> None:
    """Judge a file's rows: by rules as one, by a model in all its parts, each judgement kept as it comes.

    Raises:
        UserError: rows lack what a judge needs, or `out` cannot be gone on with.
    """
    from alt_lite.evals.judging.guards import PARTS
    from alt_lite.evals.judging.rejudge import by_model, by_rules

    lines = read_jsonl(file)
    rows = with_parts(file, lines)
    if out and out.exists() and out.samefile(file):
        raise UserError(f"--out {out} is the file that is judged", "choose another --out")
    if chosen.rules:
        made = by_rules(chosen, rows, out)
        _tell(made, out)
        return
    shown = with_messages(file, [number for number, _ in lines], rows)
    made = []
    try:
        by_model(chosen, shown, PARTS, out, made)
    finally:
        # Not before: a live display takes whatever is printed meanwhile to standard error.
        _tell(made, out)


def _tell(made: Iterable[dict[str, Any]], out: Path | None) -> None:
    made = list(made)
    if out:
        say(f"wrote {len(made)} judgements to {out}")
    elif made:
        emit("\n".join(json_line(line) for line in made))


def with_messages(file: Path, numbers: list[int], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Complete rows as a model sees them: messages and the whole completion; every bad row is named at once.

    Raises:
        UserError: a row has no request, or `label`, `goal` or `id` is not what it may be.
    """
    bad: list[str] = []
    shown: list[dict[str, Any]] = []
    for number, row in zip(numbers, rows, strict=True):
        goal, messages = row.get("goal"), row.get("messages")
        if messages is None and isinstance(row.get("prompt") or goal, str):
            messages = [{"role": "user", "content": row.get("prompt") or goal}]
        if not _are_messages(messages):
            bad.append(f"line {number}: {'no prompt' if messages is None else 'messages are not role and content'}")
        elif row["label"] not in (None, "harmful", "benign"):
            bad.append(f"line {number}: label {row['label']!r} is neither harmful nor benign")
        elif not isinstance(goal, str | None) or not isinstance(row["id"], str | int):
            bad.append(f"line {number}: {'goal' if isinstance(row['id'], str | int) else 'id'} is not text")
        else:
            shown.append({**row, "messages": messages, "completion": _whole(row)})
    if bad:
        raise UserError(f"{file}: {summarise(bad)}", "give each line id, prompt (or messages) and a completion, or trace and answer; label and goal where they are known")
    return shown


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str) for message in value
    )


def _whole(row: dict[str, Any]) -> str:
    if row.get("completion") is not None:
        return row["completion"]
    if row["trace"] is None:
        return row["answer"] or ""
    return f"<think>\n{row['trace']}" + ("" if row["answer"] is None else f"\n</think>\n\n{row['answer']}")
