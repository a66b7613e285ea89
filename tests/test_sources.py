from __future__ import annotations

import json

import pytest
import real

from alt_lite.data.sources import Place, open_table, parse_columns
from alt_lite.errors import UserError

ROWS = [
    {"instruction": "How do I bake?", "response": "<think>\nThe user wants bread. Knead.\n</think>\n\nKnead it.", "label": "vanilla_benign"},
    {"instruction": "Do the \"forbidden\", thing\nnow", "response": "<think>\nHm. No.\n</think>\n\nNo.", "label": "adversarial_harmful"},
]


def save(folder, form: str, rows=ROWS):
    """Write rows in one of the formats."""
    from datasets import Dataset, DatasetDict

    data = Dataset.from_list(rows)
    path = folder / f"set.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "json":
        path.write_text(json.dumps(rows))
    elif form == "csv":
        data.to_csv(str(path), index=False)
    elif form == "tsv":
        data.to_csv(str(path), index=False, sep="\t")
    elif form == "parquet":
        data.to_parquet(str(path))
    elif form == "saved":
        data.save_to_disk(str(path))
    else:
        DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(str(path))
    return path


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv", "parquet", "saved", "splits"])
def test_every_format_gives_the_same_rows(tmp_path, form):
    table = open_table(Place("safechain", save(tmp_path, form)), ("prompt", "response", "label"))
    assert table.columns == {"prompt": "instruction", "response": "response", "label": "label"}
    got = [row for _, row in table.rows("prompt", "label")]
    assert got == [{"prompt": row["instruction"], "label": row["label"]} for row in ROWS]
    assert [table.response(i) for i in range(2)] == [row["response"] for row in ROWS]


def test_own_columns_are_mapped(tmp_path):
    rows = [{"q": "a?", "a": "b", "kind": "safe"}]
    table = open_table(Place(str(save(tmp_path, "jsonl", rows)), columns=parse_columns(["prompt=q", "response=a", "label=kind"])), ("prompt", "response", "label"))
    assert next(table.rows("prompt", "label")) == (0, {"prompt": "a?", "label": "safe"}) and table.response(0) == "b"


def test_one_label_can_be_given_for_all_rows(tmp_path):
    rows = [{"q": "a?", "a": "b"}]
    table = open_table(Place(str(save(tmp_path, "csv", rows)), columns=parse_columns(["prompt=q", "response=a", "label=harmful"])), ("prompt", "response", "label"))
    assert table.label == "harmful" and "label" not in table.columns


def write(path, text: str):
    path.write_text(text)
    return path


@pytest.mark.parametrize("name, text, says", [
    ("empty.jsonl", "", "is empty"), ("empty.csv", "instruction,response,label\n", "no rows"),
    ("cut.jsonl", '{"instruction": "a", "response": "b", "label": "x"}\n{"instruct', "line 2: not JSON"),
    ("list.jsonl", '{"instruction": "a"}\n[1]\n"x"\n', "line 2: a JSON list, not an object; line 3: a JSON str"),
    ("type.jsonl", '{"instruction": "a", "response": "b"}\n{"instruction": {"x": 1}, "response": "b"}\n{"instruction": "c", "response": ["d"]}\n', "line 2: 'instruction' is dict, text before; line 3: 'response' is list"),
    ("numbers.jsonl", '{"instruction": 1, "response": "b", "label": "benign"}\n', "row 1: 'instruction' is int, not text"),
    ("missing.jsonl", '{"foo": "a", "response": "b", "label": "benign"}\n', "has no column for prompt; its columns are foo, response, label"),
    ("set.xlsx", "x", "none of .jsonl"),
])
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, name, text, says):
    with pytest.raises(UserError) as error:
        open_table(Place("safechain", write(tmp_path / name, text)), ("prompt", "response"))
    assert says in error.value.message and name in error.value.message and error.value.fix


def test_a_mapping_to_a_column_that_is_not_there_lists_those_that_are(tmp_path):
    with pytest.raises(UserError, match="prompt .named 'quest'.* its columns are q, a"):
        open_table(Place(str(save(tmp_path, "csv", [{"q": "a", "a": "b"}])), columns={"prompt": "quest"}), ("prompt",))


@pytest.mark.parametrize("pair", ["prompt", "promt=q", "prompt="])
def test_a_malformed_mapping_is_refused(pair):
    with pytest.raises(UserError, match="data.columns"):
        parse_columns([pair])


@pytest.mark.parametrize("name, says", [("no_such_set", "no data source"), ("/nowhere/set.jsonl", "no such file"), ("nowhere.csv", "no such file")])
def test_an_unknown_source_is_refused_without_asking_the_hub(name, says):
    with pytest.raises(UserError, match=says):
        open_table(Place(name))


def test_without_a_network_the_fix_is_a_local_copy(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="UWNSL/SafeChain") as error:
        open_table(Place("safechain"))
    assert "data.path=" in error.value.fix


def test_a_folder_that_is_no_saved_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="no folder saved by"):
        open_table(Place("safechain", tmp_path))


@pytest.mark.parametrize("preset, file, rows", [
    ("star1", "star1/star1_half.jsonl", 522), ("lrm_study", "lrm_safety_study/sft_train_nocot_first200.jsonl", 200),
    ("self_instruct", "benign_instructions/self_instruct_seed_tasks.jsonl", 175), ("self_instruct_user", "benign_instructions/self_instruct_user_oriented.jsonl", 252),
    ("gsm8k_train", "gsm8k/train_first1500.jsonl", 1500),
])
def test_presets_open_real_copies(preset, file, rows):
    table = open_table(Place(preset, real.path(file)), ("prompt", "response", "label"))
    assert len(table) == rows and all(row["prompt"].strip() for _, row in table.rows("prompt"))


def test_a_set_of_many_configurations_is_read_as_one(tmp_path):
    """The layout of the hub's parquet branch, on which CMMLU's 67 subjects are folders."""
    from datasets import Dataset, load_dataset

    from alt_lite.data.remote import of_repository
    from alt_lite.evals.tasks import TASKS

    for subject in ("agronomy", "anatomy"):
        for split in ("test", "dev"):
            folder = tmp_path / subject / split
            folder.mkdir(parents=True)
            row = {"Question": f"{subject} {split}", "A": "1", "B": "2", "C": "3", "D": "4", "Answer": "B"}
            Dataset.from_list([row]).to_parquet(folder / "0000.parquet")
    data = of_repository(load_dataset, str(tmp_path), TASKS["cmmlu"].source.places[0], None)
    assert sorted(data["Question"]) == ["agronomy test", "anatomy test"]
    assert all(TASKS["cmmlu"].item(row).reference == "B" for row in data)


TRACE, ANSWER = "The user wants rye bread. Flour first.", "Mix, then wait."
WHOLE = f"<think>\n{TRACE}\n</think>\n\n{ANSWER}"


def opened(folder, rows, *columns: str, needs=("prompt", "response")):
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_table(Place(str(path), columns=parse_columns(columns)), needs)


def example(table, index: int = 0) -> dict:
    """What a row is asked and answered, as a builder reads it."""
    row = dict(list(table.rows("prompt", "system", "history", "problem"))[index][1])
    return {**row, "response": table.response(index), "history": [(turn.role, turn.content) for turn in row.get("history", ())]}


@pytest.mark.parametrize("row, columns", [
    ({"question": "q", "reasoning_content": TRACE, "answer": ANSWER}, ()), ({"Question": "q", "Complex_CoT": TRACE, "Response": ANSWER}, ()), ({"prompt": "q", "thoughts": [TRACE], "output": ANSWER}, ()),
    ({"prompt": "q", "reasoning": f"<think>{TRACE}</think>", "output": ANSWER}, ()), ({"prompt": "q", "mine": TRACE, "output": ANSWER}, ("trace=mine",)), ({"prompt": "q", "thinking": "another one", "output": WHOLE}, ()),
])
def test_a_trace_of_its_own_column_stands_before_the_response(tmp_path, row, columns):
    assert example(opened(tmp_path, [row], *columns))["response"] == WHOLE


def test_alpacas_columns_are_all_used_and_blank_ones_are_not(tmp_path):
    rows = [
        {"instruction": "Mend this:", "input": "Teh sea", "output": "x", "system": "Be short.", "history": [["Hi", "Hello"]]}, {"instruction": "Say hi.", "input": "", "output": "x", "system": None, "history": []},
        {"instruction": "Say ho.", "output": "x", "system": " ", "history": None},
    ]
    table = opened(tmp_path, rows)
    first, second, third = (example(table, index) for index in range(3))
    assert first["prompt"] == "Mend this:\n\nTeh sea" and first["system"] == "Be short." and first["history"] == [("user", "Hi"), ("assistant", "Hello")]
    assert (second["prompt"], second["system"], second["history"]) == ("Say hi.", None, []) and (third["prompt"], third["system"]) == ("Say ho.", None)
    assert example(opened(tmp_path, [{"instruction": "Double it.", "input": 12, "output": "x"}]))["prompt"] == "Double it.\n\n12"


def test_a_context_is_joined_and_an_input_alone_is_the_prompt(tmp_path):
    assert example(opened(tmp_path, [{"instruction": "Sum up.", "context": "Long.", "response": "x"}]))["prompt"] == "Sum up.\n\nLong."
    assert example(opened(tmp_path, [{"input": "Sum up.", "output": "x"}]))["prompt"] == "Sum up."


def turns(role="role", text="content", user="user", assistant="assistant", system="system", reply=WHOLE):
    said = [(system, "Be short."), (user, "Hello?"), (assistant, "<think>\nA guest.\n</think>\n\nGood day."), (user, "How do I bake?"), (assistant, reply)]
    return [{role: who, text: what} for who, what in said]


SPOKEN = {"system": "Be short.", "history": [("user", "Hello?"), ("assistant", "Good day.")], "prompt": "How do I bake?", "response": WHOLE, "problem": None}


def test_texts_and_lists_of_parts_may_stand_in_one_conversation(tmp_path):
    mixed = [*turns()[:3], {"role": "user", "content": [{"type": "text", "text": "How do I bake?"}]}, turns()[4]]
    assert example(opened(tmp_path, [{"messages": mixed}])) == SPOKEN


@pytest.mark.parametrize("row", [
    {"messages": turns()}, {"messages": turns(system="developer", user="User")}, {"conversations": turns("from", "value", "human", "gpt")}, {"conversation": turns(user="human", assistant="model")},
    {"messages": json.dumps(turns())}, {"messages": str(turns())}, {"messages": turns(), "text": "all of it, written out"}, {"prompt": "How do I bake?", "prompt_id": "7", "messages": turns()},
    {"conversation": [{"system": "Be short.", "human": "Hello?", "assistant": "Good day."}, {"human": "How do I bake?", "assistant": WHOLE}]}, {"prompt": turns()[:4], "completion": turns()[4:]}, {"prompt": "How do I bake?", "completion": turns()}, {"messages": {"role": [turn["role"] for turn in turns()], "content": [turn["content"] for turn in turns()]}},
    {"prompt": turns()[:4], "response": WHOLE}, {"messages": turns()[:4], "response": WHOLE}, {"messages": turns(reply=ANSWER), "reasoning": TRACE},
    {"messages": [*turns()[:4], {"role": "assistant", "content": ANSWER, "reasoning_content": TRACE}]}, {"messages": turns()[1:], "system": "Be short."},
    {"messages": [*({**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns()[:4]), {"role": "assistant", "content": [{"type": "thinking", "thinking": TRACE}, {"type": "text", "text": ANSWER}]}]},
    {"prompt": "How do I bake?", "output": WHOLE, "system": "Be short.", "history": [["Hello?", "<think>\nA guest.\n</think>\n\nGood day."]]},
])
def test_every_form_of_a_conversation_is_the_same_row(tmp_path, row):
    assert example(opened(tmp_path, [row])) == SPOKEN
    from datasets import Dataset

    Dataset.from_list([row]).to_parquet(str(tmp_path / "own.parquet"))
    assert example(open_table(Place(str(tmp_path / "own.parquet")), ("prompt", "response"))) == SPOKEN


@pytest.mark.parametrize("messages, why", [
    (turns()[:4], "ends without a reply"), ([*turns()[:4], {"role": "tool", "content": "x"}], "tools"), ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, turns()[4]], "image"),
    ([turns()[4]], "without a request"), ([turns()[1], *turns()[3:]], "two turns of one side"), (turns(user="bystander"), "unknown role .bystander"), ([], "no conversation"), (None, "no conversation"),
    ([*turns()[:3], turns()[0], *turns()[3:]], "system message in the middle"), ([turns()[1], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], "tools"), ("Human: hi", "no conversation"),
])
def test_a_conversation_that_cannot_be_used_says_why(tmp_path, messages, why):
    import re

    table = opened(tmp_path, [{"messages": messages}])
    assert re.search(why, example(table)["problem"])


def test_what_is_missing_is_told_with_both_ways_out(tmp_path):
    with pytest.raises(UserError) as error:
        opened(tmp_path, [{"foo": "a", "bar\nbaz": "b"}], needs=("prompt", "response", "label"))
    assert "for prompt, response, label; its columns are foo, bar baz" in error.value.message
    for way in ("data.columns=prompt=COLUMN", "--column prompt=COLUMN", "label=harmful", "messages=COLUMN"):
        assert way in error.value.fix


@pytest.mark.parametrize("pairs, columns", [
    (["prompt=question, full", "label=kind"], {"prompt": "question, full", "label": "kind"}), (["prompt=question", "full", "label=kind"], {"prompt": "question, full", "label": "kind"}),
    (["prompt=q,response=a"], {"prompt": "q", "response": "a"}), ([" prompt = q=1 "], {"prompt": "q=1"}),
])
def test_a_columns_name_may_hold_commas(pairs, columns):
    assert parse_columns(pairs) == columns


def test_numbers_of_classes_are_their_names(tmp_path):
    from datasets import ClassLabel, Dataset

    data = Dataset.from_list([{"prompt": "a", "response": "b", "label": 1}]).cast_column("label", ClassLabel(names=["benign", "harmful"]))
    data.to_parquet(str(tmp_path / "a.parquet"))
    assert next(open_table(Place(str(tmp_path / "a.parquet"))).rows("label"))[1] == {"label": "harmful"}


def test_a_column_of_several_types_matters_only_where_it_is_asked_for(tmp_path, capsys):
    rows = [{"prompt": "a", "response": "b", "note": 1}, {"prompt": "c", "response": "d", "note": "x"}]
    assert len(opened(tmp_path, rows)) == 2 and "the column 'note' holds values of several types" in capsys.readouterr().err
    with pytest.raises(UserError, match="line 2: 'note' is str, a number before"):
        opened(tmp_path, rows, "response=note")


def test_an_option_that_is_numbered_in_a_csv_is_a_letter(tmp_path):
    from alt_lite.evals.tasks import TASKS
    from alt_lite.evals.tasks.benchmark import load

    path = write(tmp_path / "mmlu.csv", "question,A,B,C,D,answer\nWhich?,a,b,c,d,2\n")
    assert load(TASKS["mmlu"], path, None, 0)[0].prompts[0].reference == "C"
