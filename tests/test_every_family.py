"""Every family on a small random model of its architecture, from `mask` to export, as its user would go.

Prompts are the official template's; the tokenizer has its control tokens and single bytes. All of it takes minutes:
`pytest -m long tests/test_every_family.py`; the quick tests take one family.
"""

from __future__ import annotations

import json
import time

import architectures
import pytest
import small
import test_golden
from test_protocol import copies  # noqa: F401

from alt_lite import recipe as recipes
from alt_lite.config import load_recipe
from alt_lite.errors import OutOfTime
from alt_lite.families import FAMILIES
from alt_lite.model.exporting.gguf_vocab import USER_DEFINED
from alt_lite.rundir import read_json, read_rows
from alt_lite.tokens import tokenizer

# family: (architecture, whose golden prompts; None: the family's own template)
MODELS = {
    "r1": ("qwen2", "r1"), "r1_0528": ("qwen3", None), "qwen3": ("qwen3", "qwen3"), "qwen3_thinking": ("qwen3", "qwen3_thinking"), "qwen3_5": ("qwen3_5", "qwen3_5_small"),
    "smollm3": ("smollm3", "smollm3"), "gpt_oss": ("gpt_oss", "gpt_oss"), "gemma4": ("gemma4", "gemma4"), "phi4_mini_reasoning": ("phi3", "phi4_mini_reasoning"),
    "s1": ("qwen2", "s1"), "chatml": ("llama", "smollm2"), "llama3": ("llama", "llama3_2"),
}
# As published: every fourth layer without positions; its prompts begin with a long text.
MORE = {"smollm3": {"no_rope_layer_interval": 4, "max_position_embeddings": 4096}}
QUICK = ("gpt_oss",)


def test_every_family_is_tried():
    assert list(MODELS) == list(FAMILIES)


def rows() -> list[dict]:
    made = []
    for number in range(12):
        harmful = number % 2 == 0
        made.append({
            "id": f"r{number}", "prompt": f"Do thing {number}, please.", "label": "harmful" if harmful else "benign", "understanding": f"They want thing {number}.",
            "assessment": "This request is harmful." if harmful else "This request is harmless.", "reasoning": "I should refuse." if harmful else "First one, then two.",
            "answer": "I cannot help with that." if harmful else "Here it is.", "source_trace": "They want it. I think.", "source_answer": "Here it is.",
        })
    return made


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in MODELS])
def test_a_family_goes_the_whole_way(name, tmp_path, monkeypatch, command, copies):  # noqa: F811
    kind, golden = MODELS[name]
    family = FAMILIES[name]
    base = architectures.make(tmp_path / ("s1-0.1B" if name == "s1" else "base"), kind, vocab_size=small.VOCABULARY, **MORE.get(name, {}))
    small.lay_tokenizer(base, family, test_golden.template(golden) if golden else "own", **(test_golden.GOLDEN[golden]["special"] if golden else {}))
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))

    # mask, without a recipe: rows in conversations and anybody's tags
    plain = tmp_path / "plain.jsonl"
    plain.write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>\nThey greet.\n</think>\n\nHello!"}]}) + "\n")
    status, out, err = command("mask", "--model", base, "--data", plain, "--json")
    assert status == 0 and f"model.family = {name}: " in err
    tokens = tokenizer.load(base, None, str(base))
    line = json.loads(out)
    trained = tokens.decode([label for label in line["labels"] if label != -100])
    opened = "" if family.opens_trace else family.think
    assert trained == f"{opened}They greet.{family.think_end}{family.after_trace}Hello!{family.end}"

    # the run, stopped after two steps
    recipe = load_recipe("qwen3_0_6b", (
        f"model.name={base}", "model.family=auto", "model.gpu_gb=null", f"data.source={data}", "train.epochs=2", "train.batch_size=4", "train.micro_batch_size=4",
        "train.learning_rate=1e-3", "train.checkpoint_steps=1", "lora.r=4", "eval.suite=quick", "eval.tasks=strongreject,xstest_safe,gsm8k", f"eval.data={copies}", "eval.limit=2",
        "eval.max_new_tokens=12",
    ))
    run = tmp_path / "run"
    log = run / "train_log.jsonl"
    monkeypatch.setattr(recipes.time, "monotonic", lambda real=time.monotonic: real() + (1e6 if log.is_file() and len(read_rows(log)) >= 2 else 0))
    with pytest.raises(OutOfTime):
        recipes.run(recipe, run, max_minutes=60)
    assert 2 <= len(read_rows(log)) < 6
    monkeypatch.undo()
    recipes.run(recipe, run)

    manifest, report = read_json(run / "run.json"), read_json(run / "report.json")
    assert manifest["settled"]["model.family"] == name and len(read_rows(log)) == 6
    assert manifest["training"]["compared"]["gradient_cosine"] >= 0.99
    assert manifest["training"]["layout"] == ("grouped" if name in ("qwen3_5", "gpt_oss") else "padding_free")
    assert report["merge"]["proved"] is True
    assert {entry["task"] for entry in report["metrics"]} == {"strongreject", "xstest_safe", "gsm8k"}
    responses = read_rows(run / "eval" / "tuned" / "strongreject" / "responses.jsonl")
    assert responses and all(row["finish"] in ("stop", "length") for row in responses)

    # the merged folder reads back as the family, for a server's own template too
    merged = tokenizer.load(run / "merged", None, str(base))
    assert merged.family.name == name and merged.template == tokens.template
    from transformers import AutoConfig, AutoTokenizer

    assert AutoConfig.from_pretrained(run / "merged").model_type == AutoConfig.from_pretrained(base).model_type
    served = AutoTokenizer.from_pretrained(run / "merged").apply_chat_template([{"role": "user", "content": "u"}], tokenize=False, add_generation_prompt=True)
    assert served.endswith("".join(family.prompt([{"role": "user", "content": "u"}]))[-len(family.answer) :])

    # export
    gguf = pytest.importorskip("gguf")
    status, out, err = command("export", run, "--to", "gguf,ollama,vllm", "--quant", "f16")
    assert status == 0, err
    parser = f"--reasoning-parser {family.parser}"
    assert (parser in (run / "export" / "vllm.sh").read_text()) == bool(family.parser)
    stops = [line.split('"')[1] for line in (run / "export" / "Modelfile").read_text(encoding="utf-8").splitlines() if line.startswith("PARAMETER stop")]
    assert family.end in stops and not set(stops) & set(family.trace_controls)
    reader = gguf.GGUFReader(run / "export" / f"{run.name}-f16.gguf")
    listed, types = (reader.fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type"))
    assert {types[listed.index(token)] for token in family.trace_controls} <= {USER_DEFINED}
    status, out, err = command("merge", run)
    assert status == 0 and ("done before" in err or "nothing to do" in err)


def test_a_family_that_does_not_fit_is_refused_at_the_check_with_both_renderings(tmp_path, command):
    base = architectures.make(tmp_path / "base", "gemma4", vocab_size=small.VOCABULARY)
    small.lay_tokenizer(base, FAMILIES["gemma4"], test_golden.template("gemma4"), bos_token="<bos>")
    # A turn that ends otherwise.
    path = base / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("'<|turn>model\\n'", "'<|turn>model: '"), encoding="utf-8")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    for family in ("gemma4", "auto"):
        status, _, err = command("check", "qwen3_0_6b", f"model.name={base}", "model.gpu_gb=null", f"model.family={family}", f"data.source={data}")
        last = err.strip().splitlines()
        assert status == 2 and last[-1].startswith("Fix: another model") and last[-2].count(r"<|turn>model") == 2 and r"model: '" in last[-2]


def test_control_tokens_that_no_text_has_trained_are_told_by_the_check(tmp_path, command):
    from safetensors.torch import load_file, save_file

    base = architectures.make(tmp_path / "base", "qwen3", vocab_size=small.VOCABULARY)
    small.lay_tokenizer(base, FAMILIES["qwen3"])
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    path, ids = base / "model.safetensors", [small.id_of(base, token) for token in ("<think>", "</think>")]
    asked = ("check", "qwen3_0_6b", f"model.name={base}", "model.gpu_gb=null", f"data.source={data}", "eval.suite=none")
    for how, told in (("as they are", False), ("alike", True), ("the mean", True), ("zero", True)):
        tensors = load_file(path)
        rows_of = tensors["model.embed_tokens.weight"]
        if told:
            rows_of[ids] = {"alike": rows_of[-1].clone(), "the mean": rows_of.float().mean(0).to(rows_of.dtype), "zero": rows_of[0] * 0}[how]
        here = tmp_path / how.replace(" ", "_")
        base = base.rename(here)
        save_file(tensors, here / "model.safetensors", {"format": "pt"})
        path = here / "model.safetensors"
        status, _, err = command(*asked[:2], f"model.name={here}", *asked[3:])
        assert status == 0 and ("<think>, </think>: the embedding of these control tokens looks untrained" in err) == told, how


def test_a_run_is_not_gone_on_with_by_other_prompts_nor_are_responses_of_others_taken_over(tmp_path, command, copies):  # noqa: F811
    from test_own_template import CHATML, DEFAULT

    base = architectures.make(tmp_path / "base", "qwen3", vocab_size=small.VOCABULARY)
    small.lay_tokenizer(base, FAMILIES["qwen3"], DEFAULT)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    pairs = ("model.family=auto", "model.gpu_gb=null", f"data.source={data}", "train.epochs=0.5", "lora.r=4", "eval.suite=none", "--run-dir", tmp_path / "run")
    evaluated = ("eval.tasks=xstest_safe", f"eval.data={copies}", "eval.limit=2", "eval.max_new_tokens=4")
    assert command("run", "qwen3_0_6b", f"model.name={base}", *pairs, "--stages", "data,train")[0] == 0
    assert command("eval", base, *evaluated, "--out", tmp_path / "evals" / "a")[0] == 0
    (base / "chat_template.jinja").write_text(DEFAULT.replace("kind", "cruel"), encoding="utf-8")
    status, _, err = command("run", "qwen3_0_6b", f"model.name={base}", *pairs)
    assert status == 2 and "writes other prompts than when this run was trained" in err
    status, _, err = command("eval", base, *evaluated, "--out", tmp_path / "evals" / "b")
    assert status == 0 and "taken over" not in err
    # A template without system messages is asked for none.
    (base / "chat_template.jinja").write_text("{{ raise_exception('no system') if messages[0].role == 'system' }}" + CHATML, encoding="utf-8")
    status, _, err = command("eval", base, *evaluated, "eval.defence=system_prompt", "--out", tmp_path / "evals" / "c")
    assert status == 2 and "eval.defence=system_prompt sends a system message" in err
    status, _, err = command("check", "qwen3_0_6b", f"model.name={base}", *pairs[:-2], "data.system=Be kind.")
    assert status == 2 and "takes no system message" in err and "data.system=null" in err
