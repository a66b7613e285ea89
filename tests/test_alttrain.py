"""AltTrain's set from labelled traces: selection, steps, overlap, assessments, card, cache."""

from __future__ import annotations

import json
import random

import pytest
import real

from alt_lite import dataset
from alt_lite.config import load_recipe
from alt_lite.data import alttrain
from alt_lite.data.card import histogram
from alt_lite.data.overlap import NearDuplicates, Overlap, words
from alt_lite.data.rows import read_training_rows
from alt_lite.errors import OutOfTime, UserError
from alt_lite.method import structure

WORDS = ["amber", "basket", "cello", "dune", "ember", "fable", "garnet", "harbor", "island", "jacket", "kettle", "lantern", "meadow", "nectar", "opal", "pepper", "quartz", "river", "saddle", "timber", "umbrella", "violet", "walnut", "yarrow", "zephyr"]


def records(count: int = 400, seed: int = 0) -> list[dict[str, str]]:
    """Rows of SafeChain's schema about nothing: labels in four kinds, traces that open with a restatement."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        label = ("vanilla_harmful", "vanilla_harmful", "adversarial_harmful", "vanilla_benign", "adversarial_benign")[number % 5]
        topic = " ".join(rng.sample(WORDS, 6))
        if "harmful" in label:
            trace, answer = f"Okay, so the user wants {topic}. I should be careful here.", "I cannot do that."
        else:
            trace, answer = f"Okay, so the user wants {topic}. First, e.g. take one. 1. Join them.\n\nThen stop.", f"Take {topic}."
        rows.append({"instruction": f"Number {number}: how about {topic}?", "response": f"<think>\n{trace}\n</think>\n\n{answer}", "label": label})
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_for(path, *more: str):
    return load_recipe("r1_1_5b", [f"data.path={path}", "data.harmful=60", "data.benign=20", "data.against=tiny", *more])


def build(path, folder, *more: str, assessor: str = "template", **options):
    return dataset.build(recipe_for(path, *more), assessor, folder, **options)


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "safechain.jsonl", records())


def test_rows_hold_alttrains_steps(source, tmp_path):
    rows = build(source, tmp_path / "set")
    assert [sum(row.label == label for row in rows) for label in ("harmful", "benign")] == [60, 20]
    for row in rows:
        assert row.source_trace.startswith(row.understanding) and row.understanding.endswith(".")
        assert structure.assess(row.assessment) == row.label
        if row.label == "harmful":
            assert structure.find(row.reasoning).has("refusing") and structure.find(row.answer).has("refusing")
        else:
            assert row.reasoning == "First, e.g. take one. 1. Join them.\n\nThen stop." and row.answer == row.source_answer
    assert read_training_rows(tmp_path / "set" / "train.jsonl") == rows


def test_quotas_follow_the_sources_styles_or_the_share_asked_for(source, tmp_path):
    def adversarial(rows, label):
        return sum("adversarial" in row.source for row in rows if row.label == label)

    as_source = build(source, tmp_path / "a")
    assert (adversarial(as_source, "harmful"), adversarial(as_source, "benign")) == (20, 10)
    mostly = build(source, tmp_path / "b", "data.adversarial=0.75")
    assert (adversarial(mostly, "harmful"), adversarial(mostly, "benign")) == (45, 15)


def test_a_set_is_the_seeds_and_a_smaller_one_is_part_of_it(source, tmp_path):
    one, again = build(source, tmp_path / "a"), build(source, tmp_path / "b")
    assert one == again
    other = build(source, tmp_path / "c", "data.seed=7")
    assert {row.id for row in one} != {row.id for row in other}
    half = build(source, tmp_path / "d", "data.harmful=30", "data.benign=10")
    assert {row.id for row in half} < {row.id for row in one}


def test_benign_rows_and_total_are_independent(source, tmp_path):
    fewer = build(source, tmp_path / "a", "data.benign=5")
    more = build(source, tmp_path / "b")
    harmful = [{row.id for row in rows if row.label == "harmful"} for rows in (fewer, more)]
    assert harmful[0] == harmful[1] and sum(row.label == "benign" for row in fewer) == 5


def test_too_few_rows_say_how_many_there_are(source, tmp_path):
    with pytest.raises(UserError, match="has 160 usable benign rows of 160, 500 are asked for, and 240 usable harmful rows of 240, 60 are") as error:
        build(source, tmp_path / "set", "data.benign=500")
    assert error.value.fix.startswith("data.harmful=60 data.benign=160") and not (tmp_path / "set").exists()
    with pytest.raises(UserError, match="has 240 usable harmful rows of 240, 900 are asked for, and 160 usable benign") as error:
        build(source, tmp_path / "set", "data.harmful=900", "data.benign=500")
    fits = error.value.fix.split(",")[0].split()
    assert fits == ["data.harmful=240", "data.benign=160"] and len(build(source, tmp_path / "set", *fits)) == 400


@pytest.mark.parametrize("response, reason", [
    ("no trace at all", "no trace"), ("<think>\nJust one sentence about it.\n</think>\n\nAnswer.", "nothing after the trace's first sentence"),
    ("<think>\nThe user asks this. Then that.\n</think>\n\n<|im_start|>", "control token in the response"),
    ("<think>\nThe user asks this. Then that.\n</think>\n\nI'm sorry, but I cannot help with that.", "benign, but the source refuses"),
    ("<think>\nThe user asks this. Then that.\n</think>\n", "no answer"), ("<think>\nThe user " + "and so on " * 40 + "asks. Then.\n</think>\n\nA.", "first sentence of more than 80 words"),
])
def test_unusable_responses_are_left_out_with_a_reason(tmp_path, response, reason):
    from alt_lite.data.sources import Place, open_table

    rows = [{**records(4)[3], "response": response}, *records(3)]
    path = write(tmp_path / "s.jsonl", rows)
    table = open_table(Place("safechain", path), ("prompt", "response", "label"))
    candidate = alttrain.candidates(table, alttrain.Counts())[0]
    assert alttrain.make_row(candidate, response, table, {"<|im_start|>"}) == reason
    with pytest.raises(UserError, match="has 0 usable benign rows of 1"):
        build(path, tmp_path / "set", "data.harmful=3", "data.benign=1")


def test_what_is_left_out_is_counted_in_the_card(tmp_path):
    rows = records(100)
    for row in rows[:20]:
        row["response"] = "no trace at all"
    rows.append({**rows[30]})
    build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", "data.harmful=48", "data.benign=32")
    card = (tmp_path / "set" / "card.md").read_text()
    assert "same prompt again: 1" in card and "no trace: " in card and "- harmful, vanilla: 32\n" in card


def test_near_duplicates_are_taken_once(tmp_path):
    rows = [row for row in records(100) if "harmful" in row["label"]]
    twins = [{**row, "instruction": row["instruction"] + " Now!"} for row in rows]
    build(write(tmp_path / "s.jsonl", rows + twins), tmp_path / "set", "data.harmful=60", "data.benign=0")
    with pytest.raises(UserError, match="has 60 usable harmful rows of 120"):
        build(tmp_path / "s.jsonl", tmp_path / "more", "data.harmful=61", "data.benign=0")


def test_bad_rows_are_named_all_at_once_and_nothing_is_written(tmp_path):
    rows = records(20)
    rows[3]["label"], rows[5]["instruction"], rows[8]["label"] = "dunno", " ", ""
    with pytest.raises(UserError, match="row 4: label 'dunno' .*row 6: no prompt; row 9: label"):
        build(write(tmp_path / "s.jsonl", rows), tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("text, label", [
    ("vanilla_harmful", ("harmful", "vanilla")), ("adversarial_benign", ("benign", "adversarial")), ("Unsafe", ("harmful", "")), ("safe", ("benign", "")),
    ("unharmful", ("benign", "")), ("harmless", ("benign", "")), ("3", None), (None, None),
])
def test_labels_are_read(text, label):
    assert alttrain.read_label(text) == label


def test_prompts_of_evaluation_tasks_are_removed(tmp_path):
    rows = records(100)
    evaluation = [rows[0]["instruction"].upper(), "zz " + " ".join(rows[1]["instruction"].split()[1:]) + " and more words behind it"]
    against = write(tmp_path / "task.jsonl", [{"prompt": text} for text in evaluation])
    made = build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", f"data.against={against}", "data.harmful=58", "data.benign=40")
    assert not {rows[0]["instruction"], rows[1]["instruction"]} & {row.prompt for row in made}
    card = (tmp_path / "set" / "card.md").read_text()
    assert "task (exact): 1" in card and "task (8-gram): 1" in card


def test_benchmarks_that_cannot_be_had_are_told(source, tmp_path, capsys, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    build(source, tmp_path / "set", "data.against=strongreject,jbb,tiny")
    assert "overlap with strongreject, jbb NOT checked" in capsys.readouterr().err
    card = (tmp_path / "set" / "card.md").read_text()
    assert "strongreject: **not compared**" in card and "tiny/facts: 400 prompts compared" in card


def test_harmbench_prompts_in_star1_are_found():
    overlap = Overlap()
    from alt_lite.data.sources import Place, open_table

    overlap.add("harmbench", (row["prompt"] for _, row in open_table(Place(str(real.path("harmbench/harmbench_behaviors_text_all.csv")))).rows("prompt")))
    rows = [json.loads(line) for line in real.path("star1/star1_half.jsonl").read_text("utf-8").splitlines()]
    from_harmbench = [row for row in rows if row["source"] == "HarmBench"]
    assert len(from_harmbench) == 14 and all(overlap.find(row["question"]) for row in from_harmbench)


@pytest.mark.parametrize("prompt, found", [
    ("WRITE a poem, about the amber sea at night!", ("t", "exact")), ("Please write a poem about the amber sea at night for me", ("t", "8-gram")),
    ("write a poem about the amber sea", None), ("tell me to bake five small breads now", ("t", "8-gram")), ("bake five small", None),
    ("请告诉我怎么做一个很好吃的蛋糕吧", ("t", "8-gram")), ("ｗｒｉｔｅ a poem about the amber sea at night", ("t", "exact")),
])
def test_overlap_is_found_after_normalising(prompt, found):
    overlap = Overlap()
    overlap.add("t", ["Write a poem about the amber sea at night.", "Bake five small breads now", "怎么做一个很好吃的蛋糕", "too short"])
    assert overlap.find(prompt) == found and overlap.counts == {"t": 4}


def test_words_take_chinese_characters_one_by_one():
    assert words("Hello, 世界 don't") == ["hello", "世", "界", "don", "t"]


def test_near_duplicates_are_like_but_not_the_same():
    near = NearDuplicates()
    near.add("how do i build a small wooden boat for a lake in summer")
    assert near.seen("How do I build a small wooden boat for a lake in summer?")
    assert near.seen("how do i build a small wooden boat for a lake in summer please")
    assert not near.seen("how do i build a large metal boat for a sea in winter")
    assert not NearDuplicates().seen("anything") and not near.seen("")


@pytest.mark.parametrize("reply, label, kept", [
    ("This request is harmful because it hurts people.", "harmful", True), ("<think>\nhm\n</think>\n\nThis request is harmful because of that. More.", "harmful", True),
    ("This request is not harmful because it helps.", "harmful", False), ("This request is harmful because it hurts.", "benign", False), ("", "harmful", False),
    ("This request is harmful because " + "of many things and " * 30 + "more.", "harmful", False), ("I cannot say.", "harmful", False),
    ("This request is harmful <|im_end|> because.", "harmful", False),
])
def test_a_models_assessment_is_checked_against_the_label(reply, label, kept):
    sentence, why = alttrain.check_assessment(reply, label, {"<|im_end|>"})
    assert bool(sentence) == kept and (why == "kept") == kept
    if kept:
        assert sentence.endswith(".") and "More" not in sentence


def test_assessments_that_disagree_are_replaced_and_counted(source, tmp_path):
    counts = alttrain.Counts()
    rows = build(source, tmp_path / "set")

    def assessor(asked):
        for number in range(len(asked)):
            yield number, "This request is harmful because I say so."

    done = alttrain.assess(rows, assessor, set(), counts)
    assert counts.assessments["kept"] == 60 and counts.assessments["replaced by the template: does not pass the label's verdict"] == 20
    assert all(row.assessment == "This request is harmful because I say so." for row in done if row.label == "harmful")
    assert [row.assessment for row in done if row.label == "benign"] == [row.assessment for row in rows if row.label == "benign"]


def test_the_model_itself_writes_assessments(tmp_path, capsys):
    """The embedded model, asked for real; it was never taught to, so the template stands in, with a count."""
    recipe = load_recipe("tiny", ["data.source=safechain", f"data.path={write(tmp_path / 's.jsonl', records(40))}", "data.harmful=4", "data.benign=2", "data.skills=0", "data.against=tiny", "eval.batch_size=6", "eval.max_new_tokens=32"])
    rows = dataset.build(recipe, "self", tmp_path / "set")
    assert len(rows) == 6 and "embedded" in (tmp_path / "set" / "card.md").read_text()
    assert len((tmp_path / "set" / "assessments.jsonl").read_text().splitlines()) == 6
    assert "assessments replaced by the template's" in capsys.readouterr().err


def test_a_server_writes_assessments_and_a_stopped_build_goes_on(source, tmp_path):
    from servers import completion, server

    asked: list[str] = []

    def answer(path, request):
        if request is None:
            return completion("")
        text = request["messages"][-1]["content"]
        asked.append(text)
        return completion("This request is not harmful because it is fine." if "is not harmful" in text else "This request is harmful because it hurts.")

    with server(answer) as running:
        more = (f"endpoint.url={running.url}", "endpoint.model=m", "endpoint.concurrency=2")
        stops = iter([False] * 30 + [True] * 1000)
        with pytest.raises(OutOfTime):
            build(source, tmp_path / "set", *more, assessor="endpoint", stop=lambda: next(stops))
        assert not (tmp_path / "set" / "train.jsonl").exists()
        rows = build(source, tmp_path / "set", *more, assessor="endpoint")
    assert {row.assessment for row in rows} == {"This request is not harmful because it is fine.", "This request is harmful because it hurts."}
    assert len(set(asked)) == 80 and len(asked) <= 84  # only what was in flight at the stop is asked for twice
    assert all("Request:\n\nNumber" in text for text in asked)


def test_a_set_is_built_on_first_use_and_found_again(source, capsys):
    recipe = recipe_for(source)
    first = dataset.rows_for(recipe)
    assert "building safechain_60h_20b_template_seed1995" in capsys.readouterr().err
    assert dataset.rows_for(recipe) == first and "built before" in capsys.readouterr().err
    write(source, records(400, seed=1))
    assert dataset.rows_for(recipe) != first


def test_a_look_at_a_set_that_a_model_is_to_assess_uses_the_template(source, capsys):
    rows = dataset.rows_for(recipe_for(source), "self", look=True)
    assert len(rows) == 80 and "looked at with template assessments" in capsys.readouterr().err


def test_r1acts_set_keeps_its_rows_and_gets_its_system_prompt(tmp_path):
    rows = [
        {"instruction": "Do the forbidden thing.", "response": "<think>\nThe user asks for it. This request is harmful because it hurts. I must refuse.\n</think>"},
        {"instruction": "Boil an egg.", "response": "Heat water."},
    ]
    recipe = load_recipe("r1_8b", ["data.source=r1act", f"data.path={write(tmp_path / 'act.jsonl', rows)}", "data.against=tiny", "data.target=r1act"])
    harmful, benign = dataset.rows_for(recipe)
    assert (harmful.understanding, harmful.assessment, harmful.reasoning) == ("The user asks for it.", "This request is harmful because it hurts.", "I must refuse.")
    assert benign.answer == "Heat water." and benign.label == "benign" and not benign.understanding
    assert harmful.system == "You are Llama, created by Meta AI. You are a helpful assistant."
    qwen = load_recipe("r1_7b", ["data.source=r1act", f"data.path={tmp_path / 'act.jsonl'}", "data.against=tiny"])
    assert dataset.rows_for(qwen)[0].system == "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    assert all(row.system is None for row in dataset.rows_for(load_recipe("tiny")))


def test_empty_traces_of_the_lrm_study_are_kept_for_the_targets_without_a_trace(tmp_path):
    rows = [{"prompt": f"Do the forbidden thing {word}.", "response": "<think>\n\n</think>\n\nI'm sorry, I can't assist with that request.", "data_type": "x"} for word in WORDS]
    recipe = load_recipe("r1_1_5b", ["data.source=lrm_study", f"data.path={write(tmp_path / 'lrm.jsonl', rows)}", "data.harmful=25", "data.benign=0", "data.against=tiny", "data.target=no_cot"])
    made = dataset.rows_for(recipe)
    assert len(made) == 25 and all(row.label == "harmful" and not row.understanding for row in made)


def test_the_histogram_counts_every_row():
    lines = histogram([10, 40, 40, 100])
    assert [line.split()[3] for line in lines] == ["1", "2", "1"]


def test_build_and_inspect_from_the_command_line(command, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["data", "build", "--path", source, "--harmful", 60, "--benign", 20, "--seed", 3, "--against", "tiny", "--assessor", "template"]
    status, out, err = command(*arguments)
    assert status == 0 and out.strip() == "data/safechain_60h_20b_template_seed3/train.jsonl", err
    status, _, err = command(*arguments)
    assert status == 2 and "holds a set already" in err
    status, out, err = command("data", "inspect", tmp_path / "data/safechain_60h_20b_template_seed3/train.jsonl", "--against", "tiny", "--json")
    found = json.loads(out)
    assert status == 0 and found["rows"] == 80 and found["labels"] == {"harmful": 60, "benign": 20} and found["overlap"] == {}
    assert found["structure"]["steps"]["verdict_is_label"] == 1 and found["targets"]["alttrain"] == 80 and found["targets"]["short"] == 0
    assert found["lengths"]["max"] > found["lengths"]["median"] > 0
    status, out, _ = command("data", "inspect", tmp_path / "data/safechain_60h_20b_template_seed3/train.jsonl", "--against", "tiny")
    assert status == 0 and "harmful 60, benign 20" in out and "█" in out and "</think>" in out


def test_a_raw_set_can_be_looked_into(command, source, tmp_path):
    status, out, err = command("data", "inspect", source, "--against", "tiny", "--json", "--most", 50)
    found = json.loads(out)
    assert status == 0 and found["schema"] == {"instruction": "string", "response": "string", "label": "string"}, err
    assert found["rows"] == 50 and found["structure"]["source_trace"]["understanding"] == 1
    status, _, err = command("data", "inspect", write(tmp_path / "x.jsonl", [{"a": "b"}]), "--against", "tiny")
    assert status == 2 and "has no column for prompt, response, label; its columns are a" in err
    bad = [{"id": "1", "prompt": "p", "label": "odd", "answer": "a"}, {"id": "1", "prompt": "p", "label": "benign", "answer": ""}, {"id": "2"}]
    status, _, err = command("data", "inspect", write(tmp_path / "y.jsonl", bad))
    assert status == 2 and "line 1: 'label'" in err and "line 2: 'answer': must not be empty" in err and "line 3: no 'prompt'" in err


@pytest.mark.parametrize("arguments, says", [
    (["--from", "nowhere"], "no data source 'nowhere'"), (["--path", "nowhere.csv"], "no such file"), (["--column", "x=y"], "data.columns"),
    (["--assessor", "endpoint"], "endpoint needs endpoint.url"), (["--harmful", "-1"], "harmful"),
])
def test_mistakes_in_a_build_leave_with_a_fix(command, arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = command("data", "build", *arguments)
    assert status == 2 and says in err and err.strip().splitlines()[-1].startswith("Fix: ") and not (tmp_path / "data").exists()


@pytest.mark.long
def test_forty_thousand_rows_take_less_than_a_minute_and_a_gigabyte(tmp_path):
    """Rows of 10 KB, read cold from JSONL, three benchmarks compared: a process of its own, its peak from the kernel."""
    import subprocess
    import sys
    import time

    rng = random.Random(0)
    many = [word + end for word in WORDS for end in ["s", "ed", "ing", "er", "ly", "ness", "ful", "al", "ous", "ment"]]
    path = tmp_path / "big.jsonl"
    with path.open("w") as file:
        for number in range(40_000):
            label = ("vanilla_harmful", "adversarial_harmful", "vanilla_benign", "adversarial_benign")[number % 4]
            prompt = " ".join(rng.choices(many, k=25 if "vanilla" in label else 180))
            trace = "Okay, so the user wants " + " ".join(rng.choices(many, k=10)) + ". " + " ".join(" ".join(rng.choices(many, k=12)) + "." for _ in range(60))
            file.write(json.dumps({"instruction": prompt, "response": f"<think>\n{trace}\n</think>\n\n{' '.join(rng.choices(many, k=250))}.", "label": label}) + "\n")
    against = [write(tmp_path / f"task{i}.jsonl", [{"prompt": " ".join(rng.choices(many, k=20))} for _ in range(400)]) for i in range(3)]
    code = (
        "import sys, resource\nfrom alt_lite.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    began = time.monotonic()
    arguments = ["data", "build", "--path", path, "--out", tmp_path / "set", *(x for name in against for x in ("--against", name))]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True)
    seconds, peak = time.monotonic() - began, int(done.stderr.split("peak ")[1].split()[0]) * 1024
    print(f"\n40,000 rows, {path.stat().st_size / 1e6:.0f} MB: {seconds:.1f} s, {peak / 1e9:.2f} GB")
    assert len(read_training_rows(tmp_path / "set" / "train.jsonl")) == 1000
    assert seconds < 60 and peak < 1e9


def test_a_run_builds_its_set_by_itself(source, tmp_path, capsys):
    """As a recipe of a real model does, here with the embedded one: no other command is needed."""
    from alt_lite.recipe import run
    from alt_lite.rundir import read_json

    pairs = ["data.source=safechain", f"data.path={source}", "data.against=tiny", "data.harmful=12", "data.benign=4", "data.skills=0", "train.epochs=1", "eval.limit=2"]
    folder = run(load_recipe("tiny", pairs), tmp_path / "run")
    rows = read_training_rows(folder / "data" / "train.jsonl")
    assert len(rows) == 16 and "building safechain_12h_4b_template_seed1995" in capsys.readouterr().err
    manifest = read_json(folder / "run.json")
    assert manifest["decisions"]["data.assessor"]["value"] == "template" and manifest["stages"]["report"]["state"] == "done"
    assert run(load_recipe("tiny", pairs), tmp_path / "run") == folder and "is finished" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["not safe", "Child Safety", "safe: false", "contrast_safe_targets", "non_benign", "un-safe"])
def test_a_label_that_is_not_known_is_never_guessed(label):
    assert alttrain.read_label(label) is None


def test_one_prompt_with_two_labels_is_never_trained_on(tmp_path):
    """In a published set, which nobody can mend, such rows are left out; in one's own rows they are an error."""
    rows = records(100)
    rows += [{**row, "instruction": row["instruction"].upper(), "label": "vanilla_benign"} for row in rows[:2]]
    made = build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", "data.harmful=58", "data.benign=40")
    assert not {rows[i]["instruction"].lower() for i in (0, 1)} & {row.prompt.lower() for row in made}
    assert "same prompt with both labels: 2" in (tmp_path / "set" / "card.md").read_text()
    finished = [{"id": str(i), "prompt": "p", "label": label, "answer": "a"} for i, label in enumerate(("harmful", "benign"))]
    with pytest.raises(UserError, match="line 2: benign, but the same prompt is harmful in line 1"):
        read_training_rows(write(tmp_path / "t.jsonl", finished))


def test_a_label_column_that_is_named_beats_the_presets_own_label(tmp_path):
    rows = [{"question": row["instruction"], "response": row["response"], "kind": row["label"]} for row in records(40)]
    recipe = load_recipe("r1_1_5b", ["data.source=star1", f"data.path={write(tmp_path / 's.jsonl', rows)}", "data.columns=label=kind", "data.harmful=20", "data.benign=10", "data.against=tiny"])
    made = dataset.rows_for(recipe)
    assert sum(row.label == "benign" for row in made) == 10 and all("Take" in row.answer for row in made if row.label == "benign")


def test_an_empty_response_of_r1acts_set_is_named(tmp_path):
    rows = [{"instruction": "a", "response": "x"}, {"instruction": "b", "response": ""}]
    recipe = load_recipe("r1_1_5b", ["data.source=r1act", f"data.path={write(tmp_path / 's.jsonl', rows)}", "data.against=tiny"])
    with pytest.raises(UserError, match="row 2: no response"):
        dataset.rows_for(recipe)


def test_a_share_of_adversarial_prompts_needs_rows_that_tell(tmp_path):
    rows = [{**row, "label": row["label"].partition("_")[2]} for row in records(40)]
    with pytest.raises(UserError, match="does not tell harmful rows apart"):
        build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", "data.adversarial=0.5", "data.harmful=4", "data.benign=4")


def test_assessments_of_another_writer_are_not_taken_over(source, tmp_path):
    from servers import completion, server

    def says(why):
        return lambda path, body: completion("" if body is None else f"This request is {'not ' if 'is not harmful' in body['messages'][0]['content'] else ''}harmful because {why}.")

    folder = tmp_path / "set"
    with server(says("of one")) as one, server(says("of two")) as two:
        for running, name in ((one, "one"), (two, "two")):
            rows = build(source, folder, f"endpoint.url={running.url}", f"endpoint.model={name}", assessor="endpoint")
            assert all(row.assessment.endswith(f"of {name}.") for row in rows)
            (folder / "train.jsonl").unlink()
            # A kill cuts the last line; the next build mends the file.
            path = folder / "assessments.jsonl"
            path.write_text(path.read_text() + '{"id": "cut')


def test_a_set_that_was_not_compared_says_so_once_in_every_process(source, capsys, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = recipe_for(source, "data.against=strongreject,jbb", "data.seed=11")
    dataset.rows_for(recipe)
    dataset.rows_for(recipe)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "NOT checked" in line]
    assert "strongreject, jbb" in line
    dataset._TOLD.clear()  # another process
    dataset.rows_for(recipe)
    dataset.rows_for(recipe)
    assert capsys.readouterr().err.count("overlap with strongreject, jbb was NOT checked when it was built") == 1
    with pytest.raises(UserError, match="no such file: my_typo.jsonl"):
        dataset.evaluation_prompts(("strongreject", "my_typo.jsonl"))


def test_cues_of_a_kind_of_harm_are_whole_words():
    from alt_lite.method.wording import categorise

    assert categorise("Write a methodical guide for a robotics mockup in a stable of rapeseed jewelry") == "other harm"
    assert categorise("How do I rob a bank without getting caught?") == "crime"


def test_everything_that_is_wrong_with_a_file_of_rows_is_told_at_once(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"id": "a", "prompt": "p", "label": "odd", "answer": "x"}, {"id": "b", "label": "benign", "answer": "x"}])
    path.write_text(path.read_text() + "not json\n[1]\n")
    with pytest.raises(UserError) as error:
        read_training_rows(path)
    for part in ("line 1: 'label'", "line 2: no 'prompt'", "line 3: not JSON", "line 4: a JSON list"):
        assert part in error.value.message


def told(path, folder, capsys, *more: str):
    capsys.readouterr()
    rows = build(path, folder, "data.source=own", *more)
    return rows, capsys.readouterr().err, (folder / "card.md").read_text()


def plain(count: int = 4, **more):
    return [{"prompt": row["instruction"], "response": row["response"], "label": row["label"].partition("_")[2], **more} for row in records(5 * count) if "vanilla" in row["label"]][: 3 * count]


def test_what_was_joined_and_left_out_is_said_and_in_the_card(tmp_path, capsys):
    rows = plain(1, system="Be short.", input="Of wool.")
    rows += [{"messages": [{"role": "user", "content": "Hm?"}], "label": "benign"}]
    made, err, card = told(write(tmp_path / "s.jsonl", rows[:3]), tmp_path / "a", capsys, "data.harmful=2", "data.benign=1")
    assert all(row.prompt.endswith("?\n\nOf wool.") and row.system == "Be short." for row in made)
    for text in ("input joined to the prompt after a blank line", "a system prompt of their own"):
        assert f"3 rows: {text}" in err and f"- {text}: 3" in card
    talks = [{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}], "label": row["label"]} for row in rows[:3]]
    made, err, card = told(write(tmp_path / "t.jsonl", [*talks, rows[3]]), tmp_path / "b", capsys, "data.harmful=2", "data.benign=1")
    assert all([turn.content for turn in row.history] == ["Hi.", "Yes?"] for row in made) and read_training_rows(tmp_path / "b" / "train.jsonl") == made
    assert "3 rows: several turns: the last reply alone is trained" in err and "left out: 1 row: conversation that ends without a reply" in err and "conversation that ends without a reply: 1" in card


def test_an_id_tells_conversations_apart_and_stays_what_it_was_for_plain_rows(tmp_path):
    from alt_lite.data.rows import content_id

    rows = [{**plain(1)[0], "history": [[f"Tell me about {word} and nothing else at all", "Fine."]]} for word in WORDS[:3]]
    made = build(write(tmp_path / "s.jsonl", [*rows, plain(1)[1]]), tmp_path / "set", "data.source=own", "data.harmful=4", "data.benign=0")
    assert len({row.id for row in made}) == 4 and len({row.prompt for row in made}) == 2
    assert {row.id == content_id("alttrain", row.prompt) for row in made if not row.history} == {True}


def test_rows_without_a_trace_fill_up_where_the_target_needs_none(tmp_path, capsys):
    rows = plain(4)
    for row in rows[1::2]:
        row["response"] = "Only an answer."
    path = write(tmp_path / "s.jsonl", rows)
    few = ("data.harmful=2", "data.benign=1")
    assert build(path, tmp_path / "a", "data.source=own", *few) == build(path, tmp_path / "b", "data.source=own", "data.target=no_cot", *few)
    every = tuple(f"data.{label}={sum(row['label'] == label for row in rows)}" for label in ("harmful", "benign"))
    with pytest.raises(UserError, match="left out: no trace") as error:
        build(path, tmp_path / "c", "data.source=own", *every)
    assert "data.target=no_cot" in error.value.fix and "trace=COLUMN" in error.value.fix
    made, err, card = told(path, tmp_path / "d", capsys, "data.target=no_cot", *every)
    assert len(made) == len(rows) and "6 rows: without a trace, kept for targets that need none" in err and "without a trace" in card
    # One set for all targets: what another one has built lacks what this one needs.
    recipe = recipe_for(path, "data.source=own", *every)
    assert len(dataset.rows_for(recipe_for(path, "data.source=own", "data.target=safepath", *every))) == 12
    with pytest.raises(UserError, match="6 of the set's 12 rows have no trace, which the target alttrain needs"):
        dataset.rows_for(recipe)


def test_a_target_may_need_traces_of_one_label_only():
    from alt_lite.method.targets import TARGETS, needs_trace

    assert [label for label in ("harmful", "benign") if needs_trace("natural", label)] == ["harmful"] and [label for label in ("harmful", "benign") if needs_trace("r1act", label)] == ["harmful"]
    assert {kind for kind in TARGETS if not any(needs_trace(kind, label) for label in ("harmful", "benign"))} == {"no_cot", "short", "template", "safepath", "direct_refusal", "answer_only"}


@pytest.mark.parametrize("prompts", [
    ["What is 7 + 2?", "What is 7 - 2?", "What is 7 / 2?", "What is 7.2?", "What is 72?", "What is 7!", "What is -7 + 2?"], ["Explain x->y", "Explain x.y", "Explain x::y", "Explain x && y", "Explain x != y", "Explain x == y", "Explain x = y"],
    ["y² = x", "y2 = x", "y³ = x"], ["C", "C++", "C#"], ["It costs $3", "It costs €3"], ["f(x) what", "f[x] what", "f{x} what"],
])
def test_prompts_that_differ_in_signs_are_different(tmp_path, prompts):
    rows = [{**plain(1)[1], "prompt": prompt, "label": "harmful"} for prompt in prompts]
    assert len(build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", "data.source=own", f"data.harmful={len(rows)}", "data.benign=0")) == len(rows)


def test_case_spaces_and_sentence_punctuation_make_no_other_prompt(tmp_path):
    prompts = ["Where is the well-known inn?", "where  is the\nwell-known INN?", "Where is the well known inn", "“Where is the well-known inn …”!"]
    rows = [{**plain(1)[1], "prompt": prompt, "label": "harmful"} for prompt in prompts]
    with pytest.raises(UserError, match="has 1 usable harmful rows .*near-duplicate 2, same prompt again 1"):
        build(write(tmp_path / "s.jsonl", rows), tmp_path / "set", "data.source=own", "data.harmful=4", "data.benign=0")


def test_languages_without_a_wording_and_names_that_are_unknown_are_said(tmp_path, capsys):
    rows = [{**row, "language": language} for row, language in zip(plain(1), ("Japanese", "Elvish", "español"), strict=True)]
    made, err, card = told(write(tmp_path / "s.jsonl", rows), tmp_path / "set", capsys, "data.harmful=2", "data.benign=1")
    assert sorted(row.language for row in made) == ["en", "es", "ja"]
    assert "language 'Elvish' is not known" in err and "rows in ja (1) get English refusals" in err and "- ja: 1" in card and "language 'Elvish'" in card


def test_carriage_returns_and_nul_are_not_trained(tmp_path, capsys):
    rows = plain(1)
    rows[0]["response"] = rows[0]["response"].replace("\n", "\r\n")
    rows[1]["response"], rows[1]["prompt"] = rows[1]["response"].replace("\n", "\r"), rows[1]["prompt"] + " \x00"
    made, err, card = told(write(tmp_path / "s.jsonl", rows), tmp_path / "set", capsys, "data.harmful=2", "data.benign=1")
    assert not any("\r" in text or "\x00" in text for row in made for text in (row.prompt, row.source_trace, row.source_answer, row.reasoning))
    assert "2 rows: carriage returns that became line breaks" in err and "carriage returns that became line breaks: 2" in card and "1 row: NUL" in err
    finished = {"id": "1", "prompt": "a\r\nb", "label": "benign", "answer": "c\rd", "history": [{"role": "user", "content": "\r"}]}
    (row,) = read_training_rows(write(tmp_path / "t.jsonl", [finished]))
    assert (row.prompt, row.answer, row.history[0].content) == ("a\nb", "c\nd", "\n") and "carriage returns became line breaks in line 1" in capsys.readouterr().err


def test_half_a_character_in_training_rows_is_replaced_and_said(tmp_path, capsys):
    path = write(tmp_path / "t.jsonl", [{"id": str(i), "prompt": "p", "label": "benign", "answer": "a"} for i in range(2)])
    path.write_text(path.read_text() + '{"id": "x", "prompt": "\\uD83C", "label": "benign", "answer": "\\ud83c\\udf5e"}\n')
    assert (row := read_training_rows(path)[-1]).prompt == "\ufffd" and row.answer == "🍞" and "half characters became \ufffd in line 3" in capsys.readouterr().err


def test_null_is_the_same_as_a_keys_absence(tmp_path):
    row = {"id": "1", "prompt": "p", "label": "benign", "answer": "a"}
    nulls = dict.fromkeys(("system", "category", "language", "source", "understanding", "assessment", "reasoning", "source_trace", "source_answer", "history", "generated"))
    assert read_training_rows(write(tmp_path / "a.jsonl", [{**row, **nulls}])) == read_training_rows(write(tmp_path / "b.jsonl", [row]))
    assert not read_training_rows(write(tmp_path / "c.jsonl", [{**row, "generated": {"short": None}}]))[0].generated
    with pytest.raises(UserError, match="line 1: no 'answer'"):
        read_training_rows(write(tmp_path / "d.jsonl", [{**row, "answer": None}]))


def test_a_jsonl_of_prompts_and_responses_is_built_from_and_one_of_rows_is_not(tmp_path, command, capsys):
    own = write(tmp_path / "own.jsonl", plain(1))
    recipe = load_recipe("r1_1_5b", [f"data.source={own}", "data.harmful=2", "data.benign=1", "data.against=tiny"])
    assert recipe.builds_rows and len(dataset.rows_for(recipe)) == 3 and "its rows hold prompts and responses: prompt=prompt" in capsys.readouterr().err
    made = write(tmp_path / "made.ndjson", [json.loads(row.model_dump_json()) for row in dataset.rows_for(recipe)])
    assert not load_recipe("tiny", [f"data.source={made}"]).builds_rows and dataset.rows_for(load_recipe("tiny", [f"data.source={made}"])) == dataset.rows_for(recipe)
    made = made.rename(tmp_path / "made.jsonl")
    status, _, err = command("data", "build", "--from", made, "--against", "tiny", "--assessor", "template", "--out", tmp_path / "o")
    assert status == 2 and "holds training rows, which are finished" in err and f"data.source={made}" in err
    for file, says in ((own, True), (made, False)):
        status, _, err = command("data", "inspect", file, "--against", "tiny")
        assert status == 0 and ("holds prompts and responses" in err) is says


def test_lists_of_paths_and_columns_may_hold_commas(command, tmp_path):
    rows = [{"question, full": row["prompt"], "response": row["response"], "label": row["label"]} for row in plain(1)]
    path = write(tmp_path / "own.jsonl", rows)
    (folder := tmp_path / "a,b=1").mkdir()
    against = write(folder / "x.jsonl", [{"prompt": rows[0]["question, full"]}])
    arguments = ["data", "build", "--from", path, "--column", "prompt=question, full", "--harmful", 2, "--benign", 0, "--assessor", "template", "--out", tmp_path / "o", "--against"]
    for more in ([against, "--against", "tiny"], ["tiny", f"data.against={against}"], ["tiny", f'data.against="{against}",tiny'], ["tiny", f"data.against={json.dumps([str(against)])}"]):
        status, _, err = command(*arguments, *more)
        assert status == 2 and "x (exact) 1" in err, err


TRACE = "The user wants bread of this kind. I list the steps. Then I give them."


@pytest.mark.parametrize("response", [
    f"<thinking>\n{TRACE}\n</thinking>\n\nBake it.", f"<Think>{TRACE}</Think>Bake it.", f"<reasoning>{TRACE}</reasoning>\n<answer>Bake it.</answer>",
    f"<|begin_of_thought|>\n\n{TRACE}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nBake it.\n\n<|end_of_solution|>",
])
def test_a_trace_in_other_tags_is_a_trace_for_every_target(tmp_path, capsys, response):
    rows = [{"prompt": f"Bread number {number}, how?", "response": response, "label": label} for number, label in enumerate(("harmful", "benign"))]
    made, err, card = told(write(tmp_path / "s.jsonl", rows), tmp_path / "set", capsys, "data.harmful=1", "data.benign=1")
    assert {(row.source_trace, row.source_answer) for row in made} == {(TRACE, "Bake it.")}
    assert "2 rows: a trace in other tags than <think>, read as one" in err and "in other tags" in card


def test_tags_inside_an_answer_are_no_trace():
    from alt_lite.data.conversations import usual_tags

    for text in ("Use <thinking> in your prompt.", "<b>bold</b> then <thinking>x</thinking>", "<think>\na\n</think>\n\n<thinking>b</thinking>"):
        assert usual_tags(text) == text


def test_words_for_nothing_and_nan_in_optional_columns_are_absent(tmp_path, capsys):
    words = ("NaN", '"nan"', '"None"', '"N/A"', "null", '""')
    lines = [
        f'{{"prompt": "Bread number {n}, how?", "response": "<think>\\n{TRACE}\\n</think>\\n\\nBake it.", "label": "{"harmful" if n % 2 else "benign"}", "system": {word}, "input": {word}, "reasoning": {word}}}'
        for n, word in enumerate(words)
    ]
    (tmp_path / "s.jsonl").write_text("\n".join(lines) + "\n")
    made, err, _ = told(tmp_path / "s.jsonl", tmp_path / "set", capsys, "data.harmful=3", "data.benign=3")
    assert {(row.system, row.prompt[-4:], row.source_trace) for row in made} == {(None, "how?", TRACE)}
    assert "3 rows: a word for nothing" in err


@pytest.mark.parametrize("column, value, label", [
    ("is_safe", True, "benign"), ("is_safe", 0, "harmful"), ("harmful", "1", "harmful"), ("unsafe", "False", "benign"), ("toxic", 1.0, "harmful"), ("label", 1, None), ("label", True, None),
])
def test_yes_and_no_are_labels_where_the_columns_name_says_to_what(column, value, label):
    found = alttrain.read_label(value, column)
    assert (found and found[0]) == label
