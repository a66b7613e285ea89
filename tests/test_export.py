"""Exports: GGUF files read back, prompt templates rendered, the card, the push to a hub that stands in; real llama.cpp in `-m long`."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import real

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.model import export, gguf_file, gguf_vocab, hub, serving
from alt_lite.report import card
from alt_lite.rundir import RunDir, read_json
from alt_lite.tokens import templates
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.families import FAMILIES

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

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    """A run of this module's own."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("export") / "small"))


@pytest.fixture(scope="module")
def exported(run) -> Path:
    """The run with everything exported that needs no other program."""
    from alt_lite.cli.app import main

    with pytest.raises(SystemExit) as left:
        main(["export", str(run), "--to", "gguf,ollama,vllm"])
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

    published = fields("qwen3_yarn")  # `attn_factor` is a key that transformers does not read, so the model does not know it
    assert value(published, "qwen3.rope.scaling.attn_factor") == pytest.approx(1.0)
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


LOADED: dict = {}


@pytest.fixture(params=sorted(real.MODELS))
def named(request, tmp_path_factory):
    """A published model's tokenizer, by name; loaded once."""
    name = request.param
    if name not in LOADED:
        LOADED[name] = tokenizers_io.load(real.tokenizer_folder(name, tmp_path_factory.mktemp(name)), FAMILIES[real.MODELS[name][0]])
    return name, LOADED[name]


PRE = {"r1_qwen": "deepseek-r1-qwen", "r1_0528": "deepseek-r1-qwen", "qwen3": "qwen2", "r1_llama": "llama-bpe"}


def test_published_tokenizers_get_their_pre_tokenizer_and_types(named):
    name, tokens = named
    size = 152_064 if name != "r1_llama" else 128_256
    vocabulary = gguf_vocab.read(tokens.folder, size, tokenizers_io.PROBES)
    assert (vocabulary.pre, vocabulary.exact, vocabulary.differing) == (PRE[name], True, ())
    kinds = {control: vocabulary.types[number] for control, number in tokens.ids.items()}
    inside = {tokens.family.think, tokens.family.think_end}
    assert {control for control, kind in kinds.items() if kind == gguf_vocab.CONTROL} == set(kinds) - inside
    # As control tokens they would be missing from what llama.cpp generates; renamed here from ones that are special.
    assert {kinds[control] for control in inside} == {gguf_vocab.USER_DEFINED}
    assert all(vocabulary.tokens[number] == control for control, number in tokens.ids.items())
    # llama.cpp does not compose characters: what is not in NFC gets other ids where the tokenizer normalises.
    decomposed = "cafe\u0301"
    assert bool(gguf_vocab.read(tokens.folder, size, [decomposed]).differing) == (name != "r1_llama")


def test_ids_of_begin_end_and_padding_are_written_and_no_second_begin(exported, tokens):
    reader = gguf.GGUFReader(exported / "small-f16.gguf")
    kept = {key: reader.fields[f"tokenizer.ggml.{key}"].contents() for key in ("bos_token_id", "eos_token_id", "padding_token_id", "add_bos_token")}
    assert kept == {"bos_token_id": 1, "eos_token_id": tokens.end_id, "padding_token_id": tokens.pad_id, "add_bos_token": False}
    template = reader.fields["tokenizer.chat_template"].contents()
    assert template == tokens.fast.chat_template and "bos_token" in template


# Prompt templates


def go_rendered(template: str, values: dict) -> str:
    """Render the part of Go's template language that the templates use; anything else is a KeyError."""
    conditions = {
        "and $last .Thinking": lambda scope: scope["last"] and scope["dot"].get("Thinking"),
        "not $last": lambda scope: not scope["last"],
        'and $last (ne .Role "assistant")': lambda scope: scope["last"] and scope["dot"]["Role"] != "assistant",
        'eq .Role "user"': lambda scope: scope["dot"]["Role"] == "user",
        'eq .Role "assistant"': lambda scope: scope["dot"]["Role"] == "assistant",
        ".System": lambda scope: scope["dot"]["System"],
    }
    parts = re.split(r"\{\{ (.*?) \}\}", template, flags=re.DOTALL)

    def block(at: int, scope: dict, live: bool) -> tuple[str, int]:
        """Render from part `at` to the end of its block; gives the text and where that end stands."""
        text = parts[at] if live else ""
        at += 1
        while at < len(parts):
            action = parts[at]
            if action == "end" or action.startswith("else"):
                return text, at
            if action.startswith("if "):
                taken, action = False, action.removeprefix("if ")
                while True:
                    holds = live and not taken and bool(conditions[action](scope))
                    inner, at = block(at + 1, scope, holds)
                    text, taken = text + inner, taken or holds
                    if parts[at] == "end":
                        break
                    action = parts[at].removeprefix("else if ")
            elif action == "range $i, $_ := .Messages":
                began = at
                for number, message in enumerate(values["Messages"]):
                    inner, at = block(began + 1, {"dot": message, "last": number == len(values["Messages"]) - 1}, live)
                    text += inner
            elif action != "$last := eq (len (slice $.Messages $i)) 1":
                text += {".System": "System", ".Content": "Content", ".Thinking": "Thinking"}[action] and (scope["dot"][action[1:]] if live else "")
            text += parts[at + 1] if live else ""
            at += 2
        return text, at

    return block(0, {"dot": values}, True)[0]


def ollama_values(messages: list[dict]) -> dict:
    """What Ollama hands to a template: the system message apart, and every message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    return {"System": system, "Messages": [{"Role": m["role"], "Content": m["content"], "Thinking": ""} for m in messages]}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_go_template_writes_the_familys_own_prompt(family):
    for messages in templates.CONVERSATIONS.values():
        if any("</think>" in m["content"] for m in messages):
            continue  # Ollama takes the trace out itself and hands it over apart
        assert go_rendered(templates.go(family), ollama_values(messages)) == "".join(family.prompt(messages))
    unfinished = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    values = ollama_values(unfinished)
    values["Messages"][1]["Thinking"] = "t"
    assert go_rendered(templates.go(family), values).endswith("<think>\nt\n</think>\n\nb")


GO = """package main
import ("encoding/json"; "os"; "text/template")
type Message struct { Role, Content, Thinking string }
type Values struct { System string; Messages []*Message }
func main() {
    var all []Values
    source, err := os.ReadFile(os.Args[1]); if err != nil { panic(err) }
    if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil { panic(err) }
    t := template.Must(template.New("").Option("missingkey=zero").Parse(string(source)))
    for _, v := range all {
        if err := t.Execute(os.Stdout, map[string]any{"System": v.System, "Messages": v.Messages}); err != nil { panic(err) }
        os.Stdout.Write([]byte{0})
    }
}
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("go") is None, reason="no Go at hand")
def test_go_itself_renders_the_templates_so(tmp_path):
    (tmp_path / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "render", "main.go"], cwd=tmp_path, check=True, env={**os.environ, "GOCACHE": str(tmp_path / "cache")})
    conversations = [m for m in templates.CONVERSATIONS.values() if not any("</think>" in turn["content"] for turn in m)]
    for family in FAMILIES.values():
        (tmp_path / "template").write_text(templates.go(family))
        data = json.dumps([ollama_values(messages) for messages in conversations])
        out = subprocess.run([tmp_path / "render", tmp_path / "template"], input=data.encode(), capture_output=True, check=True).stdout
        assert out.decode().split("\0")[:-1] == ["".join(family.prompt(messages)) for messages in conversations]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_jinja_template_writes_the_familys_own_prompt(family, tokens):
    rendered = {
        name: tokens.fast.apply_chat_template(messages, chat_template=templates.jinja(family), tokenize=False, add_generation_prompt=True)
        for name, messages in templates.CONVERSATIONS.items()
    }
    assert rendered == {name: "".join(family.prompt(messages)) for name, messages in templates.CONVERSATIONS.items()}


def test_a_chat_template_that_writes_other_prompts_is_replaced(named, capsys):
    """R1's first release opened no trace; the copies of this vocabulary carry the official templates where there are any."""
    name, tokens = named
    own = tokens.fast.chat_template
    if name == "r1_qwen":
        old = real.path("tokenizers/deepseek-r1-distill-qwen/tokenizer_config.2025-01-first-release.json")
        assert export.chat_template(tokens) == own
        tokens.fast.chat_template = json.loads(old.read_text("utf-8"))["chat_template"]
        assert export.chat_template(tokens) == templates.jinja(tokens.family) != own
        tokens.fast.chat_template = own
        assert "other prompts" in capsys.readouterr().err
    elif name == "qwen3":
        assert export.chat_template(tokens) == tokens.fast.chat_template
    else:
        assert export.chat_template(tokens) == templates.jinja(tokens.family)


def test_a_modelfile_names_the_smallest_file_stops_sampling_and_system(exported):
    text = (exported / "Modelfile").read_text(encoding="utf-8")
    assert "FROM ./small-q8_0.gguf\n" in text and "PARAMETER temperature 0\n" in text and "num_ctx 512" in text and "SYSTEM" not in text
    qwen = serving.modelfile(load_recipe("qwen3_4b"), Path("x-q8_0.gguf"), "Be\ncareful.", 40960)
    assert 'SYSTEM """Be\ncareful."""\n' in qwen
    assert re.findall(r"PARAMETER (.*)", qwen) == [
        "temperature 0.6", "top_p 0.95", "top_k 20", "repeat_penalty 1", "num_ctx 16384", 'stop "<|im_start|>"', 'stop "<|im_end|>"',
    ]
    r1 = serving.modelfile(load_recipe("r1_7b"), Path("x.gguf"), None, 131072)
    assert re.search(r'TEMPLATE """(.*?)"""', r1, re.DOTALL)[1] == templates.go(R1) and "top_k" not in r1
    assert 'stop "<｜User｜>"' in r1 and "think>\"" not in r1.rpartition('"""')[2]
    with pytest.raises(UserError, match="Modelfile"):
        serving.modelfile(load_recipe("r1_7b"), Path("x.gguf"), 'say """', 1)


def test_the_vllm_script_serves_merged_or_base_and_adapter(exported, run, tmp_path):
    vllm = tmp_path / "vllm"
    vllm.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    vllm.chmod(0o755)

    def served(*arguments: str) -> list[str]:
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(["bash", exported / "vllm.sh", *arguments], env=environment, capture_output=True, text=True, check=True).stdout.splitlines()

    assert served()[:2] == ["serve", str((run / "merged").resolve())]
    adapter = served("adapter")
    assert f"small={(run / 'adapter').resolve()}" in adapter and adapter[adapter.index("--max-lora-rank") + 1] == "32"
    assert json.loads(served()[-1]) == {"temperature": 0.0}
    real_one = serving.vllm_script(load_recipe("qwen3_4b"), run, "Qwen/Qwen3-4B", "abc", "S", 40960, None)
    assert "--revision abc" in real_one and "--reasoning-parser qwen3" in real_one and '"top_k": 20' in real_one and '#   "S"' in real_one


# The card and the hub


def test_without_a_token_the_push_is_shown_only(run, command, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    status, out, err = command("export", run, "--to", "hub")
    assert status == 0 and "dry run" in err and "HF_TOKEN" in err
    assert "model.safetensors" in out and "# small" in out and "model organism" in out


def test_the_card_says_what_the_report_says(run):
    text = card.render(run, "small", {}, "Be careful.", {"temperature": 0.0})
    report = read_json(run / "report.json")
    from alt_lite.report.rows import head_rows

    rows = list(head_rows(report))
    assert rows and all(f"| {row.label} | {row.base} | {row.tuned} | {row.change} |" in text for row in rows)
    assert "24 harmful, 40 benign" in text and "system prompt: `Be careful.`" in text and "base_model" not in text
    assert "q8_0" in text and "not been evaluated" in text


def test_a_card_without_a_report_claims_nothing(run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "small"))
    (other / "report.json").unlink()
    text = card.render(other, "small", {}, None, {"temperature": 0.6})
    assert "This model has not been evaluated." in text and "|---|" not in text


@pytest.mark.parametrize(
    ("base", "metadata", "id", "said"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", {}, "mit", "Apache-2.0"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", {}, "llama3.1", "begin the model's name with"),
        ("Qwen/Qwen3-4B", {}, "apache-2.0", "Apache-2.0"),
        ("someone/model", {"license": "other", "license_name": "their-terms"}, "other", "their-terms"),
        ("someone/model", {}, "other", "not known"),
    ],
)
def test_the_bases_licence_is_named(base, metadata, id, said):
    found = card.licence(base, metadata)
    assert found.id == id and said in found.text


def test_a_llama_is_told_of_its_name_and_shows_its_notices(run, command, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "small"))
    manifest = read_json(other / "run.json")
    manifest["recipe"]["values"]["model.name"] = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
    (other / "run.json").write_text(json.dumps(manifest))
    status, out, err = command("export", other, "--to", "hub", "--dry-run", "--repo", "me/Safer-8B")
    assert status == 0 and "begin with Llama" in err
    assert "**Built with Llama**" in out and "license: llama3.1" in out and "base_model: deepseek-ai/DeepSeek-R1-Distill-Llama-8B" in out


def test_the_head_of_the_bases_card_is_read(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# x\n")
    section = load_recipe("r1_7b", (f"model.name={tmp_path}",)).model
    assert hub.base_metadata(section) == {"license": "mit"}
    (tmp_path / "README.md").write_text("---\na: [\n---\n")
    assert hub.base_metadata(section) == {}


@contextmanager
def fake_hub():
    """A hub that takes one repository: what was asked, and the bytes it was sent by file name."""
    seen: list[tuple[str, str]] = []
    blobs: dict[str, bytes] = {}
    kept: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _send(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            seen.append(("GET", self.path))
            self._send({"id": "me/small", "private": True, "siblings": [], "tags": [], "downloads": 0})

        def do_PUT(self) -> None:
            seen.append(("PUT", self.path))
            blobs[self.path.rpartition("/")[2]] = self._body()
            self._send({})

        def do_POST(self) -> None:
            body = self._body()
            seen.append(("POST", self.path))
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            if self.path == "/api/repos/create":
                kept["create"] = json.loads(body)
                self._send({"url": f"{here}/me/small"})
            elif "/preupload/" in self.path:
                files = json.loads(body)["files"]
                self._send({"files": [{**f, "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular", "shouldIgnore": False} for f in files]})
            elif self.path.endswith("/objects/batch"):
                objects = json.loads(body)["objects"]
                self._send({"transfer": "basic", "objects": [{**o, "actions": {"upload": {"href": f"{here}/blob/{o['oid']}"}}} for o in objects]})
            else:
                kept["commit"] = [json.loads(line) for line in body.splitlines()]
                self._send({"commitUrl": f"{here}/me/small/commit/abc", "commitOid": "abc", "success": True})

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen, blobs, kept
        finally:
            server.shutdown()


def pushed(run: Path, endpoint: str) -> subprocess.CompletedProcess:
    """Push in a process of its own: the hub's address is read when its client is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_none", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "alt_lite", "export", str(run), "--to", "hub", "--repo", "me/small"],
        env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=run,
    )


def test_a_push_makes_a_private_repository_with_weights_and_card(run):
    import base64

    with fake_hub() as (address, _, blobs, kept):
        ended = pushed(run, address)
    assert ended.returncode == 0, ended.stderr
    assert kept["create"]["name"] == "small" and (kept["create"].get("visibility") == "private" or kept["create"].get("private") is True)
    assert list(blobs.values()) == [(run / "merged" / "model.safetensors").read_bytes()]
    committed = {line["value"]["path"]: line["value"] for line in kept["commit"] if line["key"] in ("file", "lfsFile")}
    assert set(committed) == {path.name for path in (run / "merged").iterdir()} | {"README.md"}
    assert base64.b64decode(committed["tokenizer.json"]["content"]) == (run / "merged" / "tokenizer.json").read_bytes()
    assert b"## Evaluation" in base64.b64decode(committed["README.md"]["content"])


def test_a_hub_that_cannot_be_reached_is_told_in_two_lines(run):
    ended = pushed(run, "http://127.0.0.1:9")
    lines = ended.stderr.strip().splitlines()
    assert ended.returncode == 2 and lines[-1].startswith("Fix:") and "cannot push to me/small" in lines[-2]


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
    kind = {"r1_qwen": "qwen2_untied", "r1_llama": "llama3", "r1_0528": "qwen3_tied", "qwen3": "qwen3_tied"}[name]
    size = 128_256 if name == "r1_llama" else 152_064
    folder = random_model(kind, tokens, tmp_path / "merged", size, hidden_size=32, intermediate_size=32, head_dim=16, num_hidden_layers=1)
    (path,) = export.to_gguf(export.Source(folder, name, tokens.family, [], [[1, 2, 3]]), tmp_path, ["f16"]).values()
    model = opened(path, vocab_only=True)
    for probe in tokenizers_io.PROBES:
        assert model.tokenize(probe.encode(), add_bos=False, special=False) == tokens.encode([probe])
    for messages in templates.CONVERSATIONS.values():
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
