from __future__ import annotations

import random

import pytest

from alt_lite.config import load_recipe
from alt_lite.dataset import rows_for
from alt_lite.decide import Device, chosen, decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.model import adapter, backend, layout, load, train
from alt_lite.rundir import read_rows
from alt_lite.tokens.encode import encode_rows

FEW = ("data.harmful=20", "data.benign=16", "data.skills=12", "train.batch_size=8", "train.checkpoint_steps=2")


def trained(tmp_path, tokens, overrides=(), stop=lambda: False, where="run"):
    recipe = load_recipe("tiny", [*FEW, *overrides])
    here = backend.device()
    rows = encode_rows(tokens, rows_for(recipe), recipe.data.target, recipe.model.max_length)
    places = train.Places(tmp_path / where / "checkpoints", tmp_path / where / "adapter", tmp_path / where / "log.jsonl")
    facts = train.train(recipe, decide(recipe, here), here, tokens, rows, places, lambda done, note="": None, stop)
    return facts, places


def losses(places):
    return [row["loss"] for row in read_rows(places.log)]


def weights(places):
    return (places.adapter / "adapter_model.safetensors").read_bytes()


def test_a_step_is_a_fixed_number_of_rows_and_epochs_may_be_fractions():
    steps = layout.row_order(10, 2.5, 4, seed=1)
    assert [len(step) for step in steps] == [4, 4, 4, 4, 4, 4, 1]
    flat = [i for step in steps for i in step]
    assert sorted(flat[:10]) == sorted(flat[10:20]) == list(range(10)) and len(set(flat[20:])) == 5
    assert flat[:10] != flat[10:20]
    assert layout.row_order(10, 2.5, 4, seed=1) == steps != layout.row_order(10, 2.5, 4, seed=2)


LAYOUTS = ("padding_free", "grouped", "padded", "packed")


def test_layouts_hold_the_same_rows_within_room_for_so_many_of_the_longest():
    lengths = [50, 10, 40, 20, 30, 60, 15, 25, 35, 45, 55, 65]
    for step in layout.row_order(12, 2, 5, 0):
        for way in LAYOUTS:
            parts = layout.micro_batches(step, lengths, way, 2, pack=100)
            assert sorted(i for part in parts for i in part) == sorted(step), way
            for part in parts:
                held = [lengths[i] for i in part]
                assert sum(held) <= (100 if way == "packed" else 130)
                assert way != "grouped" or max(held) * len(held) <= 130
                assert way != "padded" or len(held) <= 2


@pytest.mark.parametrize("batch_size", [8, 16])
def test_a_tenth_of_alttrains_lengths_at_most_is_padding(batch_size):
    """900 rows near 70 tokens and 100 near 1,050: padded as they come, most of the work is padding."""
    draw = random.Random(0)
    lengths = [draw.randint(45, 95) for _ in range(900)] + [draw.randint(900, 1200) for _ in range(100)]
    steps = layout.row_order(1000, 3, batch_size, 1995)
    share = {way: layout.padding_share(steps, lengths, way, 4) for way in LAYOUTS}
    assert share["padding_free"] == share["packed"] == 0 < share["grouped"] < 0.07 < 0.5 < share["padded"]
    gpu = Device("cuda", "NVIDIA GeForce RTX 4090", 24 * 10**9, True, (8, 9), "2026.10.9")
    way = chosen(decide(load_recipe("r1_7b"), gpu), "train.layout")
    assert share[way] < 0.1
    # As many forward passes as steps, nearly: the short rows of a step lie beside its long ones.
    assert sum(len(layout.micro_batches(step, lengths, way, 4)) for step in steps) < 1.1 * len(steps)


def test_layout_changes_speed_never_learning(tmp_path, tokens):
    curves = {}
    for way in LAYOUTS:
        # 10 rows in steps of 8 and micro-batches of 3: the last of each is smaller, and tokens differ.
        settings = [f"train.layout={way}", "train.epochs=1", "train.micro_batch_size=3"]
        facts, places = trained(tmp_path, tokens, settings, where=way)
        curves[way] = losses(places)
        assert facts["layout"] == way
    for way in LAYOUTS:
        assert curves[way] == pytest.approx(curves["padding_free"], abs=1e-4), way


def test_stopped_and_resumed_equals_uninterrupted(tmp_path, tokens):
    _, whole = trained(tmp_path, tokens, ["train.epochs=1"], where="whole")
    steps = iter(range(100))
    with pytest.raises(OutOfTime):
        trained(tmp_path, tokens, ["train.epochs=1"], stop=lambda: next(steps) >= 2, where="cut")
    # A kill in the middle of saving leaves a checkpoint without its last file.
    checkpoints = tmp_path / "cut" / "checkpoints"
    (checkpoints / "checkpoint-99").mkdir()
    _, resumed = trained(tmp_path, tokens, ["train.epochs=1"], where="cut")
    assert not (checkpoints / "checkpoint-99").exists()
    assert weights(resumed) == weights(whole)
    assert losses(resumed) == losses(whole)
    assert [row["step"] for row in read_rows(resumed.log)] == [1, 2, 3, 4, 5, 6]


def test_adapters_are_trained_in_fp32(tmp_path, tokens):
    """bf16 adapters round a learning rate of 1e-5 away (trl #4901)."""
    from safetensors.torch import load_file

    _, before = trained(tmp_path, tokens, ["train.epochs=0.2", "train.learning_rate=1e-12"], where="before")
    _, after = trained(tmp_path, tokens, ["train.epochs=1", "train.learning_rate=1e-5", "train.warmup_steps=0"], where="after")
    a, b = (load_file(places.adapter / "adapter_model.safetensors") for places in (before, after))
    assert all(str(tensor.dtype) == "torch.float32" for tensor in b.values())
    changed = [float((a[key] != b[key]).float().mean()) for key in a if "lora_A" in key]
    assert min(changed) > 0.9


def test_gradients_are_the_same_before_and_after_an_evaluation():
    """bitsandbytes repacks weights in a forward without gradients on CPUs with AVX512-BF16."""
    import torch

    recipe = load_recipe("tiny")
    model = adapter.new(recipe, backend.device())
    assert all(not m.support_avx512bf16_for_cpu for m in model.modules() if hasattr(m, "support_avx512bf16_for_cpu"))
    ids = torch.arange(300, 340)[None]

    def gradients():
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    first = gradients()
    model.eval()
    with torch.inference_mode():
        model.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
    with torch.no_grad():
        model(input_ids=ids)
    model.train()
    assert first and all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, tokens):
    with pytest.raises(UserError, match="not finite"):
        trained(tmp_path, tokens, ["train.learning_rate=0.99", "train.epochs=20", "train.warmup_steps=0", "train.schedule=constant", "train.max_grad_norm=1e9", "lora.alpha=100000"])


def test_the_base_is_really_four_bit_and_only_the_adapter_trains():
    from bitsandbytes.nn import Linear4bit

    model = adapter.new(load_recipe("tiny"), backend.device())
    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    assert len(layers) >= 28 and all(m.weight.quant_type == "nf4" and m.weight.quant_state.nested for m in layers)
    assert all("lora_" in name for name, p in model.named_parameters() if p.requires_grad)


def test_the_same_seed_gives_the_same_fresh_adapter():
    import torch

    first, second, other = (adapter.new(load_recipe("tiny", [f"train.seed={seed}"]), backend.device()) for seed in (1, 1, 2))

    def values(model):
        return torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n])

    assert torch.equal(values(first), values(second)) and not torch.equal(values(first), values(other))


def test_nothing_is_left_to_a_librarys_defaults():
    recipe = load_recipe("r1_7b")
    device = backend.device()
    places = train.Places(*(backend.Path(name) for name in "abc"))
    settings = train.effective_settings(recipe, decide(recipe, device), device, places, 10)
    assert settings["learning_rate"] == 1e-5 and settings["adam_beta2"] == 0.95 and settings["max_length"] is None
    assert settings["bf16"] is False and settings["fp16"] is False and settings["use_cpu"] is True


def test_unknown_lora_targets_are_a_users_error():
    with pytest.raises(UserError, match="lora.targets"):
        adapter.new(load_recipe("tiny", ["lora.targets=query"]), backend.device())


def test_dequantised_base_is_the_four_bit_one_unpacked():
    import torch

    here, folder = backend.device(), load.model_folder(load_recipe("tiny").model)
    ids = torch.arange(300, 330)[None]
    with torch.inference_mode():
        packed, plain = load.load_quantized(folder, here)(ids).logits, load.load_dequantized(folder, here)(ids).logits
        original = load.load_full(folder, here)(ids).logits
    assert float((packed - plain).abs().max()) < 1e-3 < float((original - plain).abs().max())
