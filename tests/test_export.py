"""GGUF files read back and compared, bad input, full disks; real llama.cpp in `-m long`."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model.exporting import export, gguf_file, gguf_vocab
from alt_lite.model.load import heed_attn_factor
from alt_lite.rundir import RunDir, read_json
from alt_lite.tokens import templates
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.rendering import conversations

gguf = pytest.importorskip("gguf")
R1 = FAMILIES["r1"]
SHAPE = {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 4096, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2,
}


def rope(kind: str = "default", **more) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e6, **more}}


YARN = {"factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
# name: (class in transformers, settings)
MODELS = {
    "qwen2_untied": ("Qwen2Config", {**rope(), "tie_word_embeddings": False}),
    "qwen2_linear": ("Qwen2Config", {**rope("linear", factor=4.0), "tie_word_embeddings": True}),
    "qwen3_tied": ("Qwen3Config", {**rope(), "head_dim": 64, "tie_word_embeddings": True}),
    "qwen3_yarn": ("Qwen3Config", {**rope("yarn", **YARN, attn_factor=0.87), "head_dim": 64, "tie_word_embeddings": False}),
    "qwen3_yarn_own": ("Qwen3Config", {**rope("yarn", **YARN, attention_factor=0.5), "head_dim": 64, "tie_word_embeddings": False}),
    "llama3": ("LlamaConfig", {**rope("llama3", **LLAMA3), "tie_word_embeddings": False}),
}


def random_model(name: str, tokens, folder: Path, vocabulary: int = 2624, **change) -> Path:
    """Save a small random model, in several files, with a tokenizer."""
    import torch
    import transformers

    kind, settings = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, kind)(**{**SHAPE, **settings, "vocab_size": vocabulary, **change})
    model = transformers.AutoModelForCausalLM.from_config(config)
    for key, parameter in model.named_parameters():
        if "norm" in key:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif "bias" in key:
            torch.nn.init.normal_(parameter)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="300KB")
    tokenizers_io.save(tokens, folder)
    return folder


def random_ids(count: int = 100) -> list[int]:
    import torch

    return torch.randint(7, 2500, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def logits_of(folder: Path, ids: list[int], **where):
    import torch
    from transformers import AutoModelForCausalLM

    heed_attn_factor()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    """A run of this module's own."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("export") / "small"))


@pytest.fixture(scope="module")
def exported(run) -> Path:
    """The run with its GGUF files."""
    from alt_lite.cli.app import main

    with pytest.raises(SystemExit) as left:
        main(["export", str(run), "--to", "gguf"])
    assert not left.value.code
    return run / "export"


# GGUF


def test_the_exported_files_are_the_merged_model(exported, run, tokens):
    ids = encode_prompt(tokens, [{"role": "user", "content": "What is 12 + 34?"}])
    expected = logits_of(run / "merged", ids)
    for quant, tolerance in (("f16", 1e-3), ("q8_0", 0.5)):
        got = logits_of(exported, ids, gguf_file=f"small-{quant}.gguf")
        assert (expected - got).abs().max() <= tolerance, quant
        entry = read_json(exported / "export.json")[f"small-{quant}.gguf"]
        assert entry["proved"] is True and entry["bytes"] == (exported / f"small-{quant}.gguf").stat().st_size
    assert (exported / "small-q8_0.gguf").stat().st_size < 0.6 * (exported / "small-f16.gguf").stat().st_size


def test_a_finished_export_is_not_written_again_and_changed_weights_are(exported, run, command, tmp_path):
    before = (exported / "small-f16.gguf").stat().st_mtime_ns
    status, out, err = command("export", run, "--to", "gguf")
    assert status == 0 and err.count("not written again") == 2 and str(exported / "small-f16.gguf") in out
    assert (exported / "small-f16.gguf").stat().st_mtime_ns == before
    other = Path(shutil.copytree(run, tmp_path / "small"))
    from safetensors.torch import load_file, save_file

    weights = load_file(other / "merged" / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    save_file(weights, other / "merged" / "model.safetensors", {"format": "pt"})
    status, _, err = command("export", other, "--to", "gguf", "--quant", "f16")
    assert status == 0 and "not written again" not in err and "read back" in err


def test_the_export_is_listed_so_that_fresh_takes_it_away(exported, run, tmp_path):
    assert "export" in RunDir(run).manifest["files"]
    other = RunDir(Path(shutil.copytree(run, tmp_path / "small")))
    other.fresh()
    assert not (other.path / "export").exists()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_architecture_reads_back_within_the_tolerances(name, tokens, tmp_path):
    """Sharded, tied and not, with rotary scaling; a wrong order of query rows or a missing tensor would be far off."""
    folder = random_model(name, tokens, tmp_path / "merged")
    assert len(list(folder.glob("*.safetensors"))) > 1
    source = export.Source(folder, name, R1, [], [random_ids()])
    for quant, path in export.to_gguf(source, tmp_path, ["f16", "q8_0"]).items():
        entry = export.read_record(tmp_path)[path.name]
        assert entry["proved"] and entry["logit_difference_share"] <= export.LOGIT_TOLERANCE[quant], entry
        reader = gguf.GGUFReader(path)
        names = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
        assert ("output.weight" in names) != MODELS[name][1]["tie_word_embeddings"]
        assert names["blk.0.ffn_down.weight"] == names["token_embd.weight"] == quant.upper() and names["output_norm.weight"] == "F32"
        assert ("rope_freqs.weight" in names) == (name == "llama3")


def test_rotary_scaling_is_written_as_the_model_computes_it(tokens, tmp_path):
    def fields(name: str):
        path = tmp_path / f"{name}.gguf"
        folder = random_model(name, tokens, tmp_path / name)
        vocabulary = gguf_vocab.read(folder, 2624, ())
        gguf_file.write(gguf_file.plan(folder, "f16"), path, tokens, vocabulary, name, "x", lambda number, note: None)
        return gguf.GGUFReader(path)

    def value(reader, key: str):
        return reader.fields[key].contents()

    published = fields("qwen3_yarn")
    assert value(published, "qwen3.rope.scaling.attn_factor") == pytest.approx(0.87)
    assert value(fields("qwen3_yarn_own"), "qwen3.rope.scaling.attn_factor") == pytest.approx(0.5 / 1.138629, abs=1e-5)
    assert value(published, "qwen3.rope.scaling.type") == "yarn" and value(published, "qwen3.rope.freq_base") == 1e6
    assert value(published, "qwen3.attention.key_length") == 64
    (factors,) = [t.data for t in fields("llama3").tensors if t.name == "rope_freqs.weight"]
    assert factors[0] == pytest.approx(1) and factors[-1] == pytest.approx(8) and len(factors) == 16


def test_a_weight_too_large_for_16_bit_is_an_error_and_leaves_no_file(tokens, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = random_model("qwen2_untied", tokens, tmp_path / "merged")
    path = next(path for path in folder.glob("*.safetensors") if "lm_head.weight" in load_file(path))
    weights = load_file(path)
    weights["lm_head.weight"][0, 0] = 1e6
    save_file(weights, path, {"format": "pt"})
    source = export.Source(folder, "x", R1, [], [random_ids(20)])
    with pytest.raises(UserError, match="output.weight holds 999424"):
        export.to_gguf(source, tmp_path / "out", ["f16"])
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_file_is_not_called_proved(exported, run, tokens, tmp_path):
    path = Path(shutil.copy(exported / "small-f16.gguf", tmp_path))
    data = bytearray(path.read_bytes())
    data[-4000:-2000] = bytes(2000)
    path.write_bytes(data)
    source = export.Source(run / "merged", "small", R1, [], [random_ids(20)])
    assert export.read_back(gguf_file.plan(run / "merged", "f16"), path, source, tokens, "f16")["proved"] is False


# The tokenizer in a GGUF file


def test_the_embedded_tokenizer_says_where_llama_cpp_differs(exported, run, tokens):
    vocabulary = gguf_vocab.read(run / "merged", 2624, [*tokenizers_io.PROBES, "What is 12 + 34?", "How do I make a fenven?\n\n1. Get"])
    assert vocabulary.pre == "qwen2" and not vocabulary.exact
    assert vocabulary.differing == ("  two leading and  double spaces ",)
    assert vocabulary.tokens[2565:] == [f"[PAD{i}]" for i in range(2565, 2624)] and set(vocabulary.types[2565:]) == {gguf_vocab.UNUSED}


PRE = {
    "r1_qwen": "deepseek-r1-qwen", "r1_0528": "deepseek-r1-qwen", **dict.fromkeys(("qwen3", "qwen3_thinking", "qwen2_5", "s1"), "qwen2"),
    **dict.fromkeys(("r1_llama", "llama3_1", "smollm3"), "llama-bpe"),
}


def test_published_tokenizers_get_their_pre_tokenizer_and_types(named):
    name, tokens = named
    size = 128_256 if PRE[name] == "llama-bpe" else 152_064
    inside = set(tokens.family.trace_controls)
    vocabulary = gguf_vocab.read(tokens.folder, size, tokenizers_io.PROBES, tuple(inside))
    assert (vocabulary.pre, vocabulary.exact, vocabulary.differing) == (PRE[name], True, ())
    kinds = {control: vocabulary.types[number] for control, number in tokens.ids.items()}
    assert {control for control, kind in kinds.items() if kind == gguf_vocab.CONTROL} == set(kinds) - inside
    # As control tokens they would be missing from what llama.cpp generates; renamed here from ones that are special.
    assert {kinds[control] for control in inside} <= {gguf_vocab.USER_DEFINED} and (bool(inside) != tokens.family.plain_tags)
    assert all(vocabulary.tokens[number] == control for control, number in tokens.ids.items())
    # llama.cpp does not compose characters: what is not in NFC gets other ids where the tokenizer normalises.
    decomposed = "cafe\u0301"
    assert bool(gguf_vocab.read(tokens.folder, size, [decomposed]).differing) == (PRE[name] != "llama-bpe")


def test_ids_of_begin_end_and_padding_are_written_and_no_second_begin(exported, tokens):
    reader = gguf.GGUFReader(exported / "small-f16.gguf")
    kept = {key: reader.fields[f"tokenizer.ggml.{key}"].contents() for key in ("bos_token_id", "eos_token_id", "padding_token_id", "add_bos_token")}
    assert kept == {"bos_token_id": 1, "eos_token_id": tokens.end_id, "padding_token_id": tokens.pad_id, "add_bos_token": False}
    template = reader.fields["tokenizer.chat_template"].contents()
    assert template == tokens.fast.chat_template and "bos_token" in template


def test_the_exported_template_is_the_folders_own_or_the_familys_where_there_is_none(named):
    name, tokens = named
    assert tokens.template == (templates.jinja(tokens.family) if name in ("r1_llama", "r1_0528") else tokens.fast.chat_template)


# Bad input, full disks


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "ggfu"], "did you mean gguf?"), (["--to", ""], "names nothing"), (["--to", "gguf", "--quant", "q8"], "did you mean q8_0"),
        (["--to", "gguf", "--quant", "f61"], "f16"), (["--to", "hub", "--repo", "no-owner"], "not the name of a repository"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(finished, command, arguments, said, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    status, _, err = command("export", run, *arguments)
    assert status == 2 and said in err and err.strip().splitlines()[-1].startswith("Fix:")
    assert not (run / "export").exists()


def test_what_is_missing_is_named(finished, command, monkeypatch, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = command("export", run, "--to", "gguf", "--quant", "q4_k_m")
    assert status == 2 and "llama-quantize" in err and "Fix: install llama.cpp" in err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "gguf" else find_spec(name))
    status, _, err = command("export", run, "--to", "gguf")
    assert status == 2 and "Fix: pip install gguf" in err
    monkeypatch.undo()
    config = read_json(run / "merged" / "config.json")
    (run / "merged" / "config.json").write_text(json.dumps({**config, "architectures": ["GPT2LMHeadModel"]}))
    status, _, err = command("export", run, "--to", "gguf")
    assert status == 2 and "GPT2LMHeadModel is not exported" in err
    (run / "file").write_text("")
    assert command("export", run, "--to", "gguf", "--out", run / "file")[0] == 2
    shutil.rmtree(run / "merged")
    status, _, err = command("export", run, "--to", "gguf")
    assert status == 2 and f"Fix: python -m alt_lite merge {run}" in err
    assert command("export", tmp_path, "--to", "gguf")[0] == 2


def test_a_disk_that_is_too_small_is_found_out_first(finished, command, monkeypatch, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    monkeypatch.setattr(export, "free_disk", lambda path: 1_000_000)
    status, _, err = command("export", run, "--to", "gguf")
    assert status == 2 and "MB of disk" in err and not (run / "export").exists()


def test_a_file_that_cannot_be_written_whole_is_not_there(finished, command, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the largest file a process may write, as a full disk would
    try:
        status, _, err = command("export", run, "--to", "gguf", "--quant", "f16")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2 and "Fix: free some disk space" in err and list((run / "export").iterdir()) == []
    assert command("export", run, "--to", "gguf", "--quant", "f16")[0] == 0


def test_a_dry_run_shows_files_and_sizes_and_writes_none(finished, command, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    before = (run / "run.json").read_bytes()
    status, out, _ = command("export", run, "--to", "gguf,ollama,vllm", "--dry-run")
    assert status == 0 and re.search(r"2\.\d MB .*small-f16.gguf", out) and not (run / "export").exists()
    assert (run / "run.json").read_bytes() == before


# Real llama.cpp: `pip install llama-cpp-python`, which builds it


def opened(path: Path, **how):
    """Load a GGUF file in llama.cpp."""
    llama_cpp = pytest.importorskip("llama_cpp")
    return llama_cpp.Llama(str(path), verbose=False, n_threads=1, n_ctx=512, **how)


@pytest.mark.long
@pytest.mark.parametrize("quant", ["f16", "q8_0"])
def test_llama_cpp_writes_what_our_engine_writes(quant, exported, run, tokens):
    from alt_lite.generate.local import generate
    from alt_lite.model import backend, load

    asked = ["What is 12 + 34?", "How do I make a fenven?", "Reverse the word lamp.", "Which is larger, 31 or 13?", "¿Cuánto es 20 + 15?"]
    prompts = [encode_prompt(tokens, [{"role": "user", "content": text}]) for text in asked]
    ours = {made.index: made.text for batch in generate(load.load_full(run / "merged", backend.device()), tokens, prompts, 80, 5) for made in batch}
    model = opened(exported / f"small-{quant}.gguf")
    for number, prompt in enumerate(prompts):
        model.reset()
        ids: list[int] = []
        for id_ in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
            if id_ == tokens.end_id or len(ids) == 80:
                break
            ids.append(id_)
        assert ids and tokens.decode(ids) == ours[number]
    # The template's own begin-of-text token is the only one.
    text = "".join(R1.prompt([{"role": "user", "content": asked[0]}]))
    assert model.tokenize(text.encode(), add_bos=True, special=True) == prompts[0]
    model.close()


@pytest.mark.long
def test_llama_cpp_computes_what_transformers_computes(tokens, tmp_path):
    ids, expected = random_ids(200), {}
    for name in MODELS:
        folder = random_model(name, tokens, tmp_path / name)
        expected[name] = logits_of(folder, ids).numpy()
        paths = export.to_gguf(export.Source(folder, name, R1, [], [ids[:50]]), tmp_path, ["f16", "q8_0"])
        for quant, tolerance in (("f16", 0.01), ("q8_0", 0.1)):
            model = opened(paths[quant], logits_all=True)
            model.eval(ids)
            off = model.scores[: len(ids)] - expected[name]
            model.close()
            assert (off**2).mean() ** 0.5 <= tolerance * expected[name].std(), (name, quant)
    # What tells the two apart is the factor on the attention: had it been left out, one of them had failed.
    between = expected["qwen3_yarn"] - expected["qwen3_yarn_own"]
    assert (between**2).mean() ** 0.5 > 0.1 * expected["qwen3_yarn"].std()


@pytest.mark.long
def test_llama_cpp_tokenises_as_the_published_tokenizers(named, tmp_path):
    name, tokens = named
    llama = PRE[name] == "llama-bpe"
    kind, size = ("llama3", 128_256) if llama else ("qwen2_untied" if name == "r1_qwen" else "qwen3_tied", 152_064)
    folder = random_model(kind, tokens, tmp_path / "merged", size, hidden_size=32, intermediate_size=32, head_dim=16, num_hidden_layers=1)
    (path,) = export.to_gguf(export.Source(folder, name, tokens.family, [], [[1, 2, 3]]), tmp_path, ["f16"]).values()
    model = opened(path, vocab_only=True)
    for probe in tokenizers_io.PROBES:
        assert model.tokenize(probe.encode(), add_bos=False, special=False) == tokens.encode([probe])
    for messages in conversations(tokens.family).values():
        text = "".join(tokens.family.prompt(messages))
        assert model.tokenize(text.encode(), add_bos=True, special=True) == encode_prompt(tokens, messages)
    model.close()


QUANTIZE = """#!{python}
import sys, llama_cpp
source, target, name = sys.argv[1:]
settings = llama_cpp.llama_model_quantize_default_params()
settings.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + name)
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), settings))
"""


@pytest.mark.long
def test_further_types_are_made_by_llama_cpps_own_quantiser(finished, command, monkeypatch, tmp_path):
    pytest.importorskip("llama_cpp")
    program = tmp_path / "bin" / "llama-quantize"
    program.parent.mkdir()
    program.write_text(QUANTIZE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    status, out, err = command("export", run, "--to", "ollama", "--quant", "q4_0")
    assert status == 0 and "f16 is written too" in err, err
    record = read_json(run / "export" / "export.json")
    assert record["small-q4_0.gguf"]["proved"] is None and record["small-q4_0.gguf"]["same_next_token"] > 0.5
    assert (run / "export" / "small-q4_0.gguf").stat().st_size < (run / "export" / "small-f16.gguf").stat().st_size / 2
    assert "FROM ./small-q4_0.gguf" in (run / "export" / "Modelfile").read_text(encoding="utf-8")
    program.write_text("#!/bin/sh\necho no such type >&2\nexit 1\n")
    status, _, err = command("export", run, "--to", "gguf", "--quant", "q5_0")
    assert status == 2 and "no such type" in err and not list((run / "export").glob("*q5_0*"))
