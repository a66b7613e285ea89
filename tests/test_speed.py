"""How long a run takes: estimates against published and measured figures, and what a run itself leaves for the next check."""

from __future__ import annotations

import json

import pytest

from alt_lite.config import load_recipe
from alt_lite.data import cache
from alt_lite.decide import Device, decide
from alt_lite.evals.runner import Settings
from alt_lite.model import speed
from alt_lite.model.shape import PUBLISHED
from alt_lite.pace import measured, record, steady, tell

SEVEN = PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
SMALL = PUBLISHED["HuggingFaceTB/SmolLM2-135M-Instruct"]
# 2 cores with AMX, as they were measured in fp32 and in bf16.
FP32, BF16 = speed.Machine(152e9, 8.5e9, False), speed.Machine(1.06e12, 8.5e9, False)
CPU = Device("cpu", "CPU, 2 threads (test)", 8 << 30)


@pytest.mark.parametrize("shape, machine, checkpointing, expected", [
    (SEVEN, speed.Machine(71e12, 800e9, True), True, 1000), (SEVEN, speed.Machine(165e12, 880e9, True), True, 2100),
    (SMALL, speed.Machine(152e9, 10e9, False), True, 112), (SMALL, FP32, True, 138), (SMALL, BF16, False, 290),
])
def test_training_is_estimated_within_a_factor_of_two(shape, machine, checkpointing, expected):
    assert expected / 2 < speed.training(shape, machine, checkpointing, 1344) < expected * 2


@pytest.mark.parametrize("machine, rows, expected", [(speed.Machine(71e12, 800e9, True), 14, 60), (speed.Machine(989e12, 2900e9, True), 128, 315)])
def test_decoding_is_estimated_within_a_factor_of_two(machine, rows, expected):
    assert expected / 2 < speed.generation(SEVEN, machine, rows, 2 * SEVEN.parameters, 2) < expected * 2


@pytest.mark.parametrize("prompt", [40, 80])  # of some such tokens; longer ones make useful tokens fewer
@pytest.mark.parametrize("machine, width, rows, new, expected", [
    (FP32, 4, 16, 64, 121), (BF16, 2, 16, 64, 197), (BF16, 2, 32, 64, 295), (BF16, 2, 64, 64, 373),
    (BF16, 2, 32, 128, 267), (BF16, 2, 64, 128, 350), (BF16, 2, 128, 128, 407),
])
def test_short_answers_of_a_small_model_on_a_cpu_are_estimated_within_a_factor_of_two(machine, width, rows, new, expected, prompt):
    assert expected / 2 < speed.generation(SMALL, machine, rows, width * SMALL.parameters, width, prompt, new) < expected * 2


def test_longer_prompts_and_contexts_and_waiting_for_the_longest_make_generation_slower():
    def rate(prompt, new):
        return speed.generation(SMALL, BF16, 64, 2 * SMALL.parameters, 2, prompt, new)

    assert rate(40, 64) > rate(400, 64) and rate(40, 800) > rate(40, 4000)


def test_a_faster_machine_and_fewer_weights_take_less_time():
    slow, fast = speed.Machine(50e9, 5e9, False), speed.Machine(100e9, 10e9, False)
    assert speed.training(SMALL, slow, True, 1000) < speed.training(SMALL, fast, True, 1000) < speed.training(SMALL, fast, False, 1000)
    assert speed.generation(SMALL, slow, 16, 5 * 10**8, 4) < speed.generation(SMALL, fast, 16, 5 * 10**8, 4)
    # A GPU that is very fast waits for Python.
    assert speed.training(SMALL, speed.Machine(1e18, 1e13, True), True, 1000) == pytest.approx(1000 / 0.36)


@pytest.mark.parametrize("seconds, said", [(0.2, "1 s"), (61, "61 s"), (600, "10 min"), (5400, "1.5 h"), (20_000, "5.6 h"), (300_000, "3.5 days")])
def test_times_are_said_in_the_unit_that_fits(seconds, said):
    assert speed.spoken(seconds) == said


def told(recipe, capsys, tasks=(), lengths=(50, 70), limit=None) -> str:
    capsys.readouterr()
    tell(recipe, CPU, decide(recipe, CPU), lengths, tasks, Settings("16bit", limit or recipe.eval.max_new_tokens), 2)
    return capsys.readouterr().err


def test_a_check_estimates_and_after_a_run_reads_what_was_measured(tmp_path, monkeypatch, capsys):
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import tasks

    monkeypatch.setenv("ALT_LITE_CACHE", str(tmp_path))
    recipe, asked = load_recipe("tiny"), tasks(Split(0), "heldout", 20)
    before = told(recipe, capsys, asked)
    assert "time, training: about" in before and before.count("estimate") == 2 and "a smaller evaluation: eval.limit=10 about" in before
    record(recipe, CPU, "train", "transformers", 36.0)
    record(recipe, CPU, "eval", "local, 16bit", 100.0, mean_tokens={"harm": 10, "over_refusal": 10, "skill": 10})
    after = told(recipe, capsys, asked)
    prompts = sum(len(task.prompts) for task in asked)
    assert "time, training: about 10 s (360 tokens, 36 a second, measured on CPU, 2 threads (test)" in after
    assert f"time, evaluation: about {speed.spoken(prompts * 2 * 10 / 100)} ({prompts} prompts × 2 models, 100 a second, responses as long as then, measured" in after
    # Another device, model or way of generating is another speed.
    assert measured(recipe, Device("cpu", "another", 0), "train", "transformers") is None
    assert measured(load_recipe("r1_1_5b"), CPU, "train", "transformers") is None and measured(recipe, CPU, "eval", "local, 4bit") is None


def test_the_first_two_steps_of_a_training_say_nothing_of_its_speed():
    slow, fast = {"tokens_per_second": 1.0, "seconds": 100.0}, {"tokens_per_second": 50.0, "seconds": 2.0}
    assert steady([slow, slow, fast, fast]) == 50.0 and steady([slow, slow]) is None


def test_a_run_keeps_its_own_speed(finished):
    kept = [json.loads(line) for line in (cache.root() / "speeds.jsonl").read_text().splitlines()]
    assert {(entry["model"], entry["stage"]) for entry in kept} >= {("embedded", "train"), ("embedded", "eval")}
    assert all(entry["tokens_per_second"] > 0 for entry in kept)


def test_where_nothing_is_evaluated_the_smallest_suite_is_told(tmp_path, capsys):
    from alt_lite.model.load import model_folder

    (tmp_path / "config.json").write_text((model_folder(load_recipe("tiny").model) / "config.json").read_text())
    real = load_recipe("r1_1_5b", (f"model.name={tmp_path}", "data.source=tiny", "model.gpu_gb=null"))
    assert decide(real, CPU)["eval.suite"].value == "none"
    assert "time, an evaluation: eval.suite=quick about" in told(real, capsys)


def test_a_limit_of_tokens_bounds_the_estimate_and_cut_responses_are_no_measure(tmp_path, monkeypatch, capsys):
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import tasks

    monkeypatch.setenv("ALT_LITE_CACHE", str(tmp_path))
    asked = tasks(Split(0), "heldout", 20)
    prompts = sum(len(task.prompts) for task in asked)
    record(load_recipe("tiny"), CPU, "eval", "local, 16bit", 100.0, mean_tokens={"harm": 4, "over_refusal": 4, "skill": 4}, max_new_tokens=4)
    for limit, each in ((2, 2), (4, 4), (112, 50)):  # no more than the limit; measured under the same limit; the assumption
        # The limit is the evaluation's, whether the recipe or the suite sets it.
        assert f"time, evaluation: about {speed.spoken(prompts * 2 * each / 100)} (" in told(load_recipe("tiny"), capsys, asked, limit=limit)
