"""Our benchmarks as tasks of Inspect (inspect.aisi.org.uk): its models, logs and viewer, our prompts, judges and metrics.

    pip install "alt-lite[inspect]"
    inspect eval alt_lite/strongreject --model vllm/Qwen/Qwen3-8B --limit 50
    inspect eval alt_lite/gsm8k --model openai-api/local/NAME --temperature 0 -T data=my_copies
    inspect eval alt_lite/evals/inspect_tasks.py@xstest_safe --model mockllm/model -T data=my_copies

A task for each benchmark of `alt_lite.evals.tasks.TASKS`, by its name there. `-T` sets the parameters of `benchmark`
below. Prompts, their ids and their order are those of `alt-lite eval`, so that `--limit 50` asks the same 50 as
`eval.limit=50`; Inspect's flags (`--temperature`, `--top-p`, `--max-tokens`, `--epochs`) override our decoding.

Other than in `alt-lite eval`, Inspect's provider renders the prompt with the model's own template and draws noise as it
likes; attacks that write into the response or leave the template out are refused; harm is judged by a guard behind a
server's URL only, and on the answer only. A reply of Inspect's `hf` provider does not say whether it is finished: it
counts as cut where its batch's longest reply reached the limit, so that `--max-connections 1` or another provider is
needed for exact rates there; it also lets a tokenizer add a begin of text to the template's own (R1-Distill-Llama),
unless `-M tokenizer_call_args='{"add_special_tokens": false}'`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from alt_lite.console import say
from alt_lite.data.rows import EvalPrompt
from alt_lite.data.seen import part_of
from alt_lite.errors import UserError
from alt_lite.evals import score
from alt_lite.evals.attacks import ATTACKS, LOCAL_ONLY, attacked
from alt_lite.evals.judging import guards, skills
from alt_lite.evals.judging.judges import JUDGES, STRUCTURE, find_judge
from alt_lite.evals.runner import judge_row
from alt_lite.evals.suites import USUAL, require_tasks
from alt_lite.evals.tasks import TASKS
from alt_lite.evals.tasks.benchmark import load, local_copy
from alt_lite.generate import endpoint

try:
    import anyio.to_thread
    from inspect_ai import Task, task
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.event import ModelEvent
    from inspect_ai.log import transcript
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        ContentReasoning,
        ContentText,
        GenerateConfig,
        ModelOutput,
    )
    from inspect_ai.scorer import (
        Metric,
        SampleScore,
        Score,
        Scorer,
        Target,
        Value,
        grouped,
        mean,
        metric,
        scorer,
        stderr,
    )
    from inspect_ai.solver import TaskState, generate
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("inspect_ai", "anyio"):
        raise
    raise UserError('Inspect is not installed: pip install "alt-lite[inspect]" brings it', 'pip install "alt-lite[inspect]"') from error

# A model's reply as a row of responses.jsonl, and what judges said of it: rows of judgements.jsonl.
Row = dict[str, Any]
_ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
# The metrics of each kind of task (alt_lite.evals.score), those that responses without a verdict count in both ways
# with their other bound.
_METRICS = {
    "harm": ("harmful_rate", "harmful_rate_max", "refusal_rate", "refusal_rate_max", "structure_rate", "assessment_accuracy", "no_eos_rate"),
    "over_refusal": ("over_refusal_rate", "over_refusal_rate_max", "structure_rate", "assessment_accuracy", "no_eos_rate"),
    "skill": ("accuracy", "rouge_l", "no_eos_rate"),
}


# Inspect runs a file's tasks only where it sees one in the source, which those made of the table below are not.
@task
def benchmark(
    name: str = "", limit: int | None = None, seed: int = 0, data: str | None = None, attacks: str | Sequence[str] = (),
    judge: str | None = None, guard: str | None = None, guard_model: str | None = None,
) -> Task:
    """Ask a benchmark's prompts and judge the replies.

    Args:
        name: the benchmark, where the task is `benchmark` and not called by it.
        limit: how many prompts are drawn by `seed`; all without one.
        seed: which prompts are drawn, and their order.
        data: a folder of local copies, NAME.jsonl, .csv, .tsv, .txt or .parquet; else the hub is asked.
        attacks: names of attacks, whose prompts are asked beside the plain ones of a harm task; metrics are then by attack.
        judge: another judge than the benchmark's own, by name.
        guard: the URL of a server with a guard model, which judges the answers to harm tasks.
        guard_model: the guard's name there, where the server has several models.
    """
    try:
        return _build(name, limit, seed, data, [attacks] if isinstance(attacks, str) else list(attacks), judge, guard, guard_model)
    except UserError as error:
        raise PrerequisiteError(escape(f"{error.message}\nFix: {error.fix}")) from error  # it is printed as markup


def _named(name: str) -> Any:
    made = partial(benchmark.__wrapped__, name)
    made.__module__ = __name__  # by which Inspect tells that this package's tasks are its own
    return task(name=name)(made)


BENCHMARKS = {name: _named(name) for name in TASKS}


def _build(
    name: str, limit: int | None, seed: int, data: str | None, attacks: list[str], judge: str | None, guard: str | None, guard_model: str | None
) -> Task:
    require_tasks([name])
    _require_types({"limit": limit, "seed": seed}, int, "a whole number")
    _require_types({"data": data, "judge": judge, "guard": guard, "guard_model": guard_model}, str, "text")
    _require_attacks(attacks)
    judges = _judges(name, judge)
    guarded = TASKS[name].kind == "harm" and guard
    server = _guard_server(guard, guard_model) if guarded else None
    plain, origin = load(TASKS[name], local_copy(_from_the_shell(data), name) if data else None, limit, seed)
    asked = attacked(plain, attacks)
    say(f"  {name}: {len(asked.prompts)} prompts from {origin}")
    wanted = [each for each in _METRICS[asked.kind] if _applies(each, judges, server is not None)]
    return Task(
        dataset=MemoryDataset([_sample(prompt) for prompt in asked.prompts], name=name, location=str(origin)),
        solver=generate(),
        scorer=judged(asked.kind, judges, wanted, server and {"url": server.url, "model": server.model}),
        metrics={each: [by_attack()] if len(asked.prompts) > len(plain.prompts) else [mean(), stderr(cluster="cluster")] for each in wanted},
        config=GenerateConfig(max_tokens=asked.max_new_tokens, temperature=USUAL.temperature, top_p=USUAL.top_p),
        metadata={"origin": str(origin)},
    )


def _from_the_shell(folder: str) -> Path:
    """Where it is given this file, Inspect changes to the file's folder; a relative path is meant from where it was called."""
    path = Path(folder).expanduser()
    return path if path.is_dir() else Path(os.environ.get("PWD", ".")) / path


def _require_types(given: Mapping[str, Any], kind: type, described: str) -> None:
    """Inspect reads `-T` as YAML, whatever the parameter is."""
    for name, value in given.items():
        if value is not None and (not isinstance(value, kind) or (name == "limit" and value < 1)):
            raise UserError(f"{name}: {value!r} is not {described}", f"-T {name}={'50' if kind is int else 'TEXT'}")


def _require_attacks(names: Sequence[str]) -> None:
    for name in names:
        if name not in ATTACKS or name in LOCAL_ONLY:
            why = f"no attack {name!r}" if name not in ATTACKS else f"{name} writes into the response or leaves the template out, which Inspect does not"
            raise UserError(why, f"attacks are {', '.join(attack for attack in ATTACKS if attack not in LOCAL_ONLY)}")


def _judges(name: str, judge: str | None) -> list[str]:
    """The names of the judges by rule: the benchmark's, or the one asked for, of those that judge its kind."""
    if judge is None:
        return [each for each in TASKS[name].judges if each in JUDGES]
    skill = TASKS[name].kind == "skill"
    fitting = {each: function for each, function in JUDGES.items() if each != STRUCTURE and (each in skills.JUDGES) == skill}
    return [find_judge(judge, fitting)[0]]


def _guard_server(url: str, model: str | None) -> endpoint.Endpoint:
    server = endpoint.Endpoint(url, model or "")
    have = endpoint.check(server)
    if not model and len(have) != 1:
        raise UserError(f"{url} names {', '.join(have[:5]) if have else 'no model'}", "-T guard_model=NAME")
    return server if model else replace(server, model=have[0])


def _applies(name: str, judges: Sequence[str], guarded: bool) -> bool:
    if name.startswith("harmful"):
        return guarded
    rouge = any(judge.startswith("rouge") for judge in judges)
    return {"accuracy": not rouge, "rouge_l": rouge}.get(name, True)


@metric
def by_attack() -> Metric:
    """Mean and standard error over each attack's prompts apart; `plain` are those without one."""

    def of_each(scores: list[SampleScore]) -> Value:
        means = grouped(mean(), "attack", all=False)
        errors = grouped(stderr(cluster="cluster"), "attack", all=False, name_template="{group_name}_stderr")
        return {**means(scores), **errors(scores)}

    return of_each


def _sample(prompt: EvalPrompt) -> Sample:
    about = {"task": prompt.task, "prompt_id": prompt.prompt_id, "label": prompt.label, "language": prompt.language, "cluster": prompt.cluster}
    return Sample(
        input=[_ROLES[message["role"]](content=message["content"]) for message in prompt.messages], target=prompt.reference or "",
        id=f"{prompt.prompt_id}:{prompt.attack}" if prompt.attack else prompt.prompt_id, metadata={**about, "attack": prompt.attack or "plain"},
    )


@scorer(metrics={"*": [mean(), stderr(cluster="cluster")]})
def judged(kind: str, judges: list[str], metrics: list[str], guard: dict[str, str] | None = None) -> Scorer:
    """Judge a reply as `alt-lite eval` does: the value holds this sample's part of each metric, NaN where a metric does
    not count it; the metadata holds the judgements.

    Args:
        kind: harm, over_refusal or skill.
        judges: names of judges by rule, with version.
        metrics: which metrics of `alt_lite.evals.score` are given, `NAME_max` being the bound of those without a verdict.
        guard: `url` and `model` of a guard behind a server.
    """

    async def judge_reply(state: TaskState, target: Target) -> Score:
        row = response_row(state, target.text)
        # Judges compute and wait, which would hold up the other samples.
        judgements = await anyio.to_thread.run_sync(_judge, row, judges, guard)
        verdicts = ", ".join(f"{judgement['judge']}: {judgement['verdict']}" for judgement in judgements)
        values = _values(kind, [judgement["judge"] for judgement in judgements], row, judgements)
        return Score(
            value={name: values.get(name, float("nan")) for name in metrics}, answer=row["answer"], explanation=verdicts,
            metadata={"judgements": judgements, "finish": row["finish"], "n_tokens": row["n_tokens"]},
        )

    return judge_reply


def _judge(row: Row, judges: Sequence[str], guard: Mapping[str, str] | None) -> list[Row]:
    judgements = []
    if guard:
        ask = guards.served(endpoint.Endpoint(guard["url"], guard["model"]))
        ((_, verdict, degree),) = ask([part_of(row, "answer")])
        judgements.append({"id": row["id"], "judge": f"{guard['model']}@1", "part": "answer", "verdict": verdict, "score": degree})
    return [*judgements, *(judge_row(row, name, JUDGES[name]) for name in judges)]


def _values(kind: str, judges: Sequence[str], row: Row, judgements: Sequence[Row]) -> dict[str, float]:
    values = {}
    for (name, *_), series in score.series_of(kind, judges, [row], judgements).items():
        ((low, high),) = series.values.values()
        values |= {name: low, f"{name}_max": high}
    return values


def response_row(state: TaskState, reference: str) -> Row:
    """Read a reply of Inspect as a row of responses.jsonl: reasoning that is given apart, or inline up to `</think>`, is the trace."""
    about, finish = state.metadata, _finish(state.output)
    content = "" if finish == "error" else state.output.message.content
    parts = [ContentText(text=content)] if isinstance(content, str) else content
    text, trace, answer = endpoint.split_reply(
        "".join(part.text for part in parts if isinstance(part, ContentText)),
        "\n".join(part.summary or "" if part.redacted else part.reasoning or part.summary or "" for part in parts if isinstance(part, ContentReasoning)),
    )
    return {
        "id": f"{state.sample_id}:{state.epoch}", "task": about["task"], "prompt_id": about["prompt_id"],
        "attack": None if about["attack"] == "plain" else about["attack"], "sample": state.epoch - 1, "seed": None,
        "messages": [{"role": message.role, "content": message.text} for message in state.input],
        "label": about["label"], "language": about["language"], "reference": reference or None, "completion": text, "trace": trace,
        "answer": answer, "n_tokens": state.output.usage.output_tokens if state.output.usage else None, "finish": finish,
    }


def _finish(output: ModelOutput) -> str:
    if output.error or output.empty or output.stop_reason == "content_filter":
        return "error"
    if output.stop_reason == "unknown" and output.usage:
        # Providers that do not say why a reply ended: Inspect's `hf` is one.
        asked = [event for event in transcript().events if isinstance(event, ModelEvent)]
        limit = asked[-1].config.max_tokens if asked else None
        return "length" if limit and output.usage.output_tokens >= limit else "stop"
    return "length" if output.stop_reason in ("max_tokens", "model_length") else "stop"
