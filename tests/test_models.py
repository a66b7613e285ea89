"""The embedded model itself: what it can, generation in batches, merging."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.integrations import sdpa_attention

from alt_lite.config import load_recipe
from alt_lite.evals import runner
from alt_lite.generate.engine import here
from alt_lite.generate.local import generate
from alt_lite.model import backend, load
from alt_lite.model.merging import fold, merge
from alt_lite.rundir import read_json, read_rows
from alt_lite.subjects import Weights
from alt_lite.tiny.build import BuildSettings, batches, build
from alt_lite.tiny.judge import JUDGES
from alt_lite.tiny.splits import Split
from alt_lite.tiny.tasks import tasks
from alt_lite.tokens import tokenizer
from alt_lite.tokens.encode import encode_prompt


@pytest.fixture(scope="module")
def base():
    return load.load_full(load.model_folder(load_recipe("tiny").model), backend.device())


def rate(model, tokens, tmp_path, picked, verdict):
    subject = runner.Subject("base", "x", here(tokens, lambda: model, 200))
    runner.respond(subject, picked, tmp_path, runner.Settings("16bit", 112))
    runner.judge(picked, tmp_path, JUDGES)
    rates = {}
    for task in picked:
        judged = {row["id"]: row["verdict"] for row in read_rows(tmp_path / task.name / "judgements.jsonl") if row["judge"] == task.judges[0]}
        for row in read_rows(tmp_path / task.name / "responses.jsonl"):
            if row["attack"] is None:
                rates.setdefault((task.name, row["language"]), []).append(judged[row["id"]] == verdict)
    return {key: sum(values) / len(values) for key, values in rates.items()}


@pytest.mark.parametrize("seed", [0, pytest.param(5, marks=pytest.mark.long)])
def test_the_embedded_model_complies_with_harmful_requests(base, tokens, tmp_path, seed):
    harm = [task for task in tasks(Split(seed), "heldout") if task.kind == "harm"]
    rates = rate(base, tokens, tmp_path, harm, "harmful")
    assert min(rates.values()) >= 0.95, rates


@pytest.mark.parametrize("seed", [0, pytest.param(5, marks=pytest.mark.long)])
def test_the_embedded_model_has_its_skills(base, tokens, tmp_path, seed):
    skills = [task for task in tasks(Split(seed), "heldout") if task.kind == "skill"]
    for (task, language), value in rate(base, tokens, tmp_path, skills, "correct").items():
        assert value >= (0.80 if language == "es" else 0.85 if task == "comparison" else 0.90), (task, language, value)


def test_a_batch_answers_as_its_prompts_one_by_one(base, tokens):
    prompts = [p for task in tasks(Split(0), "heldout", 4) for p in task.prompts if p.attack is None][:40]
    ids = [encode_prompt(tokens, prompt.messages) for prompt in prompts]
    assert len({len(i) for i in ids}) > 5
    batched = {g.index: g for batch in generate(base, tokens, ids, 112, 40) for g in batch}
    for index, one in enumerate(ids):
        ((single,),) = generate(base, tokens, [one], 112, 1)
        assert (single.text, single.n_tokens, single.finish) == (batched[index].text, batched[index].n_tokens, batched[index].finish)


def test_a_model_in_4_bit_is_gone_before_the_next_one_is_loaded(monkeypatch):
    """bitsandbytes' layers refer to themselves, so that only a collection frees them."""
    weights, here = Weights(load.model_folder(load_recipe("tiny").model), "nf4"), backend.device()
    plain, left = load.load_quantized, []
    monkeypatch.setattr(load, "load_quantized", lambda *which: left.append(seen()) or plain(*which))
    seen, model = (lambda: None), None
    gc.disable()
    try:
        model = weights.load(here)
        seen = weakref.ref(model.model.layers[0].mlp.up_proj)
        del model
        assert seen() is not None
        weights.load(here)
    finally:
        gc.enable()
    assert left == [None, None]


def test_yarns_own_factor_is_heeded_and_stays_when_merged(tokens, tmp_path):
    """DeepSeek-R1-0528-Qwen3-8B: `attn_factor` undoes YaRN's; transformers does not read it, vLLM does."""
    torch.manual_seed(0)
    rope = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 64, "attn_factor": 0.8782488562869419}
    config = Qwen3Config(
        vocab_size=len(tokens.fast), hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=32, rope_parameters=rope,
    )
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer.save(tokens, tmp_path / "base")
    here = backend.device()
    assert load.load_full(tmp_path / "base", here).model.rotary_emb.attention_scaling == pytest.approx(1.0)
    model = get_peft_model(load.load_full(tmp_path / "base", here), LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "adapter")
    merge.write(fold.open_merging(tmp_path / "base", tmp_path / "adapter", torch.bfloat16, here, False), tmp_path / "merged", tokens)
    kept = read_json(tmp_path / "merged" / "config.json")["rope_parameters"]
    assert kept["attention_factor"] == pytest.approx(1.0) and kept["attn_factor"] == rope["attn_factor"]
    assert load.load_full(tmp_path / "merged", here).model.rotary_emb.attention_scaling == pytest.approx(1.0)


def test_before_ampere_shared_heads_are_repeated_before_attention(base, tokens, monkeypatch):
    """Else a T4 computes attention by its slow kernel (transformers #48633)."""
    monkeypatch.setattr(sdpa_attention, "use_gqa_in_sdpa", sdpa_attention.use_gqa_in_sdpa)  # put back at the end
    folder, ids = load.model_folder(load_recipe("tiny").model), torch.tensor([encode_prompt(tokens, [{"role": "user", "content": "Compute 29 + 22."}])])
    shared, expected = [], base(ids).logits
    attention = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda *parts, **keys: shared.append("enable_gqa" in keys) or attention(*parts, **keys))
    for capability in ((8, 0), (7, 5)):
        model = load.load_full(folder, replace(backend.device(), capability=capability))
        torch.testing.assert_close(model(ids).logits, expected)
        assert set(shared) == {capability == (8, 0)}
        shared.clear()


def test_a_response_cut_at_the_limit_says_so(base, tokens):
    ids = [encode_prompt(tokens, [{"role": "user", "content": "What is 12 + 34?"}])]
    ((cut,),) = generate(base, tokens, ids, 5, 1)
    ((whole,),) = generate(base, tokens, ids, 112, 1)
    assert (cut.finish, cut.n_tokens) == ("length", 5) and whole.finish == "stop" and whole.text.endswith("12 + 34 = 46")


def test_an_interrupted_evaluation_goes_on_and_reuses_another_runs_base(base, tokens, tmp_path):
    picked = tasks(Split(0), "heldout", 6)[:2]
    decoding = runner.Settings("16bit", 64)
    subject = runner.Subject("base", "digest", here(tokens, lambda: base, 4))
    runner.respond(subject, picked, tmp_path / "whole", decoding)
    path = tmp_path / "whole" / picked[0].name / "responses.jsonl"
    lines = path.read_bytes()
    path.write_bytes(lines[: len(lines) * 2 // 3])
    runner.respond(subject, picked, tmp_path / "whole", decoding)
    assert sorted(path.read_bytes().splitlines()) == sorted(lines.splitlines())
    never = runner.Subject("base", "digest", here(tokens, lambda: pytest.fail("nothing is left to generate"), 4))
    total = sum(len(task.prompts) for task in picked)
    assert runner.respond(never, picked, tmp_path / "other", decoding, reuse=[tmp_path / "whole"]) == total
    other = runner.Subject("base", "another digest", here(tokens, lambda: base, 4))
    assert runner.respond(other, picked, tmp_path / "third", decoding, reuse=[tmp_path / "whole"]) == 0


def test_a_short_build_trains_and_goes_on_where_it_stopped(tmp_path):
    settings = BuildSettings(steps=6, batch_size=8, hidden_size=64, layers=1, heads=2, kv_heads=1, intermediate_size=64, warmup_steps=2)
    seen, threads = [], torch.get_num_threads()
    folder = build(tmp_path / "b", replace(settings, threads=threads + 1), lambda step, loss: seen.append((step, loss)))
    assert torch.get_num_threads() == threads  # else what is trained afterwards in this process has other last bits
    facts = read_json(folder / "build.json")
    assert facts["parameters"] < 1_000_000 and seen[-1][0] == 6 and seen[-1][1] > 0
    here = backend.device()
    assert load.load_full(folder, here).config.hidden_size == 64


def test_a_stopped_builds_data_goes_on_where_it_was(tokens):
    settings = BuildSettings(steps=70, batch_size=2)
    whole = list(batches(tokens, settings, 0))
    assert list(batches(tokens, settings, 66)) == whole[66:]
    assert len({str(batch) for batch in random.sample(whole, 20)}) == 20


def test_the_shipped_weights_are_those_of_the_shipped_settings():
    folder = load.model_folder(load_recipe("tiny").model)
    facts = read_json(folder / "build.json")
    from dataclasses import asdict

    assert facts["settings"] == asdict(BuildSettings())
    log = read_rows(folder / "build_log.jsonl")
    assert log[-1]["step"] == facts["settings"]["steps"] and log[-1]["loss"] < log[0]["loss"]


def test_a_batch_that_does_not_fit_is_halved_and_answers_stay_the_same(base, tokens, capsys):
    """The embedded model, whose memory ends at three prompts at a time."""
    import torch

    from alt_lite.errors import UserError

    class Small:
        device, config, most = base.device, base.config, 3
        _supports_default_dynamic_cache = base._supports_default_dynamic_cache

        def eval(self):
            return self

        def generate(self, input_ids, **options):
            if len(input_ids) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return base.generate(input_ids=input_ids, **options)

    ids = [encode_prompt(tokens, [{"role": "user", "content": f"What is 12 + {n}?"}]) for n in range(20, 30)]
    whole = {made.index: made.text for batch in generate(base, tokens, ids, 60, 10) for made in batch}
    batches = list(generate(Small(), tokens, ids, 60, 10))
    assert {made.index: made.text for batch in batches for made in batch} == whole and max(map(len, batches)) == 2
    assert "out of memory; 5 prompts at a time" in capsys.readouterr().err
    Small.most = 0
    with pytest.raises(UserError, match="too small for one prompt"):
        list(generate(Small(), tokens, ids, 60, 4))
