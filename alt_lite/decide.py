"""Values that a recipe leaves to the program: each decision is a value with its reason, and is printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from alt_lite.config import Recipe
from alt_lite.errors import UserError

# Volta, the oldest that Unsloth, Triton and bitsandbytes' 4 bit run on.
CAPABILITY = (7, 0)
# Of the free memory, for a merged model in fp32: base and merged model, and what a run has beside them, must fit.
_MERGED_SHARE = 0.25


@dataclass(frozen=True)
class Device:
    """What the run works on; memory in bytes, of the GPU where there is one, else of the machine.
    `bf16`: it computes in bf16, for which it has instructions of its own, unless `computing` has chosen otherwise.
    `unsloth` is the version that is installed; `no_gpu` tells why a GPU that is there cannot be used, and what to do."""

    kind: Literal["cpu", "cuda"]
    name: str
    memory: int
    bf16: bool = False
    capability: tuple[int, int] | None = None
    unsloth: str | None = None
    no_gpu: tuple[str, str] | None = None

    @property
    def dtype(self) -> str:
        """What models compute in here, by torch's name."""
        return "bfloat16" if self.bf16 else "float32" if self.kind == "cpu" else "float16"


@dataclass(frozen=True)
class Decision:
    key: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.reason}"


Decisions = dict[str, Decision]


def decide(recipe: Recipe, device: Device, leak: str | None = None) -> Decisions:
    """Decide every value that is null or `auto`; explicit values are passed on without a decision.

    Args:
        leak: why rows end to end would see one another in this model (model/architecture.leaks); None where they do not, or
            where its configuration is not at hand: training looks again.
    """
    made = [
        _backend(recipe, device), _dtype(recipe, device), layout(recipe, leak), _micro_batch(recipe), _suite(recipe, device), _guard(recipe, device),
        merge_dtype(recipe, device), _precision(recipe), _eval_batch(recipe, device), _assessor(recipe, device),
    ]
    return {decision.key: decision for decision in made}


def chosen(decisions: Decisions, key: str) -> Any:
    return decisions[key].value


def computing(recipe: Recipe, device: Device) -> Device:
    """Give the device as this recipe computes on it: the embedded model stays in fp32 on a CPU, where it is exact.

    Raises:
        UserError: the device does not compute in what is asked for.
    """
    asked, has = recipe.model.dtype, ("float32", "bfloat16") if device.kind == "cpu" else ("bfloat16", "float16") if device.bf16 else ("float16",)
    if asked == "auto":
        return replace(device, bf16=False) if recipe.embedded and device.kind == "cpu" else device
    if asked not in has:
        raise UserError(f"model.dtype={asked}: {device.name} trains in {' or '.join(has)}", f"model.dtype={has[0]}, or auto")
    return replace(device, bf16=asked == "bfloat16")


def _dtype(recipe: Recipe, device: Device) -> Decision:
    key = "model.dtype"
    if recipe.model.dtype != "auto":
        return Decision(key, device.dtype, "as asked")
    if device.kind == "cuda":
        return Decision(key, device.dtype, "what this card has" if device.capability else "where the card has it; this machine was not looked at")
    if recipe.embedded:
        return Decision(key, device.dtype, "so small a model is quick in it, and the same wherever it runs")
    if device.bf16:
        return Decision(key, device.dtype, "this processor has instructions for it; about twice as fast as float32")
    if not device.memory:
        return Decision(key, device.dtype, "bfloat16 where the processor has instructions for it; this machine was not looked at")
    return Decision(key, device.dtype, "this processor has no instructions for bfloat16 (AVX512-BF16, AMX)")


def _backend(recipe: Recipe, device: Device) -> Decision:
    key, given = "model.backend", recipe.model.backend
    if given != "auto":
        return Decision(key, given, "as asked")
    if device.kind == "cpu":
        return Decision(key, "transformers", "no GPU here")
    if recipe.embedded:
        return Decision(key, "transformers", "Unsloth's kernels are made for larger models")
    if device.capability is None:
        return Decision(key, "unsloth", "where it is installed, else transformers; this machine was not looked at")
    if device.unsloth is None:
        return Decision(key, "transformers", "Unsloth is not installed; pip install -r requirements.txt brings it")
    if device.capability < CAPABILITY:
        return Decision(key, "transformers", f"Unsloth needs compute capability {CAPABILITY[0]}.{CAPABILITY[1]}")
    major, minor = device.capability
    return Decision(key, "unsloth", f"Unsloth {device.unsloth} is installed, and {device.name} (compute capability {major}.{minor}) runs it")


def layout(recipe: Recipe, leak: str | None = None) -> Decision:
    key, given = "train.layout", recipe.train.layout
    way, why = without_leak(given, leak)
    if why:
        return Decision(key, way, why if given == "auto" else f"{given} was asked for, but {why}")
    if given != "auto":
        return Decision(key, given, "as asked")
    return Decision(key, "padding_free", "rows end to end, nothing spent on padding; compared with single rows before training")


def without_leak(way: str, leak: str | None) -> tuple[str, str | None]:
    """Give the layout in which rows do not see one another, with the reason where it is another than the given one."""
    return (way, None) if leak is None or way in ("padded", "grouped") else ("grouped", leak)


def _micro_batch(recipe: Recipe) -> Decision:
    key, given, rows = "train.micro_batch_size", recipe.train.micro_batch_size, recipe.train.batch_size
    if given:
        return Decision(key, min(given, rows), "as asked" if given <= rows else f"a step has {rows} rows")
    if recipe.embedded or recipe.train.layout == "packed":
        return Decision(key, rows, "a whole step fits" if recipe.embedded else "as many rows as a pack holds")
    return Decision(key, min(4, rows), "room for so many of the longest rows; halved where memory does not hold them")


def _suite(recipe: Recipe, device: Device) -> Decision:
    key, given = "eval.suite", recipe.eval.suite
    if given:
        return Decision(key, given, "as asked")
    if recipe.embedded:
        return Decision(key, "tiny", "the embedded model's own world")
    if device.kind == "cpu" and not recipe.eval.tasks and not recipe.endpoint.url:
        return Decision(key, "none", "on a CPU a real model takes days; eval.suite=quick forces it")
    return Decision(key, "compact", f"a hundred prompts of each {'task of eval.tasks' if recipe.eval.tasks else 'benchmark'}")


def _guard(recipe: Recipe, device: Device) -> Decision:
    key, given = "eval.guard", recipe.eval.guard
    if given:
        return Decision(key, given, "as asked")
    if recipe.embedded and recipe.eval.suite in (None, "tiny", "tiny_dev"):
        return Decision(key, "none", "as asked")  # the world's own judge is exact
    if device.kind == "cpu":
        return Decision(key, "none", "no GPU; eval.guard=Qwen/Qwen3Guard-Gen-0.6B forces one")
    return Decision(key, "Qwen/Qwen3Guard-Gen-0.6B", "the smallest guard that needs no permission")


def merge_dtype(recipe: Recipe, device: Device, size: int | None = None, free: int = 0, fits_disk: bool = False) -> Decision:
    """Decide what numbers the merged model is stored in.

    Args:
        size: bytes of the merged model in fp32; None: not known, so that 16 bit is taken. It is known once the model's files were
            looked at (preflight.py).
        free: bytes of memory that are free; `fits_disk` tells that the disk holds it so beside what a run needs.
    """
    key, given = "merge.dtype", recipe.merge.dtype
    if given != "auto":
        return Decision(key, given, "as asked")
    if recipe.embedded:
        return Decision(key, "float16", "as the embedded model ships")
    if device.kind == "cuda":
        if device.bf16 or device.capability is None:
            return Decision(key, "bfloat16", "as this GPU computes" if device.bf16 else "float16 where the GPU has no bfloat16; this machine was not looked at")
        return Decision(key, "float16", "this GPU has no bfloat16")
    if size is None:
        return Decision(key, "bfloat16", "float32 where memory and disk allow, seen when the model's size is known")
    told = f"in float32 it takes {size / 1e9:.1f} GB"
    if size > free * _MERGED_SHARE:
        return Decision(key, "bfloat16", f"{told}, more than a quarter of the {free / 1e9:.1f} GB of free memory")
    if not fits_disk:
        return Decision(key, "bfloat16", f"{told}, which the disk does not hold beside what the run needs")
    return Decision(key, "float32", f"no rounding to 16 bit: {told} of {free / 1e9:.1f} GB of free memory, and the disk holds it")


def _precision(recipe: Recipe) -> Decision:
    key, given = "eval.precision", recipe.eval.precision
    if given != "auto":
        return Decision(key, given, "as asked")
    return Decision(key, "16bit", "as it is merged" if recipe.embedded else "as it is merged, where the card holds it")


def _eval_batch(recipe: Recipe, device: Device) -> Decision:
    key, given = "eval.batch_size", recipe.eval.batch_size
    if given:
        return Decision(key, given, "as asked")
    if recipe.embedded or recipe.eval.suite in ("tiny", "tiny_dev"):
        return Decision(key, 200, "fastest measured for the embedded model on 2 cores")
    return Decision(key, None, "as many as the free memory holds, told when the model is loaded")


def _assessor(recipe: Recipe, device: Device) -> Decision:
    key, given = "data.assessor", recipe.data.assessor
    if given or not recipe.builds_rows:
        return Decision(key, given, "as asked")
    if recipe.endpoint.url:
        return Decision(key, "endpoint", "endpoint.url is given")
    if device.kind == "cuda":
        return Decision(key, "self", "the model to be tuned writes them on this GPU, given the label")
    return Decision(key, "template", "no GPU and no endpoint.url, so no model to write them")
