"""Rotary embeddings as a GGUF file holds them: keys, and tensors of factors that frequencies are divided by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def head_size(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings, wherever this version of transformers has put them."""
    old = config.get("rope_scaling") or {}
    rope = {"rope_theta": config.get("rope_theta", 10000.0), **old, **(config.get("rope_parameters") or {})}
    return {**rope, "rope_type": rope.get("rope_type") or rope.get("type") or "default"}


def original_length(config: dict[str, Any]) -> int:
    """The longest sequence before any scaling, in tokens. Phi-3's configuration has it beside the settings, and first."""
    return int(config.get("original_max_position_embeddings") or settings(config).get("original_max_position_embeddings") or config["max_position_embeddings"])


def computed(config: dict[str, Any]) -> tuple[Any, float]:
    """(inverse frequencies, factor on the attention), as the model that was evaluated computes them."""
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from alt_lite.model.load import heed_attn_factor

    heed_attn_factor()
    frequencies, factor = ROPE_INIT_FUNCTIONS[settings(config)["rope_type"]](AutoConfig.for_model(**config), "cpu")
    return frequencies, float(factor)


def llama3_factors(config: dict[str, Any]) -> np.ndarray:
    """What llama.cpp divides each rotary frequency by, for Llama 3's scaling."""
    size = head_size(config)
    plain = 1.0 / settings(config)["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    return (plain / computed(config)[0].double().numpy()).astype(np.float32)


def describe(writer: Any, config: dict[str, Any], share: float) -> None:
    """Add the keys; `share` of a head's dimensions are turned."""
    import gguf

    rope = settings(config)
    writer.add_rope_dimension_count(int(head_size(config) * share))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        for key, add in (("beta_fast", writer.add_rope_scaling_yarn_beta_fast), ("beta_slow", writer.add_rope_scaling_yarn_beta_slow)):
            if rope.get(key) is not None:
                add(rope[key])
        # llama.cpp multiplies by 1 + 0.1 ln(factor) itself; transformers does not read every published key.
        writer.add_rope_scaling_attn_factors(computed(config)[1] / (1 + 0.1 * math.log(rope["factor"])))
    if rope["rope_type"] == "longrope":
        writer.add_rope_scaling_orig_ctx_len(original_length(config))
        writer.add_rope_scaling_attn_factors(computed(config)[1])
