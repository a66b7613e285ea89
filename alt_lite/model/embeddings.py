"""Look whether the control tokens that a model must write were ever trained: LoRA on linear layers cannot teach them.

Rows of an embedding that no text has used stay as they were made: they are zero, or all alike, for weight decay and
softmax move them together. SmolLM2-135M's reserved tokens have a cosine of 1.000 with one another, its turn tokens,
which instruction tuning alone has trained, 0.993 with them, and ordinary tokens 0.79 with their nearest.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.console import say
from alt_lite.model.merging.shards import find_weights

if TYPE_CHECKING:
    from alt_lite.tokens.tokenizer import Tokens

_ALIKE = 0.9995  # least cosine of two rows that are taken to be the same
_SHORT = 0.2  # of the median length, below which a row is taken to be empty
_SAMPLE = 4096
_NAMES = ("embed_tokens.weight", "lm_head.weight", "wte.weight")


_told: set[Path] = set()


def notice(folder: Path, tokens: Tokens) -> None:
    """Say once of a folder which control tokens look untrained, where its weights are there."""
    if folder in _told or not any(folder.glob("*.safetensors")):
        return
    _told.add(folder)
    if found := untrained(folder, tokens):
        say(
            f"  {', '.join(found)}: the embedding of {'this control token looks' if len(found) == 1 else 'these control tokens looks'} untrained, and LoRA on linear layers hardly "
            "teaches a model to write such tokens; use a base that has learnt them, or a vocabulary without them: the tags are then plain text"
        )


def untrained(folder: Path, tokens: Tokens) -> list[str]:
    """Name the control tokens of the family whose rows look as if no text had ever used them.

    Args:
        folder: a model's, with its weights.
    """
    from safetensors import safe_open

    numbers = {token: tokens.ids[token] for token in tokens.family.controls}
    found: set[str] = set()
    for name, path in find_weights(folder).files.items():
        if name.endswith(_NAMES) and "vision" not in name and "audio" not in name and "per_layer" not in name:
            with safe_open(folder / path, framework="pt") as file:
                found |= _looking_untrained(file.get_slice(name), numbers, set(tokens.fast.get_vocab().values()))
    return [token for token in numbers if token in found]


def _looking_untrained(rows: Any, numbers: dict[str, int], used: set[int]) -> set[str]:
    """Compare rows of control tokens with rows past the vocabulary, which nothing has trained, and with a sample of all."""
    import torch

    size = rows.get_shape()[0]
    mine = {token: number for token, number in numbers.items() if number < size}
    past = [number for number in range(size) if number not in used][:_SAMPLE]
    others = sorted({*random.Random(0).sample(range(size), min(_SAMPLE, size)), *past, *(n for n in range(size - 256, size) if n >= 0), *range(min(256, size)), *mine.values()})
    matrix = torch.stack([rows[number : number + 1][0] for number in others]).float()
    lengths, place = matrix.norm(dim=1), {number: at for at, number in enumerate(others)}
    usual = lengths.median()
    if not usual:
        return set()
    matrix = torch.cat([matrix, matrix.mean(0, keepdim=True)])  # what new rows are often made of
    unit = torch.nn.functional.normalize(matrix, dim=1)
    found = set()
    for token, number in mine.items():
        at = place[number]
        alike = unit @ unit[at]
        alike[at] = -1.0
        if lengths[at] < _SHORT * usual or float(alike.max()) >= _ALIKE:
            found.add(token)
    return found
