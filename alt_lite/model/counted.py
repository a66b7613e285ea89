"""Count a model of any architecture without its weights, where config.json alone does not tell by a known formula."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from alt_lite.generate.fit import cache_numbers, heads_of, state_numbers
from alt_lite.model import architecture, shape
from alt_lite.model.shape import Counted, Shape
from alt_lite.rundir import read_json


def shape_of(folder: Path) -> Shape | None:
    """Give the shape of a folder's model: by formula, else counted; None where it is no decoder with attention.

    Raises:
        UserError: transformers makes no model of its config.json.
    """
    from alt_lite.model.merging.fold import skeleton

    config = read_json(folder / "config.json")
    known = shape.read(config)
    return known or count(skeleton(folder), bool((config.get("quantization_config") or {}).get("load_in_4bit")))


def count(model: Any, four_bit: bool = False) -> Shape | None:
    """Count a model's weights exactly, towers included; None where it has no attention. Heads and widths are those of its
    largest layer, so that what is estimated from them is too much rather than too little."""
    import torch

    text, head = model.config.get_text_config(), model.get_output_embeddings()
    heads = getattr(text, "num_attention_heads", None)
    if not heads:
        return None
    reached, blocks = set(architecture.linear_in_blocks(model)), tuple(architecture.blocks(model))
    maps: Counter[tuple[str, int, int]] = Counter()
    quantised: set[int] = set()
    for name, module in model.named_modules():
        if type(module) is torch.nn.Linear and module is not head:
            maps[name.rpartition(".")[2] if name in reached else "", module.out_features, module.in_features] += 1
            quantised.add(id(module.weight))
    rest = [(name, value) for name, value in model.named_parameters() if id(value) not in quantised]
    experts = sum(value.numel() for name, value in rest if value.dim() > 2 and name.startswith(blocks) and "expert" in name)
    passed, of = architecture.experts_of(model.config)
    counted = Counted(
        tuple((*kind, n) for kind, n in sorted(maps.items())), sum(value.numel() for _, value in rest if value.dim() > 1),
        sum(value.numel() for _, value in rest if value.dim() <= 1), experts * passed // of, cache_numbers(text), state_numbers(text),
        (getattr(text, "linear_num_value_heads", None) or 0) * (getattr(text, "linear_value_head_dim", None) or 0), 0 if model._supports_sdpa else heads,
    )
    dense = max((out // (2 if name == "gate_up_proj" else 1) for name, out, _ in maps if name in ("gate_proj", "up_proj", "gate_up_proj")), default=0)
    width = dense + (passed * (getattr(text, "moe_intermediate_size", None) or text.intermediate_size) if experts else 0)
    keys, size = max(heads_of(text), key=math.prod)
    return Shape(
        text.model_type, text.hidden_size, text.num_hidden_layers, heads, keys, size,
        width or getattr(text, "intermediate_size", 0), text.vocab_size, bool(getattr(text, "tie_word_embeddings", False)), four_bit=four_bit, counted=counted,
    )
