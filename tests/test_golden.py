"""Prompts of every family as its official template renders them; `scripts/golden_prompts.py` has made them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import small
import trl

from alt_lite.data.rows import TrainingRow
from alt_lite.families import FAMILIES
from alt_lite.tokens import tokenizer
from alt_lite.tokens.encode import IGNORED, encode_prompt, encode_row

GOLDEN = json.loads((Path(__file__).parent / "golden" / "prompts.json").read_text(encoding="utf-8"))
OF_TRL = {name: Path(trl.__file__).parent / entry["source"].split(",")[0].removeprefix("trl/") for name, entry in GOLDEN.items() if entry["source"].startswith("trl/")}
# Templates of ours that write what the official ones do, where those come with no package: a head with a date, a default system prompt.
_TURNS = "{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content.lstrip('\n') if m.role == 'assistant' else m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
STANDING_IN = {
    "smollm3": "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: {{ strftime_now('%d %B %Y') }}\nReasoning Mode: /think\n\n## Custom Instructions\n\n{{ messages[0].content.rstrip() if messages[0].role == 'system' else DEFAULT }}\n\n## Tools\n\n### XML Tools\n\nNone\n\n### Python Tools\n\nNone\n\n<|im_end|>\n" + _TURNS,
    "smollm2": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
}


def template(name: str) -> str:
    if name in OF_TRL:
        return OF_TRL[name].read_text(encoding="utf-8")
    if name == "smollm3":  # its default is the long text that stands in the golden prompt
        text = GOLDEN[name]["prompts"][0]["prompt"]
        default = text.split("## Custom Instructions\n\n")[1].split("\n\n## Tools")[0]
        return STANDING_IN[name].replace("DEFAULT", json.dumps(default))
    return STANDING_IN.get(name, "own")


def loaded(folder: Path, name: str, family: bool):
    entry = GOLDEN[name]
    small.lay_tokenizer(folder, FAMILIES[entry["family"]], template(name), **entry["special"])
    return tokenizer.load(folder, FAMILIES[entry["family"]] if family else None, "s1-32B" if entry["family"] == "s1" else None)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("named", [True, False])
def test_prompts_are_those_of_the_official_template(tmp_path, name, named):
    tokens = loaded(tmp_path, name, named)
    assert tokens.family.name == GOLDEN[name]["family"]
    for golden in GOLDEN[name]["prompts"]:
        assert "".join(tokens.family.prompt(golden["messages"])) == golden["prompt"]
        assert tokens.decode(encode_prompt(tokens, golden["messages"])) == golden["prompt"]
        # What a server makes of the text is what is trained on.
        assert tokens.fast(golden["prompt"], add_special_tokens=False)["input_ids"] == encode_prompt(tokens, golden["messages"])


@pytest.mark.parametrize("name", OF_TRL)
def test_the_packages_template_is_the_one_that_the_golden_prompts_come_from(name):
    """A newer trl may bring a newer one: then scripts/golden_prompts.py makes the prompts anew."""
    assert hashlib.sha256(OF_TRL[name].read_bytes()).hexdigest() == GOLDEN[name]["sha256"]


def test_every_family_has_golden_prompts():
    # R1-0528's template is R1's without the opened trace; no file of it is at hand (docs/families.md).
    assert {entry["family"] for entry in GOLDEN.values()} | {"r1_0528"} == set(FAMILIES)


# One whole row as each family writes it, spelled out: what is trained, and at which tokens a response ends.
WRITTEN = {
    "r1": ("T\n</think>\n\nA<｜end▁of▁sentence｜>", ()), "r1_0528": ("<think>\nT\n</think>\n\nA<｜end▁of▁sentence｜>", ()),
    "qwen3": ("<think>\nT\n</think>\n\nA<|im_end|>", ("<|endoftext|>",)), "qwen3_thinking": ("T\n</think>\n\nA<|im_end|>", ("<|endoftext|>",)),
    "qwen3_5": ("T\n</think>\n\nA<|im_end|>", ("<|endoftext|>",)), "smollm3": ("<think>\nT\n</think>\nA<|im_end|>", ("<|end_of_text|>",)),
    "gpt_oss": ("<|channel|>analysis<|message|>T<|end|><|start|>assistant<|channel|>final<|message|>A<|return|>", ("<|endoftext|>", "<|call|>")),
    "gemma4": ("<|channel>thought\nT\n<channel|>A<turn|>", ("<eos>",)), "phi4_mini_reasoning": ("<think>\nT\n</think>\n\nA<|end|>", ("<|endoftext|>",)),
    "s1": ("<|im_start|>think\nT\n<|im_start|>answer\nA<|im_end|>", ("<|endoftext|>",)), "chatml": ("<think>\nT\n</think>\n\nA<|im_end|>", ("<|endoftext|>",)),
    "llama3": ("<think>\nT\n</think>\n\nA<|eot_id|>", ("<|end_of_text|>", "<|eom_id|>")),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_is_written_and_ended_as_the_family_does(tmp_path, name):
    small.lay_tokenizer(tmp_path, FAMILIES[name])
    tokens = tokenizer.load(tmp_path, FAMILIES[name])
    row = TrainingRow.model_validate({"id": "a", "prompt": "p", "label": "benign", "answer": "A", "source_trace": "T", "source_answer": "A"})
    encoded = encode_row(tokens, row, "natural")
    trained = [label for label in encoded.labels if label != IGNORED]
    written, ends = WRITTEN[name]
    assert tokens.decode(trained) == written
    assert tuple(tokens.fast.convert_ids_to_tokens(list(tokens.ends))) == (FAMILIES[name].end, *ends)
