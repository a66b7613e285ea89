"""GGUF files of architectures beside Qwen's and Llama's, and their pre-tokenizers; real llama.cpp in `-m long`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import real
import small

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model.exporting import export, gguf_file, gguf_vocab
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import encode_prompt

gguf = pytest.importorskip("gguf")
R1 = FAMILIES["r1"]
ROWS = 2624
SHAPE = {
    "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "initializer_range": 0.1, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": ROWS, "tie_word_embeddings": False,
}
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0 + 0.05 * i for i in range(12)], "long_factor": [1.0 + 0.9 * i for i in range(12)], "partial_rotary_factor": 0.75}
YARN = {"rope_type": "yarn", "rope_theta": 1e5, "factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {
    "head_dim": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 6, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
}
QWEN35 = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5, "mrope_section": [6, 5, 5]}
EXPERTS = {"head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16}
# What openai/gpt-oss-20b has.
PUBLISHED = {"rope_type": "yarn", "rope_theta": 150_000.0, "factor": 32.0, "original_max_position_embeddings": 4096, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False}
SLIDING, FULL = "sliding_attention", "full_attention"
GEMMA4 = {
    "num_hidden_layers": 6, "layer_types": [SLIDING, SLIDING, FULL] * 2, "head_dim": 32, "global_head_dim": 64, "sliding_window": 16, "vocab_size_per_layer_input": ROWS,
    "rope_parameters": {SLIDING: {"rope_type": "default", "rope_theta": 1e4}, FULL: {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}},
    "tie_word_embeddings": True,
}
# name: (class of the configuration, settings)
MODELS = {
    "phi3_plain": ("Phi3Config", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}),
    "phi3_short": ("Phi3Config", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 256, "sliding_window": 1024}),
    "phi3_long": ("Phi3Config", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 64, "tie_word_embeddings": True}),
    "smollm3": ("SmolLM3Config", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e6}, "tie_word_embeddings": True}),
    "smollm3_yarn": ("SmolLM3Config", {"rope_parameters": YARN, "tie_word_embeddings": True}),
    "qwen35": ("Qwen3_5TextConfig", {**LINEAR, "rope_parameters": QWEN35, "tie_word_embeddings": True}),
    "qwen35_yarn": ("Qwen3_5TextConfig", {**LINEAR, "rope_parameters": {**QWEN35, **YARN}, "linear_num_value_heads": 2}),
    "gemma4_shared": ("Gemma4TextConfig", {
        **GEMMA4, "num_kv_shared_layers": 3, "use_double_wide_mlp": True, "hidden_size_per_layer_input": 32, "final_logit_softcapping": 30.0,
    }),
    "gemma4_experts": ("Gemma4TextConfig", {
        **GEMMA4, "num_global_key_value_heads": 1, "attention_k_eq_v": True, "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 64,
    }),
    "gpt_oss": ("GptOssConfig", {**EXPERTS, "rope_parameters": YARN}),
    "gpt_oss_published": ("GptOssConfig", {**EXPERTS, "head_dim": 64, "max_position_embeddings": 4096, "rope_parameters": PUBLISHED}),
}


def random_model(name: str, tokens, folder: Path, **change) -> Path:
    """Save a small random model, in several files, with a tokenizer; nothing in it is a neutral zero or one."""
    import torch
    import transformers

    kind, settings = MODELS[name]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**{**SHAPE, **settings, **change}))
    for key, parameter in model.named_parameters():
        if "Gemma4" in kind and key.endswith(("q_norm.weight", "k_norm.weight")):
            torch.nn.init.uniform_(parameter, 0.2, 0.5)  # nothing else keeps attention from picking one token
        elif "norm" in key:
            torch.nn.init.uniform_(parameter, -0.5, 0.5) if "Qwen3_5" in kind and "linear_attn" not in key else torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif key.endswith(("bias", "sinks", "A_log")):
            torch.nn.init.normal_(parameter)
        elif "conv1d" in key:
            torch.nn.init.normal_(parameter, std=0.5)
        elif key.endswith("scale"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif "router" in key or "experts" in key:
            torch.nn.init.normal_(parameter, std=(3.0 if "Gemma4" in kind else 0.5) if "router" in key else 0.2)
    for key, buffer in model.named_buffers():
        if key.endswith("layer_scalar"):
            buffer.fill_(0.75)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="300KB")
    tokenizers_io.save(tokens, folder)
    return folder


def random_ids(count: int = 100) -> list[int]:
    import torch

    return torch.randint(7, 2500, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def source(folder: Path, name: str, count: int = 50) -> export.Source:
    return export.Source(folder, name, R1, [], [random_ids(count)])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_what_is_written_reads_back_within_the_tolerances(name, tokens, tmp_path, capsys):
    folder = random_model(name, tokens, tmp_path / "merged")
    for quant, path in export.to_gguf(source(folder, name), tmp_path, ["f16", "q8_0"]).items():
        entry = export.read_record(tmp_path)[path.name]
        assert entry["proved"] and entry["largest_weight_error"] <= export.WEIGHT_TOLERANCE[quant], entry
        read = name.startswith("phi3")
        assert (entry["logits_not_compared"] is None) == read and (entry["max_logit_difference"] is not None) == read, entry
    told = capsys.readouterr().err
    assert ("logits NOT compared, since transformers reads no GGUF files of" in told) != read


def published(name: str, config: dict) -> tuple[dict, str, dict]:
    """A configuration as the makers write it, how their tensors' names begin, and tensors beside them."""
    if name == "phi3_long":
        rope = config.pop("rope_parameters")
        config |= {"rope_scaling": {"type": "longrope", **{key: rope[key] for key in ("short_factor", "long_factor")}}, "partial_rotary_factor": 0.75, "rope_theta": 1e4}
        return config, "model.", {}
    kind = {"qwen35": "Qwen3_5", "gemma4_shared": "Gemma4", "gemma4_experts": "Gemma4"}[name] + "ForConditionalGeneration"
    if "gemma4" in name:
        own = config.pop("per_layer_config")["2"]
        config |= {"global_head_dim": own["head_dim"], "num_global_key_value_heads": own.get("num_key_value_heads")}
    tied = {"tie_word_embeddings": config.pop("tie_word_embeddings")}
    beside = ["mtp.norm.weight", "model.visual.merger.norm.weight"] if name == "qwen35" else ["model.vision_tower.std_bias", "model.embed_vision.embedding_projection.weight"]
    return {"architectures": [kind], **tied, "text_config": config}, "model.language_model.", {key: [1.0] for key in beside}


@pytest.mark.parametrize("name", ["phi3_long", "qwen35", "gemma4_shared", "gemma4_experts"])
def test_a_folder_as_the_makers_publish_it_becomes_the_same_file(name, tokens, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    folder = random_model(name, tokens, tmp_path / "merged")
    vocabulary = gguf_vocab.read(folder, ROWS, ())

    def written() -> dict:
        gguf_file.write(gguf_file.plan(folder, "f16"), tmp_path / "x.gguf", tokens, vocabulary, "x", "x", lambda number, note: None)
        reader = gguf.GGUFReader(tmp_path / "x.gguf")
        return {**{key: field.contents() for key, field in reader.fields.items()}, **{tensor.name: tensor.data.tobytes() for tensor in reader.tensors}}

    before, weights = written(), {}
    config, start, beside = published(name, json.loads((folder / "config.json").read_text()))
    (folder / "config.json").write_text(json.dumps(config))
    for path in folder.glob("*.safetensors"):
        weights |= {key.replace("model.language_model.", "model.").replace("model.", start, 1): value for key, value in load_file(path).items()}
        path.unlink()
    save_file({**weights, **{key: torch.tensor(value) for key, value in beside.items()}}, folder / "model.safetensors", {"format": "pt"})
    assert written() == before


REFUSED = {
    "smollm3": [({"no_rope_layers": [1, 0, 1, 0]}, "every fourth"), ({"attention_bias": True}, "has biases")],
    "phi3_plain": [({"sliding_window": 256}, "sliding window of 256 tokens")],
    "qwen35": [
        ({"layer_types": ["full_attention", "linear_attention", "linear_attention", "full_attention"]}, "irregular places"), ({"linear_value_head_dim": 64}, "different size"),
    ],
    "gemma4_shared": [({"num_kv_shared_layers": 2}, "other layers than the last two"), ({"use_bidirectional_attention": "all"}, "attends to later tokens")],
    "gpt_oss": [({"layer_types": ["full_attention"] * 4}, "sliding window in other layers")],
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_llama_cpp_computes_otherwise_is_refused(name, tokens, tmp_path):
    folder = random_model(name, tokens, tmp_path)
    plain = json.loads((folder / "config.json").read_text())
    for change, said in REFUSED[name]:
        (folder / "config.json").write_text(json.dumps({**plain, **change}))
        with pytest.raises(UserError, match=said):
            gguf_file.plan(folder, "f16")
    (folder / "config.json").write_text(json.dumps({key: value for key, value in plain.items() if key not in ("layer_types", "max_position_embeddings", "linear_key_head_dim")}))
    if name not in ("smollm3", "gpt_oss"):
        with pytest.raises(UserError, match="config.json has no '"):
            gguf_file.plan(folder, "f16")
    dynamic = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    (folder / "config.json").write_text(json.dumps({**plain, "rope_parameters": {FULL: dynamic} if "gemma4" in name else dynamic}))
    with pytest.raises(UserError, match="rotary scaling 'dynamic'"):
        gguf_file.plan(folder, "f16")


# Pre-tokenizers, each put on a real vocabulary

TRICKY = (
    "HELLO world, I'LL don't WON'T camelCase PascalCase XMLHttpRequest", "ÉCOLE École naïveÉcole ÀÉÎ àéî ßẞ ǅ ʰ", "cafe\u0301 हिन्दी में नमस्ते ไทยสวัสดี עִבְרִית", "3.14159 1234567 ٣٤٥ Ⅻ ½ x²",
    "a/b//c path/to/file.txt\n/next\r\n\r\n  //x", "  indented\n\t\tcode;   trailing   \n \n", "Привет МИР Мир iPhoneПривет", "日本語テキスト、한국어와 中文。", "🙂🚀👩‍👩‍👧 e\u0301\u0302",
)
SPLITS = {
    "smollm": [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}],
    **{name: [
        {"type": "Split", "pattern": {"Regex": gguf_vocab.PATTERNS[name][0]}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ] for name in ("gpt-4o", "qwen35", "llama-bpe")},
}


SIZE = 128_257


def split_by(name: str, folder: Path) -> Path:
    """Lay out Llama 3.1's real vocabulary with the pre-tokenizer that `name` stands for."""
    real.tokenizer_folder("r1_llama", folder)
    spec = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": SPLITS[name]}
    spec["model"]["ignore_merges"] = name == "llama-bpe"
    # A letter with its mark, which Llama's own merges keep apart.
    spec["model"]["vocab"]["ĠeÌģ"] = 128_256
    spec["model"]["merges"].append("Ġe Ìģ")
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), "utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_a_published_splitting_pattern_is_known_by_its_name(name, tmp_path):
    vocabulary = gguf_vocab.read(split_by(name, tmp_path), SIZE, [*tokenizers_io.PROBES, *TRICKY])
    assert (vocabulary.pre, vocabulary.exact) == (name, True)
    if name == "qwen35":
        from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX

        assert gguf_vocab.PATTERNS[name] == (PRETOKENIZE_REGEX,)
    # llama.cpp's own gpt-4o takes no mark for a part of a word.
    assert vocabulary.differing == ((TRICKY[-1],) if name == "gpt-4o" else ())


def gemma_tokenizer(folder: Path) -> Path:
    """Train a small tokenizer that is built as Gemma 4's."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    made.normalizer, made.pre_tokenizer = normalizers.Replace(" ", "▁"), pre_tokenizers.Split(Regex("\n"), "isolated")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<|channel>", "<channel|>"]
    made.train_from_iterator([Path(__file__).read_text("utf-8")], trainers.BpeTrainer(vocab_size=1200, special_tokens=special, show_progress=False))
    spec = json.loads(made.to_str())
    vocabulary = spec["model"]["vocab"]
    for token in (*(f"<0x{byte:02X}>" for byte in range(256)), "\n\n", "\n\n\n", "हि"):
        vocabulary.setdefault(token, len(vocabulary))
    spec["model"]["merges"] += [["\n", "\n"], ["\n\n", "\n"]]
    spec["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), "utf-8")
    return folder


GEMMA_TEXTS = (*tokenizers_io.PROBES, *TRICKY, "a\n\n\nb\n\n c", "\n", "   three\tspaces  ")


def test_gemmas_tokenizer_is_known_by_how_it_is_built(tmp_path):
    folder = gemma_tokenizer(tmp_path)
    vocabulary = gguf_vocab.read(folder, ROWS, GEMMA_TEXTS, ("<|channel>", "<channel|>"))
    assert (vocabulary.model, vocabulary.pre, vocabulary.exact, vocabulary.differing) == ("gemma4", "gemma4", True, ())
    kinds = dict(zip(vocabulary.tokens, vocabulary.types, strict=True))
    assert kinds["<0x0A>"] == gguf_vocab.BYTE and kinds["<bos>"] == gguf_vocab.CONTROL and kinds["<|channel>"] == gguf_vocab.USER_DEFINED
    spec = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**spec, "normalizer": None}), "utf-8")
    with pytest.raises(UserError, match="no byte-level BPE"):
        gguf_vocab.read(folder, ROWS, ())


# Real llama.cpp: `pip install llama-cpp-python`, which builds it


def llama_logits(path: Path, ids: list[int], context: int = 512):
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(str(path), verbose=False, n_threads=1, n_ctx=context, logits_all=True, type_k=0, type_v=0)  # 0: 32 bit
    model.eval(ids)
    logits = model.scores[: len(ids)].copy()
    model.close()
    return logits


def transformers_logits(folder: Path, ids: list[int]):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def share(got, expected) -> float:
    """Root mean square of the differences, as a share of the standard deviation."""
    return float(((got - expected) ** 2).mean() ** 0.5 / expected.std())


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MODELS))
def test_llama_cpp_computes_what_transformers_computes(name, tokens, tmp_path):
    pytest.importorskip("llama_cpp")
    folder, ids = random_model(name, tokens, tmp_path / "merged"), random_ids(200)
    expected = transformers_logits(folder, ids)
    paths = export.to_gguf(source(folder, name), tmp_path, ["f16", "q8_0"])
    for quant, tolerance in (("f16", 0.01), ("q8_0", 0.2)):
        got = llama_logits(paths[quant], ids, 256 if name == "phi3_short" else 512)
        print(f"{name} {quant}: largest {abs(got - expected).max():.4f} of std {expected.std():.2f}, share {share(got, expected):.4f}, same next {(got.argmax(-1) == expected.argmax(-1)).mean():.1%}")
        assert share(got, expected) <= tolerance, (name, quant)


@pytest.mark.long
def test_llama_cpp_rounds_the_bounds_of_yarn_which_gpt_oss_does_not(tokens, tmp_path, capsys):
    pytest.importorskip("llama_cpp")
    folder, ids = random_model("gpt_oss_published", tokens, tmp_path / "merged"), random_ids(200)
    got = llama_logits(export.to_gguf(source(folder, "x"), tmp_path, ["f16"])["f16"], ids)
    assert "rounds the bounds of YaRN's ramp" in capsys.readouterr().err
    own = share(got, transformers_logits(folder, ids))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_parameters": {**PUBLISHED, "truncate": True}}))
    rounded = share(got, transformers_logits(folder, ids))
    print(f"share {own:.4f}, with bounds rounded {rounded:.4f}")
    assert rounded < own / 2


@pytest.mark.long
def test_a_run_named_after_phi_3_loads_in_llama_cpp(tokens, tmp_path):
    """llama.cpp goes by the name to find out about Phi-3's vocabulary."""
    folder = random_model("phi3_plain", tokens, tmp_path / "merged")
    for name in ("my-Phi3-run", "phi-3-mini"):
        path = export.to_gguf(source(folder, name), tmp_path, ["f16"])["f16"]
        assert llama_logits(path, random_ids(5)).shape == (5, ROWS)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SPLITS))
def test_llama_cpp_splits_by_the_pattern_as_told(name, tmp_path):
    """Ids of every text: those of the tokenizer, or, for texts that are told to differ, those of the rebuilt one."""
    llama_cpp = pytest.importorskip("llama_cpp")
    from tokenizers import Tokenizer

    tokens = tokenizers_io.load(split_by(name, tmp_path / "tokens"), R1)
    folder = random_model("phi3_plain", tokens, tmp_path / "merged", vocab_size=SIZE, hidden_size=32, intermediate_size=32, num_hidden_layers=1)
    path, texts = tmp_path / "x.gguf", [*tokenizers_io.PROBES, *TRICKY]
    vocabulary = gguf_vocab.read(folder, SIZE, texts)
    gguf_file.write(gguf_file.plan(folder, "f16"), path, tokens, vocabulary, name, tokens.template, lambda number, note: None)
    model = llama_cpp.Llama(str(path), verbose=False, vocab_only=True)
    raw, built = Tokenizer.from_file(str(folder / "tokenizer.json")), gguf_vocab.rebuilt(vocabulary.tokens, vocabulary.types, vocabulary.merges, vocabulary.pre)
    for text in texts:
        encode = built if text in vocabulary.differing else raw
        assert model.tokenize(text.encode(), add_bos=False, special=False) == encode.encode(text, add_special_tokens=False).ids, text
    model.close()


@pytest.mark.long
def test_llama_cpp_tokenises_as_a_tokenizer_like_gemmas(tokens, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    from tokenizers import Tokenizer

    folder, path = random_model("gemma4_shared", tokens, tmp_path / "merged"), tmp_path / "x.gguf"
    vocabulary = gguf_vocab.read(gemma_tokenizer(tmp_path / "gemma"), ROWS, GEMMA_TEXTS)
    gguf_file.write(gguf_file.plan(folder, "f16"), path, tokens, vocabulary, "x", tokens.template, lambda number, note: None)
    model, raw = llama_cpp.Llama(str(path), verbose=False, vocab_only=True), Tokenizer.from_file(str(tmp_path / "gemma" / "tokenizer.json"))
    for text in GEMMA_TEXTS:
        assert model.tokenize(text.encode(), add_bos=False, special=False) == raw.encode(text, add_special_tokens=False).ids, text
    model.close()


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_llama_cpp_stops_where_the_family_ends_and_shows_its_trace(name, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    family = FAMILIES[name]
    small.lay_tokenizer(tmp_path / "tokens", family)
    tokens = tokenizers_io.load(tmp_path / "tokens", family)
    folder, path = random_model("smollm3", tokens, tmp_path / "merged", vocab_size=small.VOCABULARY), tmp_path / "x.gguf"
    vocabulary = gguf_vocab.read(folder, small.VOCABULARY, (), family.trace_controls)
    gguf_file.write(gguf_file.plan(folder, "f16"), path, tokens, vocabulary, "x", tokens.template, lambda number, note: None)
    model = llama_cpp.Llama(str(path), verbose=False, vocab_only=True)
    own = llama_cpp.llama_model_get_vocab(model.model)
    assert model.token_eos() == tokens.end_id and all(llama_cpp.llama_vocab_is_eog(own, number) for number in tokens.ends)
    for token in family.trace_controls:
        assert model.detokenize([tokens.ids[token]]).decode() == token
    messages = [{"role": "user", "content": "What is 12 + 34?"}]
    assert model.tokenize("".join(family.prompt(messages)).encode(), add_bos=True, special=True) == encode_prompt(tokens, messages)
    model.close()
