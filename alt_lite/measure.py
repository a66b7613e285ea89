"""A recipe's training and generation on this machine, with random weights of its model's published shape:

    python -m alt_lite bench r1_7b --out recipes/measured

No download is needed, and memory and speed do not depend on what the weights are. Rows are AltTrain-shaped:
nine in ten have 70 tokens, one has 1,050.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from alt_lite.bench import make_random
from alt_lite.config import Recipe, with_overrides
from alt_lite.console import progress, say
from alt_lite.errors import UserError
from alt_lite.rundir import read_rows, write_json
from alt_lite.subjects import Weights

_SHORT, _LONG, _EVERY = 70, 1050, 10
_PROMPTS, _SINGLES, _NEW, _PROMPT_TOKENS = 64, 4, 64, range(40, 200)
# Ids that every vocabulary has, and that stand for no control token in any.
_IDS = range(300, 1000)


def measure(recipe: Recipe, command: str, steps: int = 20, layers: int | None = None, out: Path | None = None) -> list[dict[str, Any]]:
    """Train `steps` optimiser steps, then generate; give one entry for each (recipes/measured/README.md), with
    the estimate and its error. `layers` cuts the model, to try the command where it does not fit.

    Raises:
        UserError: the model's shape is not known, or does not fit here.
    """
    from alt_lite import preflight
    from alt_lite.decide import chosen, decide
    from alt_lite.model import backend, load, memory, train
    from alt_lite.model.shape import PUBLISHED
    from alt_lite.provenance import package_versions
    from alt_lite.tokens import tokenizer as tokenizers_io

    shape = PUBLISHED.get(recipe.model.name)
    if shape is None:
        raise UserError(f"{recipe.name}: the published shape of {recipe.model.name} is not known", f"a recipe of one of {', '.join(PUBLISHED)}; or, on a CPU, the weights: model.name=FOLDER or FILE.gguf")
    shape = replace(shape, num_hidden_layers=layers) if layers else shape
    backend.prepare_environment()
    here = backend.device(recipe)
    rows = rows_of(steps * recipe.train.batch_size)
    with tempfile.TemporaryDirectory(prefix="alt_lite_bench_") as name:
        root = Path(name)
        say(f"bench: writing {shape.parameters / 1e9:.2f}B random weights")
        config = {key: value for key, value in asdict(shape).items() if key not in ("four_bit", "mlp_bias", "attention_bias", "counted")}
        make_random(root / "base", config, root / "adapter", recipe.lora.r)
        # The tokenizer, of which only padding is used, comes with the package; the prompt format is not.
        tokens = load.load_tokens(recipe.model.model_copy(update={"name": "embedded", "family": "r1"}))
        tokenizers_io.save(tokens, root / "base")  # Unsloth's process loads it again
        recipe = with_overrides(recipe, (f"model.name={root / 'base'}", "model.family=r1", "train.epochs=1", f"train.checkpoint_steps={steps + 1}"))
        decisions = decide(recipe, here)
        how = chosen(decisions, "model.backend"), chosen(decisions, "train.layout")
        rows_at_once, _ = memory.fit(recipe, shape, here, preflight.free_memory(here, how[0]), _LONG, *how)
        decisions = {**decisions, rows_at_once.key: rows_at_once}
        places = train.Places(root / "checkpoints", root / "trained", root / "log.jsonl")
        with progress(f"bench: train {recipe.name}", steps) as bar:
            facts = train.train(recipe, decisions, here, tokens, rows, places, bar)
        # The estimate of what was really in memory at once, not of as many of the longest rows.
        # Without the first two steps, in which rows are compared, kernels are compiled and chosen.
        steady = read_rows(places.log)[2:] or read_rows(places.log)
        speed = sum(row["tokens_per_second"] * row["seconds"] for row in steady) / sum(row["seconds"] for row in steady)
        share = facts["mfu"] and round(facts["mfu"] * speed / facts["tokens_per_second"], 4)
        together = max(_micro_batches(rows, recipe, facts), key=sum)
        expected = memory.training(shape, recipe, here, len(together), -(-sum(together) // len(together)), facts["backend"], facts["layout"])
        common = {
            "recipe": recipe.name, "gpu": here.name, "gpu_memory_bytes": here.memory, "date": time.strftime("%Y-%m-%d"), "versions": package_versions(),
            "command": command, "random_weights": True, "layers": shape.num_hidden_layers, "parameters": shape.parameters, "longest_row": _LONG, "seconds": None,
        }
        trained = {
            **common, "stage": "train", **{key: facts[key] for key in ("backend", "layout", "micro_batch_size", "peak_memory_bytes", "padding_share", "final_loss")},
            "tokens_per_second": round(speed, 1), "mfu": share, **_error(expected, facts["peak_memory_bytes"], here.kind),
        }
        _write(trained, out)  # what comes may not fit
        precision = memory.precision(recipe, shape, here, preflight.free_memory(here, "transformers"), max(_PROMPT_TOKENS), _NEW)
        say(f"bench: {precision}")
        weights = Weights(root / "base", "nf4" if precision.value == "4bit" else "16bit")
        evaluated = {
            **common, "stage": "eval", "backend": "transformers", "layout": "padded", "precision": precision.value, **_generation(weights, here, tokens),
        }
        _write(evaluated, out)
    return [trained, evaluated]


def _write(entry: dict[str, Any], out: Path | None) -> None:
    if out:
        path = out / f"{entry['recipe']}-{entry['gpu'].replace(' ', '_').replace('/', '_')}-{entry['date']}-{entry['stage']}.json"
        write_json(path, entry)
        say(f"wrote {path}")


def rows_of(count: int, of: Sequence[int] = _IDS) -> list[Any]:
    """Make random rows of AltTrain's lengths."""
    from alt_lite.tokens.encode import IGNORED, Encoded

    rng = random.Random(0)
    lengths = [_LONG if number % _EVERY == _EVERY - 1 else _SHORT for number in range(count)]
    ids = [[rng.choice(of) for _ in range(length)] for length in lengths]
    return [Encoded(str(number), row, [IGNORED] * 20 + row[20:]) for number, row in enumerate(ids)]


def prompts_of(count: int, of: Sequence[int] = _IDS) -> list[list[int]]:
    """Make random prompts of usual lengths."""
    rng = random.Random(1)
    return [[rng.choice(of) for _ in range(rng.choice(_PROMPT_TOKENS))] for _ in range(count)]


def _micro_batches(rows: list[Any], recipe: Recipe, facts: dict[str, Any]) -> list[list[int]]:
    """Lengths of the rows in each micro-batch of the training."""
    from alt_lite.model import layout

    lengths = [len(row.input_ids) for row in rows]
    steps = layout.row_order(len(rows), recipe.train.epochs, recipe.train.batch_size, recipe.train.seed)
    parts = [part for step in steps for part in layout.micro_batches(step, lengths, facts["layout"], facts["micro_batch_size"], recipe.model.max_length)]
    return [[lengths[i] for i in part] for part in parts]


def _error(expected: Any, peak: int, kind: str) -> dict[str, Any]:
    """Hold the estimate against the peak: on a GPU what torch's allocator calls so, else the process."""
    estimate = expected.allocated if kind == "cuda" else expected.total
    return {"estimate_bytes": estimate, "estimate_error": round(estimate / peak - 1, 4)}


def _generation(weights: Weights, here: Any, tokens: Any) -> dict[str, Any]:
    """Generate greedily for many prompts, as many together as memory holds, and for a few one at a time."""
    from alt_lite.generate.local import generate
    from alt_lite.model import backend, load

    load.free_memory()  # of training, before the peak is counted anew
    if here.kind == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    model = weights.load(here)
    prompts = prompts_of(_PROMPTS)

    def speed(some: list[list[int]], together: int | None) -> tuple[float, dict[int, tuple[int, ...]], int]:
        began = time.perf_counter()
        batches = list(generate(model, tokens, some, _NEW, together))
        ids = {one.index: one.ids for batch in batches for one in batch}
        return sum(map(len, ids.values())) / (time.perf_counter() - began), ids, max(map(len, batches))

    many, ids, together = speed(prompts, None)
    single, alone, _ = speed(prompts[:_SINGLES], 1)
    same = sum(ids[number] == alone[number] for number in alone)
    return {
        "micro_batch_size": together, "peak_memory_bytes": backend.peak_memory(), "tokens_per_second": round(many, 1),
        "tokens_per_second_single": round(single, 1), "same_as_single": f"{same} of {len(alone)}",
    }


def text(entries: list[dict[str, Any]]) -> str:
    """Say the figures in a line each."""
    trained, evaluated = entries
    return (
        f"{trained['gpu']}, {trained['parameters'] / 1e9:.2f}B random weights: training ({trained['backend']}, {trained['layout']}, room for {trained['micro_batch_size']} of the "
        f"longest rows) {trained['tokens_per_second'] or 0:,.0f} tokens/s, peak {trained['peak_memory_bytes'] / 1e9:.2f} GB, estimate {trained['estimate_bytes'] / 1e9:.2f} GB "
        f"({trained['estimate_error']:+.0%})\n"
        f"generation ({evaluated['precision']}, {evaluated['micro_batch_size']} prompts together at most) {evaluated['tokens_per_second']:,.0f} tokens/s, one at a time "
        f"{evaluated['tokens_per_second_single']:,.0f}, same ids {evaluated['same_as_single']}, peak {evaluated['peak_memory_bytes'] / 1e9:.2f} GB"
    )
