"""Models and adapters that people bring: what could not be trained, merged or evaluated to the end is told at check."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_bad_models import told

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.model.load import model_folder, with_adapter
from alt_lite.model.merging.mergeable import expanded, require_fitting
from alt_lite.rundir import read_json, write_json

TINY = model_folder(load_recipe("tiny").model)
FEW = ("data.harmful=4", "data.benign=4", "data.skills=4", "train.epochs=1")


@pytest.fixture
def base(tmp_path) -> Path:
    """A copy of the embedded model that a test may change."""
    return Path(shutil.copytree(TINY, tmp_path / "base"))


def adapter(folder: Path, resize: int | None = None, **settings) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    if resize:
        model.resize_token_embeddings(resize)
    get_peft_model(model, LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "target_modules": ["q_proj", "v_proj"], **settings})).save_pretrained(folder)
    return folder


def weights_as(base: Path, name: str) -> None:
    tensors = load_file(base / "model.safetensors")
    (base / "model.safetensors").unlink()
    if name.endswith(".safetensors"):
        save_file(tensors, base / name)
    elif name.endswith(("bin", "pth")):
        torch.save(tensors, base / name)
    else:
        (base / name).write_bytes(b"x" * 64)


@pytest.mark.parametrize("name, fix", [
    ("pytorch_model.bin", "save_pretrained"), ("model.pth", "save_file"), ("model-q8_0.gguf", "in safetensors"), ("flax_model.msgpack", "in safetensors"),
    ("tf_model.h5", "in safetensors"), ("consolidated.safetensors", "model.safetensors or shards"),
])
def test_weights_in_another_format_are_told_with_how_to_convert_them(base, command, name, fix):
    weights_as(base, name)
    status, _, err = command("check", "tiny", f"model.name={base}", *FEW)
    error, said = told(err)
    assert status == 2 and f"holds its weights as {name}" in error and fix in said
    if name.endswith(("bin", "pth")):  # the fix works as it stands there
        line = said.removeprefix("Fix: ").partition('" w')[0] + '"'
        subprocess.run(line.replace("python", sys.executable, 1), shell=True, check=True, capture_output=True)
        assert command("check", "tiny", f"model.name={base}", *FEW)[0] == 0


def test_an_index_that_names_pickled_shards_is_no_damaged_file(base, command):
    names = list(load_file(base / "model.safetensors"))
    weights_as(base, "pytorch_model.bin")
    write_json(base / "model.safetensors.index.json", {"weight_map": dict.fromkeys(names, "pytorch_model.bin")})
    status, _, err = command("check", "tiny", f"model.name={base}", *FEW)
    assert status == 2 and "holds its weights as pytorch_model.bin" in told(err)[0]


@pytest.mark.parametrize("quantised, merge, error, fix", [
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "original", "4-bit weights", "merge.base=dequantized"),
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "dequantized", "bitsandbytes in 8 bit", "16-bit model"),
    *(({"quant_method": method}, "dequantized", f"quantised by {method}", "16-bit model") for method in ("gptq", "awq", "fp8", "compressed-tensors")),
])
def test_a_quantised_base_that_is_not_merged_into_is_told_at_check(base, command, quantised, merge, error, fix):
    write_json(base / "config.json", {**read_json(base / "config.json"), "quantization_config": quantised})
    status, _, err = command("check", "tiny", f"model.name={base}", f"merge.base={merge}", *FEW)
    said = told(err)
    assert status == 2 and error in said[0] and fix in said[1]


@pytest.mark.parametrize("target, what", [
    ("embed_tokens", "model.embed_tokens is no linear layer"), ("lm_head", "lm_head is the output head"), ("q_prj", "no layer of that name"),
    (".*_proj", "no layer of that name"), ("self_attn", "model.layers.0.self_attn is no linear layer"), ("all-linear,q_proj", "all-linear"),
])
def test_a_target_that_is_no_linear_layer_is_told_with_the_list(command, target, what):
    status, _, err = command("check", "tiny", f"lora.targets=k_proj,{target}", *FEW)
    error, fix = told(err)
    assert status == 2 and what in error and "lora.targets of down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj; or all-linear" in fix


def test_all_linear_is_every_layer_but_the_output_head(command, tmp_path):
    everything = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert expanded(("all-linear",), TINY) == everything and expanded(("q_proj",), TINY) == ["q_proj"]
    run = tmp_path / "run"
    status, _, err = command("run", "tiny", "lora.targets=all-linear", *FEW, "--stages", "data,train,merge", "--run-dir", run)
    assert status == 0 and read_json(run / "adapter/adapter_config.json")["target_modules"] == everything, err
    assert read_json(run / "run.json")["merge"]["proved"]


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings(base, command):
    spec = read_json(base / "tokenizer.json")
    first, same = len(spec["model"]["vocab"]), {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    spec["added_tokens"] += [{"id": first + n, "content": f"<tool{n}>", **same} for n in range(100)]
    write_json(base / "tokenizer.json", spec)
    status, _, err = command("check", "tiny", f"model.name={base}", *FEW)
    assert status == 2 and "2624 embeddings, the tokenizer ids up to 2664 ('<tool99>')" in told(err)[0]


def test_a_whole_model_with_an_adapter_beside_it_is_refused_wherever_it_is_named(base, command, tmp_path):
    for path in adapter(tmp_path / "lora").glob("adapter_*"):
        shutil.copy(path, base)
    for verb in (("check", "tiny", f"model.name={base}", *FEW), ("eval", base, "--suite", "tiny", "--out", tmp_path / "out")):
        status, _, err = command(*verb)
        assert status == 2 and "holds a whole model and" in told(err)[0]
    # A base's configuration beside an adapter is no whole model.
    shutil.copy(base / "config.json", tmp_path / "lora")
    require_fitting(tmp_path / "lora", TINY)
    assert command("eval", tmp_path / "lora", "--suite", "tiny", "eval.limit=1", "eval.tasks=addition", "--out", tmp_path / "out")[0] == 0


def test_an_adapter_of_another_vocabulary_is_told_before_weights_load(command, tmp_path, monkeypatch):
    monkeypatch.setattr("alt_lite.model.load._loaded", lambda *_, **__: pytest.fail("weights were loaded"))
    for number, settings in enumerate(({"modules_to_save": ["embed_tokens", "lm_head"]}, {"target_modules": ["embed_tokens", "q_proj"]})):
        folder = adapter(tmp_path / str(number), 2640, **settings)
        status, _, err = command("eval", folder, "--suite", "tiny", "eval.limit=1", "eval.tasks=addition", "--out", tmp_path / "out")
        error, fix = told(err)
        assert status == 2 and "does not fit its base" in error and "(2640, 128), for a weight of (2624, 128)" in error and "size of vocabulary" in fix


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"rank_pattern": {"q_proj": 8}, "bias": "all"}, {"target_modules": ["embed_tokens", "q_proj"]}])
def test_adapters_that_peft_puts_on_are_not_refused(tmp_path, settings):
    require_fitting(adapter(tmp_path, **settings), TINY)


def test_damaged_pickled_and_other_adapters_are_told(tmp_path):
    whole = adapter(tmp_path / "whole")
    tensors, config = load_file(whole / "adapter_model.safetensors"), read_json(whole / "adapter_config.json")
    assert any(".layers.3." in name for name in tensors)

    def changed(name: str, config_too: dict | None = None) -> Path:
        folder = Path(shutil.copytree(whole, tmp_path / name))
        (folder / "adapter_config.json").write_text(json.dumps({**config, **(config_too or {})}))
        return folder

    def refused(folder: Path) -> UserError:
        with pytest.raises(UserError) as error:
            require_fitting(folder, TINY)
        return error.value

    pickled = changed("pickled")
    torch.save(tensors, pickled / "adapter_model.bin")
    (pickled / "adapter_model.safetensors").unlink()
    assert "adapter_model.bin, which is not read" in (error := refused(pickled)).message and "save_file(torch.load(" in error.fix
    cut = changed("cut")
    (cut / "adapter_model.safetensors").write_bytes((whole / "adapter_model.safetensors").read_bytes()[:-9])
    assert "cut or damaged" in refused(cut).message
    assert "peft_type IA3" in refused(changed("other_kind", {"peft_type": "IA3"})).message
    assert "not of rank 16" in refused(changed("other_rank", {"r": 16})).message
    stranger = changed("stranger")
    save_file({name.replace("layers.3", "layers.7"): tensor for name, tensor in tensors.items()}, stranger / "adapter_model.safetensors")
    assert "trained on another model than its base" in refused(stranger).message


def test_an_adapter_that_lacks_layers_is_not_taken_for_whole(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = adapter(tmp_path)
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if ".layers.3." not in name}, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match="cannot be put on its base"):
        with_adapter(AutoModelForCausalLM.from_pretrained(TINY), folder)
