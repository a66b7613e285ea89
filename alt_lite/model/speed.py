"""Estimate how fast a model trains and generates, from its shape and what the machine was measured to compute and move.

Pure. Held against runs on 2 CPU cores and against published figures of cards (tests/test_speed.py); a factor of two
either way is what may be expected, and whoever shows such a number calls it an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from alt_lite.generate.fit import cache_bytes
from alt_lite.model.shape import Shape

# Share of the measured matrix rate that a whole training step keeps; small models spend it on everything else.
_KEPT, _KEPT_SMALL, _SMALL = 0.55, 0.1, 20_000_000
# Seconds of Python and launches for each micro-batch and for each generated token, on a GPU.
_STEP, _TOKEN = 0.36, 0.02
# How often a step of decoding on a CPU takes what its weights' bytes and products alone would.
_CPU_DECODE, _CPU_DECODE_SMALL = 1.2, 4.0
# A batch is held until its longest response ends: the share of its steps that the mean response uses. Real
# responses vary much more than the embedded model's.
_USED, _USED_SMALL = 0.3, 0.6
# Tokens of context at which a step of decoding is sized: half of a long response.
_CONTEXT = 2200


@dataclass(frozen=True)
class Machine:
    """What was measured: multiply-add operations (counted as two) and bytes copied, each per second."""

    flops: float
    bandwidth: float
    gpu: bool


def training(shape: Shape, machine: Machine, checkpointing: bool, tokens_per_micro_batch: float) -> float:
    """Estimate trained tokens per second of LoRA: per weight and token 2 operations forward, 2 for the gradient of what
    goes into it, and 2 once more under gradient checkpointing (Kaplan et al. 2020); attention's scores are not counted."""
    per_token = (6 if checkpointing else 4) * shape.computed + 4 * shape.vocab_size * shape.hidden_size
    rate = machine.flops * (_KEPT if shape.parameters > _SMALL else _KEPT_SMALL) / per_token
    return min(rate, tokens_per_micro_batch / _STEP) if machine.gpu else rate


def generation(shape: Shape, machine: Machine, rows: int, weight_bytes: int, width: int) -> float:
    """Estimate useful tokens per second of decoding `rows` prompts together.

    Args:
        weight_bytes: bytes of the weights as they are loaded, which each step reads once.
        width: bytes of a number in the cache of keys and values.
    """
    small = shape.parameters <= _SMALL
    # transformers copies the cache at each token, and repeats shared heads beside it, written and read.
    groups = shape.num_attention_heads // shape.num_key_value_heads
    moved = 0 if small else rows * _CONTEXT * cache_bytes(shape, width) * (3 + 2 * groups)  # a small one stays in the processor's cache
    seconds = (weight_bytes + moved) / machine.bandwidth + 2 * rows * shape.parameters / machine.flops
    seconds = seconds + _TOKEN if machine.gpu else seconds * (_CPU_DECODE_SMALL if small else _CPU_DECODE)
    return rows * (_USED_SMALL if small else _USED) / seconds


def spoken(seconds: float) -> str:
    """Say a time as people do: two digits of the unit that fits."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}" if seconds < 100 * length else f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
