"""Attention where several queries share a key's head: what transformers' own way through torch's kernels costs, and is spared."""

from __future__ import annotations

from typing import Any

from alt_lite.decide import Device

_NAME = "sdpa"


def prepare(device: Device) -> None:
    """Set transformers' attention up for this device, before a model is loaded."""
    _repeat_shared_heads(device)
    if device.kind == "cpu":
        _fold_shared_heads()


def _repeat_shared_heads(device: Device) -> None:
    """Keep attention out of torch's slow kernel on cards before Ampere, such as a T4. Where a key's head serves
    several queries, transformers leaves it to the kernel to repeat it; only flash attention can, which these
    cards lack. Repeated beforehand, the fused kernel takes it: 1.6 to 1.8 times the tokens per second of a
    1.5B on a T4, by the measurements at transformers #45776 (not ours)."""
    from transformers.integrations import sdpa_attention

    if device.capability is not None and device.capability < (8, 0):
        sdpa_attention.use_gqa_in_sdpa = lambda *_: False


def _fold_shared_heads() -> None:
    """Decode on a CPU without copying keys and values for every query that shares them, which transformers does beside a mask of
    padding, at each token: a new token's queries of one key's head stand as so many positions of that head instead. In fp32
    nothing changes, so that answers stay the same to the last bit."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    plain = ALL_ATTENTION_FUNCTIONS[_NAME]
    if getattr(plain, "folds", False):
        return

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: float | None = None, **more: Any) -> tuple[Any, None]:
        if not _foldable(query, key, attention_mask, more):
            return plain(module, query, key, value, attention_mask, scaling=scaling, **more)
        from torch.nn.functional import scaled_dot_product_attention

        rows, heads, _, size = query.shape
        folded = query.reshape(rows, key.shape[1], heads // key.shape[1], size)
        out = scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
        return out.reshape(rows, 1, heads, value.shape[-1]), None

    attention.folds = True  # type: ignore[attr-defined]
    ALL_ATTENTION_FUNCTIONS.register(_NAME, attention)


def _foldable(query: Any, key: Any, mask: Any, more: dict[str, Any]) -> bool:
    """Whether one new token attends, with heads that share keys, without anything that tells these heads apart."""
    import torch

    one = query.shape[2] == 1 and query.shape[1] > key.shape[1] and query.shape[1] % key.shape[1] == 0
    plain = not more.get("dropout") and more.get("position_bias") is None and not more.get("output_attentions")
    return one and plain and query.device.type == "cpu" and query.dtype != torch.float32 and (mask is None or mask.shape[1] == 1)
