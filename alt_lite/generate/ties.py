"""Tell rounding from mistakes: where two ways to generate differ, were the two tokens as good as equal?

In half precision a batch rounds otherwise than a single prompt, so that greedy answers part where the two best
tokens are nearly equal. Any other difference (a mask, a padding, a position) is a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Largest gap of two logits that rounding explains, as a share of the largest logit: some steps of bf16 (2^-8).
TOLERANCE = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.04}


@dataclass(frozen=True)
class Differences:
    """Of `n` responses `differing` differ; at the first place where they do the two tokens' logits lie at most
    `largest_gap` (as a share of the largest logit) apart; `explained` of them within `tolerance`."""

    n: int
    differing: int
    explained: int
    largest_gap: float
    tolerance: float


def compare(model: Any, prompts: Sequence[list[int]], one: Sequence[list[int]], other: Sequence[list[int]], rounded: str | None = None) -> Differences:
    """Compare the ids that two ways made of the same prompts; the model is asked once for each difference. What
    was `rounded` to a coarser precision than the model computes in is judged by that one's steps."""
    tolerance = TOLERANCE[rounded or str(model.dtype).removeprefix("torch.")]
    gaps = [gap(model, prompt, a, b) for prompt, a, b in zip(prompts, one, other, strict=True) if a != b]
    return Differences(len(one), len(gaps), sum(found <= tolerance for found in gaps), max(gaps, default=0.0), tolerance)


def gap(model: Any, prompt: list[int], one: list[int], other: list[int]) -> float:
    """How far apart the logits of the first two tokens that differ lie, as a share of the largest logit;
    infinite where one response only is longer."""
    import torch

    place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if place is None:
        return float("inf")
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + one[:place]], device=model.device)).logits[0, -1].float()
    return float((logits[one[place]] - logits[other[place]]).abs() / logits.abs().max())
