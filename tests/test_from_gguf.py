"""A GGUF file as the base: what is made of it is the model and the tokenizer that it was made from, or it is refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import architectures
import pytest
import small
import test_export
import test_export_architectures
from test_export import logits_of, random_ids

from alt_lite.config import ModelSection
from alt_lite.errors import UserError, is_disk_full
from alt_lite.families import FAMILIES
from alt_lite.model import load
from alt_lite.model.exporting import export, gguf_file, gguf_rotary, gguf_vocab
from alt_lite.model.importing import from_gguf, gguf_config, gguf_tokenizer
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.tokenizer import PROBES

gguf = pytest.importorskip("gguf")
TEXTS = (
    *PROBES, "</think> and <think>\n\nplain", "Zürich, 9,876.5 km; I'LL I'll we've", "x=1;\r\n\r\n  y\t=2", "١٢٣ ４５ Ⅷ", "नमस्ते दुनिया", "Cafe\u0301 ﬁ", "<|im_start|>user\nhi<|im_end|>\n",
)
SAME = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALT_LITE_CACHE", str(tmp_path / "cache"))


def write(folder: Path, out: Path, tokens, quant: str = "f16", template: str | None = None) -> Path:
    """Write a folder as a GGUF file, as `export` does."""
    planned = gguf_file.plan(folder, quant)
    vocabulary = gguf_vocab.read(folder, planned.config["vocab_size"], PROBES, tokens.family.trace_controls)
    gguf_file.write(planned, out, tokens, vocabulary, "small", tokens.template if template is None else template, lambda *_: None)
    return out


def changed(source: Path, out: Path, drop: tuple[str, ...] = (), tensors: dict | None = None, **entries) -> Path:
    """Copy a GGUF file with other entries ("__" for a point), without some tensors, or with others beside them."""
    reader, entries = gguf.GGUFReader(source), {key.replace("__", "."): value for key, value in entries.items()}
    writer = gguf.GGUFWriter(out, entries.pop("general.architecture", reader.fields["general.architecture"].contents()))
    for key, field in reader.fields.items():
        value = entries.pop(key, field.contents())
        if not key.startswith("GGUF.") and key != "general.architecture" and value is not None:
            writer.add_key_value(key, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for key, value in entries.items():
        kind = {str: gguf.GGUFValueType.STRING, float: gguf.GGUFValueType.FLOAT32, bool: gguf.GGUFValueType.BOOL}.get(type(value), gguf.GGUFValueType.UINT32)
        writer.add_key_value(key, value, kind)
    for tensor in reader.tensors:
        if tensor.name not in drop:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, value in (tensors or {}).items():
        writer.add_tensor(name, value)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return out


def model(name: str, tokens, folder: Path) -> Path:
    if name in test_export.MODELS:
        return test_export.random_model(name, tokens, folder)
    if name in test_export_architectures.MODELS:
        return test_export_architectures.random_model(name, tokens, folder)
    more = {"attention_bias": True} if name.endswith("_biased") else {}
    architectures.make(folder, name.removesuffix("_biased"), 2624, hidden_size=128, intermediate_size=192, **more)
    tokenizers_io.save(tokens, folder)
    return folder


@pytest.fixture(scope="module")
def tokens_of_llama(tmp_path_factory):
    folder = small.base(tmp_path_factory.mktemp("llama"), "llama", "r1")
    return tokenizers_io.load(folder, FAMILIES["r1"])


@pytest.fixture(scope="module")
def llama(tokens_of_llama) -> Path:
    """A GGUF file of few tokens."""
    return write(tokens_of_llama.folder, tokens_of_llama.folder / "small.gguf", tokens_of_llama)


def folder_of(path: Path, family: str = "auto") -> Path:
    return load.model_folder(ModelSection(name=str(path), family=family))


NAMES = ("llama", "qwen2", "qwen3", "phi3")
FURTHER = ("llama_biased", *sorted(test_export.MODELS), "phi3_plain", "phi3_short", "phi3_long")


@pytest.mark.parametrize(("name", "quant"), [
    *((name, "f16") for name in NAMES), *(pytest.param(name, "q8_0", marks=pytest.mark.long) for name in NAMES),
    *(pytest.param(name, quant, marks=pytest.mark.long) for name in FURTHER for quant in ("f16", "q8_0")),
])
def test_what_is_unpacked_computes_what_the_exported_model_did(name, quant, tokens, tmp_path):
    """Rotary scaling, biases, heads of their own size, tied or not; the configuration too, with plain transformers."""
    from transformers import AutoConfig

    original = model(name, tokens, tmp_path / "model")
    made = folder_of(write(original, tmp_path / f"{name}.gguf", tokens, quant))
    ids = random_ids()
    expected, got = logits_of(original, ids), logits_of(made, ids)
    assert (expected - got).square().mean().sqrt() / expected.std() <= export.LOGIT_TOLERANCE[quant]
    mine, its = AutoConfig.from_pretrained(made), AutoConfig.from_pretrained(original)
    assert {key: getattr(mine, key) for key in SAME} == {key: getattr(its, key) for key in SAME}
    frequencies, factor = gguf_rotary.computed(mine.to_dict()) if gguf_rotary.settings(mine.to_dict())["rope_type"] != "default" else (None, None)
    if frequencies is not None:
        other, same = gguf_rotary.computed(its.to_dict())
        assert (frequencies / other - 1).abs().max() < 1e-5 and factor == pytest.approx(same, rel=1e-5)
    assert gguf_rotary.settings(mine.to_dict())["rope_type"] == gguf_rotary.settings(its.to_dict())["rope_type"]
    assert gguf_rotary.settings(mine.to_dict())["rope_theta"] == gguf_rotary.settings(its.to_dict())["rope_theta"]
    assert str(mine.dtype) == "torch.float16" and sorted(path.name for path in made.iterdir()) == [
        "config.json", "generation_config.json", "gguf.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]


def test_a_file_is_unpacked_once_and_known_again_under_another_name(llama, tmp_path, capsys):
    made = folder_of(llama)
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert "is unpacked once into" in capsys.readouterr().err
    assert folder_of(llama) == made and (made / "model.safetensors").stat().st_mtime_ns == before
    copy = Path(shutil.copy(llama, tmp_path / llama.name))
    assert folder_of(copy) == made and (made / "model.safetensors").stat().st_mtime_ns == before
    assert "is unpacked once into" not in capsys.readouterr().err


def test_a_file_with_other_weights_and_the_same_head_is_another_model(llama, tmp_path):
    path = Path(shutil.copy(llama, tmp_path / "small.gguf"))
    made = folder_of(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert folder_of(path) != made


def test_what_ends_a_text_is_the_familys_and_not_the_files(llama, tokens_of_llama, tmp_path):
    tokens = tokens_of_llama
    beginning = tokens.ids[tokens.family.bos]
    path = changed(llama, tmp_path / "wrong.gguf", tokenizer__ggml__eos_token_id=beginning, tokenizer__ggml__padding_token_id=tokens.end_id)
    made = folder_of(path)
    read = {name: json.loads((made / f"{name}.json").read_text()) for name in ("tokenizer_config", "config", "generation_config")}
    assert read["tokenizer_config"]["eos_token"] == str(tokens.family.end) != read["tokenizer_config"]["pad_token"]
    assert read["config"]["eos_token_id"] == tokens.end_id and read["generation_config"]["eos_token_id"][0] == tokens.end_id
    assert read["config"]["pad_token_id"] != tokens.end_id


def test_weights_are_bf16_where_the_file_holds_it_or_fp16_is_too_small(llama, tmp_path):
    import numpy as np
    from safetensors.torch import load_file

    large = changed(llama, tmp_path / "large.gguf", ("output_norm.weight",), {"output_norm.weight": np.full(48, 1e5, dtype=np.float32)})
    made = folder_of(large)
    record = json.loads((made / "gguf.json").read_text())
    assert record["dtype"] == "bfloat16" and "beyond" in record["why"]
    assert float(load_file(made / "model.safetensors")["model.norm.weight"].max()) == pytest.approx(1e5, rel=0.01)
    infinite = changed(llama, tmp_path / "infinite.gguf", ("output_norm.weight",), {"output_norm.weight": np.full(48, np.inf, dtype=np.float32)})
    with pytest.raises(UserError, match="not finite"):
        folder_of(infinite)
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir() if not path.name.startswith(".")] == [made.name]


def bad_files(llama: Path, tmp_path: Path) -> dict[str, tuple[Path, str, str]]:
    """File, what is said, and a part of the fix, by what is wrong."""
    import numpy as np

    data = llama.read_bytes()

    def raw(name: str, content: bytes) -> Path:
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        return path

    def other(name: str, *drop: str, tensors: dict | None = None, **entries) -> Path:
        return changed(llama, tmp_path / f"{name}.gguf", drop, tensors, **entries)

    reader = gguf.GGUFReader(llama)
    kind = next(int(tensor.field.offset) for tensor in reader.tensors if tensor.name == "output_norm.weight")
    at = kind + 8 + len("output_norm.weight") + 4 + 8  # behind its name, and its one dimension
    one = np.ones(64 // 2, dtype=np.float32)
    return {
        "missing": (tmp_path / "none.gguf", "there is no GGUF file", "give its path"),
        "text": (raw("text", b"hello, I am no model"), "is no GGUF file", "model.name takes"),
        "empty": (raw("empty", b""), "is no GGUF file", "model.name takes"),
        "pointer": (raw("pointer", b"version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS", "git lfs pull"),
        "cut": (raw("cut", data[:-1000]), "it ends before what its head says", "anew"),
        "cut head": (raw("head", data[:3000]), "it ends before what its head says", "anew"),
        "cut first bytes": (raw("first", data[:10]), "cut or damaged", "anew"),
        "type": (raw("type", data[:at] + (99).to_bytes(4, "little") + data[at + 4 :]), "of a type that the package gguf does not know", "-U gguf"),
        "unpackable": (raw("i8", data[:at] + (24).to_bytes(4, "little") + data[at + 4 :]), "does not unpack", "Q8_0"),
        "part": (other("part", split__count=3), "one of 3 parts", "llama-gguf-split --merge"),
        "architecture": (other("arch", general__architecture="gemma3"), "architecture gemma3", "llama, qwen2"),
        "adapter": (other("adapter", general__type="adapter"), "LoRA adapter", "merged into"),
        "projector": (other("mmproj", general__type="mmproj"), "no text model", "beside it"),
        "clip": (other("clip", general__architecture="clip"), "no text model", "beside it"),
        "sentencepiece": (other("spm", tokenizer__ggml__model="llama"), "only byte-level BPE", "tokenizer.json"),
        "pre": (other("pre", tokenizer__ggml__pre="tekken"), "'tekken' that is not known", "tokenizer.json"),
        "expert": (other("moe", llama__expert_count=8), "llama.expert_count = 8", "folder"),
        "tensor": (other("extra", tensors={"blk.0.attn_rot.weight": one}), "attn_rot", "folder"),
        "lacking": (other("lacks", "blk.1.ffn_up.weight"), "has no tensor blk.1.ffn_up.weight", "anew"),
        "factors": (other("factors", tensors={"rope_freqs.weight": np.linspace(1, 9, 6).astype(np.float32)}), "not those of Llama 3", "folder"),
        "rotary": (other("rotary", llama__rope__scaling__type="su"), "rotary embedding (su", "folder"),
        "window": (other("window", llama__attention__sliding_window=64), "sliding window of 64", "folder"),
        "share": (other("share", llama__rope__dimension_count=8), "turns 8 of a head's 12", "folder"),
    }


def test_bad_files_are_refused_in_one_line_before_a_weight_is_read(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(from_gguf, "_write_weights", lambda *_: pytest.fail("weights were read"))
    for name, (path, said, fix) in bad_files(llama, tmp_path).items():
        with pytest.raises(UserError) as left:
            folder_of(path)
        assert said in left.value.message and fix in left.value.fix and "\n" not in left.value.message + left.value.fix, (name, left.value.message, left.value.fix)
        assert not [found.name for found in (tmp_path / "cache").rglob("*") if found.name not in ("models", ".digests") and not found.name.endswith(".lock")], name


def test_a_bad_file_leaves_with_a_users_error(llama, command, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(llama.read_bytes()[:-1000])
    for verb in (["eval", path], ["mask", "--model", path, "--data", Path(__file__)]):
        status, _, err = command(*verb)
        assert status == 2 and err.splitlines()[-1].startswith("Fix:") and str(path) in err


def test_a_full_disk_leaves_nothing_and_what_a_killed_process_left_is_taken_away(llama, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the largest file a process may write, as a full disk would
    try:
        with pytest.raises(Exception) as left:
            folder_of(llama)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert is_disk_full(left.value) and not list((tmp_path / "cache").rglob("*.safetensors"))
    made = folder_of(llama)
    shutil.rmtree(made)
    partial = made.with_name(f".{made.name}.partial")
    partial.mkdir()
    (partial / "adapter_config.json").write_text("{}")
    assert sorted(path.name for path in folder_of(llama).iterdir())[0] == "config.json" and not partial.exists()


def test_a_family_that_fits_nothing_is_refused_by_the_files_name(llama, tmp_path):
    path = changed(llama, tmp_path / "other.gguf", tokenizer__chat_template="{{ messages[0]['content'] }}!")
    with pytest.raises(UserError, match="chat template") as left:
        folder_of(path)
    assert str(path) in left.value.message and "partial" not in left.value.message + left.value.fix
    assert not list((tmp_path / "cache" / "models").glob("*other*.gguf*/*")) and not list((tmp_path / "cache" / "models").glob(".*.partial"))


def test_too_little_disk_or_memory_is_told_before(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(from_gguf, "free_disk", lambda _: 1_000_000)
    with pytest.raises(UserError, match="of disk are free") as left:
        folder_of(llama)
    assert "ALT_LITE_CACHE" in left.value.fix
    monkeypatch.undo()
    monkeypatch.setenv("ALT_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(from_gguf, "_LARGEST", 10**9)
    with pytest.raises(UserError, match="of memory while it is unpacked"):
        folder_of(llama)
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_looks_at_the_file_alone_and_leaves_torch_out(llama, tmp_path):
    code = (
        "import sys\nfrom alt_lite.cli.app import main\n"
        "try:\n    main(['run', 'r1_1_5b', 'model.name=' + sys.argv[1], '--dry-run'])\nexcept SystemExit as left:\n    status = left.code or 0\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'gguf'} & set(sys.modules)\nassert not heavy, heavy\nsys.exit(status)\n"
    )

    def tried(name: Path) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", code, str(name)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    done = tried(llama)
    assert done.returncode == 0 and "unpacks once" in done.stderr and not (tmp_path / "cache").exists(), done.stderr
    missing = tried(tmp_path / "gone.gguf")
    assert missing.returncode == 2 and missing.stderr.splitlines()[-1].startswith("Fix:"), missing.stderr


def test_a_file_that_was_moved_away_is_told_with_what_was_made_of_it(llama, tmp_path):
    path = Path(shutil.copy(llama, tmp_path / "moving.gguf"))
    made = folder_of(path)
    path.unlink()
    with pytest.raises(UserError, match="there is no GGUF file") as left:
        folder_of(path)
    assert str(made) in left.value.fix


def test_without_the_package_the_fix_installs_it(llama, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as left:
        folder_of(llama)
    assert left.value.fix.startswith("pip install") and "gguf" in left.value.message


def specification(tokens, folder: Path, out: Path) -> dict:
    """A tokenizer's folder, written into a GGUF file without weights, and read back."""
    size = max(tokens.fast.get_vocab().values()) + 30
    vocabulary = gguf_vocab.read(folder, size, PROBES, tokens.family.trace_controls)
    writer = gguf.GGUFWriter(out, "llama")
    gguf_file._add_vocabulary(writer, tokens, vocabulary, {}, tokens.template)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return gguf_tokenizer.specification(gguf_config.Header(out, gguf.GGUFReader(out).fields, {}), size)


@pytest.mark.long
def test_a_real_tokenizer_comes_back_with_the_same_ids(named, tmp_path):
    """With its added tokens, in the text and by themselves, and their flags but for those that llama.cpp wants special."""
    from tokenizers import Tokenizer

    name, tokens = named
    spec = specification(tokens, tokens.folder, tmp_path / "vocabulary.gguf")
    own = json.loads((tokens.folder / "tokenizer.json").read_text(encoding="utf-8"))
    before, after = Tokenizer.from_file(str(tokens.folder / "tokenizer.json")), Tokenizer.from_str(json.dumps(spec))
    added = [token["content"] for token in own["added_tokens"]]
    prompts = ["".join(tokens.family.prompt([{"role": "user", "content": text}])) for text in TEXTS]
    for text in (*TEXTS, *prompts, *added, " ".join(added), *(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_c*.py"))):
        assert before.encode(text, add_special_tokens=False).ids == after.encode(text, add_special_tokens=False).ids, (name, text[:80])
        ids = before.encode(text, add_special_tokens=False).ids
        assert before.decode(ids, skip_special_tokens=False) == after.decode(ids, skip_special_tokens=False)
    words = [before.decode([number]) for number in own["model"]["vocab"].values()]  # of which merges do not reach all
    batches = (built.encode_batch_fast(words, add_special_tokens=False) for built in (before, after))
    assert all(first.ids == second.ids for first, second in zip(*batches, strict=True))
    flags = {token["content"]: token["special"] for token in spec["added_tokens"]}
    assert set(flags) == set(added) and not any(flags[control] for control in tokens.family.trace_controls if control in flags)
    assert [token["id"] for token in spec["added_tokens"]] == sorted(token["id"] for token in own["added_tokens"])


@pytest.mark.parametrize("family", ["r1", "llama3", "chatml"])
def test_tokens_between_the_ids_of_others_and_beyond_a_gap_keep_theirs(family, tmp_path):
    small.lay_tokenizer(tmp_path, FAMILIES[family])
    own = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    last = own["added_tokens"][-1]
    first = min(own["model"]["vocab"], key=own["model"]["vocab"].get)
    tokens = tokenizers_io.load(tmp_path, FAMILIES[family])
    header = gguf_config.Header(tmp_path, {}, {})
    values = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.merges": ["i n"],
        "tokenizer.ggml.tokens": ["<first>", *[token for token, _ in sorted(own["model"]["vocab"].items(), key=lambda pair: pair[1])], "[PAD]", last["content"]],
    }
    values["tokenizer.ggml.token_type"] = [3, *[1] * len(own["model"]["vocab"]), 5, 4]
    header = gguf_config.Header(tmp_path, {key: type("Field", (), {"contents": lambda self, value=value: value})() for key, value in values.items()}, {})
    from tokenizers import Tokenizer

    built = Tokenizer.from_str(json.dumps(gguf_tokenizer.specification(header, 400)))
    wanted = values["tokenizer.ggml.tokens"]
    assert [built.token_to_id(token) for token in ("<first>", first, last["content"])] == [0, wanted.index(first), len(wanted) - 1]
    assert built.encode(f"<first>in{last['content']}", add_special_tokens=False).ids == [0, wanted.index("in"), len(wanted) - 1] and tokens


@pytest.mark.long
def test_two_processes_at_once_make_one_folder(llama, tmp_path):
    code = "import sys\nfrom alt_lite.config import ModelSection\nfrom alt_lite.model.load import model_folder\nprint(model_folder(ModelSection(name=sys.argv[1])))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(llama)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[0][0] == told[1][0] and sum("is unpacked once" in err for _, err in told) == 1, told


@pytest.mark.long
def test_a_run_from_a_file_says_what_it_was_made_of(finished, tokens, command, tmp_path, monkeypatch):
    """Trained, merged, evaluated and exported again; the base's name stands in the adapter, and its digest in run.json."""
    from conftest import SMALL

    monkeypatch.chdir(tmp_path)
    path = write(finished / "merged", tmp_path / "base.gguf", tokens)
    status, _, err = command("run", "tiny", f"model.name={path}", *SMALL, "eval.suite=tiny", "--run-dir", "run")
    assert status == 0, err
    manifest = json.loads(Path("run/run.json").read_text())
    assert manifest["model"]["gguf"]["file"] == "base.gguf" and manifest["model"]["gguf"]["digest"] in str(folder_of(path))
    assert json.loads(Path("run/adapter/adapter_config.json").read_text())["base_model_name_or_path"] == str(path)
    for verb in (["eval", path, "--suite", "tiny", "eval.limit=2"], ["eval", "run/adapter", "--suite", "tiny", "eval.limit=2", "--out", "adapter"]):
        status, _, err = command(*verb)
        assert status == 0, err
    assert Path("runs/eval_base/report.json").is_file()
    status, out, err = command("export", "run", "--to", "hub,vllm")
    assert status == 0 and "`base.gguf` (a GGUF file" in out and str(folder_of(path)) in out and "base_model:" not in out, out


@pytest.mark.long
@pytest.mark.skipif("ALT_LITE_SMOLLM2" not in os.environ, reason="ALT_LITE_SMOLLM2 names no SmolLM2-135M-Instruct.gguf")
def test_smollm2_ends_its_turns_and_knows_the_capital_of_france():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = folder_of(Path(os.environ["ALT_LITE_SMOLLM2"]))
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|im_end|>", None) and tokenizer.pad_token != tokenizer.eos_token
    assert load.load_tokens(ModelSection(name=os.environ["ALT_LITE_SMOLLM2"])).family.name == "chatml"
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, tokenize=False)
    ids = torch.tensor([tokenizer(prompt, add_special_tokens=False).input_ids])
    answer = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32).generate(ids, max_new_tokens=16, do_sample=False)
    assert tokenizer.decode(answer[0, ids.shape[1] :]) == "The capital of France is Paris.<|im_end|>"
