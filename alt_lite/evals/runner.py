"""Run tasks on a model: responses first, judgements from the responses, both in append-safe files.

A response's id is a hash of all that determines it, so that an interrupted evaluation goes on and
another run's base responses can be taken over where they are the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.data.rows import EvalPrompt, Task, content_id
from alt_lite.errors import OutOfTime
from alt_lite.evals.judges import STRUCTURE, Judge, judge_structure
from alt_lite.generate.local import generate
from alt_lite.method.structure import split_completion
from alt_lite.rundir import append_jsonl, read_rows, write_json, write_jsonl
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.tokenizer import Tokens

RESPONSES, JUDGEMENTS, SUITE = "responses.jsonl", "judgements.jsonl", "suite.json"


@dataclass(frozen=True)
class Subject:
    """A model to be evaluated: `digest` identifies its weights, `load` gives the loaded model."""

    name: str
    digest: str
    tokens: Tokens
    load: Callable[[], Any]


@dataclass(frozen=True)
class Decoding:
    """How responses are generated; greedy, so there is one sample and its seed means nothing."""

    max_new_tokens: int
    batch_size: int
    precision: str


def response_id(subject: Subject, prompt: EvalPrompt, decoding: Decoding) -> str:
    family = subject.tokens.family.name
    return content_id(
        subject.digest, family, prompt.task, list(prompt.messages), prompt.attack, prompt.prefill,
        "greedy", decoding.max_new_tokens, decoding.precision,
    )


def write_suite(folder: Path, tasks: Sequence[Task]) -> None:
    """Keep what scoring must know about the tasks beside their responses."""
    facts = {
        task.name: {"kind": task.kind, "title": task.title, "judges": list(task.judges), "clustered": task.clustered,
                    "language": task.prompts[0].language,
                    "prompts": {p.prompt_id: p.cluster for p in task.prompts}}
        for task in tasks
    }
    write_json(folder / SUITE, facts)


def respond(
    subject: Subject, tasks: Sequence[Task], folder: Path, decoding: Decoding, reuse: Path | None = None,
    report: Callable[[int, str], None] = lambda done, note: None, stop: Callable[[], bool] = lambda: False,
) -> int:
    """Generate what is missing under `folder/TASK/responses.jsonl`; gives the number taken over from
    `reuse`, a folder of the same form.

    Raises:
        OutOfTime: `stop` said so; finished batches are kept.
    """
    model: Any = None
    done = reused = 0
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name not in {task.name for task in tasks}:
            shutil.rmtree(other)
    for task in tasks:
        path = folder / task.name / RESPONSES
        wanted = {response_id(subject, prompt, decoding): prompt for prompt in task.prompts}
        kept = [row for row in read_rows(path) if row["id"] in wanted]
        have = {row["id"] for row in kept}
        for row in read_rows(reuse / task.name / RESPONSES) if reuse else []:
            if row["id"] in wanted and row["id"] not in have:
                kept.append(row)
                have.add(row["id"])
                reused += 1
        # Rows of other settings leave the file; what remains is written whole.
        write_jsonl(path, kept)
        done += len(have)
        report(done, task.name)
        missing = [(id_, prompt) for id_, prompt in wanted.items() if id_ not in have]
        if not missing:
            continue
        model = model or subject.load()
        ids = [encode_prompt(subject.tokens, prompt.messages, prompt.prefill or "") for _, prompt in missing]
        for batch in generate(model, subject.tokens, ids, decoding.max_new_tokens, decoding.batch_size):
            rows = [_row(*missing[g.index], g.text, g.n_tokens, g.finish, subject.tokens) for g in batch]
            append_jsonl(path, rows)
            done += len(batch)
            report(done, task.name)
            if stop():
                raise OutOfTime
    return reused


def _row(id_: str, prompt: EvalPrompt, text: str, n_tokens: int, finish: str, tokens: Tokens) -> dict[str, Any]:
    completion = f"{prompt.prefill}{text}" if prompt.prefill else text
    trace, answer = split_completion(completion, tokens.family.opens_trace or bool(prompt.prefill))
    return {
        "id": id_, "task": prompt.task, "prompt_id": prompt.prompt_id, "attack": prompt.attack, "sample": 0, "seed": None,
        "messages": list(prompt.messages), "label": prompt.label, "language": prompt.language,
        "reference": prompt.reference, "completion": completion, "trace": trace, "answer": answer,
        "n_tokens": n_tokens, "finish": finish,
    }


def judge(tasks: Sequence[Task], folder: Path, judges: Mapping[str, Judge]) -> None:
    """Judge every response of every task anew into `folder/TASK/judgements.jsonl`."""
    for task in tasks:
        path = folder / task.name / JUDGEMENTS
        rows = read_rows(folder / task.name / RESPONSES)
        table = {STRUCTURE: judge_structure, **{name: judges[name] for name in task.judges}}
        write_jsonl(path, [judge_row(row, name, table[name]) for row in rows for name in table])


def judge_row(row: Mapping[str, Any], name: str, judge_: Judge) -> dict[str, Any]:
    verdict, score = judge_(row)
    part = "trace" if name == STRUCTURE else "answer"
    return {"id": row["id"], "judge": name, "part": part, "verdict": verdict, "score": score}
