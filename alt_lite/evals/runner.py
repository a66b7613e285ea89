"""Run tasks on a model: responses first, judgements from the responses, both in append-safe files.

A response's id is a hash of all that determines it, so that an interrupted evaluation goes on and
another run's base responses can be taken over where they are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.console import progress, say
from alt_lite.data.rows import EvalPrompt, Task, content_id
from alt_lite.data.seen import judged, part_of
from alt_lite.errors import OutOfTime, UserError
from alt_lite.evals.adaptive import ADAPTIVE, Adaptive
from alt_lite.evals.estimate import Estimate
from alt_lite.evals.judging.guards import PARTS, Guard
from alt_lite.evals.judging.judges import STRUCTURE, Judge, judge_structure
from alt_lite.generate.engine import Ask, Decoding, Engine, Response
from alt_lite.rundir import append_jsonl, read_json, read_rows, set_aside, write_json, write_jsonl

RESPONSES, JUDGEMENTS, ATTACKS, SUITE, SUBJECTS = "responses.jsonl", "judgements.jsonl", "attacks.jsonl", "suite.json", "subjects.json"


@dataclass(frozen=True)
class Subject:
    """A model to be evaluated: `digest` identifies its weights, prompt format and engine, `engine` asks it,
    `close` ends what that has started."""

    name: str
    digest: str
    engine: Engine
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Settings:
    """How responses are drawn: greedily at temperature 0, else `samples` of each prompt, each with noise
    of its own seed; `max_new_tokens` None: what the task needs."""

    precision: str
    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    samples: int = 1
    seed: int = 0

    def decoding(self, task: Task) -> Decoding:
        return Decoding(self.max_new_tokens or task.max_new_tokens, self.temperature, self.top_p, self.top_k)

    def seed_of(self, prompt: EvalPrompt, sample: int) -> int | None:
        """The seed of a sample's noise; greedy responses have none."""
        return int(content_id(self.seed, prompt.prompt_id, sample), 16) % 2**31 if self.temperature else None


def response_id(subject: Subject, prompt: EvalPrompt, decoding: Decoding, precision: str, seed: int | None, by: str | None = None) -> str:
    """Hash all that determines a response; `by` stands for who makes an adaptive attack, and how."""
    return content_id(
        subject.digest, prompt.task, list(prompt.messages), prompt.attack, prompt.prefill, prompt.raw, vars(decoding), precision, seed,
        *([by] if by else ()),
    )


def write_suite(folder: Path, tasks: Sequence[Task], samples: int = 1) -> None:
    """Keep what scoring must know about the tasks beside their responses."""
    facts = {
        task.name: {"kind": task.kind, "title": task.title, "judges": list(task.judges), "clustered": task.clustered or samples > 1,
                    "language": task.prompts[0].language,
                    "prompts": {p.prompt_id: p.cluster for p in task.prompts}}
        for task in tasks
    }
    write_json(folder / SUITE, facts)


def respond(
    subject: Subject, tasks: Sequence[Task], folder: Path, settings: Settings, judges: Mapping[str, Judge] | None = None,
    reuse: Sequence[Path] = (), stop: Callable[[], bool] = lambda: False, adaptive: Adaptive | None = None,
) -> int:
    """Generate what is missing under `folder/TASK/responses.jsonl`; gives the number taken over from
    `reuse`, folders of the same form. A request to a server that failed is made again. Each task shows a
    bar with rate, tokens a second, time left, and what `judges` make of the answers so far.

    Raises:
        OutOfTime: `stop` said so; finished batches are kept.
        UserError: an adaptive attack is to be made without `adaptive`, who makes them.
    """
    taken_over = 0
    path = folder.parent / SUBJECTS
    write_json(path, {**(read_json(path) if path.is_file() else {}), folder.name: subject.digest})
    for number, task in enumerate(tasks, 1):
        path = folder / task.name / RESPONSES
        decoding = settings.decoding(task)
        wanted: dict[str, tuple[EvalPrompt, int]] = {}
        for sample in range(settings.samples):
            for prompt in task.prompts:
                by = adaptive.digest(prompt.attack) if adaptive and prompt.attack in ADAPTIVE else None
                id_ = response_id(subject, prompt, decoding, settings.precision, settings.seed_of(prompt, sample), by)
                wanted[id_] = (prompt, sample)
        kept, reused = set_aside(path, wanted, f"{folder.name} {task.name}"), 0
        have = {row["id"] for row in kept}
        for other in reuse:
            for row in _kept(other / task.name / RESPONSES, wanted) if len(have) < len(wanted) else ():
                if row["id"] not in have:
                    kept.append(row)
                    have.add(row["id"])
                    reused += 1
        write_jsonl(path, kept)
        taken_over += reused
        if reused:
            say(f"{folder.name} {task.name}: {reused} of {len(wanted)} responses taken over: same model, prompts and decoding")
        missing = [(id_, *pair) for id_, pair in wanted.items() if id_ not in have]
        if not missing:
            continue
        if (verdicts := path.with_name(JUDGEMENTS)).is_file():  # verdicts on responses that are gone are not those of new ones
            write_jsonl(verdicts, [line for line in read_rows(verdicts) if line["id"] in have])
        estimate = Estimate(task, judges or {})
        estimate.add(kept)
        with progress(f"{folder.name} {task.name} ({number}/{len(tasks)})", len(wanted), one_of_many=True) as bar:
            bar(len(have), str(estimate))
            began, made_tokens, done = time.monotonic(), 0, len(have)

            def tell(note: str) -> None:
                bar(done, note)  # noqa: B023, called within this turn of the loop only

            for rows in _generate(subject, missing, decoding, settings, adaptive, path.parent / ATTACKS, tell, stop):
                append_jsonl(path, rows)
                estimate.add(rows)
                done += len(rows)
                made_tokens += sum(row["n_tokens"] or 0 for row in rows)
                seconds = max(time.monotonic() - began, 1e-6)
                bar(done, f"{(done - len(have)) / seconds:.3g}/s, {made_tokens / seconds:,.0f} tokens/s{', ' if str(estimate) else ''}{estimate}")
                if stop():
                    raise OutOfTime
    return taken_over


def _kept(path: Path, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in read_rows(path) if row["id"] in wanted and row["finish"] != "error"]


Missing = tuple[str, EvalPrompt, int]


def _generate(
    subject: Subject, missing: Sequence[Missing], decoding: Decoding, settings: Settings, adaptive: Adaptive | None, journal: Path,
    tell: Callable[[str], None], stop: Callable[[], bool],
) -> Iterator[list[dict[str, Any]]]:
    """Yield response rows as they are finished: of fixed prompts first, then each adaptive attack's."""
    fixed = [item for item in missing if item[1].attack not in ADAPTIVE]
    asked = [Ask(prompt.messages, settings.seed_of(prompt, sample) or 0, prompt.prefill or "", prompt.raw) for _, prompt, sample in fixed]
    for batch in subject.engine(asked, decoding) if asked else ():
        yield [_row(*fixed[made.index], settings, made) for made in batch]
    for name in dict.fromkeys(prompt.attack for _, prompt, _ in missing if prompt.attack in ADAPTIVE):
        if adaptive is None:
            raise UserError(f"the attack {name} needs an attacker", "eval.attacker=URL names an OpenAI-compatible server")
        mine = [item for item in missing if item[1].attack == name]
        seeds = [settings.seed_of(prompt, sample) or 0 for _, prompt, sample in mine]
        made = adaptive.attack(
            name, subject.engine, [prompt for _, prompt, _ in mine], seeds, decoding, journal, [id_ for id_, _, _ in mine],
            lambda _, note: tell(note), stop,
        )
        for batch in made:
            yield [{**_row(*mine[over.index], settings, over.response, over.messages), "facts": over.facts} for over in batch]


def _row(
    id_: str, prompt: EvalPrompt, sample: int, settings: Settings, made: Response, messages: Sequence[Mapping[str, str]] | None = None
) -> dict[str, Any]:
    return {
        "id": id_, "task": prompt.task, "prompt_id": prompt.prompt_id, "attack": prompt.attack, "sample": sample,
        "seed": settings.seed_of(prompt, sample), "messages": list(messages or prompt.messages), "label": prompt.label, "language": prompt.language,
        "reference": prompt.reference, "completion": made.text, "trace": made.trace, "answer": made.answer,
        "n_tokens": made.n_tokens, "finish": made.finish, **({"goal": prompt.goal} if prompt.goal else {}), **({"prefill": prompt.prefill} if prompt.prefill else {}),
        **({"error": made.error} if made.error else {}),
    }


def tell_errors(tasks: Sequence[Task], folder: Path) -> int:
    """Say how many requests to a server failed for good, and give their number.

    Raises:
        UserError: all of them did, so that there is nothing to report.
    """
    rows = [row for task in tasks for row in read_rows(folder / task.name / RESPONSES)]
    failed = [row for row in rows if row["finish"] == "error"]
    if failed and len(failed) == len(rows):
        raise UserError(f"all {len(rows)} requests failed, the first: {failed[0].get('error')}", "mend the server; the same command asks again")
    if failed:
        say(f"{len(failed)} of {len(rows)} requests failed, the first: {failed[0].get('error')}; the same command asks these again")
    return len(failed)


def judge(
    tasks: Sequence[Task], folder: Path, judges: Mapping[str, Judge], guards: Mapping[str, Guard] | None = None,
    report: Callable[[int, str], None] = lambda done, note: None, reuse: Sequence[Path] = (), stop: Callable[[], bool] = lambda: False,
) -> None:
    """Judge every response into `folder/TASK/judgements.jsonl`: by functions anew, by guards, which are
    models, only what they have not judged yet, here or in `reuse`."""
    guards = guards or {}
    done = 0
    for task in tasks:
        path = folder / task.name / JUDGEMENTS
        rows = read_rows(folder / task.name / RESPONSES)
        table = {STRUCTURE: judge_structure, **{name: judges[name] for name in task.judges if name in judges}}
        known = {row["id"] for row in rows if judged(row)}
        # A guard that gave no verdict is asked again.
        mine = [name for name in task.judges if name in guards]
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for other in (folder, *reuse) if mine else ():
            same = known if other == folder else known & _same_responses(rows, other / task.name / RESPONSES)
            for line in read_rows(other / task.name / JUDGEMENTS):
                if line["judge"] in mine and line["id"] in same and line["verdict"]:
                    found.setdefault((line["id"], line["judge"], line["part"]), line)
        kept = list(found.values())
        write_jsonl(path, [*(judge_row(row, name, table[name]) for row in rows for name in table), *kept])
        for name in mine:
            for part in PARTS:
                missing = [row for row in rows if (row["id"], name, part) not in found]
                silent = 0
                for number, verdict, score in guards[name]([part_of(row, part) for row in missing]) if missing else ():
                    append_jsonl(path, [{"id": missing[number]["id"], "judge": name, "part": part, "verdict": verdict, "score": score}])
                    done += 1
                    silent += verdict is None and bool(part_of(missing[number], part)["completion"].strip())
                    report(done, task.name)
                    if stop():
                        raise OutOfTime
                if silent:
                    say(f"guard {name}: no verdict on {silent} of {len(missing)} responses of {task.name} ({part}); they count both ways, and are asked again next time")


def _same_responses(rows: Sequence[Mapping[str, Any]], path: Path) -> set[str]:
    """The ids of rows whose response is the same there: servers, and half precision, may give others."""
    there = {row["id"]: row["completion"] for row in read_rows(path)}
    return {row["id"] for row in rows if there.get(row["id"]) == row["completion"]}


def judge_row(row: Mapping[str, Any], name: str, judge_: Judge) -> dict[str, Any]:
    verdict, score = judge_(row)
    part = "trace" if name == STRUCTURE else "answer"
    return {"id": row["id"], "judge": name, "part": part, "verdict": verdict, "score": score}
