"""The model families, one file each: adding one is a file and its name in `_FILES`.

The order is the order in which `model.family=auto` tries them: those with tags of their own first, the general ones last.
"""

from __future__ import annotations

from alt_lite.families import chatml, gemma4, gpt_oss, llama3, phi4_mini_reasoning, qwen3, r1, s1, smollm3
from alt_lite.families.family import Control, Cut, Earlier, Family, Sampling, Segment, cut, joined, plain_joined

__all__ = ["ALL_CONTROLS", "FAMILIES", "Control", "Cut", "Earlier", "Family", "Sampling", "Segment", "cut", "joined", "plain_joined"]

_FILES = (r1, qwen3, smollm3, gpt_oss, gemma4, phi4_mini_reasoning, s1, chatml, llama3)
FAMILIES: dict[str, Family] = {family.name: family for file in _FILES for family in file.FAMILIES}

# Typed by a user these stay text; in a target's text they are an error, whatever the family. Those of a model's own
# tokenizer are, too (tokens/tokenizer.py).
ALL_CONTROLS = tuple(dict.fromkeys((*FAMILIES["r1"].controls, *FAMILIES["qwen3"].controls, "<|endoftext|>", "<|eot_id|>")))
