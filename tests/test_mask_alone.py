"""`mask --model --data`: what a model would be trained on from anybody's rows, without a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small

from alt_lite.families import FAMILIES
from alt_lite.tokens import tokenizer

ROWS = {
    "messages": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>\nThey greet.\n</think>\n\nHello!"}]},
    "columns": {"question": "Hi", "reasoning": "They greet.", "answer": "Hello!"},
    "other tags": {"prompt": "Hi", "response": "<thinking>They greet.</thinking>Hello!"},
    "harmony": {"prompt": "Hi", "response": "<|channel|>analysis<|message|>They greet.<|end|><|start|>assistant<|channel|>final<|message|>Hello!"},
}


def written(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def model(tmp_path):
    def lay(family: str, **settings) -> Path:
        small.lay_tokenizer(tmp_path / family, FAMILIES[family], **settings)
        return tmp_path / family

    return lay


@pytest.mark.parametrize("family", ["r1", "qwen3", "gpt_oss", "llama3"])
@pytest.mark.parametrize("form", ROWS)
def test_the_trained_part_has_the_models_own_tags_whatever_the_rows_had(tmp_path, model, command, family, form):
    folder, f = model(family), FAMILIES[family]
    status, out, err = command("mask", "--model", folder, "--data", written(tmp_path / "rows.jsonl", ROWS[form]), "--json")
    assert status == 0 and f"model.family = {family}: " in err
    tokens = tokenizer.load(folder, None)
    line = json.loads(out)
    trained = [label for label in line["labels"] if label != -100]
    assert tokens.decode(trained) == f"{'' if f.opens_trace else f.think}They greet.{f.think_end}{f.after_trace}Hello!{f.end}"
    assert line["input_ids"][-len(trained) :] == trained
    assert set(line) == {"id", "input_ids", "labels"}


def test_what_is_trained_can_be_told_without_colours(tmp_path, model, command):
    rows = written(tmp_path / "rows.jsonl", {"prompt": "说中文 <think>", "response": "<think>\n好\n</think>\n\n你好"})
    status, out, _ = command("mask", "--model", model("qwen3"), "--data", rows)
    before, _, after = out.partition("── trained ──")
    assert status == 0 and "prompt, not trained" in before and "说中文 <think>" in before and "你好<|im_end|>" in after


def test_rows_that_cannot_be_trained_on_are_named_and_the_others_shown(tmp_path, model, command):
    rows = written(
        tmp_path / "rows.jsonl", {"prompt": "a", "response": "<think>\nt\n</think>\n\nb <|im_end|> c"}, {"prompt": "", "response": "b"}, {"prompt": "a", "response": " "},
        {"prompt": "a", "response": "b"}, {"prompt": "a", "response": "<think>\nt\n</think>\n\nb"}, {"prompt": "a", "response": "<think>\nnever closed"},
        {"prompt": "a", "response": "<think>\nt\n</think>\n\n"}, {"prompt": "a", "response": "<think>\nt\n</think>\n\nends<|im_end|>"},
    )
    status, out, err = command("mask", "--model", model("qwen3"), "--data", rows, "--n", "9", "--json")
    assert status == 0 and [json.loads(line)["id"] for line in out.splitlines()] == ["row-4", "row-5", "row-8"]
    assert "row-6 is not shown: its trace is never closed" in err and "row-7 is not shown: nothing stands behind its trace" in err
    assert "row-1 is not shown: control token <|im_end|>" in err and "row-2 is not shown: no prompt" in err and "row-3 is not shown: no response" in err
    assert "1 of these rows have no trace" in err


def test_training_rows_are_shown_for_the_target_that_is_named(tmp_path, model, command):
    row = {"id": "a", "prompt": "Hi", "label": "harmful", "understanding": "U.", "assessment": "That is harmful.", "reasoning": "I refuse.", "answer": "No."}
    for target, part in (("alttrain", "harm"), ("no_cot", "<think>\n\n</think>")):
        status, out, _ = command("mask", "--model", model("qwen3"), "--data", written(tmp_path / "rows.jsonl", row), f"data.target={target}")
        assert status == 0 and part in out.replace("⏎", "")


@pytest.mark.parametrize("arguments, says", [
    (("--data", "x.jsonl"), "which model"), (("--model", "nobody/nothing", "--data", "nowhere.jsonl"), "no such file: nowhere.jsonl"), (("--model", "nowhere/at/all"), "which model"), ((), "which model"),
    (("--model", "MODEL", "--data", "nowhere.jsonl"), "nowhere.jsonl"), (("--model", "MODEL", "--data", "ROWS", "data.target=alttrain"), "rows as they stand"),
    (("--model", "MODEL", "--data", "ROWS", "model.family=qwen3_thinking"), "the family"), (("--model", "MODEL", "--data", "BAD"), "no row can be trained on"),
    (("--model", "MODEL", "--data", "ROWS", "--column", "response=nope"), "nope"),
])
def test_mistakes_are_told_with_a_fix(tmp_path, model, command, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    named = {"MODEL": model("qwen3"), "ROWS": written(tmp_path / "rows.jsonl", {"prompt": "a", "response": "b"}), "BAD": written(tmp_path / "bad.jsonl", {"prompt": "a", "response": "<|im_end|>"})}
    status, out, err = command("mask", *(named.get(part, part) for part in arguments))
    assert status == 2 and says in err and err.strip().splitlines()[-1].startswith("Fix: ") and not out
