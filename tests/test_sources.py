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
    data = of_repository(load_dataset, str(tmp_path), TASKS["cmmlu"].source, None)
    assert sorted(data["Question"]) == ["agronomy test", "anatomy test"]
    assert all(TASKS["cmmlu"].item(row).reference == "B" for row in data)
