"""Hold gradients against one another: what two ways to lay out the same rows teach a model."""

from __future__ import annotations

from typing import Any

# Least cosine of the adapter's gradients of rows together and one by one. A row that sees another shows here where its loss hardly
# moves, as with random weights.
LEAST = 0.99


def collected(model: Any) -> list[Any]:
    """Copy the gradients of all that trains, and clear them. In the machine's memory: the GPU's may be full."""
    found = [p.grad.detach().float().cpu() for p in model.parameters() if p.requires_grad and p.grad is not None]
    model.zero_grad()
    return found


def cosine(one: list[Any], other: list[Any]) -> float | None:
    """Give the cosine of two gradients, each of many tensors, over all of them at once; None where nothing is left to compare.

    A fresh adapter's A has no gradient yet, since B is zero, and adds nothing; B's is what tells. Values that overflowed, as
    fp16's do before its scale is found, are left out of both.
    """
    import torch

    dot = left = right = 0.0
    for a, b in zip(one, other, strict=True):
        sound = torch.isfinite(a) & torch.isfinite(b)
        a, b = a[sound].double(), b[sound].double()
        dot, left, right = dot + float(a @ b), left + float(a @ a), right + float(b @ b)
    if not left and not right:
        return None
    return dot / (left * right) ** 0.5 if left and right else 0.0
