"""LongRoPE, of Phi-3 and Phi-4: past a length, a rotary embedding turns all tokens by other angles, earlier ones too.

transformers looks at the longest row in memory alone, so that short rows beside it would be turned with it; and generating across that
length it throws the cache away without computing it anew (5.17, Phi3ForCausalLM.prepare_inputs_for_generation): what follows is made
without what came before. So rows past it and others never lie together, and generating stops there and starts again from the text so far.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any


def turn(config: Mapping[str, Any] | Any) -> int | None:
    """Give the tokens up to which the first angles hold; None where there are no others."""
    facts = dict(config) if isinstance(config, Mapping) else config.to_dict()
    rope = facts.get("rope_parameters") or facts.get("rope_scaling") or {}
    if (rope.get("rope_type") or rope.get("type")) not in ("longrope", "su"):
        return None
    return rope.get("original_max_position_embeddings") or facts.get("original_max_position_embeddings")


def in_parts(
    prompts: Sequence[list[int]], at: int, limit: int, ends: Collection[int], answer: Callable[[list[int], list[list[int]], int], list[list[int]]],
) -> list[list[int]]:
    """Generate so that no batch crosses `at` tokens: rows up to it together until the longest is past it, those past it together.

    Args:
        limit: new tokens for each prompt, at most.
        ends: tokens that end a text.
        answer: makes so many new tokens, at most, for some of the prompts (their numbers, their texts so far).
    """
    made: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    while going:
        texts = {i: prompts[i] + made[i] for i in going}
        short = [i for i in going if len(texts[i]) <= at]
        here = short or going
        new = min(max(limit - len(made[i]) for i in here), at + 1 - max(len(texts[i]) for i in short) if short else limit)
        for i, more in zip(here, answer(here, [texts[i] for i in here], new), strict=True):
            end = next((place for place, token in enumerate(more) if token in ends), len(more))
            made[i] += more[: min(end + 1, limit - len(made[i]))]
        going = [i for i in going if len(made[i]) < limit and not (made[i] and made[i][-1] in ends)]
    return made
