"""Estimate how fast a model trains and generates, from its shape and what the machine was measured to compute and move.

Pure. Held against runs on 2 CPU cores and against published figures of cards (tests/test_speed.py); a factor of two
either way is what may be expected, and whoever shows such a number calls it an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from alt_lite.generate.fit import cache_bytes
from alt_lite.model.shape import Shape

# Share of the measured matrix rate that products of a whole training step keep; small models spend it on everything else.
_KEPT, _KEPT_SMALL, _SMALL = 0.55, 0.1, 20_000_000
# Bytes that a CPU moves for every number of a layer's outputs, and every logit, beside the products: forward and backward, norms,
# activations, casts, the adapter. Fitted to 135M parameters on 2 cores, where AMX leaves most of the time to it.
_MOVED = 88
# Seconds of Python and launches for each micro-batch and for each generated token, on a GPU.
_STEP, _TOKEN = 0.36, 0.02
# How often a step of decoding on a CPU takes what its weights' bytes and products alone would.
_CPU_DECODE, _CPU_DECODE_SMALL = 1.2, 4.0
# A batch is held until its longest response ends: the share of its steps that the mean response uses. Real
# responses vary much more than the embedded model's.
_USED, _USED_SMALL = 0.3, 0.6
# Tokens of a usual response of a reasoning model: where no more new ones are allowed, every one is cut, and none waits.
_RESPONSE = 900
# Prompt and new tokens that decoding is sized for where nothing is asked for: its context in the middle is 2,200 tokens.
_PROMPT, _NEW = 200, 4000


@dataclass(frozen=True)
class Machine:
    """What was measured: multiply-add operations (counted as two) and bytes copied, each per second."""

    flops: float
    bandwidth: float
    gpu: bool


def training(shape: Shape, machine: Machine, checkpointing: bool, tokens_per_micro_batch: float) -> float:
    """Estimate trained tokens per second of LoRA: per weight and token 2 operations forward, 2 for the gradient of what
    goes into it, and 2 once more under gradient checkpointing (Kaplan et al. 2020); attention's scores are not counted."""
    operations = (6 if checkpointing else 4) * shape.computed + 4 * shape.vocab_size * shape.hidden_size
    rate = 1 / (_products(shape, machine, operations) + _beside(shape, machine))
    return min(rate, tokens_per_micro_batch / _STEP) if machine.gpu else rate


def _products(shape: Shape, machine: Machine, operations: float) -> float:
    """Seconds of a step's products."""
    return operations / (machine.flops * (_KEPT if shape.parameters > _SMALL else _KEPT_SMALL))


def _beside(shape: Shape, machine: Machine) -> float:
    """Seconds that a token's training takes a CPU beside the products, which do not shrink where these are in bf16; a GPU's, and a
    small model's, are in the share that products keep."""
    if machine.gpu or shape.parameters <= _SMALL:
        return 0.0
    heads = 2 * (shape.num_attention_heads + shape.num_key_value_heads) * shape.head_dim
    numbers = shape.num_hidden_layers * (4 * shape.hidden_size + heads + 3 * shape.intermediate_size) + shape.vocab_size
    return _MOVED * numbers / machine.bandwidth


def generation(shape: Shape, machine: Machine, rows: int, weight_bytes: int, width: int, prompt: float = _PROMPT, new: float = _NEW) -> float:
    """Estimate useful tokens per second of decoding `rows` prompts together.

    Args:
        weight_bytes: bytes of the weights as they are loaded, which each step reads once.
        width: bytes of a number in the cache of keys and values.
        prompt: tokens of a prompt.
        new: new tokens at most.
    """
    small = shape.parameters <= _SMALL
    # transformers copies the cache at each token, and repeats shared heads beside it, written and read; on a CPU these stay in the
    # processor's cache, a layer at a time, and so does all of a small model's.
    groups = shape.num_attention_heads // shape.num_key_value_heads
    times = 0 if small else 3 + (2 * groups if machine.gpu else 0)
    moved = rows * (prompt + new / 2) * cache_bytes(shape, width) * times
    seconds = (weight_bytes + moved) / machine.bandwidth + 2 * rows * shape.parameters / machine.flops
    seconds = seconds + _TOKEN if machine.gpu else seconds * (_CPU_DECODE_SMALL if small else _CPU_DECODE)
    if not small:  # the prompts' own pass, of which each new token bears its part
        seconds += rows * prompt / new * (_products(shape, machine, 2 * shape.computed) + _beside(shape, machine) / 3)
    return rows * (_USED_SMALL if small else min(1.0, max(_USED, _RESPONSE / new))) / seconds


def spoken(seconds: float) -> str:
    """Say a time as people do: two digits of the unit that fits."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}" if seconds < 100 * length else f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
