"""merged/ means the same to transformers 4 and 5, vLLM and llama.cpp: rope, ends, template, tokens, logits.

transformers 4 itself reads the folders where ALT_LITE_TRANSFORMERS4 names a folder made by
`pip install --target FOLDER --no-deps transformers==4.57.6 tokenizers==0.22.2 huggingface_hub==0.36.0`; llama.cpp's converter
where ALT_LITE_LLAMA_CPP names its checkout (-m long)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import real
import small
import torch

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model import load
from alt_lite.model.merging import readers, settings
from alt_lite.rundir import read_json, write_json
from alt_lite.tokens.rendering import conversations
from alt_lite.tokens.tokenizer import PROBES

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def new(theta: float, **rope) -> dict:
    """As transformers 5 writes it."""
    return {"rope_parameters": {"rope_type": "default", **rope, "rope_theta": theta}}


def old(theta: float, rope: dict | None = None) -> dict:
    """As transformers 4 writes it."""
    return {"rope_parameters": None, "dtype": None, "torch_dtype": "bfloat16", "rope_theta": theta, **({"rope_scaling": rope} if rope else {})}


# name: (architecture, family, what base() takes besides)
BASES = {
    "new": ("qwen3", "qwen3", {"rope": new(5e5)}),
    "old": ("qwen2", "r1", {"rope": old(7e5)}),
    "no_theta": ("llama", "r1", {"rope": {"rope_parameters": None}}),
    "yarn_new": ("qwen3", "qwen3_thinking", {"rope": new(1e6, **YARN)}),
    "yarn_old": ("qwen2", "r1", {"rope": old(1e6, YARN)}),
    "yarn_attn_factor": ("qwen3", "r1_0528", {"rope": old(1e6, {**YARN, "attn_factor": 0.8782488562869419})}),
    "yarn_by_its_old_name": ("qwen2", "r1", {"rope": old(1e6, {"type": "yarn", "factor": 4.0})}),
    "llama3_new": ("llama", "r1", {"rope": new(5e5, **LLAMA3)}),
    "llama3_old": ("llama", "r1", {"rope": old(5e5, LLAMA3)}),
    "linear_old": ("llama", "r1", {"rope": old(1e4, {"type": "linear", "factor": 2.0})}),
    "dynamic_new": ("llama", "r1", {"rope": new(1e4, rope_type="dynamic", factor=2.0)}),
    "extra_list": ("qwen2", "qwen3", {"extra_special_tokens": ["<think>", "</think>"], "tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "is_local": True}),
    "extra_objects": ("qwen2", "qwen3", {"extra_special_tokens": [{"__type": "AddedToken", "content": "<tool>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}]}),
    "extra_named": ("qwen2", "qwen3", {"extra_special_tokens": {"tool_token": "<tool>"}}),
    "model_specific": ("qwen2", "qwen3", {"model_specific_special_tokens": {"tool_token": "<tool>"}, "tool_token": "<tool>"}),
    "no_template": ("qwen3", "qwen3", {"template": None}),
    "templates_by_name": ("qwen3", "qwen3", {"template": None, "chat_template": [{"name": "default", "template": small.templates.jinja(small.FAMILIES["qwen3"])}, {"name": "rag", "template": "x"}]}),
    "other_end": ("qwen3", "qwen3", {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every base merged: the base's folder, the merged one, the tokenizer trained with."""
    root, made = tmp_path_factory.mktemp("readers"), {}
    for name, (kind, family, more) in BASES.items():
        folder = small.base(root / f"{name}_base", kind, family, **more)
        if name == "other_end":
            end = small.id_of(folder, "<|endoftext|>")
            write_json(folder / "config.json", {**read_json(folder / "config.json"), "eos_token_id": end})
            write_json(folder / "generation_config.json", {"eos_token_id": end, "temperature": 0.6, "_from_model_config": True})
            write_json(folder / "special_tokens_map.json", {"eos_token": "<|endoftext|>", "extra_special_tokens": ["<tool>"]})
        else:
            (folder / "generation_config.json").unlink(missing_ok=True)
        made[name] = folder, root / name, small.merged(folder, family, root / name)
    return made


@pytest.mark.parametrize("name", BASES)
def test_all_programs_read_what_was_trained_by_their_published_rules(folders, name):
    folder, out, tokens = folders[name]
    rope = load.load_full(folder, small.CPU).config.rope_parameters
    found = readers.files(out)
    assert readers.differences(found, tokens, rope) == []
    first = readers.rope_facts(rope, rope["rope_theta"], 512)
    assert {name: read(found).rope for name, read in readers.READERS.items()} == dict.fromkeys(readers.READERS, first) or "attn_factor" in rope
    assert found.config["rope_theta"] == rope["rope_theta"] and found.config["dtype"] == found.config["torch_dtype"] == "bfloat16"
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert (out / "chat_template.jinja").read_text("utf-8") == read_json(out / "tokenizer_config.json")["chat_template"] == tokens.template


def test_the_end_is_the_trained_one_in_every_file_and_other_settings_stay(folders):
    _, out, tokens = folders["other_end"]
    generation = read_json(out / "generation_config.json")
    assert generation["eos_token_id"] == list(tokens.ends) and tokens.ends[0] == small.id_of(out, "<|im_end|>") and generation["temperature"] == 0.6
    assert "_from_model_config" not in generation  # else transformers takes the ends from config.json
    assert read_json(out / "config.json")["eos_token_id"] == tokens.end_id
    assert read_json(out / "tokenizer_config.json")["eos_token"] == read_json(out / "special_tokens_map.json")["eos_token"] == "<|im_end|>"
    assert not isinstance(read_json(out / "special_tokens_map.json").get("extra_special_tokens"), list)


FAULTS = {
    "config.json": [("rope_theta", None), ("rope_scaling", None), ("eos_token_id", 5), ("rope_parameters", {"rope_type": "default", "rope_theta": 1e6})],
    "generation_config.json": [("eos_token_id", 5), ("_from_model_config", True)],
    "tokenizer_config.json": [("chat_template", "x"), ("eos_token", "<pad>"), ("extra_special_tokens", ["<tool>"]), ("tokenizer_class", "TokenizersBackend")],
}


@pytest.mark.parametrize("file, key, value", [(file, *fault) for file, faults in FAULTS.items() for fault in faults])
def test_a_folder_that_some_program_reads_otherwise_is_refused(folders, tmp_path, file, key, value):
    _, out, tokens = folders["yarn_new"]
    for path in out.glob("*.json*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rope = read_json(out / "config.json")["rope_parameters"]
    readers.require_same(tmp_path, tokens, rope)
    changed = {**read_json(tmp_path / file), key: value}
    write_json(tmp_path / file, {name: one for name, one in changed.items() if one is not None})
    with pytest.raises(UserError, match="is not what was trained to every program"):
        readers.require_same(tmp_path, tokens, rope)


def test_a_merge_that_a_program_would_read_otherwise_leaves_the_earlier_folder(folders, tmp_path, monkeypatch):
    folder, _, _ = folders["other_end"]
    small.merged(folder, "qwen3", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("alt_lite.model.merging.merge._write_ends", lambda *_: None)
    with pytest.raises(UserError, match="stops at .* trained was"):
        small.merged(folder, "qwen3", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before and not (tmp_path / "out.partial").exists()


def test_rope_that_differs_by_layer_stays_as_it_is():
    config = {"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}, "rope_theta": 3.0}
    assert settings.in_both_forms(config, config["rope_parameters"]) == config


# The programs themselves

# Of families whose tags are `<think>` and `</think>`, as all of these folders are.
CONVERSATIONS = list(conversations(FAMILIES["qwen3"]).values())
FACTS = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
probes, conversations, folders = json.load(sys.stdin)
for folder in folders:
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.arange(40).unsqueeze(0)).logits[0, -1].tolist()
    print(json.dumps({
        "inv_freq": model.model.rotary_emb.inv_freq.tolist(), "scaling": model.model.rotary_emb.attention_scaling, "logits": logits,
        "end": config.eos_token_id, "ends": GenerationConfig.from_pretrained(folder).eos_token_id, "eos": tokenizer.eos_token, "pad": tokenizer.pad_token,
        "special": sorted(tokenizer.all_special_tokens), "ids": [tokenizer(probe, add_special_tokens=False)["input_ids"] for probe in probes],
        "rendered": [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in conversations],
    }))
"""


def facts(folders: list[Path], first: str) -> list[dict]:
    """What the transformers found at `first` reads from folders."""
    done = subprocess.run(
        [sys.executable, "-c", FACTS], input=json.dumps([PROBES, list(CONVERSATIONS), [str(folder) for folder in folders]]), capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": first, "TRANSFORMERS_VERBOSITY": "error"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_transformers_4_itself_loads_the_same_from_it(folders):
    where = os.environ.get("ALT_LITE_TRANSFORMERS4")
    if not where:
        pytest.skip("ALT_LITE_TRANSFORMERS4: pip install --target FOLDER --no-deps transformers==4.57.6 tokenizers==0.22.2 huggingface_hub==0.36.0")
    outs = [out for _, out, _ in folders.values()]
    for name, four, five in zip(folders, facts(outs, where), facts(outs, ""), strict=True):
        base, _, tokens = folders[name]
        # The base as it was trained on is the truth, not what transformers 5 makes of the merged folder.
        trained = load.load_full(base, small.CPU).model.rotary_emb
        for read in (four, five):
            torch.testing.assert_close(torch.tensor(read["inv_freq"]), trained.inv_freq)
            assert read["scaling"] == pytest.approx(trained.attention_scaling), name
            assert (read["end"], read["eos"], read["pad"]) == (tokens.end_id, tokens.family.end, tokens.fast.convert_ids_to_tokens(tokens.pad_id)), name
            assert read["ends"] == (list(tokens.ends) if len(tokens.ends) > 1 else tokens.end_id), name
            assert read["rendered"] == ["".join(tokens.family.prompt(m)) for m in CONVERSATIONS], name
            assert read["ids"] == [tokens.encode([probe]) for probe in PROBES], name
        assert set(four["special"]) <= set(five["special"]), name  # 5 counts all special tokens of tokenizer.json
        torch.testing.assert_close(torch.tensor(four["logits"]), torch.tensor(five["logits"]), rtol=1e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name, kind, rope", [
    ("qwen3", "qwen3", new(5e5, **YARN)), ("qwen3", "qwen3", old(5e5)), ("r1_qwen", "qwen2", old(7e5, YARN)), ("r1_llama", "llama", new(5e5, **LLAMA3)), ("r1_0528", "qwen3", old(1e6, {**YARN, "attn_factor": 0.8782488562869419})),
])
def test_llama_cpps_own_converter_writes_what_was_trained_with(tmp_path, name, kind, rope, capsys):
    where = os.environ.get("ALT_LITE_LLAMA_CPP")
    if not where:
        pytest.skip("ALT_LITE_LLAMA_CPP: a checkout of llama.cpp; its converter needs sentencepiece")
    gguf = pytest.importorskip("gguf")
    small.make_base(tmp_path / "base", kind, vocab_size=151_936 if kind != "llama" else 128_256, max_position_embeddings=512, hidden_size=32, intermediate_size=64)
    config = {**read_json(tmp_path / "base/config.json"), **rope}
    real.tokenizer_folder(name, tmp_path / "base")
    write_json(tmp_path / "base/config.json", {key: value for key, value in config.items() if value is not None})
    tokens = small.merged(tmp_path / "base", real.MODELS[name][0], tmp_path / "out")
    told = "llama.cpp's own converter loses" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, f"{where}/convert_hf_to_gguf.py", str(tmp_path / "out"), "--outfile", str(tmp_path / "out.gguf"), "--outtype", "f16"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([f"{where}/gguf-py", os.environ.get("PYTHONPATH", "")])}, timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    fields = gguf.GGUFReader(tmp_path / "out.gguf").fields

    def value(key: str):
        return fields[key].contents() if key in fields else None

    trained = load.load_full(tmp_path / "base", small.CPU).config.rope_parameters
    assert value(f"{kind}.rope.freq_base") == pytest.approx(trained["rope_theta"])
    assert value(f"{kind}.rope.scaling.factor") == (trained.get("factor") if trained["rope_type"] == "yarn" else None)
    # What runs reads this key alone, and multiplies by 1 + 0.1 ln(factor) itself.
    right = (value(f"{kind}.rope.scaling.attn_factor") or 1.0) * settings.attention_factor({**trained, "attn_factor": None, "attention_factor": None}) == pytest.approx(settings.attention_factor(trained))
    assert right != told
    assert (value("tokenizer.ggml.eos_token_id"), value("tokenizer.ggml.padding_token_id")) == (tokens.end_id, tokens.pad_id)
    assert value("tokenizer.chat_template") == tokens.template
