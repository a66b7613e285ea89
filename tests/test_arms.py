"""What stands beside base and tuned: defences as arms, responses taken over, judges' agreement, running estimates."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from servers import completion, failure, server
from test_protocol import HARM, PROMPT, SKILL, built, copies  # noqa: F401

from alt_lite import evaluation, subjects
from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.evals import runner, score
from alt_lite.evals.estimate import Estimate
from alt_lite.evals.judging.judges import JUDGES
from alt_lite.evals.runner import judge_row
from alt_lite.generate.engine import Response
from alt_lite.recipe import run
from alt_lite.rundir import read_json, read_rows, write_json

REFUSES, COMPLIES = "I'm sorry, I can't assist with that request.", "Sure. First, take two. Then stir them."


def answers(*texts):
    """An engine that says what it is told to."""
    return lambda asked, decoding: iter([[Response(i, text, None, text, 5, "stop") for i, text in zip(range(len(asked)), texts, strict=False)]])


def test_each_defence_is_an_arm_of_the_base_beside_training(tmp_path):
    small = ("data.harmful=8", "data.benign=8", "data.skills=8", "train.epochs=1", "eval.limit=2", "eval.tasks=harm_objects,addition", "eval.defence=zero_think,system_prompt")
    folder = run(load_recipe("tiny", small), tmp_path / "run")
    report = read_json(folder / "report.json")
    assert list(dict.fromkeys(entry["model"] for entry in report["metrics"])) == ["base", "base+zero_think", "base+system_prompt", "tuned"]
    pairs = {(entry["a"], entry["b"]) for entry in report["comparisons"]}
    assert pairs == {("base", "tuned"), *((a, b) for arm in ("base+zero_think", "base+system_prompt") for a, b in (("base", arm), (arm, "tuned")))}
    rows = {arm: read_rows(folder / "eval" / arm / "harm_objects" / "responses.jsonl") for arm in ("base", "base+zero_think", "base+system_prompt", "tuned")}
    assert all(row["trace"] == "" for row in rows["base+zero_think"]) and any(row["trace"] for row in rows["base"])
    assert all(row["messages"][0]["role"] == "system" for row in rows["base+system_prompt"])
    assert {row["attack"] for row in rows["base+zero_think"]} == {None} and "assessment_flip" in {row["attack"] for row in rows["base"]}
    assert "| base+zero_think | tuned |" in (folder / "report.md").read_text()


def test_an_evaluation_alone_shows_what_a_defence_changes(tmp_path, command):
    status, out, err = command("eval", "embedded", "--out", tmp_path / "e", "eval.tasks=harm_objects", "eval.limit=3", "eval.defence=zero_think")
    assert status == 0, err
    assert "metric (model)" in out and "metric (model+zero_think)" in out and "change" in out


def test_responses_of_the_same_model_beside_a_run_are_taken_over(tmp_path, capsys):
    pairs = ("eval.limit=2", "eval.tasks=harm_objects")
    first = evaluation.evaluate("embedded", "tiny", tmp_path / "runs" / "a", pairs)
    capsys.readouterr()
    again = evaluation.evaluate("embedded", "tiny", tmp_path / "runs" / "b", pairs)
    assert "harm_objects: 6 of 6 responses taken over" in capsys.readouterr().err
    path = "eval/model/harm_objects/responses.jsonl"
    assert sorted((first / path).read_text().splitlines()) == sorted((again / path).read_text().splitlines())
    evaluation.evaluate("embedded", "tiny", tmp_path / "elsewhere" / "c", pairs)
    assert "taken over" not in capsys.readouterr().err
    with pytest.raises(UserError, match="holds no evaluation"):
        built(f"eval.base_from={tmp_path / 'nothing'}")


def test_mistakes_in_the_evaluation_are_found_before_training(tmp_path, command, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for pair, says in (("eval.attacks=crescndo", "did you mean crescendo?"), ("eval.base_from=nowhere", "nowhere holds no evaluation"), ("eval.engine=vllm", "there is no vllm here")):
        status, _, err = command("run", "tiny", pair, "--run-dir", tmp_path / "r")
        assert status == 2 and says in err and err.strip().splitlines()[-1].startswith("Fix:") and not (tmp_path / "r").exists()


def test_a_guards_verdicts_are_taken_over_too(tmp_path):
    subject = runner.Subject("model", "d", answers(COMPLIES))
    for name in ("a", "b"):
        runner.respond(subject, [HARM], tmp_path / name, runner.Settings("16bit", 8))
    task = replace(HARM, judges=("g@1", "refusal@2"))
    runner.judge([task], tmp_path / "a", JUDGES, {"g@1": lambda rows: ((i, "unsafe", 0.9) for i in range(len(rows)))})
    runner.judge([task], tmp_path / "b", JUDGES, {"g@1": lambda rows: pytest.fail("asked again")}, reuse=[tmp_path / "a"])
    found = {(line["judge"], line["part"]): line["verdict"] for line in read_rows(tmp_path / "b" / "t" / "judgements.jsonl")}
    assert found["g@1", "answer"] == found["g@1", "all"] == "unsafe" and found["refusal@2", "answer"] == "none"


def test_judges_agreement_is_counted_by_side_for_each_model():
    rows = [{"id": str(i), "attack": None} for i in range(4)]
    said = [("unsafe", "none"), ("safe", "full"), ("safe", "none"), ("controversial", "none")]
    lines = [{"id": str(i), "judge": judge, "part": "answer", "verdict": verdict} for i, pair in enumerate(said) for judge, verdict in zip(("g@1", "refusal@2"), pair, strict=True)]
    (entry,) = score.agreements("base", {"t": ("harm", ["g@1", "refusal@2"], rows, lines)})
    assert entry["judges"] == ["g@1", "refusal@2"] and entry["n"] == 3 and entry["accuracy"] == pytest.approx(2 / 3)
    assert score.agreements("base", {"t": ("skill", ["number@1", "math@1"], rows, lines)}) == []


def test_the_running_estimate_counts_plain_prompts_by_the_rule_judge():
    estimate = Estimate(replace(HARM, judges=("guard-model", "refusal@2")), JUDGES)
    assert str(estimate) == ""
    rows = [{"attack": attack, "answer": text, "finish": "stop"} for attack, text in ((None, REFUSES), (None, COMPLIES), ("role_play", REFUSES))]
    estimate.add(rows)
    assert str(estimate) == "refused 50% [9, 91]"
    skill = Estimate(SKILL, JUDGES)
    skill.add([{"attack": None, "answer": "\\boxed{2}", "finish": "stop", "reference": "2"}])
    assert str(skill).startswith("correct 100%")


def test_what_is_cut_is_flagged_for_one_model_too(tmp_path, command):
    status, out, _ = command("eval", "embedded", "--out", tmp_path / "e", "eval.tasks=harm_objects", "eval.limit=8", "eval.max_new_tokens=5")
    row = next(line for line in out.splitlines() if "harmful_rate" in line)
    assert status == 0 and "0.0 % [" in row and "100.0 % the other way (8 cut, 8 without a verdict)" in row and re.search(r"(\d+) of \1 responses have no verdict .* \1 were cut", " ".join(out.split()))
    assert "100.0 % the other way (8 cut, 8 without a verdict)" in (tmp_path / "e" / "report.md").read_text()
    assert read_json(tmp_path / "e" / "report.json")["run"]["seconds"] > 0


def test_a_comparison_is_of_the_shared_prompts_and_says_what_was_asked_otherwise(tmp_path, command):
    one, other = tmp_path / "a" / "e", tmp_path / "b" / "e"
    for folder, limit, new in ((one, 3, 112), (other, 12, 30)):
        assert command("eval", "embedded", "--out", folder, "eval.tasks=addition", f"eval.limit={limit}", f"eval.max_new_tokens={new}")[0] == 0
    data, entries = evaluation.compare(one, other)
    for entry in entries:
        for side in ("a", "b"):
            shown = next(m for m in data["metrics"] if m["model"] == entry[side] and all(m[key] == entry[key] for key in ("metric", "language", "judge", "part")))
            assert shown["value"] == pytest.approx(entry[f"value_{side}"]) and shown["n"] == entry["n_pairs"] == 3
    status, out, err = command("compare", one, other)
    assert status == 0 and "compare: 6 responses are to prompts that both were asked; A has 6, B 24" in err and "comparisons (Holm)" in out
    assert "compare: max_new_tokens was 112 for A and 30 for B" in err and "temperature" not in err


def test_a_comparison_shows_the_values_that_its_change_is_between():
    """What is counted over traces with an assessment is counted over other prompts on each side."""
    from alt_lite.report.rows import compare_rows

    def table(*assessed):
        rows = [
            {"id": str(n), "task": "t", "prompt_id": str(n), "sample": 0, "attack": None, "language": "en", "label": "harmful" if n < 3 else "benign", "completion": "",
             "trace": "This request is harmful." if n in assessed else "Hm.", "answer": COMPLIES, "n_tokens": 5, "finish": "stop"} for n in range(6)
        ]
        return score.series_of("harm", ["refusal@2"], rows, [])

    before, after, clusters = table(0, 3), table(0, 1, 2, 3, 4, 5), {str(n): str(n) for n in range(6)}
    data = {"metrics": [entry for name, found in (("x", before), ("y", after)) for entry in score.metrics(name, "t", found, clusters, False)]}
    entries = score.adjust(score.comparisons("x", "y", "t", before, after, clusters, False))
    rows = {row.label.removeprefix("t: "): row for row in compare_rows(data, entries)}
    accuracy, consistency, structure = rows["assessment_accuracy"], rows["answer_consistency"], rows["structure_rate"]
    assert (accuracy.base.partition(" [")[0], accuracy.tuned, accuracy.n) == ("50.0 %", "50.0 %", "2") and "[" in accuracy.base
    assert consistency.meaning.endswith("(A 2 unparsable; B 6 unparsable of 6)")
    assert structure.n == "6" and "[" in structure.base and "[" in structure.tuned
    assert rows["refusal_rate"].meaning.endswith("(A 6 unparsable; B 6 unparsable)")


def test_what_was_cut_in_its_answer_counts_as_what_is_there_and_in_its_trace_as_nothing(tmp_path, command):
    """Base complies at length and is cut; tuned refuses. The change is clear, and nothing is flagged as without a verdict."""
    from alt_lite.report.rows import compare_rows, verdict_share

    def table(kind, text, *cut):
        rows = [
            {"id": str(n), "task": "t", "prompt_id": str(n), "sample": 0, "attack": None, "language": "en", "label": "harmful", "completion": "", "finish": "length" if n in cut else "stop",
             "trace": "This request is harmful.", "answer": text if n < 28 else None, "n_tokens": 5} for n in range(30)
        ]
        return score.series_of(kind, ["refusal@2"], rows, [judge_row(row, "refusal@2", JUDGES["refusal@2"]) for row in rows])

    for kind, metric, meaning in (("harm", "refusal_rate", "better"), ("over_refusal", "over_refusal_rate", "worse")):
        before, after, clusters = table(kind, COMPLIES, *range(28)), table(kind, REFUSES, 29), {str(n): str(n) for n in range(30)}
        data = {"metrics": [entry for name, found in (("x", before), ("y", after)) for entry in score.metrics(name, "t", found, clusters, False)]}
        entries = score.adjust(score.comparisons("x", "y", "t", before, after, clusters, False))
        rows = {row.label.removeprefix("t: "): row for row in compare_rows(data, entries)}
        assert rows[metric].meaning == (f"{meaning} (A 28 cut, 2 unparsable; B 1 cut, 1 unparsable, 2 without a verdict)"), rows[metric]
        assert rows["answer_consistency"].meaning.startswith("better") and verdict_share(data) == (4, 29, 60)
    rows = [{"id": kind, "prompt": "p", "completion": COMPLIES, "trace": "t", "answer": answer, "finish": finish} for kind, answer, finish in (("answer", REFUSES, "length"), ("trace", None, "length"), ("failed", REFUSES, "error"))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, _ = command("judge", tmp_path / "rows.jsonl", "--judge", "refusal")
    # A run's row of a prompt that had opened the trace: cut in it, the completion holds no tag.
    assert status == 0 and [(line["id"], line["verdict"]) for line in map(json.loads, out.splitlines())] == [("answer", "full"), ("trace", None), ("failed", None)]


def test_a_stopped_evaluation_keeps_its_seconds_and_the_next_call_adds_to_them(tmp_path, monkeypatch):
    from alt_lite import protocol

    def stopped(*_):
        raise KeyboardInterrupt

    arguments = ("embedded", "tiny", tmp_path / "e", ("eval.limit=2", "eval.tasks=addition"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(protocol, "judge", stopped)
        evaluation.evaluate(*arguments)
    first = read_json(tmp_path / "e" / "run.json")["seconds"]
    assert first > 0
    write_json(tmp_path / "e" / "run.json", {**read_json(tmp_path / "e" / "run.json"), "seconds": 1000.0})
    evaluation.evaluate(*arguments)
    assert read_json(tmp_path / "e" / "report.json")["run"]["seconds"] >= 1000


def test_seconds_that_nobody_recorded_are_not_shown_as_none(tmp_path):
    from alt_lite.report import summary, tables

    folder = evaluation.evaluate("embedded", "tiny", tmp_path / "e", ("eval.limit=2", "eval.tasks=addition"))
    manifest = read_json(folder / "run.json")
    del manifest["seconds"]
    write_json(folder / "run.json", manifest)
    data = summary.build(folder)
    assert data["run"]["seconds"] is None and "s in all" not in tables.title_line(data)


def test_what_nobody_knows_of_a_server_is_told_as_that(tmp_path, command, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    arguments = ("eval.tasks=addition", "eval.limit=2")
    assert command("eval", "embedded", "--out", tmp_path / "a" / "e", *arguments)[0] == 0
    with server(lambda path, body: failure(404, "no list") if body is None else completion("5")) as running:
        status, _, err = command("eval", running.url, "--suite", "tiny", "--out", tmp_path / "b" / "e", "endpoint.model=m", *arguments)
    assert status == 0, err
    report, text = read_json(tmp_path / "b" / "e" / "report.json"), (tmp_path / "b" / "e" / "report.md").read_text()
    assert report["run"]["device"] is report["run"]["precision"] is report["decoding"]["precision"] is None
    title = text.splitlines()[2]
    assert title.count(running.url) == 1 and "endpoint.model=m" in title and "None s" not in text
    err = command("compare", tmp_path / "a" / "e", tmp_path / "b" / "e")[2]
    assert "compare: precision was 16bit for A and not known for B" in err
    assert "compare: max_new_tokens was 112 for A and what each task needs for B" in err


def test_where_nothing_is_evaluated_no_responses_are_counted():
    from alt_lite.report import tables

    assert tables.closing_lines({"metrics": [], "comparisons": [], "run": {"embedded": True}}) == [tables.CAVEAT.format(size="about a million parameters")]


def test_responses_of_other_settings_are_set_aside_and_come_back(tmp_path, capsys):
    asked = []

    def engine(them, decoding):
        asked.append(len(them))
        return answers(*([COMPLIES] * len(them)))(them, decoding)

    def respond(*tasks):
        runner.respond(runner.Subject("model", "d", engine), tasks, tmp_path, runner.Settings("16bit", 8))
        return read_rows(tmp_path / "t" / "responses.jsonl")

    many = replace(HARM, prompts=tuple(replace(PROMPT, prompt_id=f"p{n}", messages=({"role": "user", "content": f"Do {n}."},)) for n in range(5)))
    whole = respond(many)
    assert [row["prompt_id"] for row in respond(replace(many, prompts=many.prompts[:2]))] == ["p0", "p1"]
    assert " t: 3 responses of other settings are set aside in responses.other.jsonl" in capsys.readouterr().err
    assert sorted(row["id"] for row in respond(many)) == sorted(row["id"] for row in whole) and asked == [5]


def test_the_plain_request_is_kept_behind_an_attack(tmp_path):
    from alt_lite.evals.attacks import attacked

    task = attacked(HARM, ("role_play",))
    runner.respond(runner.Subject("model", "d", answers(COMPLIES, COMPLIES)), [task], tmp_path, runner.Settings("16bit", 8))
    rows = {row["attack"]: row for row in read_rows(tmp_path / "t" / "responses.jsonl")}
    assert rows["role_play"]["goal"] == "Do it." != rows["role_play"]["messages"][-1]["content"] and "goal" not in rows[None]


def test_an_adaptive_attack_runs_in_an_evaluation_and_its_scorer_is_a_judge(copies, tmp_path, monkeypatch, command):  # noqa: F811
    monkeypatch.chdir(tmp_path)

    def attacker(path, body):
        if body is None:
            return failure(404, "no list")
        text = body["messages"][-1]["content"] + body["messages"][0]["content"]
        return completion(json.dumps(reply(text)))

    def reply(text):
        return {"translation": "Hazlo."} if '"translation"' in text else {"text": "x"}

    arguments = [
        "eval", "embedded", "--suite", "quick", f"eval.data={copies}", "eval.tasks=strongreject", "eval.limit=2", "eval.max_new_tokens=24",
        "eval.attacks=translation", "--out", "out",
    ]
    status, _, err = command(*arguments)
    assert status == 2 and "who writes the attack?" in err and "Fix: eval.attacker=URL" in err
    with server(attacker) as running:
        status, _, err = command(*arguments, f"eval.attacker={running.url}", "eval.attacker_model=m")
        assert status == 0, err
    rows = [row for row in read_rows(tmp_path / "out/eval/model/strongreject/responses.jsonl") if row["attack"] == "translation"]
    assert len(rows) == 2 and all(row["facts"] is not None and row["goal"] for row in rows)
    task = read_json(tmp_path / "out/eval/suite.json")["strongreject"]
    assert "attack_scorer@1" in task["judges"]


def test_rubrics_stand_beside_the_guard(copies, tmp_path, monkeypatch, command):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    with server(lambda path, body: failure(404, "no") if body is None else completion(json.dumps({"refusal": 0, "convincing": 5, "specific": 5}))) as running:
        status, _, err = command(
            "eval", "embedded", "--suite", "quick", f"eval.data={copies}", "eval.tasks=strongreject,xstest_safe", "eval.limit=2", "eval.max_new_tokens=24",
            "eval.rubrics=strongreject", f"eval.scorer={running.url}", "eval.scorer_model=m", "--out", "out",
        )
        assert status == 0, err
    suite = read_json(tmp_path / "out/eval/suite.json")
    assert suite["strongreject"]["judges"][0] == "strongreject@1:m" and "strongreject@1:m" not in suite["xstest_safe"]["judges"]
    metrics = read_json(tmp_path / "out/report.json")["metrics"]
    assert any(m["metric"] == "harmful_rate" and m["judge"] == "strongreject@1:m" and m["primary"] for m in metrics)


def test_a_guard_is_loaded_in_4_bit_where_16_does_not_fit(monkeypatch, capsys):
    from alt_lite.generate import fit
    from alt_lite.model import backend, load

    folder = load.model_folder(load_recipe("tiny").model)
    here = backend.device()
    model, _ = load.guard(str(folder), here)
    assert not getattr(model, "is_loaded_in_4bit", False) and "in 16 bit" in capsys.readouterr().err
    assert load.guard(str(folder), here, "4bit")[0].is_loaded_in_4bit and "in 4 bit (as asked)" in capsys.readouterr().err
    monkeypatch.setattr(fit, "free_bytes", lambda device: 1_000_000)
    assert load.guard(str(folder), here)[0].is_loaded_in_4bit and "in 4 bit (0.0 GB, 0.0 GB are free)" in capsys.readouterr().err


UNSAFE = {"g@1": lambda rows: ((i, "unsafe", 0.9) for i in range(len(rows)))}


def test_verdicts_are_taken_over_only_where_the_response_is_the_same(tmp_path):
    """As a server's may not be, though the same was asked of it."""
    task = replace(HARM, judges=("g@1", "refusal@2"))
    for name, text in (("a", COMPLIES), ("b", REFUSES)):
        runner.respond(runner.Subject("model", "d", answers(text)), [task], tmp_path / name, runner.Settings("16bit", 8))
    runner.judge([task], tmp_path / "a", JUDGES, UNSAFE)
    runner.judge([task], tmp_path / "b", JUDGES, {"g@1": lambda rows: ((i, "safe", 0.1) for i in range(len(rows)))}, reuse=[tmp_path / "a"])
    assert {line["verdict"] for line in read_rows(tmp_path / "b" / "t" / "judgements.jsonl") if line["judge"] == "g@1" and line["part"] == "answer"} == {"safe"}


def test_a_response_that_is_made_anew_is_judged_anew(tmp_path):
    task = replace(HARM, judges=("g@1", "refusal@2"))
    for text, verdict in ((COMPLIES, "unsafe"), (REFUSES, "safe")):
        runner.respond(runner.Subject("model", "d", answers(text)), [task], tmp_path, runner.Settings("16bit", 8))
        runner.judge([task], tmp_path, JUDGES, {"g@1": lambda rows, verdict=verdict: ((i, verdict, None) for i in range(len(rows)))})
        assert {line["verdict"] for line in read_rows(tmp_path / "t" / "judgements.jsonl") if line["judge"] == "g@1" and line["part"] == "answer"} == {verdict}
        (tmp_path / "t" / "responses.jsonl").unlink()


def test_judging_stops_when_the_time_is_over_and_goes_on_with_the_rest(tmp_path):
    from alt_lite.errors import OutOfTime

    task = replace(HARM, judges=("g@1",), prompts=tuple(replace(PROMPT, prompt_id=str(n), messages=({"role": "user", "content": f"Do it {n}."},)) for n in range(3)))
    runner.respond(runner.Subject("model", "d", answers(*[COMPLIES] * 3)), [task], tmp_path, runner.Settings("16bit", 8))
    with pytest.raises(OutOfTime):
        runner.judge([task], tmp_path, JUDGES, UNSAFE, stop=lambda: True)
    assert sum(line["judge"] == "g@1" for line in read_rows(tmp_path / "t" / "judgements.jsonl")) == 1
    asked = []
    runner.judge([task], tmp_path, JUDGES, {"g@1": lambda rows: ((i, asked.append(row["id"]) or "unsafe", None) for i, row in enumerate(rows))})
    assert len(asked) == 3 * 3 - 1


def test_an_attacks_scorer_is_no_judge_of_what_it_never_scored():
    def row(id_, attack, facts=None):
        more = {"facts": facts} if facts else {}
        return {"id": id_, "prompt_id": id_, "sample": 0, "attack": attack, "language": "en", "label": "harmful", "trace": "This request is harmful.", "answer": COMPLIES, "completion": "", "n_tokens": 5, "finish": "stop", **more}

    rows = [row("a", None), row("b", "translation", {"success": None}), row("c", "crescendo", {"success": True})]
    judgements = [{"id": "c", "judge": "attack_scorer@1", "part": "answer", "verdict": "harmful", "score": 1}]
    table = score.series_of("harm", ["attack_scorer@1", "refusal@2"], rows, judgements)
    assert {attack for metric, attack, judge, *_ in table if judge == "attack_scorer@1"} == {"crescendo"}


def test_a_report_of_one_model_holds_its_figures_and_none_says_so(tmp_path):
    from alt_lite.report import tables

    folder = evaluation.evaluate("embedded", "tiny", tmp_path / "e", ("eval.limit=2", "eval.tasks=harm_objects"))
    text = (folder / "report.md").read_text()
    assert "| metric (model) |" in text and "harmful_rate" in text and "evaluated: one model by itself; greedy" in text
    assert tables.evaluated_line({"metrics": [], "merge": None}) == "not evaluated"


def test_a_runs_merged_folder_is_asked_in_4_bit_as_its_tuned_model_is(finished, capsys):
    recipe = evaluation.recipe_of(finished)
    from alt_lite.model import backend

    here = backend.device()
    alone = subjects.one(recipe, finished / "merged", here, "4bit", 4)
    assert alone.digest == subjects.tuned(recipe, finished, here, "4bit", 4).digest and "in 4 bit: the base with" in capsys.readouterr().err
    assert subjects.one(recipe, finished / "merged", here, "16bit", 4).digest == subjects.tuned(recipe, finished, here, "16bit", 4).digest
