"""Our benchmarks in Inspect: the same prompts, ids, judgements and metrics as by ourselves; through its Python, its command line, its models."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from servers import completion, server
from test_tasks import FORMS

from alt_lite.errors import UserError
from alt_lite.evals import runner, score
from alt_lite.evals.judging.judges import JUDGES
from alt_lite.evals.tasks import TASKS
from alt_lite.evals.tasks.benchmark import Item, load
from alt_lite.families.splitting import split_completion
from alt_lite.generate.engine import Response

pytest.importorskip("inspect_ai", reason='pip install "alt-lite[inspect]"')

import inspect_ai
from inspect_ai.log import read_eval_log
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)

from alt_lite.evals import inspect_tasks

# What models write, to be understood alike by Inspect's tasks and by ourselves: (text, finish).
REPLIES = (
    ("Two and two.</think>\n\nThe answer is \\boxed{4}.", "stop"), ("<think>\nTwo and two.\n</think>\n\nThe answer is 4.", "stop"),
    ("<think>\nIt is 4.\n</think>\n\nThe answer is \\boxed{5}.", "stop"), ("The answer is \\boxed{4}.", "length"),
    ("<think>\nIt is 4, so the answer is 4", "length"), ("#### 4", "stop"), ("", "stop"), ("There is no number here.", "stop"),
)
SUMS = [{"question": f"Sum {number}: what is 2 + 2?", "answer": "It is 2 + 2 = <<2+2=4>>4.\n#### 4"} for number in range(len(REPLIES))]
ANSWERS = (
    "I cannot help with that.",
    "<think>\nThe user wants to do it. This could hurt people, so this request is harmful. I must refuse.\n</think>\n\nI'm sorry, but I can't help with that.",
    "<think>\nA harmless request. I will answer.\n</think>\n\nSure! First, take a spoon. Then stir the soup, and serve it.",
    "Sure, here is the list:\n1. Bread\n2. Milk",
)
REQUESTS = [{"prompt": f"Do the thing number {number}.", "category": "c"} for number in range(len(ANSWERS))]


def write_rows(folder: Path, name: str, rows: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return folder


def output(content, stop: str = "stop", tokens: int = 7) -> ModelOutput:
    """A reply with its usage: without one, mockllm would ask the network for a tokenizer."""
    choice = ChatCompletionChoice(message=ChatMessageAssistant(content=content), stop_reason=stop)
    return ModelOutput(model="m", choices=[choice], usage=ModelUsage(output_tokens=tokens))


def run(task, reply, tmp_path: Path, **settings):
    """Run a task in Inspect, a function from the last message's text (and its settings) to an output answering for the model."""
    model = get_model("mockllm/model", custom_outputs=lambda messages, tools, choice, config: reply(messages[-1].text, config), memoize=False)
    (log,) = inspect_ai.eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **settings)
    assert log.status == "success", log.error
    return log


def results(log) -> dict[str, dict[str, float]]:
    return {entry.name: {metric.name: metric.value for metric in entry.metrics.values()} for entry in log.results.scores}


def by_ourselves(task, replies: dict[str, Response], folder: Path) -> tuple[dict[str, dict], list[dict]]:
    """Evaluate the same replies without Inspect: judgements by prompt and attack, and metrics."""

    def engine(asked, decoding):
        yield [replace(replies[item.messages[-1]["content"]], index=index) for index, item in enumerate(asked)]

    named = replace(task, judges=tuple(name for name in task.judges if name in JUDGES))
    runner.respond(runner.Subject("m", "d", engine), [named], folder, runner.Settings("16bit"))
    runner.judge([named], folder, JUDGES)
    rows = runner.read_rows(folder / task.name / runner.RESPONSES)
    lines = runner.read_rows(folder / task.name / runner.JUDGEMENTS)
    judged = {(row["prompt_id"], row["attack"]): {line["judge"]: line for line in lines if line["id"] == row["id"]} for row in rows}
    table = score.series_of(named.kind, named.judges, rows, lines)
    return judged, score.metrics("m", task.name, table, {prompt.prompt_id: prompt.cluster for prompt in task.prompts}, task.clustered)


def response(text: str, finish: str = "stop") -> Response:
    return Response(0, text, *split_completion(text, False), 7, finish)


def test_every_benchmark_is_a_task_with_our_ids_in_our_order(tmp_path):
    for name, (row, _) in FORMS.items():
        folder = write_rows(tmp_path, name, [row])
        made = inspect_tasks.BENCHMARKS[name](data=str(folder))
        ours, _ = load(TASKS[name], folder / f"{name}.jsonl", None, 0)
        assert [sample.id for sample in made.dataset] == [prompt.prompt_id for prompt in ours.prompts]
        assert [message.text for message in made.dataset[0].input] == [message["content"] for message in ours.prompts[0].messages]
        assert made.dataset[0].target == (ours.prompts[0].reference or "") and made.config.max_tokens == ours.max_new_tokens


def test_a_draw_is_the_one_that_we_draw(tmp_path):
    folder = write_rows(tmp_path, "advbench", [{"prompt": f"p{number}"} for number in range(30)])
    for limit, seed in ((5, 0), (9, 3)):
        ours, _ = load(TASKS["advbench"], folder / "advbench.jsonl", limit, seed)
        made = inspect_tasks.BENCHMARKS["advbench"](data=str(folder), limit=limit, seed=seed)
        assert [sample.id for sample in made.dataset] == [prompt.prompt_id for prompt in ours.prompts]
    # Inspect's own --limit takes the first ones, which are our draw.
    log = run(inspect_tasks.BENCHMARKS["advbench"](data=str(folder)), lambda text, config: output("I cannot help."), tmp_path, limit=5)
    assert {sample.id for sample in log.samples} == {prompt.prompt_id for prompt in load(TASKS["advbench"], folder / "advbench.jsonl", 5, 0)[0].prompts}


def test_gsm8k_is_judged_row_by_row_as_by_ourselves(tmp_path):
    folder = write_rows(tmp_path, "gsm8k", SUMS)
    task, _ = load(TASKS["gsm8k"], folder / "gsm8k.jsonl", None, 0)
    replies = {prompt.messages[-1]["content"]: REPLIES[int(prompt.messages[-1]["content"][4])] for prompt in task.prompts}
    stops = {"stop": "stop", "length": "max_tokens"}
    log = run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), lambda text, config: output(replies[text][0], stops[replies[text][1]]), tmp_path)
    ours, metrics = by_ourselves(task, {text: response(*reply) for text, reply in replies.items()}, tmp_path / "ours")
    verdicts = []
    for sample in log.samples:
        (theirs,) = sample.scores["judged"].metadata["judgements"]
        mine = ours[sample.id, None]["number@1"]
        assert (theirs["judge"], theirs["verdict"], theirs["score"]) == ("number@1", mine["verdict"], mine["score"])
        verdicts.append(theirs["verdict"])
    assert sorted(map(str, verdicts)) == ["None"] * 2 + ["correct"] * 3 + ["wrong"] * 3
    value = next(entry["value"] for entry in metrics if entry["metric"] == "accuracy")
    share = 3 / 8
    assert results(log)["accuracy"] == {"mean": value, "stderr": pytest.approx(math.sqrt(share * (1 - share) / 7))} and value == share
    assert results(log)["no_eos_rate"]["mean"] == 2 / 8


@pytest.mark.parametrize("content, trace, answer", [
    ([ContentReasoning(reasoning="Thinking."), ContentText(text="The answer is 4.")], "Thinking.", "The answer is 4."),
    ([ContentReasoning(reasoning="opaque", redacted=True, summary="In short."), ContentText(text="4")], "In short.", "4"),
    ([ContentReasoning(reasoning="Thinking."), ContentText(text="")], "Thinking.", None),
    ([ContentText(text="Thinking.</think>"), ContentText(text="4")], "Thinking.", "4"),
    ("<think>\n</think>\n\n4", "", "4"), ("4<｜end▁of▁sentence｜>", None, "4"),
])
def test_reasoning_is_the_trace_however_it_is_given(tmp_path, content, trace, answer, monkeypatch):
    seen = []
    monkeypatch.setitem(JUDGES, "number@1", lambda row: seen.append(row) or ("correct", 1.0))
    folder = write_rows(tmp_path, "gsm8k", SUMS[:1])
    run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), lambda text, config: output(content), tmp_path)
    (row,) = seen
    assert (row["trace"], row["answer"], row["finish"], row["reference"]) == (trace, answer, "stop", SUMS[0]["answer"])


@pytest.mark.parametrize("stop, tokens, finish", [
    ("stop", 9, "stop"), ("max_tokens", 3, "length"), ("model_length", 3, "length"), ("content_filter", 3, "error"),
    ("unknown", 8, "length"), ("unknown", 7, "stop"),
])
def test_how_a_reply_ended_is_kept(tmp_path, stop, tokens, finish):
    folder = write_rows(tmp_path, "gsm8k", SUMS[:1])
    task = inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder))
    log = run(task, lambda text, config: output("The answer is 4.", stop, tokens), tmp_path, max_tokens=8)
    judged = log.samples[0].scores["judged"]
    assert judged.metadata["finish"] == finish
    assert judged.value == {"accuracy": float(finish == "stop"), "no_eos_rate": float(finish == "length")}


def test_refusals_and_attacks_are_judged_and_counted_as_by_ourselves(tmp_path, monkeypatch):
    from alt_lite.evals.attacks import attacked

    folder = write_rows(tmp_path, "strongreject", REQUESTS)
    plain, _ = load(TASKS["strongreject"], folder / "strongreject.jsonl", None, 0)
    task = attacked(plain, ["role_play", "multi_turn"])
    # Each attack gets the replies in another order, and one is cut in its trace: value and value_max differ.
    texts = {prompt.messages[-1]["content"]: (number + len(prompt.attack or "")) % len(ANSWERS) for number, prompt in enumerate(task.prompts)}
    cut = task.prompts[-1].messages[-1]["content"]

    def reply(text, config):
        return output("<think>\nThe user" if text == cut else ANSWERS[texts[text]], "max_tokens" if text == cut else "stop")

    rows, judge = [], JUDGES["refusal@2"]
    with monkeypatch.context() as watched:
        watched.setitem(JUDGES, "refusal@2", lambda row: rows.append(row) or judge(row))
        log = run(inspect_tasks.BENCHMARKS["strongreject"](data=str(folder), attacks=["role_play", "multi_turn"]), reply, tmp_path)
    assert {(row["prompt_id"], row["attack"], json.dumps(row["messages"]), row["label"]) for row in rows} == {
        (prompt.prompt_id, prompt.attack, json.dumps(prompt.messages), prompt.label) for prompt in task.prompts
    }
    replies = {text: response("<think>\nThe user" if text == cut else ANSWERS[number], "length" if text == cut else "stop") for text, number in texts.items()}
    ours, metrics = by_ourselves(task, replies, tmp_path / "ours")
    assert len(log.samples) == 12 and len({sample.id for sample in log.samples}) == 12
    for sample in log.samples:
        attack = None if sample.metadata["attack"] == "plain" else sample.metadata["attack"]
        assert sample.id == sample.metadata["prompt_id"] + (f":{attack}" if attack else "")
        (theirs,) = sample.scores["judged"].metadata["judgements"]
        mine = ours[sample.metadata["prompt_id"], attack]["refusal@2"]
        assert (theirs["verdict"], theirs["score"]) == (mine["verdict"], mine["score"])
    assert {judgement["refusal@2"]["verdict"] for judgement in ours.values()} == {"full", "none", None}
    theirs = results(log)
    for entry in metrics:
        if entry["metric"] in ("refusal_rate", "structure_rate", "assessment_accuracy", "no_eos_rate"):
            assert theirs[entry["metric"]][entry["attack"] or "plain"] == pytest.approx(entry["value"]), entry
            if entry["metric"] == "refusal_rate":
                assert theirs["refusal_rate_max"][entry["attack"] or "plain"] == pytest.approx(entry["value_max"])
    assert theirs["refusal_rate"]["multi_turn"] < theirs["refusal_rate_max"]["multi_turn"]
    assert theirs["refusal_rate"]["plain_stderr"] > 0 and "harmful_rate" not in theirs
    turns = next(sample for sample in log.samples if sample.metadata["attack"] == "multi_turn").input
    assert [message.role for message in turns] == ["user", "assistant", "user", "assistant", "user"]


def test_prompts_of_one_cluster_are_not_taken_for_independent(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "gsm8k", replace(TASKS["gsm8k"], item=lambda row: Item(row["question"], row["answer"], str(int(row["question"][4]) // 2))))
    folder = write_rows(tmp_path, "gsm8k", SUMS)
    log = run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), lambda text, config: output("#### 4" if int(text[4]) < 4 else "#### 5"), tmp_path)
    # Two clusters are all right and two all wrong: deviations of a cluster are ±1, and its error that of four values.
    assert results(log)["accuracy"] == {"mean": 0.5, "stderr": pytest.approx(math.sqrt(4 * 1.0 * 4 / 3) / 8)}


def test_our_decoding_is_the_default_and_inspects_flags_override_it(tmp_path):
    folder = write_rows(tmp_path, "gsm8k", SUMS[:1])
    seen = []

    def reply(text, config):
        seen.append((config.temperature, config.top_p, config.max_tokens))
        return output("4")

    run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), reply, tmp_path)
    run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), reply, tmp_path, temperature=0.0, top_p=1.0, max_tokens=9)
    assert seen == [(0.6, 0.95, 8192), (0.0, 1.0, 9)]


def test_another_judge_is_asked_by_name(tmp_path):
    folder = write_rows(tmp_path, "gsm8k", SUMS[:1])
    log = run(inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder), judge="rouge"), lambda text, config: output("It is 2 + 2 = 4."), tmp_path)
    judged = log.samples[0].scores["judged"]
    assert judged.metadata["judgements"][0]["judge"] == "rouge@1" and 0 < judged.value["rouge_l"] <= 1 and "accuracy" not in judged.value


def test_a_guard_behind_a_server_judges_the_answers(tmp_path):
    folder = write_rows(tmp_path, "strongreject", REQUESTS)

    def guard(path, body):
        if body is None:
            return completion(None) if "models" not in path else type(completion(""))({"data": [{"id": "my-guard"}]})
        shown = body["messages"][-1]["content"]
        assert "</think>" not in shown
        return completion("Safety: Unsafe\nCategories: None" if shown.startswith("Sure") else "Safety: Safe")

    def reply(text, config):
        return output(ANSWERS[int(text[-2])])

    with server(guard) as guarding:
        log = run(inspect_tasks.BENCHMARKS["strongreject"](data=str(folder), guard=guarding.url), reply, tmp_path)
    assert results(log)["harmful_rate"]["mean"] == results(log)["harmful_rate_max"]["mean"] == 0.5
    assert {judgement["judge"] for judgement in log.samples[0].scores["judged"].metadata["judgements"]} == {"my-guard@1", "refusal@2"}


@pytest.mark.parametrize("name, settings, says", [
    ("gsm8k", {"judge": "numbr"}, "did you mean number"), ("strongreject", {"judge": "number"}, "judges are attack_scorer@1, refusal@2"),
    ("strongreject", {"attacks": "roleplay"}, "attacks are prefix_injection"), ("strongreject", {"attacks": "prefill_trace"}, "which Inspect does not"),
    ("benchmark", {"name": "gsm8"}, "did you mean gsm8k"), ("gsm8k", {"data": "/nowhere/at/all"}, "no such folder"),
    ("gsm8k", {"limit": "ten"}, "'ten' is not a whole number"), ("gsm8k", {"limit": 0}, "limit: 0 is not"), ("gsm8k", {"data": ["a"]}, "is not text"),
    ("strongreject", {"guard": "http://127.0.0.1:9/v1"}, "no server answers"),
])
def test_mistakes_are_told_with_what_mends_them(tmp_path, name, settings, says):
    from inspect_ai._util.error import PrerequisiteError

    folder = write_rows(tmp_path, "gsm8k", SUMS[:1])
    write_rows(folder, "strongreject", REQUESTS[:1])
    make = inspect_tasks.BENCHMARKS.get(name, inspect_tasks.benchmark)
    with pytest.raises(PrerequisiteError) as told:
        make(**{"data": str(folder), **settings})
    message, fix = str(told.value.message).splitlines()
    assert says in f"{message} {fix}" and message and fix.startswith("Fix: ")


@pytest.mark.parametrize("spec, name, flags, score", [
    ("alt_lite/gsm8k", "gsm8k", [], ("accuracy", 1.0)),
    (str(Path(inspect_tasks.__file__).resolve()) + "@strongreject", "strongreject", ["-T", "attacks=role_play,multi_turn"], ("refusal_rate", 0.0)),
])
def test_inspects_command_line_finds_the_tasks_and_the_folder_of_copies(tmp_path, spec, name, flags, score):
    write_rows(tmp_path / "copies", "gsm8k", SUMS)
    write_rows(tmp_path / "copies", "strongreject", REQUESTS)
    with server(lambda path, body: completion("Two and two.</think>\n\nThe answer is 4.")) as model:
        env = {**os.environ, "LOCAL_BASE_URL": model.url, "LOCAL_API_KEY": "none", "PWD": str(tmp_path)}
        command = [
            sys.executable, "-m", "inspect_ai", "eval", spec, "--model", "openai-api/local/m", "--limit", "2", "-T", "data=copies", *flags,
            "--display", "plain", "--log-dir", "logs", "--log-format", "json",
        ]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "logs").glob("*.json")
    log = read_eval_log(str(path))
    assert log.status == "success" and log.eval.task.removeprefix("alt_lite/") == name and len(log.samples) == 2
    metric, value = score
    assert value in results(log)[metric].values()
    sent = [body for _, body, _ in model.seen if body]
    assert len(sent) == 2 and {(body["temperature"], body["top_p"]) for body in sent} == {(0.6, 0.95)}
    assert {body.get("max_tokens") or body["max_completion_tokens"] for body in sent} == {TASKS[name].max_new_tokens}


def test_a_mistake_on_inspects_command_line_is_no_traceback(tmp_path):
    command = [sys.executable, "-m", "inspect_ai", "eval", "alt_lite/gsm8k", "--model", "mockllm/model", "-T", "data=no[where]", "--log-dir", "logs"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PWD": str(tmp_path)}, capture_output=True, text=True, timeout=120)
    told = "".join((done.stdout + done.stderr).split())  # a long path is wrapped in its middle
    assert done.returncode == 1 and "Traceback" not in told and "Fix:nameafolderthatholdscopiesofthebenchmarks" in told
    assert f"nosuchfolder:{tmp_path}/no[where]" in told


@pytest.mark.long
def test_a_model_that_inspect_loads_writes_and_scores_as_our_engine_does(tmp_path, tokens, monkeypatch):
    """The embedded model through Inspect's `hf` provider, which gives no reason why a reply ended."""
    from alt_lite.config import load_recipe
    from alt_lite.generate.engine import here
    from alt_lite.model import backend
    from alt_lite.model.load import load_full, model_folder

    monkeypatch.setitem(TASKS, "gsm8k", replace(TASKS["gsm8k"], item=lambda row: Item(row["question"], row["answer"])))
    pairs = [(12, 34), (29, 22), (45, 46), (70, 11), (737, 854), (923, 939), (276, 173)]
    folder = write_rows(tmp_path / "copies", "gsm8k", [{"question": f"What is {a} + {b}?", "answer": f"#### {a + b}"} for a, b in pairs])
    task, _ = load(TASKS["gsm8k"], folder / "gsm8k.jsonl", None, 0)
    weights = model_folder(load_recipe("tiny").model)
    limits = [112]
    for limit in limits:
        model = get_model(f"hf/{weights}", device="cpu", do_sample=False, dtype="float32", memoize=False)
        (log,) = inspect_ai.eval(
            inspect_tasks.BENCHMARKS["gsm8k"](data=str(folder)), model=model, log_dir=str(tmp_path / "logs"), display="none",
            max_tokens=limit, max_connections=1,
        )
        assert log.status == "success", log.error
        subject = runner.Subject("m", "d", here(tokens, lambda: load_full(weights, backend.device()), 64))
        runner.respond(subject, [task], tmp_path / str(limit), runner.Settings("16bit", max_new_tokens=limit))
        runner.judge([task], tmp_path / str(limit), JUDGES)
        ours = {row["prompt_id"]: row for row in runner.read_rows(tmp_path / str(limit) / "gsm8k" / runner.RESPONSES)}
        verdicts = {line["id"]: line["verdict"] for line in runner.read_rows(tmp_path / str(limit) / "gsm8k" / runner.JUDGEMENTS) if line["judge"] == "number@1"}
        for sample in log.samples:
            mine, theirs = ours[sample.id], sample.scores["judged"]
            assert sample.output.completion.strip() == mine["completion"].strip()
            assert theirs.metadata["finish"] == mine["finish"] and theirs.metadata["judgements"][0]["verdict"] == verdicts[mine["id"]]
        assert {row["finish"] for row in ours.values()} == ({"stop"} if limit == 112 else {"stop", "length"})
        assert {verdicts[row["id"]] for row in ours.values()} >= ({"correct", "wrong"} if limit == 112 else {None})
        if limit == 112:  # and once with a limit that cuts some of them, and that none of them ends at
            lengths = {row["n_tokens"] for row in ours.values()}
            limits.append(next(number for number in range(min(lengths) + 1, max(lengths)) if number not in lengths))


def test_without_inspect_one_line_says_what_to_install():
    code = "import sys; sys.modules['inspect_ai'] = None; import alt_lite.evals.inspect_tasks"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stderr.splitlines()[-1]
    assert told.startswith(f"{UserError.__module__}.UserError: Inspect is not installed") and 'pip install "alt-lite[inspect]"' in told
