"""How many prompts are generated together, continuous batching, and what rounding explains."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig, LlamaConfig, MistralConfig

from alt_lite.config import load_recipe
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.generate import continuous, decoding, fit, ties
from alt_lite.generate.local import Noise, generate
from alt_lite.generate.stream import stream
from alt_lite.model import attention, backend, load
from alt_lite.tokens.encode import encode_prompt

R1_1_5B = SimpleNamespace(num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2, hidden_size=1536, intermediate_size=8960, vocab_size=151936)


@pytest.fixture(scope="module")
def base():
    return load.load_full(load.model_folder(load_recipe("tiny").model), backend.device())


@pytest.fixture(scope="module")
def asked(tokens):
    return [encode_prompt(tokens, [{"role": "user", "content": f"What is 12 + {n}?"}]) for n in range(20, 26)]


def test_the_cache_is_counted_as_it_is_held(base, asked):
    import torch

    cache = base(torch.tensor([asked[0]]), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert fit.cache_bytes(base.config, 4) * len(asked[0]) == held


def test_more_memory_and_shorter_responses_let_more_prompts_in():
    each = fit.prompt_bytes(R1_1_5B, 200, 4096, 2)
    assert fit.cache_bytes(R1_1_5B, 2) == 2 * 28 * 2 * 128 * 2 and each > fit.cache_bytes(R1_1_5B, 2) * 4296
    assert fit.prompts_together(int(11e9), each, "cuda") > 4 * fit.prompts_together(int(2e9), each, "cuda") > 0
    assert fit.prompt_bytes(R1_1_5B, 200, 256, 2) < each / 4
    assert fit.prompts_together(0, each, "cuda") == 1 and fit.prompts_together(10**15, each, "cuda") == 256


FREED = """
import psutil
from types import SimpleNamespace
from alt_lite.generate import fit

process = psutil.Process()
before = process.memory_info().rss
blocks = [bytes([1]) * 65_000 for _ in range(6000)]  # too small for pages of their own
last, held = blocks[-1], process.memory_info().rss - before
del blocks
fit.free_bytes(SimpleNamespace(type="cpu"))
print(held, process.memory_info().rss - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library keeps what is freed")
def test_memory_that_was_freed_is_the_systems_again_before_it_is_counted():
    held, kept = map(int, subprocess.run([sys.executable, "-c", FREED], capture_output=True, encoding="utf-8", check=True).stdout.split())
    assert held > 380e6 and kept < 100e6


def test_heads_that_share_a_key_are_counted_where_they_are_repeated():
    one = SimpleNamespace(**{**vars(R1_1_5B), "num_key_value_heads": 12})
    beside = [fit.prompt_bytes(config, 200, 8192, 2) - fit.cache_bytes(config, 2) * 8392 for config in (R1_1_5B, one)]
    # One layer's keys and values, for every query's head: 6 heads share one here, so it is as much in both.
    assert beside[0] == beside[1] > fit.cache_bytes(R1_1_5B, 2) * 8392 * 6 // 28


def test_any_of_a_familys_ends_ends_a_text(base, tokens, asked):
    ((plain,),) = generate(base, tokens, asked[:1], 64, 1)
    other = plain.ids[10]
    ((cut,),) = generate(base, replace(tokens, ends=(tokens.end_id, other)), asked[:1], 64, 1)
    assert cut.ids == plain.ids[: plain.ids.index(other) + 1] and cut.finish == "stop" and plain.text.startswith(cut.text)
    assert list(stream(base, replace(tokens, ends=(other,)), asked[0], 64)) == list(cut.ids)


def test_logits_that_are_no_numbers_are_an_error_and_no_answer(tokens, asked):
    broken = load.load_full(load.model_folder(load_recipe("tiny").model), backend.device())
    broken.model.layers[2].mlp.down_proj.weight.data[0, 0] = float("nan")
    for noise in (None, Noise(0.6, 0.95, None, range(6))):
        with pytest.raises(UserError, match="no finite numbers in float32"):
            next(generate(broken, tokens, asked, 8, 2, noise))


def test_what_a_folder_says_of_decoding_does_not_decide(base, tokens, asked, tmp_path):
    folder = shutil.copytree(load.model_folder(load_recipe("tiny").model), tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 9.0, "suppress_tokens": [1, 2, 3]}))
    model = load.load_full(folder, backend.device())
    assert list(generate(model, tokens, asked, 32, 3)) == list(generate(base, tokens, asked, 32, 3))


def test_without_a_batch_size_the_memory_decides_and_says_so(base, tokens, asked, capsys):
    whole = {made.index: made.text for batch in generate(base, tokens, asked, 40, 3) for made in batch}
    free = list(generate(base, tokens, asked, 40, None))
    assert {made.index: made.text for batch in free for made in batch} == whole and len(free) == 1
    assert "6 prompts at a time" in capsys.readouterr().err


def test_continuous_batching_gives_the_same_answers(base, tokens, asked, capsys):
    whole = {made.index: made for batch in generate(base, tokens, asked[:3], 24, 3) for made in batch}
    made = [one for batch in generate(base, tokens, asked[:3], 24, 3, continuous=True) for one in batch]
    assert {one.index: one for one in made} == whole and "continuous batching" not in capsys.readouterr().err


def test_sampled_answers_never_go_through_continuous_batching(base, tokens, asked, monkeypatch):
    monkeypatch.setattr(continuous, "run", lambda *_: pytest.fail("it knows no noise of a prompt's own"))
    noise = Noise(1.0, 1.0, None, list(range(6)))
    assert sum(len(batch) for batch in generate(base, tokens, asked, 8, 3, noise, continuous=True)) == 6


def test_a_continuous_batching_that_errs_is_found_out_and_not_used(base, tokens, asked, monkeypatch, capsys):
    monkeypatch.setattr(continuous, "run", lambda model, prompts, config: ((i, [tokens.end_id]) for i in range(len(prompts))))
    whole = {made.index: made for batch in generate(base, tokens, asked, 24, 3) for made in batch}
    made = [one for batch in generate(base, tokens, asked, 24, 3, continuous=True) for one in batch]
    assert {one.index: one for one in made} == whole
    assert "continuous batching is not correct here (4 of 4 answers begin otherwise)" in capsys.readouterr().err


def test_continuous_batching_that_is_left_ends_at_once_and_says_nothing(base, tokens, asked, caplog):
    prompts = [[*asked[0], 5 + n] for n in range(200)]
    running = continuous.run(base, prompts, GenerationConfig(do_sample=False, max_new_tokens=300, eos_token_id=tokens.end_id, pad_token_id=tokens.pad_id))
    next(running)
    began = time.monotonic()
    running.close()
    assert time.monotonic() - began < 4 and not caplog.records  # it waits five seconds for a thread that goes on


def test_continuous_batching_that_breaks_off_is_gone_on_without(base, tokens, asked, monkeypatch, capsys):
    real = continuous.run

    def breaks(model, prompts, config):
        yield from real(model, prompts[:2], config)
        if config.max_new_tokens == 33:  # not while it is tried
            raise RuntimeError("it ended by itself")
        yield from ((n + 2, ids) for n, ids in real(model, prompts[2:], config))

    monkeypatch.setattr(continuous, "run", breaks)
    whole = {made.index: made for batch in generate(base, tokens, asked[:4], 33, 4) for made in batch}
    made = [one for batch in generate(base, tokens, asked[:4], 33, 4, continuous=True) for one in batch]
    assert len(made) == 4 and {one.index: one for one in made} == whole and "in batches from here on" in capsys.readouterr().err


def test_a_difference_is_explained_only_where_both_tokens_were_as_good(base, tokens, asked):
    (made,) = (one for batch in generate(base, tokens, asked[:1], 24, 1) for one in batch)
    right = list(made.ids)
    wrong = [*right[:3], (right[3] + 1) % 1000, *right[4:]]
    found = ties.compare(base, asked[:2], [right, right], [right, wrong])
    assert (found.n, found.differing, found.explained) == (2, 1, 0) and found.largest_gap > found.tolerance
    assert ties.compare(base, asked[:1], [right], [right]).differing == 0
    assert ties.gap(base, asked[0], right, right[:4]) == float("inf")


def test_a_new_token_attends_with_shared_heads_as_with_repeated_ones_and_in_fp32_to_the_last_bit():
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    attention.prepare(Device("cpu", "c", 1))
    folded = ALL_ATTENTION_FUNCTIONS["sdpa"]
    layer = SimpleNamespace(num_key_value_groups=3, is_causal=True, training=False)
    mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
    mask[1, :, :, :9] = False  # padding on the left
    for dtype, same in ((torch.float32, 0.0), (torch.bfloat16, 2**-7)):
        torch.manual_seed(0)
        query, key, value = (torch.randn(2, heads, tokens, 16, dtype=dtype) for heads, tokens in ((6, 1), (2, 40), (2, 40)))
        ours, theirs = (way(layer, query, key, value, mask, scaling=0.25)[0] for way in (folded, sdpa_attention_forward))
        assert ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= same
        assert not attention._foldable(query.expand(2, 6, 4, 16), key, mask, {}) and attention._foldable(query, key, mask, {}) == (dtype == torch.bfloat16)


ENDS = (1, 2, 5, 7)
SMALL = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "initializer_range": 0.4}


def drawn(config):
    torch.manual_seed(0)
    prompts = [torch.randint(8, 97, (length,)).tolist() for length in (3, 30, 12, 5, 21, 8, 9, 17, 40, 4, 26)]
    return AutoModelForCausalLM.from_config(config).eval(), prompts


def ended(ids):
    return list(ids[: next((place + 1 for place, id_ in enumerate(ids) if id_ in ENDS), len(ids))])


@pytest.mark.parametrize("config", [LlamaConfig(**SMALL), MistralConfig(**SMALL, sliding_window=16)], ids=["full", "sliding"])
def test_finished_rows_leave_and_the_others_are_answered_as_by_transformers(config):
    model, prompts = drawn(config)
    asked = GenerationConfig(do_sample=False, max_new_tokens=150, eos_token_id=list(ENDS), pad_token_id=0, bos_token_id=None, use_cache=True)
    longest = max(map(len, prompts))
    ids, mask = (torch.tensor([[fill] * (longest - len(prompt)) + part(prompt) for prompt in prompts]) for fill, part in ((0, list), (0, lambda p: [1] * len(p))))
    with torch.inference_mode():
        theirs = model.generate(input_ids=ids, attention_mask=mask, generation_config=asked)[:, longest:].tolist()
    rows = []
    model.register_forward_hook(lambda *it: rows.append(len(it[-1].logits)))
    ours = decoding.decode(model, prompts, asked, 0, ENDS)
    assert [ended(row) for row in ours] == [ended(row) for row in theirs]
    lengths = sorted((len(ended(row)) for row in theirs), reverse=True)
    assert lengths[-1] < lengths[0] == len(rows) and rows[0] == len(prompts)
    assert all(there - sum(length > step for length in lengths) < max(4, there / 4) for step, there in enumerate(rows) if there > 4)


def test_sampled_rows_keep_their_noise_while_others_leave():
    model, prompts = drawn(LlamaConfig(**SMALL))
    tokens = SimpleNamespace(pad_id=0, ends=ENDS, decode=str)
    together, apart = ({one.index: one.ids for batch in generate(model, tokens, prompts, 60, size, Noise(1.0, 0.9, 20, range(11))) for one in batch} for size in (11, 1))
    assert together == apart and len({len(ids) for ids in apart.values()}) > 5


def test_keys_are_written_behind_what_is_there_and_stay_right_when_a_cache_is_cut_or_reordered():
    model, _ = drawn(LlamaConfig(**SMALL))
    ours, theirs = decoding._buffered(model, 400), DynamicCache(config=model.config)
    places = set()
    for step in range(300):
        key, value = torch.randn(2, 2 if step > 150 else 4, 2, 3 if step == 0 else 1, 8)
        for cache in (ours, theirs):
            assert torch.equal(cache.update(key, value, 1)[0][..., -key.shape[2] :, :], key)
            if step == 150:
                cache.reorder_cache(torch.tensor([3, 1]))
            if step == 200:
                cache.layers[1].crop(-20)
        assert torch.equal(ours.layers[1].keys, theirs.layers[1].keys) and torch.equal(ours.layers[1].values, theirs.layers[1].values)
        places.add(ours.layers[1].keys.data_ptr())
    assert len(places) <= 5  # two rooms, one for the rows that stayed, and its growths


def test_a_model_that_keeps_more_than_keys_and_values_has_the_cache_of_transformers():
    model, _ = drawn(LlamaConfig(**SMALL))
    model.config.layer_types = ["linear_attention", "full_attention", "full_attention"]
    assert decoding._buffered(model, 10) is None
