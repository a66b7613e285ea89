"""Estimates of memory against what torch, peft, bitsandbytes, trl and transformers allocate, on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from allocations import Allocations, bytes_of

from alt_lite.config import load_recipe, recipe_names
from alt_lite.decide import Device, decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.generate.fit import MOST, cache_bytes
from alt_lite.model import adapter, backend, load, memory, train
from alt_lite.model.layout import micro_batches
from alt_lite.model.shape import PUBLISHED, read

CARD = Device("cuda", "a card", 24 * 10**9, bf16=True)
T4 = Device("cuda", "Tesla T4", 15_835_000_000, bf16=False)
FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size", "tie_word_embeddings", "head_dim")


def config(kind, *values, **more):
    from transformers import AutoConfig

    return AutoConfig.for_model(kind, **dict(zip(FIELDS, values, strict=False)), **more)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_counted_exactly(name):
    import torch
    from transformers import AutoModelForCausalLM

    shape = PUBLISHED[name]
    made = config(shape.model_type, *(getattr(shape, field) for field in FIELDS))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert read(made) == read(made.to_dict()) == shape


@pytest.mark.parametrize("more", [{"attention_bias": True}, {"mlp_bias": True, "tie_word_embeddings": True}])
def test_biases_and_tied_embeddings_are_counted(more):
    import torch
    from transformers import AutoModelForCausalLM

    made = config("llama", 64, 2, 4, 2, 96, 128, **more)
    with torch.device("meta"):
        assert read(made).parameters == sum(p.numel() for p in AutoModelForCausalLM.from_config(made).parameters())


def test_every_shipped_recipe_has_a_shape_and_an_unknown_architecture_has_none():
    assert {load_recipe(name).model.name for name in recipe_names()} <= set(PUBLISHED)
    assert read({"model_type": "mamba", "hidden_size": 64}) is None
    folder = load.model_folder(load_recipe("tiny").model)
    assert read(json.loads((folder / "config.json").read_text())) == PUBLISHED["embedded"]


def test_estimates_need_no_torch():
    code = "import sys; from alt_lite.model import memory; from alt_lite.report import hardware, preflight; hardware.table(); assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_four_bit_base_has_the_bytes_that_are_estimated():
    from bitsandbytes.nn import Linear4bit

    model = load.load_quantized(load.model_folder(load_recipe("tiny").model), backend.device())
    states = [module.weight.quant_state for module in model.modules() if isinstance(module, Linear4bit)]
    tensors = [t for s in states for t in (s.absmax, s.code, s.offset, s.state2.absmax, s.state2.code)]
    real = bytes_of([*model.parameters(), *tensors])
    estimate = memory.weight_bytes(PUBLISHED["embedded"], True, 4)
    assert len(states) == 28 and real <= estimate <= real + 28 * 2000, (real, estimate)  # code books may be shared
    assert bytes_of(model.parameters()) + sum(s.absmax.nbytes + s.state2.absmax.nbytes for s in states) == estimate - 28 * (64 + 1024 + 4)


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "adamw_torch"])
def test_adapter_gradients_and_optimiser_have_the_bytes_that_are_estimated(tmp_path, tokens, optimizer):
    """After one real step: from the checkpoint that it leaves."""
    import torch
    from safetensors.torch import load_file

    from alt_lite.dataset import rows_for
    from alt_lite.tokens.encode import encode_rows

    recipe = load_recipe("tiny", ["data.harmful=8", "data.benign=8", "data.skills=0", "train.batch_size=8", f"train.optimizer={optimizer}"])
    here, shape = backend.device(), PUBLISHED["embedded"]
    rows = encode_rows(tokens, rows_for(recipe), recipe.data.target, recipe.model.max_length)
    places = train.Places(tmp_path / "checkpoints", tmp_path / "adapter", tmp_path / "log.jsonl")
    with pytest.raises(OutOfTime):
        train.train(recipe, decide(recipe, here), here, tokens, rows, places, lambda done, note="": None, lambda: True)
    (checkpoint,) = places.checkpoints.glob("checkpoint-*")
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    n = memory.adapter_parameters(shape, recipe)
    assert sum(t.nbytes for t in adapter.values()) == 4 * n
    state = torch.load(checkpoint / "optimizer.pt", weights_only=False)["state"]
    # bitsandbytes keeps what is quantised in a dict of its own.
    flat = [item for s in state.values() for item in {**s, **s.get("__bnb_optimizer_quant_state__", {})}.items()]
    moments = [t for name, t in flat if isinstance(t, torch.Tensor) and t.numel() > 1 and not name.startswith("qmap")]
    books = 2 * 4 * 256 if optimizer == "adamw_8bit" else 0
    assert sum(t.nbytes for t in moments) + books == memory.optimizer_bytes(shape, recipe)
    if optimizer == "adamw_8bit":
        assert {t.dtype for t in moments} >= {torch.uint8, torch.float32}  # both kinds occur
    written = sum((checkpoint / name).stat().st_size for name in ("adapter_model.safetensors", "optimizer.pt"))
    assert written == pytest.approx(memory.disk(shape, recipe, downloads=False)["checkpoints"] / 3, rel=0.1)
    peak = memory.training(shape, recipe, here, 8, 100)
    assert (peak.parts["adapter"], peak.parts["gradients"]) == (4 * n, 4 * n)


@pytest.mark.parametrize("dtype, kept", [("bfloat16", memory.KEPT), ("float16", memory.KEPT_FP16)])
def test_numbers_that_are_not_quantised_have_the_width_that_is_assumed(monkeypatch, dtype, kept):
    """As on a GPU: what the project's own loading leaves of embeddings, norms and head."""
    import torch

    monkeypatch.setattr(load, "training_dtype", lambda device: getattr(torch, dtype))
    recipe = load_recipe("tiny")
    model = adapter.new(recipe, backend.device())
    widths = {p.element_size() for name, p in model.named_parameters() if "lora_" not in name and p.dtype != torch.uint8}
    assert widths == {kept["transformers"]}, "model/memory.py's KEPT must follow how the base is prepared"


# kind, (hidden, layers, heads, kv heads, mlp, vocabulary, tied, head size), rows, length, checkpointing, width of what is not quantised, layout, from compute
# capability 8.0 on
STEPS = [
    ("qwen2", (256, 2, 8, 2, 1088, 1024), 2, 256, True, 4, "padding_free", True),
    ("qwen2", (256, 2, 8, 2, 1088, 1024), 2, 256, False, 2, "padding_free", True),
    ("qwen3", (256, 3, 8, 2, 768, 4096, True, 40), 1, 512, True, 2, "padding_free", True),
    ("llama", (256, 3, 4, 4, 512, 4096), 4, 128, True, 4, "padded", True),
    ("qwen3", (256, 2, 8, 2, 768, 1024, False, 40), 1, 512, True, 2, "padding_free", False),
]


@pytest.fixture
def said_to_be_autocast(monkeypatch):
    """PEFT asks whether CUDA computes under autocast, and else casts inputs to fp32, as it would not on a GPU.
    Autocast itself asks the same to know what to go back to, so that it is switched off by hand."""
    import torch

    with monkeypatch.context() as patched:
        patched.setattr(torch, "is_autocast_enabled", lambda *_: True)
        yield
    torch.set_autocast_enabled("cpu", False)


@pytest.mark.parametrize("kind, values, rows, length, checkpointing, width, layout, new", STEPS)
@pytest.mark.usefixtures("said_to_be_autocast")
def test_activations_and_logits_of_a_real_step(tmp_path, monkeypatch, tokens, kind, values, rows, length, checkpointing, width, layout, new):
    """The estimate of what comes and goes, within a tenth of what a step of trl, peft and bitsandbytes allocates at its peak, in bf16."""
    import peft
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from transformers.integrations import sdpa_attention
    from trl import SFTConfig, SFTTrainer

    monkeypatch.setattr(load, "training_dtype", lambda device: torch.bfloat16)
    for kept in (memory.KEPT, memory.KEPT_FP16):
        monkeypatch.setitem(kept, "transformers", width)
    made = config(kind, *values)
    AutoModelForCausalLM.from_config(made, dtype=torch.bfloat16).save_pretrained(tmp_path / "base")
    recipe = load_recipe("r1_7b", [f"model.name={tmp_path / 'base'}", f"train.gradient_checkpointing={'true' if checkpointing else 'false'}"])
    model = load.load_quantized(tmp_path / "base", Device("cpu", "CPU", 0))
    if width == 4:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    else:
        model.requires_grad_(False)
    model = peft.get_peft_model(model, peft.LoraConfig(r=recipe.lora.r, target_modules=list(recipe.lora.targets), task_type="CAUSAL_LM"))
    args = SFTConfig(
        str(tmp_path), per_device_train_batch_size=rows, gradient_accumulation_steps=2, max_steps=1, bf16=True, use_cpu=True, max_length=None,
        gradient_checkpointing=checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False}, padding_free=layout == "padding_free",
        loss_type="chunked_nll", report_to="none", disable_tqdm=True, save_strategy="no", dataloader_pin_memory=False,
    )
    # Rows of the padded batch differ, for without padding there is no mask.
    lengths = [length - (number % rows if layout == "padded" else 0) for number in range(2 * rows)]
    data = Dataset.from_list([{"input_ids": [400] * n, "labels": [400] * n} for n in lengths])
    seen = []

    class Trainer(SFTTrainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            # The second micro-batch: the first has made the gradients.
            known = [t for p in model.parameters() for t in (p, p.grad) if t is not None]
            with Allocations([*known, *(t for t in inputs.values() if isinstance(t, torch.Tensor))]) as followed:
                loss = super().training_step(model, inputs, num_items_in_batch)
            seen.append(followed.peak)
            return loss

    trainer = Trainer(model=model, args=args, train_dataset=data, processing_class=tokens.fast)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    if not new:
        monkeypatch.setattr(sdpa_attention, "use_gqa_in_sdpa", lambda *_: False)  # as model/attention.py does there
    trainer.train()
    peak = memory.training(read(made), recipe, CARD if new else T4, rows, length, layout=layout)
    estimate = peak.parts["activations"] + peak.parts.get("logits", 0) + peak.parts.get("one layer", 0)
    assert estimate == pytest.approx(seen[1], rel=0.1), (seen, peak.parts)
    assert ("one layer" in peak.parts) == (checkpointing and values[5] <= 1024)  # both kinds of peak are tried


def test_the_loss_takes_chunks_as_large_as_trls():
    from trl.trainer import sft_trainer

    recipe, device = load_recipe("r1_7b"), backend.device()
    places = train.Places(*(backend.Path(name) for name in "abc"))
    assert sft_trainer._CHUNKED_LM_HEAD_CHUNK_SIZE == memory.LOSS_CHUNK
    assert train.effective_settings(recipe, decide(recipe, device), device, places, 10)["loss_type"] == "chunked_nll"


def test_the_cache_has_the_bytes_that_are_estimated():
    import torch

    model = load.load_full(load.model_folder(load_recipe("tiny").model), backend.device())
    with torch.inference_mode():
        cache = model(torch.arange(300, 340)[None].repeat(3, 1), use_cache=True).past_key_values
    real = bytes_of([t for layer in cache.layers for t in (layer.keys, layer.values)])
    assert real == 3 * 40 * cache_bytes(PUBLISHED["embedded"], 4)
    peak = memory.generation(PUBLISHED["embedded"], load_recipe("tiny"), backend.device(), 10**10, "16bit", 30, 10, together=3)
    assert peak.parts["cache"] == real and peak.parts["weights"] == bytes_of(model.parameters())


def test_as_many_rows_are_taken_together_as_fit_and_the_reason_says_so():
    recipe, shape = load_recipe("r1_7b"), PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
    taken = {}
    for free in (80e9, 24e9, 11e9, 9e9):
        decision, peak = memory.fit(recipe, shape, CARD, int(free), 2048)
        taken[free] = decision.value
        assert peak.total <= free and recipe.train.batch_size % decision.value == 0
        assert "(estimate)" in decision.reason and f"{peak.total / 1e9:.1f} of {free / 1e9:.1f} GB" in decision.reason
        if decision.value < recipe.train.batch_size:
            more = memory.training(shape, recipe, CARD, 2 * decision.value, 2048)
            assert more.total > free and f"{more.total / 1e9:.1f}" in decision.reason
    assert taken[80e9] == 8 and sorted(taken.values(), reverse=True) == list(taken.values()) and taken[9e9] < taken[11e9] < 8
    short, _ = memory.fit(recipe, shape, CARD, int(11e9), 500)
    assert short.value > taken[11e9]


def test_rows_end_to_end_are_counted_as_they_lie():
    recipe, shape = load_recipe("r1_1_5b"), PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
    for longest, micro in ((70, 16), (1050, 16), (2000, 16), (2000, 2), (9000, 4)):
        for layout in ("padding_free", "packed", "grouped", "padded"):
            lengths = [longest] * 16
            lines = micro_batches(range(16), lengths, layout, micro, recipe.model.max_length)
            real = max(sum(lengths[i] for i in line) for line in lines)
            peak = memory.training(shape, recipe, CARD, micro, longest, layout=layout)
            of_that = memory.training(shape, recipe, CARD, 1, real, layout="padded").parts["activations"]
            assert of_that <= peak.parts["activations"] <= 1.2 * of_that + 2 * (real + longest) ** 2, (longest, micro, layout)


def test_a_cpu_takes_no_more_rows_end_to_end_than_are_quick_there():
    recipe, cpu = load_recipe("smollm2_135m"), Device("cpu", "c", 10**11)
    end_to_end, padded = (memory.fit(recipe, PUBLISHED["embedded"], cpu, 10**11, 276, layout=layout)[0] for layout in ("padding_free", "grouped"))
    assert (end_to_end.value, padded.value) == (4, 16) and "slower on a CPU" in end_to_end.reason


def test_rows_that_a_recipe_gives_are_taken_as_asked_even_where_they_do_not_fit():
    shape = PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
    decision, peak = memory.fit(load_recipe("r1_7b", ["train.micro_batch_size=3"]), shape, CARD, 10**9, 2048)
    assert (decision.value, decision.reason) == (3, "as asked") and peak.total > 10**9


def test_where_nothing_fits_the_fix_names_recipes_that_do():
    recipe, shape = load_recipe("r1_32b"), PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"]
    with pytest.raises(UserError) as error:
        memory.fit(recipe, shape, CARD, 16 * 10**9, 2048)
    assert "16.0 GB free" in error.value.message and "estimate" in error.value.message and "\n" not in error.value.message + error.value.fix
    named = memory.fitting(CARD, 16 * 10**9)
    assert named and ", ".join(named) in error.value.fix and "r1_32b" not in named
    for name in recipe_names():
        other = load_recipe(name)
        if not other.embedded:
            assert (memory.training(PUBLISHED[other.model.name], other, CARD, 1, memory.ROW).total <= 16e9) == (name in named), name
    with pytest.raises(UserError) as error:
        memory.fit(load_recipe("qwen3_0_6b", ["train.gradient_checkpointing=false"]), PUBLISHED["Qwen/Qwen3-0.6B"], CARD, 10**9, 2048)
    assert "only tiny fits" in error.value.fix and "gradient_checkpointing=true" in error.value.fix


def test_more_of_anything_needs_more():
    shape = PUBLISHED["Qwen/Qwen3-4B"]

    def total(rows=2, longest=512, device=CARD, **kinds):
        overrides = [f"{key.replace('__', '.')}={value}" for key, value in kinds.items()]
        return memory.training(shape, load_recipe("qwen3_4b", overrides), device, rows, longest).total

    usual = total()
    assert usual < min(
        total(rows=4), total(longest=1024), total(lora__r=64), total(train__optimizer="adamw_torch"), total(train__gradient_checkpointing="false"),
        total(model__load_in_4bit="false"),
    )
    assert total(rows=1, longest=4096) < total(rows=1, longest=4096, device=T4)
    assert total(lora__targets="q_proj,v_proj") < usual
    unsloth = memory.training(shape, load_recipe("qwen3_4b"), CARD, 2, 512, backend="unsloth")
    assert unsloth.total <= usual


def test_an_evaluation_on_a_cpu_is_sized_for_as_many_prompts_as_are_taken_together():
    recipe, shape, cpu = load_recipe("smollm2_135m"), PUBLISHED["HuggingFaceTB/SmolLM2-135M-Instruct"], Device("cpu", "a CPU with bf16", 16 * 10**9, True)
    roomy, tight = (memory.generation(shape, recipe, cpu, free * 10**9, "16bit", new=160) for free in (16, 3))
    assert f"{MOST['cpu']} prompts" in roomy.note and roomy.parts["cache"] == MOST["cpu"] * cache_bytes(shape, 2) * (memory.PROMPT + 160)
    assert tight.parts["cache"] < roomy.parts["cache"] and tight.total <= 3e9


def test_sixteen_bit_is_evaluated_where_it_fits_and_four_where_it_does_not():
    recipe, shape = load_recipe("r1_8b"), PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Llama-8B"]
    assert memory.precision(recipe, shape, CARD, 24 * 10**9).value == "16bit"
    small = memory.precision(recipe, shape, CARD, 12 * 10**9)
    assert small.value == "4bit" and "16 bit would need" in small.reason and "estimate" in small.reason
    assert memory.precision(load_recipe("r1_8b", ["eval.precision=16bit"]), shape, CARD, 12 * 10**9).reason == "as asked"
    four = memory.generation(shape, recipe, CARD, 12 * 10**9, "4bit")
    assert four.total <= 12e9 and four.parts["adapter"] == 4 * memory.adapter_parameters(shape, recipe)
    assert memory.generation(shape, recipe, CARD, 24 * 10**9, "4bit").parts["cache"] > four.parts["cache"]


def test_the_merged_folder_and_the_adapter_have_the_size_that_is_estimated(finished):
    recipe = load_recipe("tiny")
    parts = memory.disk(PUBLISHED["embedded"], recipe, downloads=False)
    assert (finished / "merged" / "model.safetensors").stat().st_size == pytest.approx(parts["merged"], rel=0.01)
    assert (finished / "adapter" / "adapter_model.safetensors").stat().st_size == pytest.approx(parts["adapter"], rel=0.02)


def test_downloads_and_exports_are_parts_of_the_disk():
    import dataclasses

    gguf = pytest.importorskip("gguf")
    shape, recipe = PUBLISHED["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"], load_recipe("r1_1_5b")
    parts = memory.disk(shape, recipe, downloads=True, exports=True)
    assert parts["download"] == parts["merged"] == 2 * shape.parameters
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0]
    assert parts["export"] == pytest.approx((2 + size / block) * shape.parameters, rel=0.001)
    assert memory.disk(dataclasses.replace(shape, four_bit=True), recipe, downloads=True)["download"] < 0.55 * parts["download"]
    assert memory.disk(shape, recipe, downloads=False, merged="float32")["merged"] == 4 * shape.parameters
    assert "download" not in memory.disk(shape, recipe, downloads=False)
