"""Every supported architecture, small and random: trained, merged, generated with, counted."""

from __future__ import annotations

import random
import re
import shutil
from itertools import count

import architectures
import pytest
import small
import torch
from architectures import FOUR_BIT, KINDS
from safetensors.torch import load_file, save_file
from test_train import losses, weights

from alt_lite.config import load_recipe
from alt_lite.decide import Device, chosen, decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.families import FAMILIES
from alt_lite.generate import fit
from alt_lite.generate.fit import cache_bytes, prompt_bytes
from alt_lite.generate.local import Noise, generate
from alt_lite.model import adapter, architecture, backend, counted, gradients, layout, load, memory, train
from alt_lite.model.merging import merge, mergeable
from alt_lite.model.merging.fold import open_merging, skeleton
from alt_lite.rundir import read_json, write_json
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


def mostly_long(pairs, quick):
    """Few cases for the quick tests, all for `-m long`, which .ci/run has too."""
    return [pytest.param(*pair, marks=[] if pair in quick else pytest.mark.long) for pair in pairs]


def precisions(kinds):
    return [(kind, four) for kind in kinds for four in ((True, False) if kind in FOUR_BIT else (False,))]


@pytest.mark.parametrize("kind, four", mostly_long(precisions(NEW), [("qwen3_5", False), ("phi3", True)]))
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
    folder = architectures.make(tmp_path / "base", kind, std=0.01 if kind == "qwen3" else 0.025)
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


def prompts_of(n=4, seed=5):
    draw = random.Random(seed)
    return [[draw.randrange(250) for _ in range(length)] for length in (24, 7, 15, 30, 11, 19)[:n]]


@pytest.mark.parametrize("kind, base", mostly_long(
    [(kind, base) for kind in NEW for base in (("original", "dequantized") if kind in FOUR_BIT else ("original",))], [("qwen3_5", "original"), ("gemma4", "dequantized")],
))
def test_the_merged_folder_is_the_base_with_the_adapter_and_else_as_it_was(tmp_path, bases, kind, base, monkeypatch):
    from transformers import AutoConfig, AutoModelForCausalLM

    monkeypatch.setattr(merge, "_NEW_TOKENS", 12)
    folder, four = bases(kind), base == "dequantized"
    recipe = recipe_of(folder, f"model.load_in_4bit={str(four).lower()}", f"merge.base={base}")
    tokens = tokenizer.load(folder, FAMILIES["qwen3"])
    mergeable.require_mergeable(recipe, folder, tokens, 250)
    made = adapter.new(recipe, CPU)
    torch.manual_seed(3)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapter.save(made, recipe, tmp_path / "adapter")
    mergeable.require_fitting(tmp_path / "adapter", folder)
    proof = merge.merge(recipe, tmp_path / "adapter", tmp_path / "merged", tokens, prompts_of(), CPU)
    assert proof.proved and proof.max_logit_difference is not None, proof
    exact = open_merging(folder, tmp_path / "adapter", torch.float32, CPU, four)
    (tmp_path / "exact").mkdir()
    exact.write(tmp_path / "exact"), exact.write_config(tmp_path / "exact")
    ids = torch.tensor(prompts_of()[:1])
    with torch.no_grad():
        expected = load.with_adapter(merge.base_model(recipe, folder, CPU), tmp_path / "adapter")(ids).logits
        plain = load.load_full(folder, CPU)(ids).logits
        torch.testing.assert_close(load.load_full(tmp_path / "exact", CPU)(ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert float((expected - plain).abs().max()) > 1e-2

    model, facts = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert type(model) is type(load.load_full(folder, CPU)) and not any(facts.values()), facts
    before, after = (AutoConfig.from_pretrained(where).to_dict() for where in (folder, tmp_path / "merged"))
    same = before.keys() - {"eos_token_id", "pad_token_id", "dtype", "_name_or_path", "text_config", "rope_parameters"}
    assert {key: before[key] for key in same} == {key: after.get(key) for key in same}
    assert architecture.text_facts(before)["rope_parameters"].items() <= architecture.text_facts(after)["rope_parameters"].items()
    old, new = (load_file(where / "model.safetensors") for where in (folder, tmp_path / "merged"))
    assert old.keys() == new.keys()
    adapted = [name for name, module in made.base_model.model.named_modules() if hasattr(module, "lora_A")]
    assert not any("tower" in name or "router" in name for name in adapted)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    text = {name for name in old if not re.search(r"tower|visual|mtp|embed_(vision|audio)", name)}
    assert changed <= text and len(changed & {name for name in old if name.endswith(".weight")}) >= len(adapted)
    if base == "original":
        assert len(changed) == len(adapted)


@pytest.mark.parametrize("kind", architectures.PUBLISHED_WITH_TOWERS)
def test_what_sees_is_read_from_a_merged_folder_too(tmp_path, bases, kind):
    """By the class that the hub's configuration names, with nothing missing."""
    import transformers

    folder = bases(kind)
    recipe = recipe_of(folder, "model.load_in_4bit=false")
    adapter.save(adapter.new(recipe, CPU), recipe, tmp_path / "adapter")
    merge.write(open_merging(folder, tmp_path / "adapter", torch.bfloat16, CPU, False), tmp_path / "merged", tokenizer.load(folder, FAMILIES["qwen3"]))
    (name,) = read_json(folder / "config.json")["architectures"]
    model, facts = getattr(transformers, name).from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert name.endswith("ForConditionalGeneration") and not any(facts.values()), facts
    base = getattr(transformers, name).from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(base.state_dict().values(), model.state_dict().values(), strict=True))  # B is zero


def test_a_base_in_mxfp4_is_refused_at_the_check(tmp_path, bases):
    folder = architectures.make(tmp_path / "base", "gpt_oss")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": []}})
    with pytest.raises(UserError, match="MXFP4") as error:
        mergeable.require_mergeable(recipe_of(bases("gpt_oss"), f"model.name={folder}"), folder, tokenizer.load(bases("gpt_oss"), FAMILIES["qwen3"]), 250)
    assert "bf16" in error.value.fix


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_adapter_and_four_bit_weights_are_counted_exactly(bases, kind):
    from bitsandbytes.nn import Linear4bit

    folder = bases(kind)
    shape = counted.shape_of(folder)
    if kind in ("qwen2", "qwen3", "llama"):
        by_count = counted.count(skeleton(folder))
        assert shape.counted is None and by_count.parameters == shape.parameters and by_count.linear_parameters == shape.linear_parameters
        assert (by_count.embeddings, by_count.vectors, cache_bytes(by_count, 2)) == (shape.embeddings, shape.vectors, cache_bytes(shape, 2))
    model = load.load_full(folder, CPU)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    recipe = recipe_of(folder, f"model.load_in_4bit={str(kind in FOUR_BIT).lower()}")
    made = adapter.new(recipe, CPU)
    assert memory.adapter_parameters(shape, recipe) == sum(parameter.numel() for name, parameter in made.named_parameters() if "lora_" in name)
    if kind in FOUR_BIT:
        linear = [module for module in made.modules() if isinstance(module, Linear4bit)]
        assert sum(module.in_features * module.out_features for module in linear) == shape.linear_parameters
    peak = memory.training(shape, recipe, CPU, 2, 100)
    assert peak.total > memory.weight_bytes(shape, kind in FOUR_BIT, 4) > 0 and memory.disk(shape, recipe, downloads=True)["merged"] == 2 * shape.parameters


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_is_no_larger_than_estimated(bases, kind):
    from transformers import DynamicCache

    model, ids = load.load_full(bases(kind), CPU), torch.tensor(prompts_of()[:1])
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(input_ids=ids, past_key_values=cache, use_cache=True)
    held = states = 0
    for layer in cache.layers:
        held += sum(tensor.numel() for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)) if isinstance(tensor, torch.Tensor))
        states += sum(tensor.numel() for name in ("conv_states", "recurrent_states") for tensor in (getattr(layer, name, None) or {}).values())
    estimate = cache_bytes(model.config, 1) * ids.shape[1]
    assert held <= estimate <= 2.5 * held + 1 and states <= fit.state_numbers(model.config) <= 1.5 * states
    assert prompt_bytes(model.config, 24, 8, 4) > 4 * (held + states)
    shape = counted.shape_of(bases(kind))
    assert cache_bytes(shape, 1) == cache_bytes(model.config, 1) and prompt_bytes(shape, 24, 8, 4) > 4 * (held + states)


def answers(folder, prompts, batch_size, new=24, noise=None):
    model, tokens = load.load_full(folder, CPU), tokenizer.load(folder, FAMILIES["qwen3"])
    found = {made.index: list(made.ids) for batch in generate(model, tokens, prompts, new, batch_size, noise) for made in batch}
    return [found[number] for number in range(len(prompts))]


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_together_are_answered_as_alone(tmp_path, kind):
    """Past the windows of those that have one, greedily."""
    folder = architectures.make(tmp_path, kind, std=0.08, spread=1.0)
    small.lay_tokenizer(folder, FAMILIES["qwen3"])
    alone = answers(folder, prompts_of(6), 1)
    assert answers(folder, prompts_of(6), 6) == alone == answers(folder, prompts_of(6), None)
    assert len({token for row in alone for token in row}) > 9


def test_generating_past_the_length_where_all_tokens_are_turned_otherwise_forgets_nothing(tmp_path, capsys):
    """Each token is what the model says of the whole text so far, computed without a cache; transformers' own generate() is not."""
    folder = architectures.make(tmp_path, "phi3", std=0.15, spread=1.0, original_max_position_embeddings=26)
    small.lay_tokenizer(folder, FAMILIES["qwen3"])
    model, prompts = load.load_full(folder, CPU), prompts_of(6)
    together = answers(folder, prompts, 6)
    assert together == answers(folder, prompts, 1) and "past 26" in capsys.readouterr().err
    for prompt, made in zip(prompts, together, strict=True):
        with torch.no_grad():
            assert made == [int(model(torch.tensor([prompt + made[:place]])).logits[0, -1].argmax()) for place in range(len(made))]
    noise = Noise(1.0, 1.0, None, list(range(6)))
    assert answers(folder, prompts, 6, noise=noise) == answers(folder, prompts, 1, noise=noise) != together


def test_rows_past_the_length_where_all_tokens_are_turned_otherwise_lie_apart():
    lengths = [29, 49, 28, 50, 30]
    for way in ("padded", "grouped", "padding_free", "packed"):
        parts = layout.micro_batches([0, 1, 2, 3, 4], lengths, way, 5, turn=30)
        assert sorted(i for part in parts for i in part) == [0, 1, 2, 3, 4] and all(len({lengths[i] > 30 for i in part}) == 1 for part in parts)
        assert len(parts) < len(layout.micro_batches([0, 1, 2, 3, 4], lengths, way, 1))


LAYERS = {
    **dict.fromkeys(("qwen2", "qwen3", "llama", "smollm3", "gemma4_moe"), SEVEN), "gpt_oss": SEVEN[:4], "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    **dict.fromkeys(("gemma4_text", "gemma4"), (*SEVEN, "per_layer_input_gate", "per_layer_projection")),
    **dict.fromkeys(("qwen3_5_text", "qwen3_5"), (*SEVEN[:4], "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj", *SEVEN[4:])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_lora_adapts_all_linear_layers_of_the_blocks_and_says_what_it_does_not_reach(bases, kind):
    names, reason = architecture.targets_of(bases(kind))
    assert names == LAYERS[kind]
    assert ("experts (down_proj, gate_up_proj), which are no linear layers" in reason) == (kind in ("gpt_oss", "gemma4_moe"))
    assert mergeable.expanded(("all-linear",), bases(kind)) == sorted(names)
    four, why = architecture.four_bit_of(bases(kind))
    assert four == (kind in FOUR_BIT) and why


def test_the_known_three_keep_their_default():
    assert load_recipe("r1_7b").lora.targets == SEVEN


@pytest.mark.parametrize("target", ["router", "lm_head", "embedding_projection", "nonsense"])
def test_what_is_no_linear_layer_of_the_text_is_no_target(bases, target):
    kind = "gpt_oss" if target == "router" else "gemma4"
    with pytest.raises(UserError, match=f"lora.targets: {target}"):
        folder = bases(kind)
        mergeable.require_mergeable(recipe_of(folder, f"lora.targets=q_proj,{target}"), folder, tokenizer.load(folder, FAMILIES["qwen3"]), 250)


def test_what_runs_on_from_token_to_token_leaks():
    """By the configurations of transformers itself, and by a config.json that leaves its layers out."""
    from transformers import AutoConfig

    leaking = ("mamba", "mamba2", "falcon_mamba", "jamba", "bamba", "zamba2", "falcon_h1", "granitemoehybrid", "nemotron_h", "recurrent_gemma", "rwkv", "xlstm", "qwen3_next", "minimax", "kimi_linear", "olmo_hybrid")
    for kind in leaking:
        assert architecture.leaks(AutoConfig.for_model(kind)), kind
    assert architecture.leaks(AutoConfig.for_model("lfm2", full_attn_idxs=[0])) and architecture.leaks({"model_type": "new", "text_config": {"layer_types": ["new_kind"]}})
    assert architecture.leaks({"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "num_hidden_layers": 4}})
    for kind in ("qwen2", "qwen3", "qwen3_moe", "llama", "mistral", "phi3", "smollm3", "gemma3_text", "gemma4", "olmo3", "granite", "ministral3", "exaone4", "glm4", "deepseek_v3"):
        assert architecture.leaks(AutoConfig.for_model(kind)) is None, kind


def test_rows_end_to_end_are_not_given_to_a_model_through_which_they_would_leak(tmp_path, bases, capsys):
    recipe = recipe_of(bases("qwen3_5"), "train.layout=packed", "model.load_in_4bit=false")
    leak = architecture.leaks(read_json(bases("qwen3_5") / "config.json"))
    assert str(decide(recipe, CPU, leak)["train.layout"]).startswith("train.layout = grouped: packed was asked for, but qwen3_5_text has layers of linear_attention")
    assert chosen(decide(recipe, CPU), "train.layout") == "packed" and chosen(decide(recipe_of(bases("qwen3")), CPU), "train.layout") == "padding_free"
    facts, _ = trained(tmp_path, bases("qwen3_5"), "train.layout=packed", "model.load_in_4bit=false")
    assert facts["layout"] == "grouped" and "rows are padded, not packed: qwen3_5_text has layers of linear_attention" in capsys.readouterr().err


def test_rows_that_an_attention_refuses_together_are_padded(tmp_path, bases, monkeypatch, capsys):
    """An older Unsloth raises a ValueError at positions that begin anew."""
    real = layout.collate

    def refusing(rows, way, pad_id):
        if way == "padding_free" and len(rows) > 1:
            raise ValueError("positions must be contiguous\nin this version")
        return real(rows, way, pad_id)

    monkeypatch.setattr(layout, "collate", refusing)
    facts, _ = trained(tmp_path, bases("qwen3"))
    assert facts["layout"] == "grouped" and "4 rows fail together (positions must be contiguous); rows are padded instead" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("kind", ["phi3", "smollm3", "gpt_oss", "gemma4_text", "gemma4_moe", "qwen3_5_text"])
def test_what_a_training_step_allocates_is_estimated_to_a_fifth(tmp_path, monkeypatch, kind):
    """In models large enough that their layers are most of it, in fp32."""
    from allocations import Allocations
    from trl import SFTTrainer

    heads = {"head_dim": 64} if kind in ("gpt_oss", "gemma4_text", "gemma4_moe", "qwen3_5_text") else {}
    if kind.startswith("gemma4"):
        heads |= {"global_head_dim": 128, "moe_intermediate_size": 256}
    if kind == "qwen3_5_text":
        rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
        heads |= {"linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_num_key_heads": 4, "linear_num_value_heads": 8, "rope_parameters": rope}
    folder = architectures.make(tmp_path / "base", kind, vocab_size=1024, hidden_size=256, intermediate_size=768, **heads)
    small.lay_tokenizer(folder, FAMILIES["qwen3"])
    real, seen = SFTTrainer.training_step, []

    def step(self, model, inputs, number=None):
        known = [tensor for p in model.parameters() for tensor in (p, p.grad) if tensor is not None]
        with Allocations([*known, *model.buffers(), *(value for value in inputs.values() if isinstance(value, torch.Tensor))]) as followed:
            loss = real(self, model, inputs, number)
        seen.append(followed.peak)
        return loss

    monkeypatch.setattr(SFTTrainer, "training_step", step)
    ids = [[(7 * place + row) % 250 for place in range(512 - row)] for row in range(4)]
    settings = ("model.load_in_4bit=false", "train.micro_batch_size=4", "train.layout=padded", "train.epochs=2", "model.max_length=600")
    trained(tmp_path, folder, *settings, rows=[Encoded(str(row), one, one) for row, one in enumerate(ids)])
    peak = memory.training(counted.shape_of(folder), recipe_of(folder, *settings), CPU, 4, 512, layout="padded")
    assert peak.parts["activations"] + peak.parts["one layer"] == pytest.approx(seen[-1], rel=0.2)


def test_an_adapter_trained_in_the_model_that_sees_is_saved_for_its_text(tmp_path, bases):
    """Unsloth may load the class that config.json names, whose modules have other names."""
    import transformers
    from peft import LoraConfig, get_peft_model

    folder = bases("qwen3_5")
    recipe = recipe_of(folder, "model.load_in_4bit=false")
    sees = transformers.Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    names = list(recipe.lora.targets)
    made = get_peft_model(sees, LoraConfig(r=4, lora_alpha=8, target_modules=names, exclude_modules=architecture.unreached(sees, names)))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapter.save(made, recipe, tmp_path / "adapter")
    mergeable.require_fitting(tmp_path / "adapter", folder)
    merge.write(open_merging(folder, tmp_path / "adapter", torch.float32, CPU, False), tmp_path / "merged", tokenizer.load(folder, FAMILIES["qwen3"]))
    ids = torch.tensor(prompts_of()[:1])
    with torch.no_grad():
        expected = made.eval()(input_ids=ids).logits
        torch.testing.assert_close(load.with_adapter(load.load_full(folder, CPU), tmp_path / "adapter")(ids).logits, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(load.load_full(tmp_path / "merged", CPU)(ids).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.skipif(backend.unsloth_version() is None, reason="pip install --no-deps unsloth unsloth_zoo")
@pytest.mark.parametrize("kind", NEW)
def test_unsloth_learns_the_same_and_its_adapter_fits(tmp_path, bases, monkeypatch, kind):
    """On its CPU path; layers of towers and experts, which bear the same names, are left alone."""
    monkeypatch.setenv("UNSLOTH_FORCE_CPU", "1")
    settings = (f"model.load_in_4bit={str(kind in FOUR_BIT).lower()}",)
    _, theirs = trained(tmp_path, bases(kind), *settings, "model.backend=unsloth", where="unsloth")
    _, plain = trained(tmp_path, bases(kind), *settings, "model.backend=transformers", where="plain")
    assert losses(theirs) == pytest.approx(losses(plain), rel=1e-4)
    mergeable.require_fitting(theirs.adapter, bases(kind))
    pairs = [set(open_merging(bases(kind), places.adapter, torch.float32, CPU, False).adapter.pairs) for places in (theirs, plain)]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize("kind", ["qwen3_5_text", "qwen3_5"])
def test_what_a_base_holds_in_32_bit_beside_a_16_bit_model_stays_so(tmp_path, bases, kind):
    folder = tmp_path / "base"
    shutil.copytree(bases(kind), folder)
    tensors = load_file(folder / "model.safetensors")
    exact = {name: tensor.float() + 1e-5 for name, tensor in tensors.items() if name.endswith("A_log")}
    save_file(tensors | exact, folder / "model.safetensors", {"format": "pt"})
    recipe = recipe_of(folder, "model.load_in_4bit=false")
    adapter.save(adapter.new(recipe, CPU), recipe, tmp_path / "adapter")
    merging = open_merging(folder, tmp_path / "adapter", torch.bfloat16, CPU, False)
    merge.write(merging, tmp_path / "merged", tokenizer.load(folder, FAMILIES["qwen3"]))
    found = load_file(tmp_path / "merged" / "model.safetensors")
    assert exact and all(torch.equal(found[name], tensor) for name, tensor in exact.items())
    assert {tensor.dtype for name, tensor in found.items() if name not in exact} == {torch.bfloat16}
    assert merging.bytes == sum(tensor.nbytes for tensor in found.values())


def test_a_tower_in_4_bit_is_refused(tmp_path, bases):
    folder = tmp_path / "base"
    shutil.copytree(bases("qwen3_5"), folder)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "visual" in name)
    save_file(tensors | {name: torch.zeros(8, 1, dtype=torch.uint8)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="visual.* is U8, not 16- or 32-bit"):
        mergeable.require_mergeable(recipe_of(folder), folder, tokenizer.load(folder, FAMILIES["qwen3"]), 250)
