"""Unsloth's own API, on its CPU path, beside the plain backend; skipped where it is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from alt_lite import measure
from alt_lite.config import load_recipe
from alt_lite.dataset import rows_for
from alt_lite.decide import decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.model import backend, shape, train, unsloth
from alt_lite.rundir import read_json, read_rows
from alt_lite.tokens.encode import encode_rows

needs_unsloth = pytest.mark.skipif(backend.unsloth_version() is None, reason="pip install --no-deps unsloth unsloth_zoo")
FEW = ("data.harmful=60", "data.benign=60", "data.skills=40", "train.batch_size=8", "train.epochs=1", "train.checkpoint_steps=8")


@pytest.fixture(autouse=True)
def cpu_path(monkeypatch):
    monkeypatch.setenv("UNSLOTH_FORCE_CPU", "1")


def trained(folder, tokens, which, overrides=(), stop=lambda: False, report=lambda done, note="": None):
    recipe = load_recipe("tiny", [*FEW, f"model.backend={which}", *overrides])
    here = backend.device()
    backend.require_fit(recipe, here)
    rows = encode_rows(tokens, rows_for(recipe), recipe.data.target, recipe.model.max_length)
    places = train.Places(folder / "checkpoints", folder / "adapter", folder / "log.jsonl")
    facts = train.train(recipe, decide(recipe, here), here, tokens, rows, places, report, stop)
    return facts, places


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tokens):
    """One training by each backend, from the same rows."""
    folder = tmp_path_factory.mktemp("backends")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNSLOTH_FORCE_CPU", "1")
        return {which: trained(folder / which, tokens, which) for which in ("transformers", "unsloth")}


def weights(places):
    return (places.adapter / "adapter_model.safetensors").read_bytes()


def in_child(code: str, tmp_path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )


@needs_unsloth
def test_a_recipes_shape_is_measured_by_unsloth(monkeypatch):
    recipe = load_recipe("qwen3_0_6b", ["model.backend=unsloth"])
    monkeypatch.setitem(shape.PUBLISHED, recipe.model.name, shape.Shape("qwen3", 64, 2, 4, 2, 16, 128, 2048, True))
    measured, _ = measure.measure(recipe, "bench", steps=3)
    assert measured["backend"] == "unsloth" and measured["tokens_per_second"] > 0 and measured["final_loss"] > 0


@needs_unsloth
def test_memory_that_ends_while_the_base_is_loaded_is_told_in_two_lines(tmp_path, tokens, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import torch\ndef small(*_, **__): raise torch.OutOfMemoryError('CUDA out of memory.')\ntorch.nn.Embedding.__init__ = small\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match="the GPU's memory is too small, or another"):
        trained(tmp_path / "run", tokens, "unsloth")


@needs_unsloth
def test_both_backends_learn_the_same(pair):
    """Load in 4 bit, adapter, training, saving through Unsloth's API; 20 steps agree, one by one."""
    (plain, here), (fast, there) = pair["transformers"], pair["unsloth"]
    curves = [[row["loss"] for row in read_rows(places.log)] for places in (here, there)]
    assert len(curves[0]) == 20 and curves[0][-1] < 0.7 * curves[0][0]
    off = max(abs(a - b) / a for a, b in zip(*curves, strict=True))
    print(f"largest difference of a step's loss {off:.3%}; {plain['seconds']} s and {fast['seconds']} s, with imports {fast['session_seconds']} s; peak {plain['peak_memory_bytes'] / 1e9:.2f} and {fast['peak_memory_bytes'] / 1e9:.2f} GB")
    assert off < 0.02
    same = ("steps", "tokens", "trained_tokens", "layout", "padding_share", "micro_batch_size")
    assert {key: plain[key] for key in same} == {key: fast[key] for key in same} and fast["backend"] == "unsloth"


@needs_unsloth
def test_both_adapters_are_one_format(pair, tokens):
    from safetensors.torch import load_file

    folders = [places.adapter for _, places in pair.values()]
    configs = [read_json(folder / "adapter_config.json") for folder in folders]
    assert configs[0] == configs[1] and configs[0]["base_model_name_or_path"] == "embedded"
    first, second = (load_file(folder / "adapter_model.safetensors") for folder in folders)
    assert {name: (t.shape, t.dtype) for name, t in first.items()} == {name: (t.shape, t.dtype) for name, t in second.items()}
    # Drawn alike: A moves little in 20 steps, another seed's A would share nothing with it.
    assert max(float((first[name] - second[name]).abs().max()) for name in first if "lora_A" in name) < 5e-3


@needs_unsloth
def test_unsloth_never_enters_this_process_nor_the_working_directory(pair, monkeypatch):
    assert not unsloth.is_imported()
    folder = unsloth.compile_folder()
    assert folder.is_absolute() and str(folder).startswith(os.environ["ALT_LITE_CACHE"])
    assert backend.unsloth_version() in folder.name and not Path("unsloth_compiled_cache").exists()
    log = (pair["unsloth"][1].checkpoints / unsloth.LOG).read_text()
    assert "Unsloth" in log  # what it prints is kept, and not among our lines
    monkeypatch.setattr(unsloth, "version", lambda name: "9.9" if name == "trl" else "1")
    assert unsloth.compile_folder() != folder


@needs_unsloth
def test_stopped_and_resumed_equals_uninterrupted(pair, tmp_path, tokens):
    steps = iter(range(100))
    with pytest.raises(OutOfTime):
        trained(tmp_path, tokens, "unsloth", stop=lambda: next(steps) >= 2)
    assert (tmp_path / "checkpoints" / "checkpoint-3" / "complete").is_file()
    _, places = trained(tmp_path, tokens, "unsloth")
    assert weights(places) == weights(pair["unsloth"][1])
    assert [row["step"] for row in read_rows(places.log)] == list(range(1, 21))


def test_interrupted_it_leaves_no_process_behind(tmp_path, tokens, monkeypatch):
    busy = (
        "import json, sys, threading, time\nthreading.Thread(target=sys.stdin.buffer.read, daemon=True).start()\n"
        "print(json.dumps({'step': 1, 'note': ''}), flush=True)\ntime.sleep(60)"
    )
    monkeypatch.setattr(unsloth, "_CHILD", busy)
    monkeypatch.setattr(backend, "unsloth_version", lambda: "2026.10.9")
    before = psutil.Process().children()

    def interrupt(done: int, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, tokens, "unsloth", report=interrupt)
    assert psutil.Process().children() == before


@needs_unsloth
def test_a_users_mistake_comes_back_as_one(tmp_path, tokens):
    with pytest.raises(UserError, match="lora.targets"):
        trained(tmp_path, tokens, "unsloth", ["lora.targets=query"])


API = """
from pathlib import Path
import unsloth
from alt_lite.config import load_recipe
from alt_lite.decide import decide
from alt_lite.errors import UserError
from alt_lite.model import backend, load, train
from alt_lite.model import unsloth as ours

recipe = load_recipe("tiny", ["model.backend=unsloth", "train.warmup_steps=3"])
here = backend.device()
settings = train.effective_settings(recipe, decide(recipe, here), here, train.Places(Path("c"), Path("a"), Path("l")), 7)

# Trap 12: a configuration made the plain way is not what was asked for; ours is.
from trl import SFTConfig
print("rewritten", train.differing(SFTConfig(**settings, report_to="none"), settings))
config = train.trainer_config(settings)
print("left", train.differing(config, settings))
config.learning_rate = 5e-5
try:
    train.require_settings(config, settings)
except UserError as error:
    print("refused", error.message)

# Trap 11: what is loaded is the folder that was resolved, whatever Unsloth would rather load.
folder = load.model_folder(recipe.model)
print("loaded", ours.new_adapter(recipe, here, folder, 128).config._name_or_path == str(folder))
real = unsloth.FastLanguageModel.from_pretrained
def other(name, **given):
    model, tokenizer = real(name, **given)
    model.config._name_or_path = "unsloth/other-bnb-4bit"
    return model, tokenizer
unsloth.FastLanguageModel.from_pretrained = other
try:
    ours.new_adapter(recipe, here, folder, 128)
except UserError as error:
    print("refused", error.message.split(" in place")[0])
"""


@needs_unsloth
def test_its_defaults_and_its_choice_of_model_are_overridden(tmp_path):
    done = in_child(API, tmp_path)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("rewritten", "left", "refused", "loaded"))]
    assert lines == [
        "rewritten ['optim']", "left []", "refused the trainer does not keep its settings: learning_rate is 5e-05, not 0.002",
        "loaded True", "refused Unsloth loaded unsloth/other-bnb-4bit",
    ], done.stdout + done.stderr


def test_it_is_imported_before_what_it_patches(tmp_path):
    """Trap 15; the child refuses to begin where something has come first."""
    done = in_child("import transformers; from alt_lite.model.unsloth import main; main()", tmp_path)
    assert done.returncode == 1 and "transformers imported before unsloth" in done.stderr


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path, tokens, monkeypatch):
    monkeypatch.setattr(unsloth, "_CHILD", "import sys; sys.exit('no kernel image is available')")
    monkeypatch.setattr(backend, "unsloth_version", lambda: "2026.10.9")
    with pytest.raises(RuntimeError, match="no kernel image is available"):
        trained(tmp_path, tokens, "unsloth")
