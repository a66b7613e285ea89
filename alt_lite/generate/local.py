"""Generate with a loaded model, many prompts at a time: greedily, or sampled with noise of each row's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.generate import turning
from alt_lite.generate.decoding import decode
from alt_lite.generate.fit import MOST, free_bytes, prompt_bytes, prompts_together
from alt_lite.tokens.tokenizer import Tokens


@dataclass(frozen=True)
class Generated:
    """One response: its text without the end-of-text token, its token count (None where a server does not tell)
    and ids with it."""

    index: int
    text: str
    n_tokens: int | None
    finish: Literal["stop", "length"]
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Noise:
    """Sampling by temperature, nucleus and top-k, each prompt with the noise of its own seed, so that
    neither batches nor interruptions change what is drawn."""

    temperature: float
    top_p: float
    top_k: int | None
    seeds: Sequence[int]


def generate(
    model: Any, tokens: Tokens, prompts: Sequence[list[int]], max_new_tokens: int, batch_size: int | None, noise: Noise | None = None,
    continuous: bool | None = None,
) -> Iterator[list[Generated]]:
    """Generate, greedily where no noise is given; yield lists as they are finished, `index` pointing into
    `prompts`. Without a `batch_size` as many prompts are taken together as the free memory holds, and on a
    GPU greedy answers go through `continuous` batching, once it was seen to give the same ones.

    Where a GPU's memory does not hold a batch, batches are halved from there on, which is said.
    """
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=list(tokens.ends), pad_token_id=tokens.pad_id,
        bos_token_id=None, use_cache=True,
    )
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    model.eval()
    if continuous is None:
        continuous = model.device.type == "cuda" and batch_size is None
    at = turning.turn(model.config)
    at = at if at and any(len(prompt) + max_new_tokens > at for prompt in prompts) else None
    if at:
        say(f"generate: this model turns its tokens otherwise past {at:,}: there generating stops and starts again from the text so far")
    if continuous and noise is None and len(order) > 1 and at is None:
        for finished in _continuously(model, tokens, prompts, order, config):
            order.remove(finished.index)
            yield [finished]
    size = batch_size or (_together(model, [len(prompts[i]) for i in order], max_new_tokens) if order else 1)
    start = 0
    while start < len(order):
        batch = order[start : start + size]
        output = None

        def answer(which: list[int], texts: list[list[int]], new: int, batch: list[int] = batch) -> list[list[int]]:
            part = copy(config)
            part.max_new_tokens = new
            asked = [batch[i] for i in which]
            skipped = [len(text) - len(prompts[i]) for text, i in zip(texts, asked, strict=True)]
            sampler = _sampler(noise, [noise.seeds[i] for i in asked], model.device, skipped) if noise else None
            return decode(model, texts, part, tokens.pad_id, tokens.ends, sampler)

        try:
            texts = [prompts[i] for i in batch]
            if at:
                output = turning.in_parts(texts, at, max_new_tokens, tokens.ends, answer)
            else:
                output = answer(list(range(len(batch))), texts, max_new_tokens)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise UserError("the GPU's memory is too small for one prompt at a time", "eval.max_new_tokens=N lower, eval.precision=4bit, or a smaller model") from error
        if output is None:  # out here, where nothing holds the cache of the batch that did not fit
            size = len(batch) // 2
            torch.cuda.empty_cache()
            say(f"generate: out of memory; {size} prompts at a time from here on")
            continue
        start += len(batch)
        yield [_cut(index, row, tokens) for index, row in zip(batch, output, strict=True)]


def _continuously(model: Any, tokens: Tokens, prompts: Sequence[list[int]], order: Sequence[int], config: Any) -> Iterator[Generated]:
    """Yield what continuous batching makes of the prompts; nothing more where it is not to be trusted, or fails."""
    from alt_lite.generate import continuous

    def usual(ids: list[int], short: Any) -> list[int]:
        return list(_cut(0, decode(model, [ids], short, tokens.pad_id, tokens.ends)[0], tokens).ids)

    waiting = list(order)
    if why := continuous.distrust(model, [prompts[i] for i in waiting], config, usual):
        say(f"generate: in batches, since continuous batching is not correct here ({why})")
        return
    try:
        for number, ids in continuous.run(model, [prompts[i] for i in waiting], config):
            yield _cut(waiting[number], ids, tokens)
    except RuntimeError as error:
        say(f"generate: in batches from here on ({error})")


def _together(model: Any, lengths: Sequence[int], max_new_tokens: int) -> int:
    """Decide from the free memory how many prompts are taken together, and say so."""
    kind, free = model.device.type, free_bytes(model.device)
    each = prompt_bytes(model.config, max(lengths), max_new_tokens, model.dtype.itemsize)
    size = min(prompts_together(free, each, kind), len(lengths))
    say(f"generate: {size} prompts at a time ({free / 1e9:.1f} GB free, {each / 1e9:.2g} GB each at most, never more than {MOST[kind]})")
    return size


def _cut(index: int, ids: list[int], tokens: Tokens) -> Generated:
    end = next((place for place, id_ in enumerate(ids) if id_ in tokens.ends), None)
    if end is not None:
        return Generated(index, tokens.decode(ids[:end]), end + 1, "stop", tuple(ids[: end + 1]))
    return Generated(index, tokens.decode(ids), len(ids), "length", tuple(ids))


def _sampler(noise: Noise, seeds: Sequence[int], device: Any, skipped: Sequence[int]) -> Callable[[list[int]], Any]:
    """Make greedy decoding sample: the largest of logits plus Gumbel noise is a draw from their softmax. Of each row's
    noise that of `skipped` tokens was used before. Gives what makes the processors for some of the rows."""
    import torch
    from transformers import (
        LogitsProcessor,
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    waiting = dict(enumerate(skipped))

    class Gumbel(LogitsProcessor):
        def __init__(self, rows: list[int]) -> None:
            self.rows = rows

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            for row in self.rows:
                for _ in range(waiting.pop(row, 0)):
                    torch.rand(scores.shape[-1], generator=generators[row], device=scores.device)
            uniform = torch.stack([torch.rand(scores.shape[-1], generator=generators[row], device=scores.device) for row in self.rows])
            return scores.float() - torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))

    warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(noise.temperature)]
    if noise.top_k:
        warpers.append(TopKLogitsWarper(noise.top_k))
    if noise.top_p < 1:
        warpers.append(TopPLogitsWarper(noise.top_p))
    return lambda rows: LogitsProcessorList([*warpers, Gumbel(rows)])
