"""Generate with a loaded model, many prompts at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alt_lite.tokens.tokenizer import Tokens


@dataclass(frozen=True)
class Generated:
    """One response: its text without the end-of-text token, its token count with it."""

    index: int
    text: str
    n_tokens: int
    finish: Literal["stop", "length"]


def generate(
    model: Any, tokens: Tokens, prompts: Sequence[list[int]], max_new_tokens: int, batch_size: int
) -> Iterator[list[Generated]]:
    """Generate greedily; yield one list per batch, in order of length, `index` pointing into `prompts`.

    Padding is on the left, written here: with right padding, or a mask left out, a batch would give
    other answers than its prompts one by one.
    """
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=tokens.end_id, pad_token_id=tokens.pad_id,
        bos_token_id=None, use_cache=True,
    )
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    model.eval()
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        longest = max(len(prompts[i]) for i in batch)
        ids = torch.tensor([[tokens.pad_id] * (longest - len(prompts[i])) + prompts[i] for i in batch])
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
            )
        yield [_cut(index, row, tokens) for index, row in zip(batch, output[:, longest:].tolist(), strict=True)]


def _cut(index: int, ids: list[int], tokens: Tokens) -> Generated:
    if tokens.end_id in ids:
        end = ids.index(tokens.end_id)
        return Generated(index, tokens.decode(ids[:end]), end + 1, "stop")
    return Generated(index, tokens.decode(ids), len(ids), "length")
