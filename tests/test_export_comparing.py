"""Exported files through real llama.cpp against our engine: prompts, ends, greedy texts; planted faults are found."""

from __future__ import annotations

import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small
from test_export_serving import go_rendered, ollama_values

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model.exporting import comparing, export, gguf_file, gguf_vocab, serving
from alt_lite.rundir import read_json, write_jsonl
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.rendering import conversations

gguf = pytest.importorskip("gguf")
FOUND = comparing.Compared("f16", prompts=24, written=24, tokenised=24, ends=True, equal=20, tied=4, largest_gap=0.002, new_tokens=64, version="1")


def but(**change) -> comparing.Compared:
    return comparing.replace(FOUND, **change)


def test_a_tie_is_no_mistake_and_anything_else_is_one_in_16_bit():
    assert FOUND.wrong is None and "20 of 24 greedy texts equal (up to 64 tokens), 4 part at a tie; prompts" in str(FOUND)
    assert "1 of 24 greedy texts differ by more than rounding" in (but(tied=3).wrong or "")
    fewer = but(quant="q8_0", equal=9, tied=3)
    assert fewer.wrong is None and "q8_0: 9 of 24 greedy texts equal (up to 64 tokens), 3 part at a tie, 12 differ otherwise" in str(fewer)
    # Fewer bits excuse no other prompt and no other end.
    assert "chat template writes 2 of 24" in (but(quant="q8_0", written=22).wrong or "")
    assert "does not end a text" in (but(quant="q8_0", ends=False).wrong or "") and "ends NOT as trained" in str(but(ends=False))


def row(number: int, task: str, label: str, text: str = "What is 1 + 2?", **more) -> dict:
    return {"task": task, "prompt_id": str(number), "label": label, "attack": None, "messages": [{"role": "user", "content": text}], **more}


def test_prompts_are_of_every_task_and_label_in_turn_without_attacks_and_long_ones(tokens, tmp_path):
    folder = tmp_path / "eval" / "tuned"
    write_jsonl(folder / "a" / "responses.jsonl", [
        *(row(n, "a", "harmful", f"{n}?") for n in range(30)), *(row(n, "a", "benign", f"{n}!") for n in range(30, 33)),
        row(40, "a", "benign", "x " * 600), row(41, "a", "benign", attack="prefix"), row(42, "a", "benign", prefill="Sure"),
    ])
    write_jsonl(folder / "b" / "responses.jsonl", [row(1, "b", "benign", "b", sample=sample) for sample in (0, 1)])
    chosen, where = comparing.prompts_of(tmp_path, tokens, 9)
    assert where == "its evaluation"
    assert [messages[0]["content"] for messages in chosen] == ["0?", "30!", "b", "1?", "31!", "2?", "32!", "3?", "4?"]


def test_what_cannot_be_compared_is_told_before_a_file_is_written(tokens, tmp_path, command, finished, monkeypatch):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "llama_cpp" else find_spec(name))
    status, _, err = command("export", run, "--to", "gguf", "--compare")
    assert status == 2 and len(err.strip().splitlines()) == 2 and "Fix: pip install llama-cpp-python" in err
    status, _, err = command("export", run, "--to", "vllm", "--compare")
    assert status == 2 and "Fix: --to gguf --compare" in err
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: find_spec("json" if name == "llama_cpp" else name))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1_000_000, total=1_000_000))
    status, _, err = command("export", run, "--to", "gguf", "--compare")
    assert status == 2 and "of memory; 0.0 GB are free" in err and "leave --compare out" in err
    monkeypatch.undo()
    shutil.rmtree(run / "merged")
    status, _, err = command("export", run, "--to", "gguf", "--compare")
    assert status == 2 and f"Fix: python -m alt_lite merge {run}" in err
    assert not (run / "export").exists()


def test_where_makers_advise_nothing_a_greedy_evaluation_is_served_greedily():
    asked = ("model.family=chatml", "model.gpu_gb=null")
    assert serving.sampling(load_recipe("qwen3_4b", (*asked, "eval.temperature=0"))) == {"temperature": 0.0}
    assert serving.sampling(load_recipe("qwen3_4b", asked)) == {"temperature": 0.6, "top_p": 0.95}
    assert serving.sampling(load_recipe("qwen3_4b", ("eval.temperature=0",)))["temperature"] == 0.6


# Real llama.cpp


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    """A run of this module's own, with its GGUF files."""
    from alt_lite.cli.app import main

    pytest.importorskip("llama_cpp")
    path = Path(shutil.copytree(finished, tmp_path_factory.mktemp("comparing") / "small"))
    with pytest.raises(SystemExit) as left:
        main(["export", str(path), "--to", "gguf"])
    assert not left.value.code
    return path


@pytest.mark.long
def test_the_files_of_a_run_are_the_model_that_was_evaluated(run, command):
    status, out, err = command("export", run, "--to", "gguf", "--compare")
    assert status == 0 and err.count("not written again") == 2, err
    assert re.search(r"f16: (\d+) of \1 greedy texts equal.* ends as trained\nq8_0: \d+ of", out)
    kept = read_json(run / "export" / "export.json")["small-f16.gguf"]
    assert kept["proved"] is True and kept["llama_cpp"]["tokenised"] == kept["llama_cpp"]["prompts"] and kept["llama_cpp"]["prompts_of"] == "its evaluation"


def damaged(source: Path, out: Path, fault: str) -> Path:
    """Copy a GGUF file with one fault: in place, so that all the rest is the same."""
    shutil.copyfile(source, out)
    reader = gguf.GGUFReader(out, "r+")
    if fault == "end":
        field = reader.fields["tokenizer.ggml.eos_token_id"]
        field.parts[field.data[0]][0] = 7
    elif fault == "template":
        field = reader.fields["tokenizer.chat_template"]
        text = field.parts[field.data[0]]
        text[:] = np.frombuffer(bytes(text).replace("｜User｜".encode(), "｜Usor｜".encode()), dtype=np.uint8)
    else:
        for tensor in reader.tensors:
            if tensor.name == "blk.0.attn_q.weight":
                tensor.data[:] = tensor.data[::-1].copy()  # its rows in another order
    reader.data.flush()
    return out


@pytest.mark.long
@pytest.mark.parametrize(("fault", "said"), [
    ("end", "does not end a text"), ("template", "its chat template writes 24 of 24"), ("weight", "greedy texts differ by more than rounding"),
])
def test_a_planted_fault_is_found(fault, said, run, tokens, tmp_path):
    path = damaged(run / "export" / "small-f16.gguf", tmp_path / "small-f16.gguf", fault)
    (found,) = comparing.compare(export.Source(run / "merged", "small", FAMILIES["r1"], [], []), run, {"f16": path})
    assert said in (found.wrong or ""), found


@pytest.mark.long
def test_a_file_that_llama_cpp_does_not_load_is_a_users_error(run, tmp_path):
    path = tmp_path / "small-f16.gguf"
    path.write_bytes((run / "export" / "small-f16.gguf").read_bytes()[:100_000])
    with pytest.raises(UserError, match="llama.cpp does not load"):
        list(comparing.compare(export.Source(run / "merged", "small", FAMILIES["r1"], [], []), run, {"f16": path}))


@pytest.mark.long
@pytest.mark.parametrize("name", ["chatml", "r1"])
def test_a_modelfile_asks_as_llama_cpp_formats_the_files_own_template(name, tokens, tmp_path):
    """The Modelfile's template rendered as Ollama does, the file's by llama.cpp's Python formatter, and what the model was trained with."""
    llama_cpp = pytest.importorskip("llama_cpp")
    from test_export import random_model

    if name == "chatml":
        small.lay_tokenizer(tmp_path / "tokens", FAMILIES["chatml"])
        tokens = tokenizers_io.load(tmp_path / "tokens", FAMILIES["chatml"])
    family, path = tokens.family, tmp_path / "x-f16.gguf"
    folder = random_model("llama3", tokens, tmp_path / "merged", small.VOCABULARY if name == "chatml" else 2624)
    vocabulary = gguf_vocab.read(folder, gguf_file.plan(folder, "f16").config["vocab_size"], (), family.trace_controls)
    gguf_file.write(gguf_file.plan(folder, "f16"), path, tokens, vocabulary, "x", tokens.template, lambda number, note: None)
    text = serving.modelfile(load_recipe("tiny" if name == "r1" else "smollm2_135m"), family, path, "Be careful.", 512)
    (template,), (system,) = (re.findall(rf'{part} """(.*?)"""', text, re.DOTALL) for part in ("TEMPLATE", "SYSTEM"))
    model = llama_cpp.Llama(str(path), verbose=False, vocab_only=True)
    for messages in ([{"role": "system", "content": system}, {"role": "user", "content": "What is 12 + 34?"}], [{"role": "user", "content": "Hi"}]):
        (theirs,) = comparing._rendered(model, [messages])
        assert go_rendered(template, ollama_values(messages)) == theirs == "".join(family.prompt(messages))
        if name == "chatml" and len(messages) == 2:
            assert in_c(llama_cpp, tokens.template, messages) == theirs
    stops = json.loads(f"[{','.join(re.findall(r'PARAMETER stop (.*)', text))}]")
    assert str(family.end) in stops and model.token_eos() == tokens.end_id
    model.close()


def in_c(llama_cpp, template: str, messages: list[dict]) -> str:
    """Format by the C library, which knows common templates by how they look."""
    import ctypes

    chat = (llama_cpp.llama_chat_message * len(messages))(*(llama_cpp.llama_chat_message(m["role"].encode(), m["content"].encode()) for m in messages))
    buffer = ctypes.create_string_buffer(10_000)
    size = llama_cpp.llama_chat_apply_template(template.encode(), chat, len(messages), True, buffer, len(buffer))
    return buffer.raw[:size].decode()


@pytest.mark.long
@pytest.mark.skipif("ALT_LITE_RUN" not in os.environ, reason="ALT_LITE_RUN names no finished run of a real model")
def test_the_files_of_a_real_run_are_the_model_that_was_evaluated(command, tmp_path):
    status, out, err = command("export", os.environ["ALT_LITE_RUN"], "--to", "gguf,ollama,vllm", "--compare", "--out", tmp_path)
    assert status == 0, err
    record = read_json(next(tmp_path.glob("export.json")))
    for entry in record.values():
        told = entry["llama_cpp"]
        assert entry["proved"] and entry["texts_with_equal_ids"] == entry["texts"]
        assert told["ends"] and told["written"] == told["tokenised"] == told["prompts"]
    assert "f16: " in out
    tokens = tokenizers_io.load(Path(os.environ["ALT_LITE_RUN"]) / "merged", None)
    (template,) = re.findall(r'TEMPLATE """(.*?)"""', (tmp_path / "Modelfile").read_text(encoding="utf-8"), re.DOTALL)
    for asked in conversations(tokens.family).values():
        messages = [{**m, "content": m["content"].strip()} for m in asked if m["role"] != "assistant"]
        assert go_rendered(template, ollama_values(messages)) == "".join(tokens.family.prompt(messages))
