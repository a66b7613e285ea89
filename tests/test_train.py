from __future__ import annotations

import random
from contextlib import contextmanager
from itertools import count

import pytest

from alt_lite.config import load_recipe
from alt_lite.dataset import rows_for
from alt_lite.decide import Device, chosen, decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.model import adapter, backend, checkpoints, layout, load, train
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tokens):
    """One training without any interruption."""
    return trained(tmp_path_factory.mktemp("whole"), tokens, ["train.epochs=1"])[1]


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
        assert facts["layout"] == way and facts["mfu"] is None and facts["backend"] == "transformers"
        assert facts["padding_share"] == 0 or way in ("padded", "grouped")
    for way in LAYOUTS:
        assert curves[way] == pytest.approx(curves["padding_free"], abs=1e-4), way


def test_stopped_and_resumed_equals_uninterrupted(tmp_path, tokens, capsys):
    """With dropout, whose noise the comparison before training, made anew on resuming, must not move."""
    settings = ["train.epochs=1", "lora.dropout=0.1"]
    _, whole = trained(tmp_path, tokens, settings, where="whole")
    steps = iter(range(100))
    with pytest.raises(OutOfTime):
        trained(tmp_path, tokens, settings, stop=lambda: next(steps) >= 2, where="cut")
    # A kill in the middle of saving leaves a checkpoint without its last file.
    kept = tmp_path / "cut" / "checkpoints"
    (kept / "checkpoint-99").mkdir()
    _, resumed = trained(tmp_path, tokens, settings, where="cut")
    assert not (kept / "checkpoint-99").exists() and "checkpoint-99 is cut or damaged; goes on from step 3" in capsys.readouterr().err
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
    with pytest.raises(UserError, match="not finite at step"):
        trained(tmp_path, tokens, ["train.learning_rate=0.99", "train.epochs=20", "train.warmup_steps=0", "train.schedule=constant", "train.max_grad_norm=1e9", "lora.alpha=100000"])


@contextmanager
def after_step(number, act):
    """Call `act` with the trained parameters after the optimiser's step of that number."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    steps = count(1)
    handle = register_optimizer_step_post_hook(
        lambda optimizer, *_: act([p for group in optimizer.param_groups for p in group["params"]]) if next(steps) == number else None
    )
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("number, says", [(3, "the loss is not finite at step 4"), (4, "the adapter is not finite at step 4")])
def test_the_checkpoint_that_is_kept_is_from_before_the_overflow(tmp_path, tokens, whole, number, says):
    """Step 4 is a save step: its loss is what shows an overflow of step 3, its weights one of its own."""
    with after_step(number, lambda parameters: parameters[-1].data.fill_(float("nan"))), pytest.raises(UserError, match=says):
        trained(tmp_path, tokens, ["train.epochs=1"])
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-*") if checkpoints.is_whole(path)] == ["checkpoint-2"]
    _, resumed = trained(tmp_path, tokens, ["train.epochs=1"])
    assert weights(resumed) == weights(whole)


def test_a_checkpoint_cut_after_it_was_complete_is_told_and_the_one_before_it_used(tmp_path, tokens, whole, capsys):
    steps = iter(range(100))
    with pytest.raises(OutOfTime):
        trained(tmp_path, tokens, ["train.epochs=1"], stop=lambda: next(steps) >= 4)
    last = tmp_path / "run" / "checkpoints" / "checkpoint-5"
    state = last / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-100])
    _, resumed = trained(tmp_path, tokens, ["train.epochs=1"])
    assert "checkpoint-5 is cut or damaged; goes on from step 4" in capsys.readouterr().err
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("name", ["optimizer.pt", "trainer_state.json"])
def test_a_checkpoint_damaged_without_a_change_of_size_is_not_used(tmp_path, tokens, whole, capsys, name):
    steps = iter(range(100))
    with pytest.raises(OutOfTime):
        trained(tmp_path, tokens, ["train.epochs=1"], stop=lambda: next(steps) >= 4)
    path = tmp_path / "run" / "checkpoints" / "checkpoint-5" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    _, resumed = trained(tmp_path, tokens, ["train.epochs=1"])
    assert "checkpoint-5 is cut or damaged; goes on from step 4" in capsys.readouterr().err
    assert weights(resumed) == weights(whole)


def test_two_checkpoints_stay_while_training_and_one_when_the_adapter_is_saved(tmp_path, tokens):
    kept = []
    trained(tmp_path, tokens, ["train.epochs=1"], stop=lambda: bool(kept.append(len(list((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))))))
    assert max(kept) == 2
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-6"]


# The first calls compare four single rows with the four together; the seventh is in the middle of step 1.
@pytest.mark.parametrize("refuses", [lambda tokens, call: tokens > 250, lambda tokens, call: call == 7], ids=["too many tokens", "in the middle of a step"])
def test_out_of_memory_halves_the_room_and_repeats_the_step(tmp_path, tokens, monkeypatch, capsys, refuses):
    """Real errors out of the forward pass; in the middle of a step, some of its gradients are there already."""
    import torch

    settings = ["train.epochs=0.5", "train.layout=padded", "train.micro_batch_size=4"]
    free, calm = trained(tmp_path, tokens, settings, where="free")
    calls = count(1)
    real = adapter.new

    def small(*given):
        model = real(*given)

        def forward(module, inputs):
            if refuses(inputs[0].numel(), next(calls)):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        model.get_input_embeddings().register_forward_pre_hook(forward)
        return model

    monkeypatch.setattr(adapter, "new", small)
    facts, tight = trained(tmp_path, tokens, settings, where="tight")
    assert facts["micro_batch_size"] == 2 and free["micro_batch_size"] == 4
    assert "out of memory at step 1; room for 2 of the longest rows at once from here on, a step keeps its 8 rows" in capsys.readouterr().err
    assert losses(tight) == pytest.approx(losses(calm), abs=1e-4) and facts["tokens"] == free["tokens"]


def test_where_half_the_rows_take_as_much_fewer_are_taken(tmp_path, tokens, monkeypatch, capsys):
    """End to end the room is capped, so that half of many rows may be no less."""
    import torch

    real, calls = adapter.new, count(1)
    monkeypatch.setattr(layout, "_END_TO_END", 200)

    def small(*given):
        model = real(*given)

        def forward(module, inputs):
            if next(calls) == 7:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        model.get_input_embeddings().register_forward_pre_hook(forward)
        return model

    monkeypatch.setattr(adapter, "new", small)
    facts, _ = trained(tmp_path, tokens, ["train.epochs=0.5", "train.micro_batch_size=8"])
    assert facts["micro_batch_size"] < 4 and f"room for {facts['micro_batch_size']} of the longest rows" in capsys.readouterr().err


def test_a_row_that_does_not_fit_alone_is_told(tmp_path, tokens, monkeypatch):
    import torch

    real = adapter.new

    def none(*given):
        model = real(*given)

        def forward(module, inputs):
            if inputs[0].numel() > 70:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        model.get_input_embeddings().register_forward_pre_hook(forward)
        return model

    monkeypatch.setattr(adapter, "new", none)
    with pytest.raises(UserError, match="too small for one row at a time"):
        trained(tmp_path, tokens, ["train.epochs=1"])


def broken(way):
    """Collate as a library may do without a word: rows that see one another; padding that is trained."""
    real = layout.collate

    def collate(rows, layout, pad_id):
        batch = real(rows, layout, pad_id)
        if "position_ids" in batch:
            batch["position_ids"][0] = batch["position_ids"].new_tensor(range(batch["position_ids"].shape[1]))
        elif way == "both":
            batch["labels"][batch["attention_mask"] == 0] = pad_id
        return batch

    return collate


def test_rows_that_learn_something_else_together_are_padded_instead(tmp_path, tokens, monkeypatch, capsys):
    """Trap 29: a collator or an attention that mixes rows trains without an error."""
    _, right = trained(tmp_path, tokens, ["train.epochs=1", "train.layout=grouped"], where="right")
    monkeypatch.setattr(layout, "collate", broken("flat"))
    facts, places = trained(tmp_path, tokens, ["train.epochs=1"])
    assert "laid out padding_free, 4 rows have the loss" in capsys.readouterr().err
    assert facts["layout"] == "grouped" and losses(places) == pytest.approx(losses(right), abs=1e-4)


def test_where_padded_rows_differ_too_nothing_is_trained(tmp_path, tokens, monkeypatch):
    monkeypatch.setattr(layout, "collate", broken("both"))
    with pytest.raises(UserError, match="padded too"):
        trained(tmp_path, tokens, ["train.epochs=1"])
    assert not (tmp_path / "run" / "log.jsonl").read_text() and not list((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))


def test_a_gradscaler_can_use_what_is_trained():
    """Traps 10 and 28: a T4 trains in fp16, whose scaler has no kernels for the bf16 that TRL casts adapters to."""
    import torch

    model = adapter.new(load_recipe("tiny"), backend.device())
    ids = torch.arange(300, 340)[None]

    def step():
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer, scaler = torch.optim.SGD(parameters, lr=0.1), torch.amp.GradScaler("cpu")
        scaler.scale(model(input_ids=ids, labels=ids).loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        return {p.dtype for p in parameters}

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    with pytest.raises(ValueError, match="unscale FP16 gradients"):
        step()
    model.zero_grad()
    adapter.to_fp32(model)
    assert step() == {torch.float32}


def test_the_base_is_really_four_bit_and_only_the_adapter_trains():
    from bitsandbytes.nn import Linear4bit

    model = adapter.new(load_recipe("tiny"), backend.device())
    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    assert len(layers) >= 28 and all(m.weight.quant_type == "nf4" and m.weight.quant_state.nested for m in layers)
    assert all("lora_" in name for name, p in model.named_parameters() if p.requires_grad)


def test_the_same_seed_gives_the_same_fresh_adapter_as_pefts_own_in_bf16():
    """Rounded as TRL rounds it before it trains in 4 bit, so that both backends begin with the same."""
    import torch
    from peft import LoraConfig, get_peft_model

    def values(model):
        return torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_" in n])

    recipe, here = load_recipe("tiny", ["train.seed=1"]), backend.device()
    first, second, other = (adapter.new(load_recipe("tiny", [f"train.seed={seed}"]), here) for seed in (1, 1, 2))
    assert torch.equal(values(first), values(second)) and not torch.equal(values(first), values(other))
    torch.manual_seed(1)
    config = LoraConfig(r=recipe.lora.r, lora_alpha=recipe.lora.alpha, bias="none", target_modules=list(recipe.lora.targets), task_type="CAUSAL_LM")
    pefts = get_peft_model(load.load_quantized(load.model_folder(recipe.model), here), config)
    assert torch.equal(values(first), values(pefts).to(torch.bfloat16).float())


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
