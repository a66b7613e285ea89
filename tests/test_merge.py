"""Merging: equal to PEFT's, to the 4-bit weights trained on, in bounded memory, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from alt_lite.bench import QWEN_1_5B, make_random, merging, merging_text, units_apart
from alt_lite.config import load_recipe
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.model import load
from alt_lite.model.merging import fourbit, merge
from alt_lite.model.merging.fold import open_merging
from alt_lite.model.merging.proof import MergeProof, said
from alt_lite.model.merging.shards import find_weights, plan_shards, row_blocks, write_weights
from alt_lite.rundir import read_json

CPU = Device("cpu", "CPU", 0)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ARCHITECTURES = ("qwen2", "qwen3", "llama")


def make_base(folder: Path, kind: str = "qwen2", tied: bool = True, dtype: torch.dtype = torch.bfloat16, shard: str = "1GB", **sizes) -> Path:
    """A small random model whose every weight, biases and norms too, is random."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 100, "vocab_size": 331, **sizes}
    config = AutoConfig.for_model(kind, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=tied, **sizes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    return folder


def make_adapter(folder: Path, base: Path, **settings) -> Path:
    """A random adapter of rank 4 on `base`."""
    from peft import LoraConfig, get_peft_model

    settings = {"r": 4, "lora_alpha": 6, "target_modules": ALL, **settings}
    torch.manual_seed(1)
    model = get_peft_model(load.load_full(base, CPU), LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return folder


def by_peft(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """PEFT's own merge, in fp32."""
    return load.with_adapter(load.load_full(base, CPU), adapter).merge_and_unload().state_dict()


def written(base: Path, adapter: Path, out: Path, dtype: torch.dtype, dequantized: bool = False, **changes) -> dict[str, torch.Tensor]:
    """Our merge, read back by the safetensors package."""
    out.mkdir()
    merging = dataclasses.replace(open_merging(base, adapter, dtype, CPU, dequantized), **changes)
    merging.write(out)
    merging.write_config(out)
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(out.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


@pytest.mark.parametrize("tied, shard", [(True, "1GB"), (False, "20KB")])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_merge_equals_pefts_to_one_unit_in_the_last_place(tmp_path, kind, tied, shard):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        folder = tmp_path / str(dtype)
        base = make_base(folder / "base", kind, tied, dtype, shard)
        assert (base / "model.safetensors.index.json").exists() == (shard == "20KB")
        adapter = make_adapter(folder / "adapter", base)
        expected = by_peft(base, adapter)
        plain = load.load_full(base, CPU).state_dict()
        for to in (torch.bfloat16, torch.float16, torch.float32):
            found = written(base, adapter, folder / f"to_{to}", to)
            assert set(found) == set(expected) - ({"lm_head.weight"} if tied else set())
            for name, tensor in found.items():
                if to == torch.float32:
                    torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-6)
                elif any(f".{target}.weight" in name for target in ALL):
                    assert int(units_apart(tensor, expected[name].to(to)).max()) <= 1, name
                    assert not torch.equal(tensor, plain[name].to(to))
                else:
                    assert torch.equal(tensor, plain[name].to(to)), name


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_transformers_loads_the_merged_folder_with_nothing_missing_and_the_same_logits(tmp_path, kind):
    from transformers import AutoModelForCausalLM

    base = make_base(tmp_path / "base", kind, shard="20KB")
    adapter = make_adapter(tmp_path / "adapter", base)
    written(base, adapter, tmp_path / "out", torch.float16)
    model, facts = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert model.dtype == torch.float16 and not any(facts.values())
    ids = torch.arange(12).unsqueeze(0)
    with torch.no_grad():
        expected = load.with_adapter(load.load_full(base, CPU), adapter)(ids).logits
        assert float((model.float()(ids).logits - expected).abs().max()) < 5e-3 * float(expected.abs().max())


def test_rslora_is_scaled_as_peft_scales_it(tmp_path):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base, use_rslora=True, target_modules=["q_proj"])
    expected = by_peft(base, adapter)
    found = written(base, adapter, tmp_path / "out", torch.float32)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapted_output_embedding_is_merged_and_no_longer_the_embedding(tmp_path, tied):
    """PEFT's own merge would change the embedding with it, and saves the base's weight beside the adapter."""
    from transformers import AutoModelForCausalLM

    base = make_base(tmp_path / "base", tied=tied)
    adapter = make_adapter(tmp_path / "adapter", base, target_modules=["lm_head", "q_proj"])
    assert any(".base_layer." in name for name in load_file(adapter / "adapter_model.safetensors"))
    found = written(base, adapter, tmp_path / "out", torch.float32)
    assert torch.equal(found["model.embed_tokens.weight"], load.load_full(base, CPU).state_dict()["model.embed_tokens.weight"])
    ids = torch.arange(12).unsqueeze(0)
    with torch.no_grad():
        expected = load.with_adapter(load.load_full(base, CPU), adapter)(ids).logits
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "out")(ids).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    rewritten(base, lambda t: {name: tensor + 1 for name, tensor in t.items()})
    with pytest.raises(UserError, match="was trained with another weight of lm_head"):
        written(base, adapter, tmp_path / "other", torch.float32)


def rewritten(base: Path, change) -> Path:
    path = base / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    return base


def test_names_without_the_prefix_twins_of_tied_weights_and_old_buffers_are_understood(tmp_path, capsys):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    expected = written(base, adapter, tmp_path / "plain", torch.float16)

    def same(name: str, change) -> None:
        shutil.copytree(base, tmp_path / name)
        found = written(rewritten(tmp_path / name, change), adapter, tmp_path / f"{name}_out", torch.float16)
        assert set(found) == set(expected) and all(torch.equal(found[key], expected[key]) for key in expected)

    embedding = "model.embed_tokens.weight"
    same("bare", lambda t: {name.removeprefix("model."): tensor for name, tensor in t.items()})
    same("both", lambda t: {**t, "lm_head.weight": t[embedding].clone()})
    same("head", lambda t: {"lm_head.weight" if name == embedding else name: tensor for name, tensor in t.items()})
    assert "left out" not in capsys.readouterr().err
    same("buffer", lambda t: {**t, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)})
    assert "1 tensors of" in (err := capsys.readouterr().err) and "rotary_emb.inv_freq" in err
    with pytest.raises(UserError, match="ties .* but they differ"):
        open_merging(rewritten(tmp_path / "both", lambda t: {**t, "lm_head.weight": t[embedding] + 1}), adapter, torch.float16, CPU, False)


def test_the_configuration_is_the_bases_but_for_its_precision_and_both_forms_of_the_rope(tmp_path):
    base = make_base(tmp_path / "base")
    before = json.loads((base / "config.json").read_text())
    before = {**before, "torch_dtype": "bfloat16", "a_key_of_its_own": [1], "architectures": ["Qwen2ForCausalLM"]}
    (base / "config.json").write_text(json.dumps(before))
    (base / "generation_config.json").write_text('{"temperature": 0.6}')
    written(base, make_adapter(tmp_path / "adapter", base), tmp_path / "out", torch.float16)
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {**before, "dtype": "float16", "torch_dtype": "float16", "rope_theta": before["rope_parameters"]["rope_theta"]}
    assert (tmp_path / "out" / "generation_config.json").read_text() == '{"temperature": 0.6}'


# 4 bit


def without_effect(base: Path, folder: Path) -> Path:
    """An adapter that changes nothing, so that what is written is the base."""
    adapter = make_adapter(folder, base)
    path = adapter / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(tensor) if ".lora_B" in name else tensor for name, tensor in load_file(path).items()}, path)
    return adapter


def assert_bits_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tied: bool) -> None:
    assert set(found) == set(expected) - ({"lm_head.weight"} if tied else set())
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def test_the_dequantized_embedded_model_is_bit_for_bit_the_one_trained_on(tmp_path):
    base = load.model_folder(load_recipe("tiny").model)
    found = written(base, without_effect(base, tmp_path / "adapter"), tmp_path / "out", torch.float32, dequantized=True)
    assert_bits_equal(found, load.load_dequantized(base, CPU).state_dict(), tied=True)
    changed = [name for name, tensor in load.load_full(base, CPU).state_dict().items() if name in found and not torch.equal(tensor, found[name])]
    assert len(changed) == 4 * 7 and all("_proj.weight" in name for name in changed)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_dequantized_weights_are_bit_for_bit_those_of_loading(tmp_path, kind, tied, monkeypatch):
    from alt_lite.model.merging import shards

    # Columns that are no multiple of a 4-bit block, rows in many blocks, the last of them not full.
    monkeypatch.setattr(shards, "_BLOCK", 64 * 30)
    base = make_base(tmp_path / "base", kind, tied, torch.float16, "20KB", hidden_size=44, intermediate_size=390)
    found = written(base, without_effect(base, tmp_path / "adapter"), tmp_path / "out", torch.float32, dequantized=True)
    assert_bits_equal(found, load.load_dequantized(base, CPU).state_dict(), tied)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_quantising_begins_from_the_precision_that_training_loads_in(tmp_path, dtype):
    """On a GPU that is bf16 or fp16: other weights than those quantised from the file's own fp32."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base = make_base(tmp_path / "base", dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, device_map="cpu", quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype))
    load.dequantize_(model, torch.float32)
    adapter = without_effect(base, tmp_path / "adapter")
    found = written(base, adapter, tmp_path / "out", torch.float32, dequantized=True, compute=dtype)
    other = written(base, adapter, tmp_path / "other", torch.float32, dequantized=True)
    for name, tensor in found.items():
        if "_proj.weight" in name:
            assert torch.equal(tensor, model.state_dict()[name].float()) and not torch.equal(tensor, other[name]), name


def test_a_checkpoint_already_in_4_bit_keeps_its_own_quantised_and_full_layers(tmp_path):
    """Unsloth's dynamic quants leave some layers in 16 bit, and name them in the configuration."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base = make_base(tmp_path / "base", tied=False)
    skipped = ["lm_head", "model.layers.1.mlp", "model.layers.0.self_attn.o_proj"]
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, device_map="cpu", quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skipped)).save_pretrained(tmp_path / "dynamic")
    adapter = without_effect(base, tmp_path / "adapter")
    merging = open_merging(tmp_path / "dynamic", adapter, torch.float32, CPU, True)
    assert len(merging.quantized) == 2 * 7 - 3 - 1
    found = written(tmp_path / "dynamic", adapter, tmp_path / "out", torch.float32, dequantized=True)
    assert_bits_equal(found, load.load_dequantized(tmp_path / "dynamic", CPU).state_dict(), tied=False)
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    with pytest.raises(UserError, match="holds 4-bit weights"):
        open_merging(tmp_path / "dynamic", adapter, torch.float16, CPU, False)


def test_rows_of_a_4_bit_weight_begin_where_a_block_begins():
    weight = fourbit.quantize(torch.randn(64, 10), torch.float32, "cpu")
    assert weight.rows(slice(32, 64)).shape == (32, 10)
    with pytest.raises(ValueError, match="inside a block"):
        weight.rows(slice(3, 64))


# what is refused


@pytest.mark.parametrize("settings, says", [
    ({"use_dora": True}, "use_dora=True"), ({"bias": "lora_only"}, "bias=lora_only"), ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"), ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"), ({"lora_bias": True}, "lora_bias"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
])
def test_more_than_plain_lora_is_refused_by_name(tmp_path, settings, says):
    base = make_base(tmp_path / "base", dtype=torch.float32)
    adapter = make_adapter(tmp_path / "adapter", base, **settings)
    with pytest.raises(UserError, match=says) as raised:
        open_merging(base, adapter, torch.float16, CPU, False)
    assert "\n" not in raised.value.message + raised.value.fix


def test_a_key_that_is_not_known_yet_is_refused_when_it_is_set(tmp_path):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "use_something_new": False}))
    open_merging(base, adapter, torch.float16, CPU, False)
    path.write_text(json.dumps({**config, "use_something_new": True}))
    with pytest.raises(UserError, match="use_something_new=True"):
        open_merging(base, adapter, torch.float16, CPU, False)


Q0 = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


@pytest.mark.parametrize("change, says", [
    (lambda t: {**t, "base_model.model.model.embed_tokens.lora_embedding_A": torch.ones(4, 331)}, "lora_embedding_A is no matrix of a LoRA layer"),
    (lambda t: {**t, "base_model.model.model.norm.weight": torch.ones(48)}, "norm.weight is no matrix"),
    (lambda t: {name: tensor for name, tensor in t.items() if name != Q0.format("B")}, "without .*q_proj.lora_B"),
    (lambda t: {**t, Q0.format("A"): torch.ones(3, 48)}, "not of rank 4"),
    (lambda t: {**t, Q0.format("A"): torch.ones(4, 47)}, "q_proj as 48 × 47; the model's is 48 × 48"),
    (lambda t: {**t, Q0.format("A"): torch.full((4, 48), float("nan"))}, "q_proj.lora_A.weight holds values that are no numbers"),
    (lambda t: {name.replace("layers.1.", "layers.7."): tensor for name, tensor in t.items()}, "layers.7.* no linear layer of Qwen2ForCausalLM"),
    (lambda t: {}, "holds no matrices"), (lambda t: {**t, "base_model.model.lm_head.base_layer.weight": torch.ones(331, 48)}, "a weight of lm_head, which is not adapted"),
])
def test_an_adapters_tensor_that_has_no_place_is_named(tmp_path, change, says):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    save_file(change(load_file(adapter / "adapter_model.safetensors")), adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match=says):
        open_merging(base, adapter, torch.float16, CPU, False)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_folders_that_are_no_adapter_or_no_base_are_told_apart(tmp_path):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    many = make_base(tmp_path / "many", shard="20KB")

    def refused(base: Path, adapter: Path, says: str) -> None:
        with pytest.raises(UserError, match=says) as raised:
            open_merging(base, adapter, torch.float16, CPU, False)
        assert raised.value.fix and "\n" not in raised.value.message + raised.value.fix

    refused(base, base, "is a whole model, not an adapter")
    refused(base, tmp_path, "no adapter's folder")
    refused(adapter, adapter, "is an adapter's folder, no whole model's")
    refused(tmp_path, adapter, "holds no model.safetensors")
    config = json.loads((many / "config.json").read_text())
    for method, says in ({"quant_method": "gptq"}, "quantised by gptq"), ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "quantised by bitsandbytes"):
        (many / "config.json").write_text(json.dumps({**config, "quantization_config": method}))
        refused(many, adapter, says)
    (many / "config.json").write_text(json.dumps({**config, "vocab_size": 400}))
    refused(many, adapter, r"embed_tokens.weight is BF16 \(331, 48\), not 16- or 32-bit \(400, 48\)")
    (many / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}))
    refused(many, adapter, "holds no model.layers.2")
    (many / "config.json").write_text(json.dumps(config))
    last = sorted(many.glob("*.safetensors"))[-1]
    cut(last)
    refused(many, adapter, f"{last.name} is cut or damaged")
    last.unlink()
    refused(many, adapter, f"lacks {last.name}")
    (many / "model.safetensors.index.json").write_text("{}")
    refused(many, adapter, "no index of shards")
    cut(adapter / "adapter_model.safetensors")
    refused(base, adapter, "cut or damaged")
    (adapter / "adapter_model.safetensors").unlink()
    refused(base, adapter, "holds no adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    (adapter / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    refused(base, adapter, "no LoRA's configuration")
    (adapter / "adapter_config.json").write_text('{"peft_type": "ADALORA", "r": 8, "lora_alpha": 8}')
    refused(base, adapter, "peft_type ADALORA is not merged")


def test_weights_stored_in_eight_bits_are_not_taken_for_numbers(tmp_path):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    rewritten(base, lambda t: {**t, "model.norm.weight": t["model.norm.weight"].to(torch.float8_e4m3fn)})
    with pytest.raises(UserError, match="model.norm.weight is F8_E4M3"):
        open_merging(base, adapter, torch.float16, CPU, False)


def test_values_beyond_the_precision_are_refused_not_written_as_infinity(tmp_path):
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    rewritten(base, lambda t: {**t, "model.norm.weight": t["model.norm.weight"] * 0 + 1e6})
    with pytest.raises(UserError, match="model.norm.weight holds values beyond float16"):
        written(base, adapter, tmp_path / "out", torch.float16)
    written(base, adapter, tmp_path / "other", torch.bfloat16)
    rewritten(base, lambda t: {**t, "model.norm.weight": torch.tensor([1.0] * 30 + [float("nan")] + [1.0] * 17).bfloat16()})
    with pytest.raises(UserError, match="model.norm.weight holds values beyond bfloat16"):
        written(base, adapter, tmp_path / "third", torch.bfloat16)


# files


def test_shards_hold_at_most_their_limit_and_all_tensors_in_order(tmp_path):
    shapes = {"a": (3, 10), "b": (50, 10), "c": (2, 10), "d": (7,), "e": (5, 10)}
    assert plan_shards(shapes, 2, limit=200) == [["a"], ["b"], ["c", "d", "e"]]
    tensors = {name: torch.randn(shape).half() for name, shape in shapes.items()}
    seen: list[int] = []
    write_weights(tmp_path, shapes, torch.float16, lambda name: (tensors[name][where] for where in row_blocks(shapes[name])), lambda done, note: seen.append(done), 200)
    assert seen == [1, 2, 3, 4, 5]
    weights = find_weights(tmp_path)
    assert list(weights.files) == list(shapes) and weights.headers == {name: ("F16", shape) for name, shape in shapes.items()}
    assert all(torch.equal(weights.read(name), tensor) for name, tensor in tensors.items())
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_parameters": 607, "total_size": 1214}
    assert set(index["weight_map"].values()) == {f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    with pytest.raises(ValueError, match="the blocks of a are not its"):
        write_weights(tmp_path, shapes, torch.float16, lambda name: [tensors[name][:1]])


def high_water() -> int:
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize("dequantized", [False, True])
def test_writing_takes_no_more_than_two_of_the_largest_tensor_the_adapter_and_half_a_gigabyte(tmp_path, dequantized):
    """The half gigabyte is mostly the libraries'; here they are loaded, and a tenth of one must do."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not let a process forget its peak")
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    make_random(base, {**QWEN_1_5B, "hidden_size": 1024, "num_attention_heads": 8, "num_hidden_layers": 8, "intermediate_size": 3072, "vocab_size": 4096}, adapter, 4)
    largest, read = 4096 * 1024 * 2, (adapter / "adapter_model.safetensors").stat().st_size
    allowed = 2 * largest + read + 50_000_000
    assert (base / "model.safetensors").stat().st_size > 2 * allowed
    (tmp_path / "out").mkdir()
    open_merging(base, adapter, torch.bfloat16, CPU, dequantized)
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    open_merging(base, adapter, torch.bfloat16, CPU, dequantized).write(tmp_path / "out")
    assert high_water() - before <= allowed


# the folder


@pytest.fixture
def tiny(tmp_path, tokens):
    """The embedded model with a random adapter, and a merge of it."""
    base = load.model_folder(load_recipe("tiny").model)
    merging = open_merging(base, make_adapter(tmp_path / "adapter", base), torch.float16, CPU, True)
    merge.write(merging, tmp_path / "merged", tokens)
    return merging


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_merge_takes_an_earlier_ones_place_and_leaves_nothing_beside(tiny, tmp_path, tokens):
    before = contents(tmp_path / "merged")
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(before)
    (tmp_path / "merged" / "of_an_earlier_one").write_text("")
    for left in ("merged.partial", "merged.old"):
        (tmp_path / left).mkdir()
    merge.write(tiny, tmp_path / "merged", tokens)
    assert contents(tmp_path / "merged") == before
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "merged"}
    (tmp_path / "merged").rename(tmp_path / "merged.old")  # as a kill between the two renames leaves it
    merge.write(tiny, tmp_path / "merged", tokens)
    assert contents(tmp_path / "merged") == before and not (tmp_path / "merged.old").exists()


def test_too_little_disk_is_told_in_gigabytes_before_anything_is_written(tiny, tmp_path, tokens, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=14_900_000_000))
    large = dataclasses.replace(tiny, shapes={**tiny.shapes, "model.embed_tokens.weight": (8_000_000, 1000)})
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"merged needs 16.1 GB of disk; 14.9 GB are free") as raised:
        merge.write(large, tmp_path / "merged", tokens)
    assert "free 16.1 GB" in raised.value.fix and "an earlier merged/ may go" in raised.value.fix and contents(tmp_path) == before


def test_a_file_that_may_not_grow_leaves_the_earlier_folder_and_no_half_of_one(tiny, tmp_path, tokens):
    resource = pytest.importorskip("resource")
    before = contents(tmp_path / "merged")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(UserError, match="the disk became full .*the earlier merged/ is as it was"):
            merge.write(tiny, tmp_path / "merged", tokens)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(tmp_path / "merged") == before and {path.name for path in tmp_path.iterdir()} == {"adapter", "merged"}


def test_a_disk_that_fills_up_leaves_the_earlier_folder_and_no_half_of_one(tiny, tmp_path, tokens, monkeypatch):
    """A real small file system, where one may be mounted; the check before is told of another size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not shutil.which("mount") or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        shutil.copytree(tmp_path / "merged", disk / "merged")
        before = contents(disk)
        monkeypatch.setattr(merge, "free_disk", lambda path: 10**12)
        with pytest.raises(UserError, match="the disk became full"):
            merge.write(tiny, disk / "merged", tokens)
        assert contents(disk) == before and {path.name for path in disk.iterdir()} == {"merged"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interruption_leaves_the_earlier_folder_and_no_half_of_one(tiny, tmp_path, tokens, monkeypatch):
    before = contents(tmp_path / "merged")
    monkeypatch.setattr(type(tiny), "write_config", lambda self, folder: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        merge.write(tiny, tmp_path / "merged", tokens)
    assert contents(tmp_path / "merged") == before and {path.name for path in tmp_path.iterdir()} == {"adapter", "merged"}


def test_killed_while_writing_and_run_again_gives_the_same_folder(tiny, tmp_path, tokens):
    before = contents(tmp_path / "merged")
    program = (
        "import sys, time, torch\nfrom pathlib import Path\nfrom alt_lite.config import load_recipe\nfrom alt_lite.decide import Device\n"
        "from alt_lite.model import load\nfrom alt_lite.model.merging import fold, merge\nroot = Path(sys.argv[1])\nmodel = load_recipe('tiny').model\n"
        "merging = fold.open_merging(load.model_folder(model), root / 'adapter', torch.float16, Device('cpu', 'CPU', 0), True)\n"
        "blocks = fold.Merging._blocks\n"
        "def slow(self, name):\n    time.sleep(0.2)\n    yield from blocks(self, name)\n"
        "fold.Merging._blocks = slow\nmerge.write(merging, root / 'merged', load.load_tokens(model))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE)
    begun = tmp_path / "merged.partial" / "model.safetensors"
    while process.poll() is None and not begun.exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9, process.stderr.read()
    assert contents(tmp_path / "merged") == before and begun.exists() and not (tmp_path / "merged.partial" / "config.json").exists()
    merge.write(tiny, tmp_path / "merged", tokens)
    assert contents(tmp_path / "merged") == before and {path.name for path in tmp_path.iterdir()} == {"adapter", "merged"}


@pytest.mark.parametrize("base", ["original", "dequantized"])
def test_a_merge_is_proved_with_one_model_at_a_time(tmp_path, tokens, base, monkeypatch):
    import gc

    recipe = load_recipe("tiny", [f"merge.base={base}"])
    adapter = make_adapter(tmp_path / "adapter", load.model_folder(recipe.model))
    alive: list[int] = []
    observe = merge._observe

    def models() -> int:
        return sum(type(thing).__name__ == "Qwen2ForCausalLM" for thing in gc.get_objects())

    def counted(*arguments):
        alive.append(models())
        return observe(*arguments)

    gc.collect()
    there = models()
    monkeypatch.setattr(merge, "_observe", counted)
    proof = merge.merge(recipe, adapter, tmp_path / "merged", tokens, [[1, 5, 9], [1, 7]], CPU)
    assert alive == [there + 1] * 3
    facts = proof.facts
    assert "proved equal to base + adapter, rounded once to float16: all 2 greedy texts are identical; largest logit difference " in str(proof)
    assert "Against the model as it was trained (4-bit base with its adapter)" in str(proof) and facts["tensors"] == facts["tensors_right"] > 0
    assert facts["proved"] and facts["base"] == base and facts["dtype"] == "float16" and facts["greedy_agreement"] == 1.0
    assert facts["shift_max_logit_difference"] <= 1e-2 or base == "original"


@pytest.mark.long
def test_the_benchmark_compares_with_peft_and_keeps_to_the_memory_promised(capsys):
    found = merging({**QWEN_1_5B, "num_hidden_layers": 6})
    with capsys.disabled():
        print("\n" + merging_text(found))
    for side in ("ours", "ours_dequantized"):
        assert found["sides"][side]["peak_bytes"] <= found["bound_bytes"] < found["sides"]["peft_fp32"]["peak_bytes"]
    assert found["apart"]["peft_fp32"]["units"] <= 1 and found["apart"]["peft_fp32"]["share"] < 1e-4


def test_a_merge_too_large_to_load_is_spot_checked(finished, tmp_path, monkeypatch, capsys, tokens):
    recipe = load_recipe("tiny")
    monkeypatch.setattr(merge, "free_bytes", lambda device: 1_000_000)
    proof = merge.merge(recipe, finished / "adapter", tmp_path / "merged", tokens, [[1, 2, 3]], CPU)
    assert proof.proved and proof.max_logit_difference is None and proof.tensors == proof.tensors_right
    assert proof.tensors_changed == 7 * 4  # all linear layers of four blocks
    assert "spot-checked" in capsys.readouterr().err and "only spot-checked" in str(proof)
    path = tmp_path / "merged" / "model.safetensors"
    spoilt = load_file(path)
    spoilt["model.layers.0.mlp.up_proj.weight"][0, 0] += 1
    save_file(spoilt, path)
    merging = open_merging(load.model_folder(recipe.model), finished / "adapter", torch.float16, CPU, True)
    assert not merge._spot_checked("dequantized", merging, tmp_path / "merged").proved


def test_a_proof_says_equal_only_of_identical_texts_and_up_to_which_rounding_of_the_rest():
    proof = MergeProof("original", "bfloat16", 24, max_logit_difference=0.53, greedy_agreement=15 / 24, max_logit_share=0.014, greedy_explained=1.0)
    logits = "; largest logit difference 0.53, 1.4 % of the largest logit"
    assert said(proof.facts) == "proved to be base + adapter, rounded once to bfloat16: 15 of 24 greedy texts are identical, the other 9 part at a tie (two tokens within bfloat16's rounding)" + logits
    assert said(dataclasses.replace(proof, greedy_agreement=1.0).facts) == "proved equal to base + adapter, rounded once to bfloat16: all 24 greedy texts are identical" + logits
    wrong = said(dataclasses.replace(proof, greedy_explained=20 / 24).facts)
    assert wrong == "NOT base + adapter, rounded once to bfloat16, within the tolerance: 15 of 24 greedy texts are identical, 5 part at a tie (two tokens within bfloat16's rounding), 4 differ otherwise" + logits
    assert not dataclasses.replace(proof, tensors=9, tensors_right=8).proved
    # A card without bf16 stores float16, computed in fp32.
    assert dataclasses.replace(proof, dtype="float16", max_logit_share=0.002).proved
    earlier = {"proved": True, "max_logit_difference": 0.004, "greedy_agreement": 1.0, "base": "original", "dtype": "float16", "prompts": 24}  # of earlier versions
    assert said(earlier) == "proved equal to base + adapter, rounded once to float16: all 24 greedy texts are identical; largest logit difference 0.004"


def test_in_half_precision_a_proof_allows_ties_and_rounding_and_nothing_else():
    """On a GPU: one step of bf16 is an eighth at logits of 16 to 32."""
    proof = MergeProof("original", "bfloat16", 24, "bfloat16", max_logit_difference=0.5, greedy_agreement=0.9, max_logit_share=0.02, greedy_explained=1.0)
    assert proof.proved and not dataclasses.replace(proof, greedy_explained=0.95).proved and not dataclasses.replace(proof, max_logit_share=0.2).proved
    # Computed in fp32, weights written in bf16 are rounded all the same; fp16's steps are too fine for that.
    assert dataclasses.replace(proof, computed="float32").proved and not dataclasses.replace(proof, computed="float32", dtype="float16").proved


def test_a_right_merge_of_a_bf16_model_is_proved_on_a_cpu_and_a_wrong_one_is_not(tmp_path, tokens, monkeypatch):
    base = make_base(tmp_path / "base", "qwen3", False, torch.bfloat16, "1GB")
    adapter = make_adapter(tmp_path / "adapter", base)
    recipe = load_recipe("tiny", [f"model.name={base}", "merge.base=original"])
    prompts = [list(range(10 + n, 40 + n)) for n in range(12)]
    proof = merge.merge(recipe, adapter, tmp_path / "merged", tokens, prompts, CPU)
    assert proof.dtype == "bfloat16" and proof.greedy_agreement < 1 and proof.proved, proof
    assert "equal" not in str(proof) and "proved to be base + adapter, rounded once to bfloat16: " in str(proof) and " at a tie (two tokens within bfloat16's rounding)" in str(proof)
    plain = load_recipe("tiny", [f"model.name={base}", "merge.base=original", "model.load_in_4bit=false"])
    wide = merge.merge(plain, adapter, tmp_path / "wide", tokens, prompts, CPU, "float32")
    assert wide.dtype == "float32" and wide.proved and wide.greedy_agreement == 1 and wide.max_logit_difference < proof.max_logit_difference / 100
    # Trained in 16 bit or 32, base and adapter are what was trained: nothing else is compared.
    assert "proved equal to base + adapter, stored in float32" in str(wide) and "as it was trained" not in str(wide) and wide.shift_greedy_agreement is None
    config, weights = read_json(tmp_path / "wide" / "config.json"), load_file(tmp_path / "wide" / "model.safetensors")
    assert config["dtype"] == config["torch_dtype"] == "float32" and {tensor.dtype for tensor in weights.values()} == {torch.float32}
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "wide").dtype == torch.float32
    whole = merge.write

    def spoilt(merging, out, tokens):
        whole(merging, out, tokens)
        tensors = load_file(out / "model.safetensors")
        tensors["lm_head.weight"] = tensors["lm_head.weight"].roll(1, 1)
        save_file(tensors, out / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(merge, "write", spoilt)
    assert not merge.merge(recipe, adapter, tmp_path / "merged", tokens, prompts, CPU).proved
