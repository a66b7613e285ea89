"""Generate one greedy response token by token, so that a reader sees it grow and may stop it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alt_lite.tokens.tokenizer import Tokens


def stream(model: Any, tokens: Tokens, prompt: Sequence[int], max_new_tokens: int) -> Iterator[int]:
    """Yield the ids of the response as they are made, the end of the text with them.

    Each token is a `generate` of one token that goes on from the kept cache: the ids are those of
    `local.generate`, and between two tokens the caller may do other work, ask another model, switch an
    adapter, or leave, which a streamer inside one `generate` does not allow.
    """
    import torch
    from transformers import DynamicCache, GenerationConfig

    config = GenerationConfig(
        do_sample=False, max_new_tokens=1, eos_token_id=list(tokens.ends), pad_token_id=tokens.pad_id, bos_token_id=None, use_cache=True,
    )
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([list(prompt)], device=model.device)
    model.eval()
    for _ in range(max_new_tokens):
        # Around the call alone: around a yield it would stay on in the caller.
        with torch.inference_mode():
            ids = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config, past_key_values=cache)
        id_ = int(ids[0, -1])
        yield id_
        if id_ in tokens.ends:
            return
