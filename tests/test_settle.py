"""What a recipe leaves to the model: family, LoRA targets, 4 bit; decided once, said, kept with the run."""

from __future__ import annotations

from dataclasses import replace

import architectures
import pytest
import small

from alt_lite import recipe as recipe_stages
from alt_lite.config import load_recipe
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model import backend
from alt_lite.settle import settle


def base(folder, kind: str, family: str):
    architectures.make(folder, kind, vocab_size=small.VOCABULARY)
    small.lay_tokenizer(folder, FAMILIES[family])
    return folder


def recipe(folder, *pairs: str):
    return load_recipe("qwen3_0_6b", (f"model.name={folder}", "model.family=auto", *pairs))


def test_an_architecture_that_is_known_keeps_its_defaults_and_only_the_family_is_told(tmp_path):
    settled, made = settle(recipe(base(tmp_path / "m", "qwen3", "qwen3")))
    assert [decision.key for decision in made] == ["model.family"] and settled.model.family == "qwen3"
    assert settled.lora == load_recipe("qwen3_0_6b").lora and settled.model.load_in_4bit


def test_linear_attention_is_adapted_too_and_trained_in_16_bit(tmp_path):
    settled, made = settle(recipe(base(tmp_path / "m", "qwen3_5", "qwen3_5")))
    assert {"in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj", "q_proj", "down_proj"} <= set(settled.lora.targets)
    assert not settled.model.load_in_4bit and any("Unsloth's documentation" in decision.reason for decision in made)


def test_what_is_asked_for_stays_and_advice_against_it_is_told(tmp_path):
    folder = base(tmp_path / "m", "qwen3_5", "qwen3_5")
    settled, made = settle(recipe(folder, "model.load_in_4bit=true", "lora.targets=q_proj"))
    assert settled.model.load_in_4bit and settled.lora.targets == ("q_proj",)
    assert [decision.reason.partition(",")[0] for decision in made if decision.key == "model.load_in_4bit"] == ["asked for"]
    with pytest.raises(UserError, match="dequantized"):
        settle(recipe(folder, "merge.base=dequantized"))


LAPTOP, BF16 = Device("cpu", "a laptop", 16 * 10**9), Device("cpu", "a laptop", 16 * 10**9, bf16=True)


def test_a_base_is_trained_in_16_bit_on_a_cpu_that_has_room_for_it_and_in_4_elsewhere(tmp_path):
    folder = base(tmp_path / "m", "qwen3", "qwen3")
    settled, made = settle(recipe(folder), trained_on=BF16)
    assert not settled.model.load_in_4bit and "this machine has room" in next(d.reason for d in made if d.key == "model.load_in_4bit")
    assert settle(recipe(folder), trained_on=replace(BF16, memory=10**5))[0].model.load_in_4bit
    assert settle(recipe(folder), trained_on=Device("cuda", "a card", 24 * 10**9, bf16=True))[0].model.load_in_4bit
    assert settle(recipe(folder, "model.load_in_4bit=true"), trained_on=BF16)[0].model.load_in_4bit
    assert settle(recipe(folder, "merge.base=dequantized"), trained_on=BF16)[0].model.load_in_4bit


def test_a_training_that_has_begun_keeps_its_precision_on_another_machine(tmp_path):
    begun = recipe_stages.prepare(recipe(base(tmp_path / "m", "qwen3", "qwen3"), "model.backend=transformers"), begun={"model.load_in_4bit": True})
    assert begun[0].model.load_in_4bit and begun[2]["model.load_in_4bit"].reason == "as this training was begun"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_training_that_has_begun_goes_on_in_what_it_computed_in(dtype, tmp_path, monkeypatch):
    folder = base(tmp_path / "m", "qwen3", "qwen3")
    monkeypatch.setattr(backend, "cpu_has_bf16", lambda: dtype == "float32")  # this machine would choose the other one
    _, here, decisions = recipe_stages.prepare(recipe(folder, "model.backend=transformers"), begun={"model.dtype": dtype})
    assert here.dtype == dtype and (decisions["model.dtype"].value, decisions["model.dtype"].reason) == (dtype, "as this training was begun")
    # What no CPU trains in is left to the comparison with the manifest, and what is asked for now is taken.
    assert recipe_stages.prepare(recipe(folder, "model.backend=transformers"), begun={"model.dtype": "float16"})[1].dtype != "float16"
    assert recipe_stages.prepare(recipe(folder, "model.backend=transformers", "model.dtype=float32"), begun={"model.dtype": dtype})[1].dtype == "float32"


def test_a_recipe_that_names_its_family_settles_nothing():
    given = load_recipe("tiny")
    assert settle(given) == (given, [])
