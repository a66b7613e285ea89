"""Speed on a CPU with a model's own weights, both sides in one run; a small random model in its place, so that it takes seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import architectures
import pytest
from small import VOCABULARY, lay_tokenizer
from typer.testing import CliRunner

from alt_lite import bench_cpu
from alt_lite import recipe as recipes
from alt_lite.cli.app import app
from alt_lite.config import load_recipe, with_overrides
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model import load

FEW = ("data.source=tiny", "data.benign_from=[]", "data.harmful=6", "data.benign=6", "train.batch_size=4", "model.dtype=bfloat16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model") / "base"
    architectures.make(made, "llama", VOCABULARY, max_position_embeddings=2048)
    lay_tokenizer(made, FAMILIES["chatml"])
    return made


def recipe_of(folder, *more):
    return load_recipe("smollm2_135m", (f"model.name={folder}", *FEW, *more))


@pytest.fixture(scope="module")
def prepared(folder):
    """Both sides of the small model's recipe, its tokenizer, rows and prompts."""
    settled, here, decisions = recipes.prepare(recipe_of(folder), trains=False)
    tokens = load.load_tokens(settled.model)
    material = bench_cpu.gather(settled, decisions, tokens, 8, 6)
    return bench_cpu.two(settled, here, decisions, folder, 300, 2), tokens, material


def test_both_sides_are_measured_and_compared(folder):
    found = bench_cpu.measure(recipe_of(folder), steps=1, rounds=1, prompts=6, new=4)
    before, now = found["before"], found["now"]
    assert (before["dtype"], before["load_in_4bit"], before["gradient_checkpointing"]) == ("float32", True, True)
    assert (now["dtype"], now["load_in_4bit"], now["gradient_checkpointing"], now["prompts_together"]) == ("bfloat16", False, False, 6)
    for what in ("training", "generation"):
        assert before[what] > 0 and found[what]["ratio"] == pytest.approx(now[what] / before[what], rel=0.05) and len(found[what]["rounds"]) == 1
    seen = found["compared"]
    assert seen["loss_difference"] < 0.01 and seen["gradient_cosine"] > 0.99 and seen["answers"]["n"] == 6
    assert seen["answers"]["explained"] == seen["answers"]["differing"] and json.dumps(found)
    lines = bench_cpu.text(found).splitlines()
    assert len(lines) == 5 and "float32, a base in 4 bit, checkpointing" in lines[1] and "bfloat16 against fp32: loss of 8 rows" in lines[3]


def test_weights_that_are_wrong_on_one_side_show_in_loss_gradients_and_answers(prepared, folder, tmp_path):
    from safetensors.torch import load_file, save_file

    sides, tokens, material = prepared
    before, now = sides["before"], sides["now"]
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    tensors = load_file(broken / "model.safetensors")
    save_file({**tensors, "model.norm.weight": -tensors["model.norm.weight"]}, broken / "model.safetensors", {"format": "pt"})
    wrong = replace(now, recipe=with_overrides(now.recipe, (f"model.name={broken}",)))
    seen = bench_cpu.compare(before, wrong, tokens, material.rows[:4])
    assert seen["loss_difference"] > 0.01 and seen["gradient_cosine"] < 0.9
    one, _, together = bench_cpu.generate(before, tokens, folder, material.prompts, 4)
    other, *_ = bench_cpu.generate(wrong, tokens, broken, material.prompts, 4)
    answers = bench_cpu.answered(before, now, folder, material.prompts, one, other)
    assert together == 6 and answers.differing > answers.explained and answers.largest_gap > answers.tolerance


def test_a_cpu_without_bf16_compares_the_layout_alone(prepared):
    sides, tokens, material = prepared
    plain = replace(sides["now"], here=replace(sides["now"].here, bf16=False), recipe=with_overrides(sides["now"].recipe, ("model.dtype=float32",)))
    seen = bench_cpu.compare(sides["before"], plain, tokens, material.rows[:3])
    assert seen["dtype"] == "float32" and seen["loss_difference"] < 1e-4 and seen["gradient_cosine"] > 0.9999


def test_rows_that_cannot_be_had_are_random_ones_unless_they_were_asked_for(folder, tmp_path, capsys):
    gone = tmp_path / "gone.jsonl"
    asked = recipe_of(folder, f"data.source={gone}")
    settled, _, decisions = recipes.prepare(asked, trains=False)
    tokens = load.load_tokens(settled.model)
    with pytest.raises(UserError, match="gone"):
        bench_cpu.gather(settled, decisions, tokens, 8, 6)
    by_itself = replace(settled, origin={key: "recipe" if key.startswith("data.") else origin for key, origin in settled.origin.items()})
    material = bench_cpu.gather(by_itself, decisions, tokens, 20, 6)
    assert material.whence == "random rows and prompts" and (len(material.rows), len(material.prompts)) == (20, 6)
    assert max(max(row.input_ids) for row in material.rows) < VOCABULARY and "cannot be had" in capsys.readouterr().err


def test_own_weights_are_measured_on_a_cpu_that_has_them(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cpu, card = Device("cpu", "a CPU", 0), Device("cuda", "a card", 0)
    assert bench_cpu.is_for(recipe_of(folder), cpu) and not bench_cpu.is_for(recipe_of(folder), card)
    assert not bench_cpu.is_for(load_recipe("smollm2_135m", ("model.name=nobody/has-this",)), cpu) and not bench_cpu.is_for(load_recipe("tiny"), cpu)


def test_an_override_that_is_wrong_is_refused():
    result = CliRunner().invoke(app, ["bench", "smollm2_135m", "train.bach_size=3"])
    assert result.exit_code != 0 and isinstance(result.exception, UserError) and "train.batch_size" in result.exception.message
