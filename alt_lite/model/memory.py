"""Estimate memory and disk of a run before anything is loaded; pure functions of a model's shape and a recipe.

Each part is counted from what the libraries allocate, and held against real allocations in `tests/test_memory.py`: weights, adapter,
gradients and optimiser exactly, activations and logits by following every allocation of a training step. What was never measured on a
GPU is called an estimate wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from alt_lite.config import Recipe, load_recipe, recipe_names
from alt_lite.decide import Decision, Device
from alt_lite.errors import UserError
from alt_lite.generate.fit import cache_bytes, prompt_bytes, prompts_together
from alt_lite.model.layout import room
from alt_lite.model.shape import PUBLISHED, Shape

# Longest row that is assumed where the rows are not at hand.
ROW = 2048
# Prompt and response that an evaluation is sized for where its tasks are not at hand.
PROMPT, NEW = 512, 4096
# Beside torch's allocator: 426 MiB were measured for the CUDA context alone (unsloth-zoo #1053, RTX 6000 Ada, torch 2.10; 300 to 400 MB
# in pytorch #107667 and #109888), and kernels of bitsandbytes, cuBLAS and Triton come on top: our estimate.
CONTEXT = 600_000_000
# A process that has imported torch, transformers, trl and peft, resident: measured on a CPU.
PROCESS = 600_000_000
# Share of what comes and goes that the allocator cannot hand out again, because it lies in pieces: our estimate.
GAPS = 0.1
# Tokens whose logits are there at once: trl's chunked_nll, `_CHUNKED_LM_HEAD_CHUNK_SIZE`.
LOSS_CHUNK = 256
# Per logit: fp32 logits, their log-softmax, its exponential and the product of both for trl's entropy.
_LOGIT = 16
# Bytes that torch's own linear attention, in fp32, keeps of each of its values' numbers and tokens in one layer: followed on a CPU.
_RECURRENT = 4 * 30
# Copies of attention's scores that are there without a fused kernel, as of gpt-oss: followed on a CPU.
_SCORES = 4
# Bytes of an unquantised number of a 4-bit base while training, in bf16 and in fp16. In fp16 PEFT's prepare_model_for_kbit_training casts
# embeddings, head and norms to fp32 (model/adapter.py), and every layer then computes its outputs in fp32 too.
KEPT = {"transformers": 2, "unsloth": 2}
KEPT_FP16 = {"transformers": 4, "unsloth": 2}
# Tokens end to end on a CPU, whose attention computes what the mask hides too: a 135M model on 2 cores trained 299 tokens a second with 4
# rows of at most 276 tokens, 257 with 16.
_CPU_END_TO_END = 1200
# Checkpoints on disk at most: two are kept, and one is written before the oldest goes.
_CHECKPOINTS = 3
_SMALL_FILES = 60_000_000


@dataclass(frozen=True)
class Peak:
    """An estimate of the largest memory in use at one moment: bytes by what they hold, which add up to it."""

    what: str
    parts: dict[str, int]
    note: str = ""

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def allocated(self) -> int:
        """What torch's allocator would call its peak (`max_memory_allocated`)."""
        return self.total - sum(self.parts.get(name, 0) for name in ("context", "process", "gaps"))


def nf4_bytes(n: int) -> int:
    """Bytes of a matrix of `n` weights in NF4 with double quantisation (Dettmers et al. 2023, section 3): 4 bits a weight, 8 bits for every
    64, 32 bits for every 256 of those, and both code books."""
    blocks = -(-n // 64)
    return -(-n // 2) + blocks + 4 * (-(-blocks // 256)) + 4 * 16 + 4 * 256 + 4


def weight_bytes(shape: Shape, four_bit: bool, width: int) -> int:
    """Bytes of the base; `width` is that of a number which is not quantised."""
    if not four_bit:
        return shape.parameters * width
    quantised = sum(n * nf4_bytes(out * into) for _, out, into, n in shape.maps)
    return quantised + (shape.embeddings + shape.vectors) * width


def adapter_tensors(shape: Shape, recipe: Recipe) -> list[tuple[int, int]]:
    """Sizes of the adapter's tensors, A and B of each adapted map, each with how many there are."""
    known = [(out, into, n) for name, out, into, n in shape.maps if name in _targets(shape, recipe)]
    return [(recipe.lora.r * side, n) for out, into, n in known for side in (into, out)]


def _targets(shape: Shape, recipe: Recipe) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, *_ in shape.maps if name)) if "all-linear" in recipe.lora.targets else recipe.lora.targets


def adapter_parameters(shape: Shape, recipe: Recipe) -> int:
    return sum(size * n for size, n in adapter_tensors(shape, recipe))


def optimizer_bytes(shape: Shape, recipe: Recipe) -> int:
    """Bytes of both moments: 8 a weight, or in 8 bit 2 a weight and two scales for every 256; bitsandbytes keeps tensors of fewer than
    4,096 weights in fp32."""
    if recipe.train.optimizer == "adamw_torch":
        return 8 * adapter_parameters(shape, recipe)
    return sum(n * (8 * size if size < 4096 else 2 * size + 8 * (-(-size // 256))) for size, n in adapter_tensors(shape, recipe)) + 2 * 4 * 256


def width_of(device: Device) -> int:
    """Bytes of a number that is computed with."""
    return 4 if device.dtype == "float32" else 2


def stream_width(recipe: Recipe, device: Device, backend: str) -> int:
    """Bytes of a number in embeddings, norms, head, and in what flows between layers while training."""
    if device.kind == "cpu":
        return width_of(device)
    return (KEPT if device.bf16 else KEPT_FP16)[backend] if recipe.model.load_in_4bit else 2


def training(shape: Shape, recipe: Recipe, device: Device, rows: int, longest: int, backend: str = "transformers", layout: str = "padding_free") -> Peak:
    """Estimate the peak of training with `rows` rows of `longest` tokens in memory at once.

    It comes in the backward pass: either while the loss of one chunk of tokens is differentiated, or while one layer is, which gradient
    checkpointing computes once more. Unsloth is taken to need no more: it keeps checkpoints in the machine's memory and works in place; its
    loss is told to take no more than ours (model/unsloth.py).
    """
    width, stream = width_of(device), stream_width(recipe, device, backend)
    tokens = max(longest, room(longest, rows, layout, recipe.model.max_length))
    apart = layout in ("padded", "grouped")
    # Rows together need a mask: of each row on itself where they are padded, of all on all where they lie end to end.
    mask = (rows * longest**2 if apart else tokens**2) if rows > 1 else 0
    # Before compute capability 8.0 they are repeated in any case (model/load.py).
    old = device.kind == "cuda" and not device.bf16 and backend == "transformers"
    saved, mlp = _layer(shape, recipe, tokens, width, stream, repeated=bool(mask) or old)
    # Its backward pass needs six numbers of the MLP's width, of which `mlp` is saved.
    fresh = 6 * stream * shape.intermediate_size * tokens - mlp
    saved += width * mask
    if shape.counted:
        saved += _RECURRENT * shape.counted.recurrent * tokens + _SCORES * width * shape.counted.scored * (rows * longest**2 if apart else tokens**2)
    unpacked = max(out * into for _, out, into, _ in shape.maps) * width if recipe.model.load_in_4bit else 0
    n = adapter_parameters(shape, recipe)
    # Where computing is in 16 bit, autocast makes a copy of what trains in fp32, and keeps it to the end of the forward pass.
    copies = 0 if width == 4 else width * n
    layer = fresh + stream * shape.hidden_size * tokens + unpacked
    loss = _loss(shape, tokens, width, stream)
    if recipe.train.gradient_checkpointing:
        kept = shape.num_hidden_layers * stream * shape.hidden_size * tokens + mask
        layer += saved + copies // shape.num_hidden_layers
        loss += copies
    else:
        kept = shape.num_hidden_layers * saved + mask + copies
    parts = {
        "weights": weight_bytes(shape, recipe.model.load_in_4bit, stream if recipe.model.load_in_4bit else width),
        "adapter": n * 4,
        "gradients": n * 4,
        "optimiser": optimizer_bytes(shape, recipe),
        "activations": kept,
        "one layer" if layer > loss else "logits": max(layer, loss),
    }
    return Peak("training", _around(parts, kept + max(layer, loss), device), f"{rows} row{'s' if rows > 1 else ''} of {longest:,} tokens at once" if tokens == rows * longest else f"{tokens:,} tokens end to end at once")


def _layer(shape: Shape, recipe: Recipe, tokens: int, width: int, stream: int, repeated: bool) -> tuple[int, int]:
    """Bytes that one layer saves for its backward pass, and how many of them in its MLP."""
    hidden, queries, keys = shape.hidden_size, shape.num_attention_heads * shape.head_dim, shape.num_key_value_heads * shape.head_dim
    norms = 2 * 4 * (hidden + 1)  # their inputs in fp32
    if shape.counted:  # Gemma 4 has four of them and more
        norms = max(norms, 4 * shape.counted.vectors // shape.num_hidden_layers)
    if shape.model_type.startswith(("qwen3", "gemma4")):
        norms += 4 * (queries + keys)
    # Inputs of the adapter: shared where they have the width that is computed in, else cast once for each map.
    inputs = (2 * hidden if stream == width else 5 * hidden) * width
    # Turned queries, keys, values, output; under a mask keys and values are `repeated` for every head.
    attention = width * (2 * queries + (2 * queries if repeated else 2 * keys)) + 4 * shape.num_attention_heads
    mlp = (3 * stream + width) * shape.intermediate_size
    adapter = width * recipe.lora.r * len(_targets(shape, recipe))
    return tokens * (norms + inputs + attention + mlp + adapter), tokens * mlp


def _loss(shape: Shape, tokens: int, width: int, stream: int) -> int:
    """Bytes while the loss is taken, in chunks of tokens: logits, hidden states in order, and in 16 bit a copy of an fp32 head."""
    head = 0 if stream == width else width * shape.vocab_size * shape.hidden_size
    return _LOGIT * shape.vocab_size * min(LOSS_CHUNK, tokens) + (4 + 2 * stream) * shape.hidden_size * tokens + head


def _around(parts: dict[str, int], moving: int, device: Device) -> dict[str, int]:
    beside = {"process": PROCESS} if device.kind == "cpu" else {"gaps": int(GAPS * moving), "context": CONTEXT}
    return {**parts, **beside}


def generation(
    shape: Shape, recipe: Recipe, device: Device, free: int, precision: str, prompt: int = PROMPT, new: int = NEW, together: int | None = None,
) -> Peak:
    """Estimate the peak of an evaluation's generation, `together` prompts at once; null: as many as are chosen when the model is loaded."""
    width = width_of(device)
    four_bit = precision == "4bit"
    weights = weight_bytes(shape, four_bit, width)
    # In 16 bit the tuned model is merged; in 4 bit the adapter, in fp32, stands beside the base.
    adapter = 4 * adapter_parameters(shape, recipe) if four_bit else 0
    beside = CONTEXT if device.kind == "cuda" else PROCESS
    buffer = max(out * into for _, out, into, _ in shape.maps) * width if four_bit else 0
    each, cache = prompt_bytes(shape, prompt, new, width), cache_bytes(shape, width) * (prompt + new)
    n = together or prompts_together(free - weights - adapter - beside - buffer, each, device.kind)
    parts = {"weights": weights, **({"adapter": adapter} if adapter else {}), "cache": n * cache, "working": n * (each - cache) + buffer}
    return Peak(
        "evaluation", {**parts, "process" if device.kind == "cpu" else "context": beside},
        f"{precision}, {n} prompt{'s' if n > 1 else ''} of {prompt:,} tokens at once, {new:,} new ones",
    )


def fit(recipe: Recipe, shape: Shape, device: Device, free: int, longest: int, backend: str = "transformers", layout: str = "padding_free") -> tuple[Decision, Peak]:
    """Choose how many rows are in memory at once, so that the estimate fits into `free` bytes; an optimiser step has the same rows whatever
    is chosen.

    Raises:
        UserError: not even one row fits; the fix names shipped recipes that do. A number that the recipe gives is taken as it is.
    """
    key, batch = "train.micro_batch_size", recipe.train.batch_size

    def peak(rows: int) -> Peak:
        return training(shape, recipe, device, rows, longest, backend, layout)

    if recipe.train.micro_batch_size:
        rows = min(recipe.train.micro_batch_size, batch)
        return Decision(key, rows, "as asked"), peak(rows)
    slower = device.kind == "cpu" and layout in ("padding_free", "packed")
    for rows in (rows for rows in range(batch, 0, -1) if batch % rows == 0):
        if slower and rows > 1 and rows * longest > _CPU_END_TO_END:
            continue
        found = peak(rows)
        if found.total <= free:
            how = f"{found.note} need {found.total / 1e9:.1f} of {free / 1e9:.1f} GB (estimate)"
            if rows < batch:
                more = _next(batch, rows)
                fits = peak(more).total
                how += f"; {more} would need {fits / 1e9:.1f}" if fits > free else f"; {more} end to end are slower on a CPU"
            return Decision(key, rows, how), found
    raise too_small(recipe, device, free, peak(1))


def _next(batch: int, rows: int) -> int:
    return next(more for more in range(rows + 1, batch + 1) if batch % more == 0)


def too_small(recipe: Recipe, device: Device, free: int, need: Peak) -> UserError:
    """Say that a recipe does not fit, and what does."""
    others = [name for name in fitting(device, free) if name != recipe.name]
    can = "train.gradient_checkpointing=true needs less; " if not recipe.train.gradient_checkpointing else ""
    names = f"these fit: {', '.join(others)}" if others else "of the shipped recipes only tiny fits"
    return UserError(
        f"{recipe.name}: {need.what} with {need.note} needs about {need.total / 1e9:.1f} GB (estimate); {device.name} has {free / 1e9:.1f} GB free",
        f"{can}{names}; train.micro_batch_size=1 tries it all the same",
    )


def fitting(device: Device, free: int) -> list[str]:
    """Name the shipped recipes of real models of which one row of assumed length can be trained in `free` bytes, largest first."""
    found = []
    for name in recipe_names():
        recipe = load_recipe(name)
        shape = PUBLISHED.get(recipe.model.name)
        if shape and not recipe.embedded and training(shape, recipe, device, 1, ROW).total <= free:
            found.append((-shape.parameters, name))
    return [name for _, name in sorted(found)]


def precision(recipe: Recipe, shape: Shape, device: Device, free: int, prompt: int = PROMPT, new: int = NEW) -> Decision:
    """Decide in which precision base and tuned are evaluated: in 16 bit, as merged, where one prompt fits; else in 4 bit."""
    key, given = "eval.precision", recipe.eval.precision
    if given != "auto":
        return Decision(key, given, "as asked")
    full = generation(shape, recipe, device, free, "16bit", prompt, new, together=1)
    if full.total <= free or recipe.embedded or not recipe.model.load_in_4bit:
        return Decision(key, "16bit", "as it is merged")
    return Decision(key, "4bit", f"16 bit would need {full.total / 1e9:.1f} of {free / 1e9:.1f} GB (estimate)")


def disk(shape: Shape, recipe: Recipe, downloads: bool, exports: bool = False, merged: str = "bfloat16") -> dict[str, int]:
    """Estimate the disk that a run fills at its largest, by part, in bytes. `downloads`: the base is not there yet;
    `merged` is what the merged model is stored in."""
    n = adapter_parameters(shape, recipe)
    parts = {
        "download": (weight_bytes(shape, True, 2) if shape.four_bit else 2 * shape.parameters) if downloads else 0,
        "checkpoints": _CHECKPOINTS * (4 * n + optimizer_bytes(shape, recipe)),
        "adapter": 4 * n,
        "merged": (4 if merged == "float32" else 2) * shape.parameters,
        "export": (_gguf(shape, 2.0) + _gguf(shape, 34 / 32)) if exports else 0,
        "rows, log, responses": _SMALL_FILES,
    }
    return {name: size for name, size in parts.items() if size}


def _gguf(shape: Shape, width: float) -> int:
    """Bytes of a GGUF file: matrices in f16 (2 each) or q8_0 (34 for every 32), vectors in f32."""
    return int((shape.linear_parameters + shape.embeddings) * width) + 4 * shape.vectors
