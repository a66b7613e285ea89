"""Every supported architecture, small and random: trained, merged, generated with, counted."""

from __future__ import annotations

import random
import re
from itertools import count

import architectures
import pytest
import small
from alt_lite.tokens.families import FAMILIES
from architectures import FOUR_BIT
from test_train import losses, weights

from alt_lite.config import load_recipe
from alt_lite.decide import Device, decide
from alt_lite.errors import OutOfTime
from alt_lite.model import architecture, gradients, layout, train
from alt_lite.tokens import tokenizer
from alt_lite.tokens.encode import IGNORED, Encoded

CPU = Device("cpu", "CPU", 16 * 10**9)
NEW = ("phi3", "smollm3", "gpt_oss", "gemma4_text", "gemma4", "gemma4_moe", "qwen3_5_text", "qwen3_5")
LEAKING = ("gpt_oss", "qwen3_5_text", "qwen3_5")
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """A folder for each kind, made when it is first asked for."""
    root, made = tmp_path_factory.mktemp("architectures"), {}

    def folder(kind):
        if kind not in made:
            made[kind] = architectures.make(root / kind, kind)
            small.lay_tokenizer(made[kind], FAMILIES["qwen3"])
        return made[kind]

    return folder


def recipe_of(folder, *overrides):
    """Train a few steps on `folder`, on all layers that LoRA adapts by default."""
    settings = [
        f"model.name={folder}", "model.family=qwen3", f"lora.targets={','.join(architecture.targets_of(folder)[0])}", "lora.r=4", "lora.alpha=8",
        "train.batch_size=4", "train.checkpoint_steps=1", "train.gradient_checkpointing=true", "train.epochs=1", "train.learning_rate=1e-3", "merge.base=original",
    ]
    return load_recipe("tiny", [*settings, *overrides])


def rows_of(n=8, vocabulary=250, seed=0):
    """Rows of random tokens, longer than the windows of the models that have one."""
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        ids = [draw.randrange(vocabulary) for _ in range(draw.randint(14, 30))]
        rows.append(Encoded(str(number), ids, [IGNORED] * 4 + ids[4:]))
    return rows


def trained(tmp_path, folder, *overrides, where="run", stop=lambda: False, rows=None):
    recipe = recipe_of(folder, *overrides)
    places = train.Places(tmp_path / where / "checkpoints", tmp_path / where / "adapter", tmp_path / where / "log.jsonl")
    tokens = tokenizer.load(folder, FAMILIES["qwen3"])
    facts = train.train(recipe, decide(recipe, CPU), CPU, tokens, rows or rows_of(), places, lambda done, note="": None, stop)
    return facts, places


def precisions(kinds):
    return [(kind, four) for kind in kinds for four in ((True, False) if kind in FOUR_BIT else (False,))]


@pytest.mark.parametrize("kind, four", precisions(NEW))
def test_training_goes_on_as_if_it_had_not_been_stopped_and_rows_together_learn_as_alone(tmp_path, bases, kind, four):
    """With gradient checkpointing, of which the layers that share keys and values, or experts, must know nothing."""
    settings = (f"model.load_in_4bit={str(four).lower()}",)
    facts, whole = trained(tmp_path, bases(kind), *settings, where="whole")
    assert facts["layout"] == ("grouped" if kind in LEAKING else "padding_free")
    assert facts["compared"]["rows"] == 4 and facts["compared"]["loss_difference"] < 1e-5 and facts["compared"]["gradient_cosine"] > 0.9999
    steps = count()
    with pytest.raises(OutOfTime):
        trained(tmp_path, bases(kind), *settings, where="cut", stop=lambda: next(steps) >= 0)
    _, resumed = trained(tmp_path, bases(kind), *settings, where="cut")
    assert weights(resumed) == weights(whole) and losses(resumed) == losses(whole)
    _, alone = trained(tmp_path, bases(kind), *settings, "train.layout=padded", "train.micro_batch_size=1", "train.gradient_checkpointing=false", where="alone")
    assert losses(alone) == pytest.approx(losses(whole), rel=1e-4)


def without_positions(rows, way, pad_id):
    """Lay rows end to end so that each sees those before it."""
    batch = COLLATE(rows, way, pad_id)
    batch.pop("position_ids", None)
    return batch | ({} if "attention_mask" in batch else {"attention_mask": batch["input_ids"].new_ones(batch["input_ids"].shape)})


COLLATE = layout.collate


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_5_text"])
def test_a_leak_that_the_loss_does_not_show_is_seen_in_the_gradients(tmp_path, monkeypatch, capsys, kind):
    """Random weights of the usual size predict next to nothing, from whatever they see: only gradients tell."""
    folder = architectures.make(tmp_path / "base", kind, std=0.01 if kind == "qwen3" else 0.015)
    small.lay_tokenizer(folder, FAMILIES["qwen3"])
    monkeypatch.setattr(architecture, "leaks", lambda config: None)
    if kind == "qwen3":
        monkeypatch.setattr(layout, "collate", without_positions)
    settings = ("model.load_in_4bit=false", "train.layout=padding_free")
    facts, _ = trained(tmp_path, folder, *settings)
    said = capsys.readouterr().err
    found = re.search(r"laid out padding_free, 4 rows have the loss ([\d.]+) together and ([\d.]+) one by one, and gradients of cosine (0\.\d+) with theirs; rows are padded instead", said)
    together, alone, cosine = map(float, found.groups())
    assert abs(together - alone) < 1e-3 * alone and cosine < gradients.LEAST
    assert facts["layout"] == "grouped" and facts["compared"]["gradient_cosine"] > 0.9999
