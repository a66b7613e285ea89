"""Benign rows of further sources: shared by weight, drawn by seed, counted by source; rows without a trace; long rows."""

from __future__ import annotations

import json

import pytest
from test_alttrain import WORDS, records, write

from alt_lite import dataset
from alt_lite.config import load_recipe, mixing
from alt_lite.data.making import is_templated, words_of
from alt_lite.data.rows import read_training_rows
from alt_lite.data.sources import Place, open_table
from alt_lite.errors import UserError
from alt_lite.method import structure

NEEDS = ("prompt", "response", "label")
SUM = "Ann has {n} {word} pears, Bob 2 more. How many {other} pears are {n} and these?"
MARKS = "Bob picks {n}+2=<<{n}+2={more}>>{more} pears.\nThey have {n}+{more} = <<{n}+{more}={all}>>{all} pears.\n#### {all}"


def self_instruct(count: int, name: str = "tale") -> list[dict]:
    """Rows of Self-Instruct's form."""
    rows = []
    for number in range(count):
        word, other = WORDS[number % 25], WORDS[(number * 7 + number // 25 + 3) % 25]
        rows.append({"id": f"seed_{number}", "instruction": f"Write a short {name} about the {word} and {other} number {number}.", "instances": [{"input": "Keep it calm." if number % 2 else "", "output": f"The {word} was calm."}, {"input": "x", "output": "y"}]})
    return rows


def sums(count: int) -> list[dict]:
    """Rows of GSM8K's form."""
    return [
        {"question": SUM.format(n=n, word=WORDS[n % 25], other=WORDS[(n * 3 + 1) % 25]), "answer": MARKS.format(n=n, more=n + 2, all=2 * n + 2)}
        for n in range(3, 3 + count)
    ]


@pytest.fixture
def copies(tmp_path):
    """A folder of copies of four sources."""
    folder = tmp_path / "copies"
    folder.mkdir()
    star1 = [{"question": row["instruction"], "response": row["response"], "category": ["Privacy"]} for row in records(100) if "harmful" in row["label"]]
    write(folder / "star1.jsonl", star1)
    write(folder / "self_instruct.jsonl", self_instruct(40))
    write(folder / "self_instruct_user.jsonl", self_instruct(30, "song"))
    write(folder / "gsm8k_train.jsonl", sums(30))
    return folder


THREE = "self_instruct:2,self_instruct_user,gsm8k_train:1"


def recipe_for(copies, *more: str):
    return load_recipe("r1_1_5b", ["data.source=star1", f"data.path={copies}", "data.harmful=20", "data.benign=20", "data.against=[]", *more])


def build(copies, folder, *more: str):
    return dataset.build(recipe_for(copies, f"data.benign_from={THREE}", "data.untraced=template", *more), "template", folder)


def by_source(rows) -> dict[str, list]:
    found: dict[str, list] = {}
    for row in rows:
        found.setdefault(row.source.rpartition("/")[2].partition(".jsonl")[0], []).append(row)
    return found


@pytest.mark.parametrize("text, name, weight", [
    ("gsm8k_train", "gsm8k_train", 1), ("gsm8k_train:2", "gsm8k_train", 2), ("owner/set:0.5", "owner/set", 0.5), ("C:\\sets\\mine.jsonl", "C:\\sets\\mine.jsonl", 1),
    ("C:\\sets\\mine.jsonl:3", "C:\\sets\\mine.jsonl", 3), ("C:/sets/mine.jsonl", "C:/sets/mine.jsonl", 1), ("C:mine.csv", "C:mine.csv", 1), ("/a/b.csv:1e1", "/a/b.csv", 10),
])
def test_a_weight_is_told_from_a_path(text, name, weight):
    assert mixing.further(text) == mixing.Further(name, weight)


@pytest.mark.parametrize("total, weights, given", [
    (20, [2, 1, 1], [10, 5, 5]), (10, [1, 1, 1], [4, 3, 3]), (7, [0.5, 0.25, 0.25], [3, 2, 2]), (0, [1, 2], [0, 0]), (1, [1, 5], [0, 1]), (100, [1e-3, 1], [0, 100]),
])
def test_rows_are_shared_by_weight_and_largest_remainder(total, weights, given):
    assert mixing.shares(total, weights) == given and sum(given) == total


def test_benign_rows_come_from_further_sources_and_harmful_ones_from_the_first(copies, tmp_path, capsys):
    rows = build(copies, tmp_path / "set")
    found = by_source(rows)
    assert {name: len(mine) for name, mine in found.items()} == {"star1": 20, "self_instruct": 10, "self_instruct_user": 5, "gsm8k_train": 5}
    assert all(row.label == ("harmful" if name == "star1" else "benign") for name, mine in found.items() for row in mine)
    err, card = capsys.readouterr().err, (tmp_path / "set" / "card.md").read_text()
    assert "star1 gives 20 harmful rows; self_instruct gives 10 benign rows" in err
    assert "data: gsm8k_train: 5 rows: with steps that their source does not have, written by template" in err and "**Taken of gsm8k_train**\n\n- benign: 5\n" in card
    assert "self_instruct.jsonl, 10 benign rows" in card and "`data.benign_from`" in card and read_training_rows(tmp_path / "set" / "train.jsonl") == rows
    fewer = by_source(build(copies, tmp_path / "few", "data.benign=8", "data.harmful=5"))
    assert all({row.id for row in mine} < {row.id for row in found[name]} for name, mine in fewer.items())


def test_rows_of_published_forms_become_plain_rows(copies, tmp_path):
    found = by_source(build(copies, tmp_path / "set"))
    for row in found["gsm8k_train"]:
        total = row.answer.removeprefix("The answer is ").removesuffix(".")
        assert row.source_trace.endswith(f"= {total} pears.") and "<<" not in row.source_trace and row.reasoning == row.source_trace
    assert {row.prompt.endswith(".\n\nKeep it calm.") for row in found["self_instruct"]} == {True, False}
    for row in found["self_instruct"]:
        assert row.answer == row.source_answer and row.answer.endswith("was calm.") and not row.source_trace
    # Plain columns, and instances as a table of texts holds them, are the same rows.
    flat = [{"instruction": "Write it.", "input": "Now.", "output": "It."}]
    cell = [{"instruction": "Write it.", "instances": json.dumps([{"input": "Now.", "output": "It."}])}]
    for number, rows in enumerate((flat, cell)):
        table = open_table(Place("self_instruct", write(tmp_path / f"{number}.jsonl", rows)), NEEDS)
        assert next(table.rows("prompt"))[1] == {"prompt": "Write it.\n\nNow."} and table.response(0) == "It." and table.label == "benign"
    odd = open_table(Place("gsm8k_train", write(tmp_path / "odd.jsonl", [{"question": "q", "answer": "Just 4."}])), NEEDS)
    assert odd.response(0) == "Just 4."


def test_written_steps_read_as_alttrains_and_the_sources_own_stay(copies, tmp_path):
    rows = build(copies, tmp_path / "set")
    for row in rows:
        found = structure.find(structure.join_steps(row.understanding, row.assessment, row.reasoning))
        assert found.is_alttrain and found.verdict == row.label and found.has("refusing") == (row.label == "harmful"), row
        assert is_templated(row) == (row.label == "benign") and (row.label == "benign" or row.source_trace.startswith(row.understanding))


def test_targets_are_written_from_the_same_prompts(copies, capsys):
    from alt_lite.method.targets import needs, render

    prompts = []
    for target in ("alttrain", "answer_only", "natural", "direct_refusal"):
        recipe = recipe_for(copies, f"data.benign_from={THREE}", "data.untraced=template", f"data.target={target}")
        rows = dataset.rows_for(recipe)
        assert not any(needs(row, target) for row in rows) and all(render(row, target) for row in rows)
        prompts.append([row.prompt for row in rows])
    assert all(each == prompts[0] for each in prompts) and "built before" in capsys.readouterr().err


def test_rows_without_a_trace_are_left_out_unless_they_are_written(copies, tmp_path):
    few = ("data.benign_from=self_instruct", "data.benign=10")
    with pytest.raises(UserError, match=r"self_instruct.jsonl has 0 usable benign rows of 40, 10 are asked for \(left out: no trace 40") as error:
        dataset.build(recipe_for(copies, *few), "template", tmp_path / "a")
    assert "data.untraced=template" in error.value.fix and error.value.fix.startswith("data.harmful=20 data.benign=0")
    made = dataset.build(recipe_for(copies, *few, "data.target=answer_only"), "template", tmp_path / "b")
    assert len(made) == 30 and not any(row.understanding for row in made if row.label == "benign")


def test_a_source_that_lacks_rows_is_named_with_what_fits(copies, tmp_path):
    with pytest.raises(UserError) as error:
        build(copies, tmp_path / "a", "data.benign=200")
    assert "self_instruct.jsonl has 40 usable benign rows of 40, 100 are asked for; " in error.value.message and "gsm8k_train.jsonl has 30 usable benign rows of 30, 50 are" in error.value.message
    assert "star1" not in error.value.message
    fits = error.value.fix.partition(";")[0].split()
    assert fits == ["data.harmful=20", "data.benign=80"] and len(build(copies, tmp_path / "b", *fits)) == 100


def test_near_duplicates_are_found_across_sources(copies, tmp_path):
    twins = [{"prompt": row["instruction"] + (f"\n\n{more}" if (more := row["instances"][0]["input"]) else "") + " Now!", "response": "Done.", "label": "benign"} for row in self_instruct(40)]
    own = write(tmp_path / "own.jsonl", [*twins, {"prompt": "What stands on the quiet hill?", "response": "A tree.", "label": "benign"}])
    arguments = (f"data.benign_from=self_instruct:40,{own}:1", "data.benign=41", "data.untraced=template")
    made = by_source(dataset.build(recipe_for(copies, *arguments), "template", tmp_path / "set"))
    assert [row.prompt for row in made["own"]] == ["What stands on the quiet hill?"]


def test_long_rows_are_left_out_and_counted(copies, tmp_path, capsys):
    long = [*self_instruct(20), *({**row, "instances": [{"input": "", "output": "很" * 300}]} for row in self_instruct(10, "saga"))]
    write(copies / "self_instruct.jsonl", long)
    few = ("data.benign_from=self_instruct", "data.untraced=template", "data.benign=20")
    made = dataset.build(recipe_for(copies, *few, "data.longest=100"), "template", tmp_path / "a")
    assert len(made) == 40 and all(words_of(row) <= 100 for row in made)
    assert "self_instruct: 10 rows left out, longer than data.longest" in capsys.readouterr().err
    assert "more than data.longest=100 words: 10" in (tmp_path / "a" / "card.md").read_text()
    assert any(words_of(row) > 300 for row in dataset.build(recipe_for(copies, *few), "template", tmp_path / "b"))


@pytest.mark.parametrize("pairs, says", [
    (["data.benign_from=self_instruct:0"], "the weight '0' is no positive number"), (["data.benign_from=self_instruct:-1"], "no positive number"),
    (["data.benign_from=self_instruct:nan"], "no positive number"), (["data.benign_from=self_instruct:much"], "no positive number"),
    (["data.benign_from=self_instruct,self_instruct:2"], "self_instruct is named twice"), (["data.benign_from=star1"], "star1 is named twice, data.source being the first"),
    (["data.source=tiny", "data.benign_from=self_instruct"], "does not apply to data.source=tiny"), (["data.source=r1act", "data.benign_from=self_instruct"], "does not apply to data.source=r1act"),
    (["data.benign_from=self_instrct"], "no data source 'self_instrct'; did you mean self_instruct"), (["data.benign_from=lrm_study"], "holds no benign row"),
    (["data.untraced=maybe"], "data.untraced"), (["data.longest=0"], "data.longest"),
])
def test_mistakes_are_one_line_with_a_fix(copies, tmp_path, pairs, says):
    write(copies / "lrm_study.jsonl", [{"prompt": f"Do the forbidden {word}.", "response": "I'm sorry, no."} for word in WORDS])
    with pytest.raises(UserError) as error:
        dataset.build(recipe_for(copies, *pairs), "template", tmp_path / "set")
    assert says in error.value.message and error.value.fix and not (tmp_path / "set").exists()


def test_finished_rows_are_no_source_of_a_mixture(copies, tmp_path):
    done = write(tmp_path / "done.jsonl", [{"id": "1", "prompt": "p", "label": "benign", "answer": "a", "understanding": "u"}])
    with pytest.raises(UserError, match="is finished training rows"):
        load_recipe("r1_1_5b", [f"data.source={done}", "data.benign_from=self_instruct"])
    with pytest.raises(UserError, match="done.jsonl holds training rows, which are finished"):
        dataset.build(recipe_for(copies, f"data.benign_from={done}"), "template", tmp_path / "set")


def test_sources_that_give_no_row_are_said(copies, tmp_path, capsys):
    rows = build(copies, tmp_path / "a", "data.benign=0")
    assert len(rows) == 20 and "data.benign=0, so that the sources of data.benign_from give no row" in capsys.readouterr().err
    rows = build(copies, tmp_path / "b", "data.benign=1")
    assert len(rows) == 21 and "gsm8k_train gives no row: its share of data.benign=1" in capsys.readouterr().err


def test_only_benign_rows_of_a_further_source_are_taken(copies, tmp_path, capsys):
    mixed = write(tmp_path / "mixed.jsonl", records(50))
    made = by_source(dataset.build(recipe_for(copies, f"data.benign_from={mixed}", "data.benign=20"), "template", tmp_path / "a"))
    assert {row.label for row in made["mixed"]} == {"benign"} and len(made["mixed"]) == 20
    plain = write(tmp_path / "plain.csv.jsonl", [{"question": f"Where is the {word}?", "answer": "There."} for word in WORDS])
    dataset.build(recipe_for(copies, f"data.benign_from={plain}", "data.benign=20", "data.untraced=template"), "template", tmp_path / "b")
    assert "has no column of labels; all its rows are benign" in capsys.readouterr().err


def test_a_set_is_named_by_all_that_determines_it(copies):
    names = {dataset.set_folder(recipe_for(copies, *more), "template").name for more in (
        (), (f"data.benign_from={THREE}",), ("data.benign_from=self_instruct,self_instruct_user,gsm8k_train",), ("data.untraced=template",), ("data.longest=50",), ("data.longest=60",),
    )}
    assert len(names) == 6
    before = dataset.set_folder(recipe_for(copies, f"data.benign_from={THREE}"), "template")
    write(copies / "gsm8k_train.jsonl", sums(31))
    assert dataset.set_folder(recipe_for(copies, f"data.benign_from={THREE}"), "template") != before


def test_a_run_knows_when_a_further_source_has_changed(copies, tmp_path):
    from alt_lite.rundir import fingerprints, source_digest

    own = write(tmp_path / "own.jsonl", records(50))
    recipe = recipe_for(copies / "star1.jsonl", f"data.benign_from={own}")
    before = source_digest(recipe)
    write(own, records(51))
    assert source_digest(recipe) != before
    assert fingerprints(recipe)["data"] != fingerprints(recipe_for(copies / "star1.jsonl"))["data"]


def test_a_mixture_is_built_and_looked_at_from_the_command_line(command, copies, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--path", copies, "--harmful", 8, "--benign", 8, "--untraced", "template", "--longest", 120, "--against", "tiny", "--assessor", "template"]
    status, out, err = command("data", "build", "--from", "star1", "--benign-from", "self_instruct:3", "--benign-from", "gsm8k_train", *arguments)
    assert status == 0 and out.strip() == "data/star1+self_instruct+gsm8k_train_8h_8b_template_seed1995/train.jsonl", err
    pairs = ["data.source=star1", f"data.path={copies}", f"data.benign_from={THREE}", "data.untraced=template", "data.harmful=4", "data.benign=4", "data.against=[]"]
    status, out, err = command("mask", "tiny", *pairs, "data.target=answer_only", "--n", 8)
    assert status == 0 and "3 rows without a trace: the target answer_only writes an empty one before their own answer" in err, err
    assert "4 rows with steps that their source does not have, written by template" in err
    status, out, _ = command("show", "tiny")
    assert status == 0 and all(f"data.{key}" in out or key in out for key in ("benign_from", "untraced", "longest"))
