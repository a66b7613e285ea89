from __future__ import annotations

import pytest

from alt_lite.config import SECTIONS, load_recipe, recipe_from_values, recipe_names, to_yaml, with_overrides
from alt_lite.errors import UserError

REAL = {
    "r1_1_5b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "r1_7b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "r1_8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "r1_14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "r1_32b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "r1_0528_8b": "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
    "qwen3_0_6b": "Qwen/Qwen3-0.6B", "qwen3_1_7b": "Qwen/Qwen3-1.7B", "qwen3_4b": "Qwen/Qwen3-4B",
    "qwen3_8b": "Qwen/Qwen3-8B", "qwen3_14b": "Qwen/Qwen3-14B",
}
# Trained on a CPU, with settings of its own.
ON_A_CPU = {"smollm2_135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}


def test_every_recipe_of_the_list_is_shipped_and_names_its_model():
    assert set(recipe_names()) == {*REAL, *ON_A_CPU, "tiny"}
    for name, model in {**REAL, **ON_A_CPU}.items():
        assert load_recipe(name).model.name == model
    assert all(load_recipe(name).model.gpu_gb is None for name in ON_A_CPU)


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_recipes_train_with_r1_acts_published_settings(name):
    recipe = load_recipe(name)
    assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == (16, 16, 0.0)
    assert set(recipe.lora.targets) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    train = recipe.train
    assert (train.optimizer, train.beta1, train.beta2, train.weight_decay) == ("adamw_8bit", 0.9, 0.95, 1e-4)
    assert (train.learning_rate, train.schedule, train.warmup_steps, train.epochs) == (1e-5, "cosine", 5, 15)
    assert (train.seed, recipe.model.max_length, recipe.model.load_in_4bit) == (1995, 32768, True)
    if name in ("r1_1_5b", "r1_7b"):
        assert train.batch_size == {"r1_1_5b": 16, "r1_7b": 8}[name]


def test_command_line_beats_recipe_beats_default_and_the_origin_is_told():
    recipe = load_recipe("tiny", ["train.epochs=0.5"])
    assert recipe.train.epochs == 0.5 and recipe.origin["train.epochs"] == "command line"
    assert recipe.lora.alpha == 64 and recipe.origin["lora.alpha"] == "recipe"
    assert recipe.lora.dropout == 0.0 and recipe.origin["lora.dropout"] == "default"


def test_values_are_coerced_by_the_fields_type_not_by_yaml(tmp_path):
    recipe = load_recipe("tiny", ["train.learning_rate=1e-5", "model.load_in_4bit=no", "merge.base=original", "lora.targets=q_proj,v_proj", "eval.limit=null"])
    assert recipe.train.learning_rate == 1e-5
    assert recipe.model.load_in_4bit is False
    assert recipe.lora.targets == ("q_proj", "v_proj")
    assert recipe.eval.limit is None
    path = tmp_path / "mine.yaml"
    path.write_text("model: {name: no, family: r1}\ntrain: {learning_rate: 1e-5}\nlora: {targets: [q_proj, k_proj]}\n")
    mine = load_recipe(str(path))
    assert mine.model.name == "no" and mine.train.learning_rate == 1e-5 and mine.lora.targets == ("q_proj", "k_proj")


def test_all_mistakes_are_told_at_once_with_path_and_suggestion():
    wrong = ["train.epocs=3", "lora.epochs=2", "trian.seed=1", "train.learning_rate=abc", "lora.r=0", "model.backend=unsloht", "foo"]
    with pytest.raises(UserError) as error:
        load_recipe("tiny", wrong)
    message = error.value.message
    for part in (
        "train.epocs: no such key; did you mean train.epochs", "lora.epochs: no such key; did you mean train.epochs",
        "trian.seed: no such section; did you mean train.seed", "train.learning_rate: 'abc' is not a number", "lora.r: 0",
        "model.backend: 'unsloht' is none of auto, unsloth, transformers; did you mean unsloth?", "foo: not of the form",
    ):
        assert part in message


@pytest.mark.parametrize("bad", ["train.learning_rate=nan", "train.epochs=0", "train.epochs=inf", "data.harmful=-1", "train.seed=1.5", "lora.dropout=1"])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(UserError, match=bad.partition("=")[0]):
        load_recipe("tiny", [bad])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UserError, match="did you mean r1_1_5b"):
        load_recipe("r1_15b")


@pytest.mark.parametrize("text, says", [("model: [", "YAML"), ("- a\n- b\n", "no sections"), ("modell: {name: x}\n", "did you mean model"), ("model: 3\n", "must hold keys"), ("train: {epochs: 1}\n", "model.name: must be given")])
def test_broken_recipe_files_are_users_errors(tmp_path, text, says):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["tiny", "r1_14b"])
def test_shown_yaml_loads_to_the_same_values(tmp_path, name):
    recipe = load_recipe(name, ["train.learning_rate=3e-7"])
    path = tmp_path / "shown.yaml"
    path.write_text(to_yaml(recipe))
    assert load_recipe(str(path)).values() == recipe.values()


def test_a_manifests_recipe_reads_back():
    recipe = load_recipe("tiny", ["lora.targets=q_proj"])
    kept = {"name": recipe.name, "title": recipe.title, "values": recipe.values(), "origin": recipe.origin, "overrides": list(recipe.overrides)}
    assert recipe_from_values(kept) == recipe


def test_every_key_has_a_meaning():
    for section in SECTIONS.values():
        for name, field in section.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize("pairs", [["model.load_in_4bit=no"], ["train.layout=packed", "model.max_length=null"]])
def test_values_that_mean_nothing_together_are_refused(pairs):
    with pytest.raises(UserError, match="merge.base|max_length"):
        load_recipe("tiny", pairs)


def test_a_run_of_a_version_without_some_key_is_read_with_its_default():
    recipe = load_recipe("tiny", ["eval.limit=4"])
    kept = {"name": recipe.name, "title": recipe.title, "overrides": list(recipe.overrides), "values": recipe.values(), "origin": dict(recipe.origin)}
    del kept["values"]["endpoint.timeout"], kept["origin"]["endpoint.timeout"]
    read = with_overrides(recipe_from_values(kept), ["eval.seed=3"])
    assert read.endpoint.timeout is None and read.origin["endpoint.timeout"] == "default" and (read.eval.limit, read.eval.seed) == (4, 3)


def test_a_tilde_in_what_names_files_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = load_recipe("tiny", ("model.name=~/model", "data.source=~/set.csv", "data.against=~/a.jsonl,tiny", "eval.data=~", "data.system=~/stays"))
    assert (recipe.model.name, recipe.data.source, recipe.eval.data) == (str(tmp_path / "model"), str(tmp_path / "set.csv"), str(tmp_path))
    assert recipe.data.against == (str(tmp_path / "a.jsonl"), "tiny") and recipe.data.system == "~/stays"
