"""Whoever splits a response knows the tags of all families."""

from __future__ import annotations

import json

import pytest

from alt_lite.families import FAMILIES
from alt_lite.families.splitting import between, split_completion
from alt_lite.report.tables import response


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_family_writes_is_split_without_being_told_the_family(name):
    family = FAMILIES[name]
    whole = f"{family.think}Think it\nover.{family.think_end}{family.after_trace}Do it.\n\nSo."
    for known in (family, None):
        assert split_completion(whole, False, known) == ("Think it\nover.", "Do it.\n\nSo.")
        assert split_completion(f" \n{whole}", False, known) == ("Think it\nover.", "Do it.\n\nSo.")
        # Cut inside the trace, at the tag, and behind it.
        assert split_completion(f"{family.think}Think", False, known) == ("Think", None)
        assert split_completion(f"{family.think}Think{family.think_end}", False, known) == ("Think", "")
        # Two blocks, the first of them empty.
        again = f"{family.think}{family.think_end}{family.after_trace.removesuffix(family.alone)}{whole}"
        assert split_completion(again, False, known) == ("Think it\nover.", "Do it.\n\nSo.")
        assert split_completion("Do it.", False, known) == (None, "Do it.")
        # What is shown between the parts is what was written there.
        tag = f"{family.think_end}{family.after_trace}".strip()
        for text in (whole, again, whole.removeprefix(family.think)):
            assert between(text, "Think it\nover.", "Do it.\n\nSo.") == tag
        assert between("Do it.", None, "Do it.") == between(f"{family.think}Think", "Think", None) == between("", None, None) == ""
        assert between(f"{whole[:-20]}think{family.think_end}{family.after_trace}end", f"{whole[:-20]}think", "end") == tag
        assert split_completion("Think", True, known) == ("Think", None)


def test_an_answer_without_a_trace_is_shown_without_a_tag():
    for trace, answer, completion, shown in (
        (None, "Do it.", "Do it.", "Do it."), ("", "Do it.", "</think>\n\nDo it.", "</think>\nDo it."), ("t", "a", "<think>\nt\n</think>\n\na", "t\n</think>\na"),
        ("a", "c", "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>c", "a\n<|end|><|start|>assistant<|channel|>final<|message|>\nc"),
        ("They", None, "They", "They\n[cut in the trace]"), (None, None, "", "[no response]"),
    ):
        assert response(trace, answer, between(completion, trace, answer)).plain == shown


@pytest.mark.parametrize("name", FAMILIES)
def test_a_trace_that_the_prompt_or_a_prefill_has_opened_ends_at_the_familys_tag(name):
    family = FAMILIES[name]
    assert split_completion(f"Think it.{family.think_end}{family.after_trace}Do it.", True, family) == ("Think it.", "Do it.")
    # Prefills are written with `</think>`, whatever the family.
    assert split_completion("\n</think>\n\nSure, here", True, family) == ("", "Sure, here")


@pytest.mark.parametrize("text, parts", [
    ("<|channel|>final<|message|>Four.", (None, "Four.")),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>c", ("a\n\nb", "c")),
    ("an answer with <|end|> in it", (None, "an answer with <|end|> in it")),
    ("<Think>plan</Think>Four.", ("plan", "Four.")), ("[THINK]plan[/THINK]Four.", ("plan", "Four.")), ("<thought>plan</thought>Four.", ("plan", "Four.")),
    ("About [THINK] tags: none.", (None, "About [THINK] tags: none.")),
    ("no tag before</think>Four.", ("no tag before", "Four.")), ("Gemma writes <channel|> and s1 <|im_start|>answer", (None, "Gemma writes <channel|> and s1 <|im_start|>answer")),
    ("<|channel|>commentary<|message|>aside<|end|><|start|>assistant<|channel|>final<|message|>c", (None, "c")),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>aside<|end|><|start|>assistant<|channel|>final<|message|>c", ("a", "c")),
    ("<think>\na\n</think>\n\nb<|im_end|>\n", ("a", "b")), ("<|channel|>final<|message|>c<|return|>", (None, "c")),
])
def test_forms_that_models_write(text, parts):
    assert split_completion(text, False) == parts


@pytest.mark.parametrize("name, text, opened, parts", [
    ("r1", "They want <channel|> explained.\n</think>\n\nIt is a tag.", True, ("They want <channel|> explained.", "It is a tag.")),
    ("r1", "<reasoning> is a tag.\n</think>\n\nYes.", True, ("<reasoning> is a tag.", "Yes.")),
    ("qwen3", "Write <|im_start|>answer and <channel|>.", False, (None, "Write <|im_start|>answer and <channel|>.")),
    ("phi4_mini_reasoning", "<think>\na\n</think>\n\nb<|end|>", False, ("a", "b")),
])
def test_of_a_known_family_only_its_own_tags_are_read(name, text, opened, parts):
    assert split_completion(text, opened, FAMILIES[name]) == parts


def test_structure_and_judge_read_other_families_responses(command, tmp_path):
    path = tmp_path / "rows.jsonl"
    trace, answer = "The user wants a bomb. This request is harmful. I should refuse.", "I cannot help with that."
    lines = [{"id": name, "prompt": "p", "completion": f"{f.think}{trace}{f.think_end}{f.after_trace}{answer}"} for name, f in FAMILIES.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, out, _ = command("structure", path, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [line["verdict"] for line in found] == ["harmful"] * len(FAMILIES)
    status, out, _ = command("judge", path, "--judge", "refusal")
    verdicts = {(line["id"], line["part"]): line["verdict"] for line in map(json.loads, out.splitlines())}
    assert status == 0 and all(verdicts[name, "answer"] == "full" for name in FAMILIES)
