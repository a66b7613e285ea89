"""A real model's memory and speed with random weights; a small shape in its place, so that it takes seconds."""

from __future__ import annotations

import json

import pytest

from alt_lite import measure, preflight
from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.generate import local
from alt_lite.model import shape
from alt_lite.report import hardware


def test_a_recipes_shape_is_trained_and_asked_and_its_figures_fit_the_table(tmp_path, monkeypatch):
    recipe = load_recipe("qwen3_0_6b")
    small = shape.Shape("qwen3", 64, 2, 4, 2, 16, 128, 2048, True)
    monkeypatch.setitem(shape.PUBLISHED, recipe.model.name, small)
    monkeypatch.setattr(measure, "_LONG", 200)
    trained, evaluated = measure.measure(recipe, "python -m alt_lite bench qwen3_0_6b", steps=2, out=tmp_path / "measured")
    assert [entry["stage"] for entry in hardware.measurements(tmp_path / "measured")] == ["eval", "train"]
    assert trained["parameters"] == small.parameters and trained["random_weights"] and trained["tokens_per_second"] > 0
    assert evaluated["tokens_per_second"] > 0 and evaluated["same_as_single"] == "4 of 4"
    assert "random weights: training (transformers, padding_free" in measure.text([trained, evaluated]) and evaluated["precision"] == "16bit"
    assert json.dumps(trained)


def test_where_16_bit_does_not_fit_training_is_kept_and_4_bit_is_asked(tmp_path, monkeypatch):
    recipe = load_recipe("qwen3_0_6b")
    monkeypatch.setitem(shape.PUBLISHED, recipe.model.name, shape.Shape("qwen3", 64, 2, 4, 2, 16, 128, 2048, True))
    monkeypatch.setattr(measure, "_LONG", 200)
    free = iter((10**12, 0))  # for training, for generation
    monkeypatch.setattr(preflight, "free_memory", lambda *_: next(free))
    monkeypatch.setattr(local, "generate", lambda model, *_: (_ for _ in ()).throw(UserError("too small", "nothing") if model.is_loaded_in_4bit else AssertionError))
    with pytest.raises(UserError, match="too small"):
        measure.measure(recipe, "bench", steps=3, out=tmp_path / "measured")
    assert [entry["stage"] for entry in hardware.measurements(tmp_path / "measured")] == ["train"]


def test_a_model_whose_shape_is_not_known_is_refused():
    with pytest.raises(UserError, match="the published shape of my/model is not known"):
        measure.measure(load_recipe("r1_7b", ["model.name=my/model"]), "bench")
