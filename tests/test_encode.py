from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alt_lite.config import load_recipe
from alt_lite.data.rows import TrainingRow
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES, Control
from alt_lite.method.targets import TARGETS
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import IGNORED, encode_prompt, encode_row, encode_rows

CONTROLS = ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")


def row(**changes) -> TrainingRow:
    fields = {
        "id": "r1", "prompt": "How do I make a cake?", "label": "benign", "understanding": "The user wants a cake.",
        "assessment": "This request is safe.", "reasoning": "I will list the steps.", "answer": "Sure! 1. Get flour.",
        "source_trace": "The user wants a cake. I will list the steps.", "source_answer": "Sure!",
    }
    return TrainingRow(**{**fields, **changes})


def test_the_loss_covers_exactly_what_the_model_must_produce(tokens):
    encoded = encode_row(tokens, row(), "alttrain")
    trained = [i for i in encoded.labels if i != IGNORED]
    text = "The user wants a cake. This request is safe. I will list the steps.\n</think>\n\nSure! 1. Get flour.<｜end▁of▁sentence｜>"
    assert tokens.decode(trained) == text
    prompt = [i for i, label in zip(encoded.input_ids, encoded.labels, strict=True) if label == IGNORED]
    assert prompt == encode_prompt(tokens, [{"role": "user", "content": "How do I make a cake?"}])
    assert tokens.decode(prompt) == "<｜begin▁of▁sentence｜><｜User｜>How do I make a cake?<｜Assistant｜><think>\n"
    assert encoded.labels[len(prompt):] == encoded.input_ids[len(prompt):]


def test_the_prompt_is_the_official_templates(tokens):
    messages = [{"role": "user", "content": "How do I make a cake?"}]
    official = tokens.fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tokens.decode(encode_prompt(tokens, messages)) == official


def test_earlier_turns_lose_their_trace(tokens):
    messages = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"}, {"role": "user", "content": "Bye"},
    ]
    text = tokens.decode(encode_prompt(tokens, messages))
    assert text == "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi<｜Assistant｜>\n\nHello<｜end▁of▁sentence｜><｜User｜>Bye<｜Assistant｜><think>\n"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(CONTROLS), st.text(max_size=12)), min_size=1, max_size=6))
def test_a_users_text_never_becomes_a_control_token(tokens, parts):
    text = "".join(parts)
    ids = tokens.encode([text])
    assert not set(ids) & set(tokens.ids.values())
    assert tokens.plain.decode(ids, skip_special_tokens=False) == text
    prompt = encode_prompt(tokens, [{"role": "user", "content": text}])
    for control in ("<｜User｜>", "<｜Assistant｜>", "<think>", "<｜begin▁of▁sentence｜>"):
        assert prompt.count(tokens.ids[control]) == 1
    assert prompt.count(tokens.ids["</think>"]) == prompt.count(tokens.end_id) == 0


@pytest.mark.parametrize("field", ["understanding", "assessment", "reasoning", "answer"])
def test_a_control_token_in_a_target_is_an_error_that_names_the_row(tokens, field):
    bad = row(**{field: "a </think> b"})
    with pytest.raises(UserError, match="row r1: control token </think>"):
        encode_rows(tokens, [bad], "alttrain", None)


def test_too_long_rows_are_named_and_never_cut(tokens):
    rows = [row(), row(id="long", answer="Sure! " * 100)]
    with pytest.raises(UserError, match=r"1 row\(s\) are longer .* row long"):
        encode_rows(tokens, rows, "alttrain", 64)
    assert len(encode_rows(tokens, rows, "alttrain", 1000)[1].input_ids) > 200


def test_a_missing_step_is_named(tokens):
    with pytest.raises(UserError, match="row r1: target 'alttrain' needs assessment"):
        encode_rows(tokens, [row(assessment=" ")], "alttrain", None)


def test_an_empty_trace_keeps_its_boundary(tokens):
    """`<think>\\n` ends the prompt as two ids; joint tokenisation would merge the line breaks."""
    encoded = encode_row(tokens, row(source_trace="-"), "natural")
    newline = tokens.encode(["\n"])
    start = encoded.labels.index(next(label for label in encoded.labels if label != IGNORED))
    assert encoded.input_ids[start - len(newline):start] == newline


def test_families_differ_in_who_opens_the_trace():
    messages = [{"role": "user", "content": "hi"}]
    assert FAMILIES["r1"].prompt(messages)[-2:] == [Control("<think>"), "\n"]
    assert FAMILIES["r1_0528"].prompt(messages)[-1] == Control("<｜Assistant｜>")
    assert FAMILIES["r1_0528"].completion_prefix() == [Control("<think>"), "\n"]
    assert FAMILIES["qwen3"].prompt(messages) == [Control("<|im_start|>"), "user\nhi", Control("<|im_end|>"), "\n", Control("<|im_start|>"), "assistant\n"]


def test_saved_tokenizer_is_the_same_byte_for_byte(tokens, tmp_path):
    from transformers import AutoTokenizer

    tokenizers_io.save(tokens, tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (tokens.folder / "tokenizer.json").read_bytes()
    again = AutoTokenizer.from_pretrained(tmp_path)
    for probe in tokenizers_io.PROBES:
        assert again(probe, add_special_tokens=False)["input_ids"] == tokens.fast(probe, add_special_tokens=False)["input_ids"]


def test_padding_left_on_in_the_tokenizer_does_not_reach_our_ids(tokens):
    before = tokens.encode(["a cake"])
    tokens.fast(["a", "a much longer text"], padding=True)
    assert tokens.encode(["a cake"]) == before


def test_a_family_without_its_tokens_is_a_users_error(tokens):
    with pytest.raises(UserError, match="has no <|im_start|>"):
        tokenizers_io.load(tokens.folder, FAMILIES["qwen3"])


def test_pad_is_not_the_end_of_text(tokens):
    assert tokens.pad_id != tokens.end_id


def test_every_row_of_the_recipe_encodes(tokens):
    from alt_lite.dataset import rows_for

    recipe = load_recipe("tiny")
    rows = rows_for(recipe)
    assert len(rows) == 1000
    short = [row.model_copy(update={"generated": {"short": row.understanding}}) for row in rows]
    for kind in TARGETS:
        assert len(encode_rows(tokens, short, kind, recipe.model.max_length)) == 1000
