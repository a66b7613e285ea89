"""How many prompts fit into memory together, by a model's configuration."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Any

# More does not make a GPU faster at the sizes this is for, nor a CPU: of 135M parameters on 2 cores 16 prompts together gave 197 tokens
# a second in bf16, 32 gave 295, 64 gave 373, 128 gave 407 (longer responses), and what is stopped loses a batch.
MOST = {"cuda": 256, "cpu": 128}
# Kept free for what is not counted: the allocator's gaps, kernels' workspaces.
_SPARE = 0.1
# Layers that keep a state of one size in place of keys and values.
_STATES = ("linear_attention", "conv", "mamba")
# Copies of the last logits in fp32 while sampling: as computed, warped, sorted for the nucleus (values and places), noise.
_LOGIT_COPIES = 6


def cache_bytes(config: Any, width: int) -> int:
    """Bytes of keys and values for one token of one prompt, at most; `width` is the bytes of a number."""
    return cache_numbers(config) * width


def cache_numbers(config: Any) -> int:
    """Keys and values that one token of one prompt leaves, at most: those of sliding windows are counted as if they were
    kept, and all layers as if they were of the largest size. Layers that share another's, or keep a state in place of
    keys, have none."""
    if getattr(config, "counted", None):
        return config.counted.cache
    text = text_of(config)
    return 2 * _keeping(text) * max(keys * size for keys, size in heads_of(text))


def state_numbers(config: Any) -> int:
    """Numbers that one prompt keeps whatever its length: the states of linear attention, and of the convolution before it."""
    if getattr(config, "counted", None):
        return config.counted.state
    text = text_of(config)
    if not getattr(text, "linear_num_value_heads", None):
        return 0
    keys, values = text.linear_num_key_heads * text.linear_key_head_dim, text.linear_num_value_heads * text.linear_value_head_dim
    each = text.linear_num_value_heads * text.linear_key_head_dim * text.linear_value_head_dim + (2 * keys + values) * text.linear_conv_kernel_dim
    return each * (text.num_hidden_layers - _keeping(text))


def text_of(config: Any) -> Any:
    """What a configuration says of its text model."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def heads_of(text: Any) -> set[tuple[int, int]]:
    """How many heads keys have, and of what size, for every kind of layer: those of Gemma 4 differ."""
    apart = getattr(text, "per_layer_config", None)
    layers = [apart[number] for number in range(text.num_hidden_layers)] if apart else [text]
    heads = text.num_attention_heads
    return {(getattr(layer, "num_key_value_heads", None) or heads, getattr(layer, "head_dim", None) or text.hidden_size // heads) for layer in layers}


def _keeping(text: Any) -> int:
    """How many layers keep keys and values: all but those with a state, and those that share an earlier layer's."""
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    own = kinds[: len(kinds) - (getattr(text, "num_kv_shared_layers", None) or 0)]
    return max(1, sum(kind not in _STATES for kind in own))


def prompt_bytes(config: Any, prompt: int, new: int, width: int) -> int:
    """Most bytes that one prompt of `prompt` tokens needs beside the weights until `new` tokens are made: its
    cache, that of one layer again, for every head that shares it (padded prompts have a mask, with which the
    kernels repeat no heads themselves), the activations of its first pass, its logits; of linear attention, whose
    states are in fp32, all that torch's own implementation keeps of one layer."""
    text = config if getattr(config, "counted", None) else text_of(config)
    cache = cache_bytes(config, width) * (prompt + new)
    keys = min(keys for keys, _ in heads_of(text))
    growing = cache // (text.num_hidden_layers if getattr(config, "counted", None) else _keeping(text)) * (text.num_attention_heads // keys)
    wide = (getattr(text, "intermediate_size", None) or 4 * text.hidden_size) * (2 if getattr(text, "use_double_wide_mlp", False) else 1)
    first_pass = prompt * (8 * text.hidden_size + 3 * wide) * width
    states = 0 if not state_numbers(config) else 4 * state_numbers(config) + 4 * prompt * 16 * text.hidden_size
    return cache + growing + first_pass + states + text.vocab_size * 4 * _LOGIT_COPIES


def prompts_together(free: int, each: int, kind: str) -> int:
    """How many prompts of `each` bytes fit into `free` bytes, at least one, at most what is of use."""
    return max(1, min(MOST[kind], int(free * (1 - _SPARE)) // max(each, 1)))


def free_bytes(device: Any) -> int:
    """Memory that is free on a torch device, what the allocator holds in reserve included."""
    import psutil

    if device.type != "cuda":
        trim()
        return int(psutil.virtual_memory().available)
    import torch

    return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def trim() -> None:
    """Return to the system what C's allocator keeps of freed memory. glibc keeps blocks of up to 32 MB for later, and the next stage's
    memory comes on top: a training and evaluation of SmolLM2-135M on a CPU took 7.6 GB at most so, and 5.9 with this. Allocators
    that lack this function keep theirs."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
