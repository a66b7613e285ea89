"""How many prompts fit into memory together, by a model's configuration."""

from __future__ import annotations

from typing import Any

# More does not make a GPU faster at the sizes this is for; a CPU computes as much for each prompt.
MOST = {"cuda": 256, "cpu": 16}
# Kept free for what is not counted: the allocator's gaps, kernels' workspaces.
_SPARE = 0.1
# Copies of the last logits in fp32 while sampling: as computed, warped, sorted for the nucleus (values and places), noise.
_LOGIT_COPIES = 6


def cache_bytes(config: Any, width: int) -> int:
    """Bytes of keys and values for one token of one prompt; `width` is the bytes of a number."""
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return 2 * config.num_hidden_layers * key_heads * size * width


def prompt_bytes(config: Any, prompt: int, new: int, width: int) -> int:
    """Most bytes that one prompt of `prompt` tokens needs beside the weights until `new` tokens are made: its
    cache, that of one layer again, for every head that shares it (padded prompts have a mask, with which the
    kernels repeat no heads themselves), the activations of its first pass, its logits."""
    cache = cache_bytes(config, width) * (prompt + new)
    shared = config.num_attention_heads // (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    growing = cache // config.num_hidden_layers * shared
    first_pass = prompt * (8 * config.hidden_size + 3 * config.intermediate_size) * width
    return cache + growing + first_pass + config.vocab_size * 4 * _LOGIT_COPIES


def prompts_together(free: int, each: int, kind: str) -> int:
    """How many prompts of `each` bytes fit into `free` bytes, at least one, at most what is of use."""
    return max(1, min(MOST[kind], int(free * (1 - _SPARE)) // max(each, 1)))


def free_bytes(device: Any) -> int:
    """Memory that is free on a torch device, what the allocator holds in reserve included."""
    import psutil
    import torch

    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
