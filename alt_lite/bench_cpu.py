"""A recipe's training and generation on a CPU with the model's own weights, as they were and as they are decided now:

    python -m alt_lite bench smollm2_135m

Before: fp32, a base in 4 bit while training, gradient checkpointing, 16 prompts together. Now: what the recipe decides on this
machine. Both sides take turns in every round, so that a machine that slows down slows both. What they compute is held against
fp32, too: the loss and the gradients of the same rows, and greedy answers.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe, with_overrides
from alt_lite.console import progress, say
from alt_lite.decide import Decisions, Device, chosen, computing, decide
from alt_lite.errors import UserError
from alt_lite.rundir import read_rows

ROUNDS, STEPS = 3, 12
_PROMPTS, _NEW, _COMPARED, _ROWS_COMPARED = 128, 64, 64, 8
# What training and generation on a CPU were like before they computed in bf16.
_BEFORE = ("model.dtype=float32", "train.gradient_checkpointing=true", "eval.batch_size=16")


@dataclass(frozen=True)
class Side:
    """One way to train and to generate, with all decisions made; `precision` is that of generation's weights."""

    recipe: Recipe
    here: Device
    decisions: Decisions
    precision: str

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "dtype": self.here.dtype, "load_in_4bit": self.recipe.model.load_in_4bit, "gradient_checkpointing": self.recipe.train.gradient_checkpointing,
            "layout": chosen(self.decisions, "train.layout"), "micro_batch_size": chosen(self.decisions, "train.micro_batch_size"), "precision": self.precision,
        }


@dataclass(frozen=True)
class Material:
    """Encoded training rows and prompts, and in words where they come from."""

    rows: list[Any]
    prompts: list[list[int]]
    whence: str


def is_for(recipe: Recipe, here: Device) -> bool:
    """Whether `measure` is how a real model is measured here: on a CPU, where its weights are at hand."""
    from alt_lite.model import load

    return here.kind == "cpu" and not recipe.embedded and load.has_weights(recipe.model)


def measure(recipe: Recipe, steps: int = STEPS, rounds: int = ROUNDS, prompts: int = _PROMPTS, new: int = _NEW) -> dict[str, Any]:
    """Train about `steps` optimiser steps and answer `prompts` prompts on both sides, in `rounds` rounds; compare what is computed.

    Raises:
        UserError: the model cannot be had, or does not fit here.
    """
    from alt_lite import recipe as recipes
    from alt_lite.model import load
    from alt_lite.model.counted import shape_of

    settled, here, decisions = recipes.prepare(recipe, trains=False)
    folder, tokens = load.model_folder(settled.model), load.load_tokens(settled.model)
    each = -(-steps // rounds) + 1
    material = gather(settled, decisions, tokens, each * settled.train.batch_size, prompts)
    say(f"bench: {settled.model.name} with its own weights on {here.name}, {material.whence}; {rounds} rounds of {each} steps and {len(material.prompts)} prompts on each side")
    sides = two(settled, here, decisions, folder, max(len(row.input_ids) for row in material.rows), each + 1)
    trained: dict[str, list[tuple[int, float]]] = {name: [] for name in sides}
    generated: dict[str, list[tuple[int, float]]] = {name: [] for name in sides}
    answers: dict[str, list[list[int]]] = {}
    together: dict[str, int] = {}
    with progress("bench", 2 * rounds * len(sides) + 1) as bar:
        done = 0
        for number in range(rounds):
            turns = list(sides.items())[:: -1 if number % 2 else 1]
            for name, side in turns:
                bar(done, f"training, {name}")
                trained[name].append(train(side, tokens, material.rows))
                done += 1
            for name, side in turns:
                bar(done, f"generation, {name}")
                ids, seconds, together[name] = generate(side, tokens, folder, material.prompts, new)
                generated[name].append((sum(map(len, ids)), seconds))
                answers.setdefault(name, ids)
                done += 1
        bar(done, "comparing")
        compared = compare(sides["before"], sides["now"], tokens, material.rows[:_ROWS_COMPARED]) | {
            "answers": asdict(answered(sides["before"], sides["now"], folder, material.prompts[:_COMPARED], *(answers[name][:_COMPARED] for name in sides))),
        }
        bar(done + 1, "")
    shape = shape_of(folder)
    return {
        "device": here.name, "recipe": recipe.name, "model": settled.model.name, "parameters": shape.parameters if shape else None, "material": material.whence,
        "rounds": rounds, "steps": rounds * (each - 1), "prompts": len(material.prompts), "max_new_tokens": new,
        **{name: side.facts | {"prompts_together": together[name], "training": _rate(trained[name]), "generation": _rate(generated[name])} for name, side in sides.items()},
        "training": _ratios(trained), "generation": _ratios(generated), "compared": compared,
    }


def two(recipe: Recipe, here: Device, decisions: Decisions, folder: Path, longest: int, steps: int) -> dict[str, Side]:
    """Make both sides of a settled recipe: how it was, and what is decided now. Each trains one epoch and keeps no checkpoint."""
    from alt_lite import preflight
    from alt_lite.model import architecture, memory
    from alt_lite.model.counted import shape_of

    shape = shape_of(folder)
    four_bit = architecture.four_bit_of(folder)[0]
    plain = ("train.epochs=1", f"train.checkpoint_steps={steps + 1}")
    precision = memory.precision(recipe, shape, here, int(0.95 * here.memory)).value if shape else "16bit"
    made = {}
    for name, more in (("before", (*_BEFORE, f"model.load_in_4bit={str(four_bit).lower()}")), ("now", ())):
        its = with_overrides(recipe, (*plain, *more))
        device = computing(its, here)
        its_decisions = {**decisions, **decide(its, device)}
        how = chosen(its_decisions, "model.backend"), chosen(decisions, "train.layout")
        its_decisions["train.layout"] = decisions["train.layout"]
        if shape:
            rows, _ = memory.fit(its, shape, device, preflight.free_memory(device, how[0]), longest, *how)
            its_decisions[rows.key] = rows
        made[name] = Side(its, device, its_decisions, precision)
    return made


def gather(recipe: Recipe, decisions: Decisions, tokens: Any, rows: int, prompts: int) -> Material:
    """Take the recipe's own rows, drawn evenly, and their prompts; where they cannot be had, random ones of AltTrain's lengths.

    Raises:
        UserError: rows that were asked for on the command line cannot be had.
    """
    from alt_lite import measure
    from alt_lite import recipe as recipes
    from alt_lite.tokens.encode import encode_prompt, encode_rows, row_messages

    rng = random.Random(0)
    try:
        own = recipes.look_at_rows(recipe, decisions)
    except UserError as error:
        if any(key.startswith("data.") and origin == "command line" for key, origin in recipe.origin.items()):
            raise
        say(f"bench: random rows of AltTrain's lengths, since the recipe's own cannot be had ({error.message})")
        vocabulary = len(tokens.fast)
        ids = range(min(300, vocabulary // 4), min(1000, vocabulary * 3 // 4))
        return Material(measure.rows_of(rows, ids), measure.prompts_of(prompts, ids), "random rows and prompts")
    rng.shuffle(own)
    own = own[: max(rows, prompts)]
    encoded = encode_rows(tokens, own, recipe.data.target, recipe.model.max_length, recipe.data.answer)
    # A set that is smaller is gone through again.
    taken = [encoded[number % len(encoded)] for number in range(rows)]
    return Material(taken, [encode_prompt(tokens, row_messages(row)) for row in own[:prompts]], "the recipe's rows and their prompts")


def train(side: Side, tokens: Any, rows: Sequence[Any]) -> tuple[int, float]:
    """Train once through the rows; gives tokens and seconds of all steps but the first, in which rows are compared."""
    from alt_lite.model import load
    from alt_lite.model import train as training

    load.free_memory()
    with tempfile.TemporaryDirectory(prefix="alt_lite_bench_") as name:
        root = Path(name)
        places = training.Places(root / "checkpoints", root / "trained", root / "log.jsonl")
        training.train(side.recipe, side.decisions, side.here, tokens, rows, places, lambda done, note: None)
        log = read_rows(places.log)
    load.free_memory()
    return log[-1]["tokens"] - log[0]["tokens"], sum(row["seconds"] for row in log[1:])


def generate(side: Side, tokens: Any, folder: Path, prompts: Sequence[list[int]], new: int) -> tuple[list[list[int]], float, int]:
    """Answer all prompts greedily; gives the answers' ids, the seconds without loading, and how many were together at most."""
    from alt_lite.generate import local

    model = _weights(side, folder)
    list(local.generate(model, tokens, prompts[:2], 2, 2))  # the first forward passes set things up
    began = time.perf_counter()
    batches = list(local.generate(model, tokens, prompts, new, chosen(side.decisions, "eval.batch_size")))
    seconds = time.perf_counter() - began
    made = {one.index: list(one.ids) for batch in batches for one in batch}
    return [made[number] for number in range(len(prompts))], seconds, max(map(len, batches))


def compare(before: Side, now: Side, tokens: Any, rows: Sequence[Any]) -> dict[str, Any]:
    """Hold what rows teach now, laid out as they are now, against fp32 and the rows one by one; both from the same unquantised base,
    with the same adapter, whose B is drawn too, so that all of its gradients tell."""
    from alt_lite.model import gradients

    loss, expected = learnt(before, tokens, rows, together=False)
    found, given = learnt(now, tokens, rows, together=True)
    cosine = gradients.cosine(expected, given)
    return {
        "rows": len(rows), "dtype": now.here.dtype, "loss_float32": round(loss, 6), "loss_now": round(found, 6), "loss_difference": float(f"{abs(found - loss) / abs(loss):.3g}"),
        "gradient_cosine": None if cosine is None else round(cosine, 6),
    }


def learnt(side: Side, tokens: Any, rows: Sequence[Any], together: bool) -> tuple[float, list[Any]]:
    """Give a step's loss and its gradients, in the trainer that a run trains with; `together`: laid out as its decisions say."""
    import torch
    from transformers import TrainerCallback

    from alt_lite.model import adapter, gradients, layout, load
    from alt_lite.model import train as training

    recipe, way = with_overrides(side.recipe, ("model.load_in_4bit=false", "lora.dropout=0")), chosen(side.decisions, "train.layout")
    step, lengths = list(range(len(rows))), [len(row.input_ids) for row in rows]
    load.free_memory()
    with tempfile.TemporaryDirectory(prefix="alt_lite_bench_") as name:
        places = training.Places(Path(name), Path(name), Path(name) / "log.jsonl")
        config = training.trainer_config(training.effective_settings(recipe, side.decisions, side.here, places, 1))
        model = adapter.new(recipe, side.here, chosen(side.decisions, "model.backend"), max(lengths))
        trainer = training.trainer_of(recipe, side.decisions, model, config, tokens, rows, [step], say, TrainerCallback())
        adapter.to_fp32(trainer.model)
        torch.manual_seed(0)
        for key, parameter in trainer.model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter, std=0.01)
        prepared = trainer.accelerator.prepare(trainer.model)  # it computes in 16 bit from here on
        micro = chosen(side.decisions, "train.micro_batch_size") or len(rows)
        parts = layout.micro_batches(step, lengths, way, micro, recipe.model.max_length) if together else [[i] for i in step]
        loss = float(trainer.backward(prepared, parts))
        return loss, gradients.collected(trainer.model)


def answered(before: Side, now: Side, folder: Path, prompts: Sequence[list[int]], one: Sequence[list[int]], other: Sequence[list[int]]) -> Any:
    """Hold greedy answers against those in fp32 of the same prompts: where they part, were both tokens as good as equal to fp32?"""
    from alt_lite.generate import ties

    return ties.compare(_weights(before, folder), prompts, one, other, now.here.dtype)


def _weights(side: Side, folder: Path) -> Any:
    from alt_lite.subjects import Weights

    return Weights(folder, "nf4" if side.precision == "4bit" else "16bit").load(side.here)


def _rate(turns: Sequence[tuple[int, float]]) -> float:
    return round(sum(tokens for tokens, _ in turns) / max(sum(seconds for _, seconds in turns), 1e-9), 1)


def _ratios(turns: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, Any]:
    """Now's rate as a multiple of before's: over all rounds, and in each."""
    pairs = zip(turns["before"], turns["now"], strict=True)
    return {"ratio": round(_rate(turns["now"]) / max(_rate(turns["before"]), 1e-9), 3), "rounds": [round(_rate([new]) / max(_rate([old]), 1e-9), 3) for old, new in pairs]}


def text(found: Mapping[str, Any]) -> str:
    """Say the figures in a few lines."""
    before, now, size = found["before"], found["now"], found["parameters"]
    lines = [f"{found['device']}, {found['model']}{f', {size / 1e9:.2f}B parameters' if size else ''}, {found['material']}, {found['rounds']} rounds side by side"]
    for what, of in (("training", _trained), ("generation", _generated)):
        rounds = found[what]["rounds"]
        lines.append(
            f"{what}: before ({of(before)}) {before[what]:,.0f} tokens/s, now ({of(now)}) {now[what]:,.0f}: "
            f"{found[what]['ratio']:.2f} times as fast ({min(rounds):.2f} to {max(rounds):.2f} in the rounds)"
        )
    seen, answers = found["compared"], found["compared"]["answers"]
    cosine = "none to compare" if seen["gradient_cosine"] is None else f"of cosine {seen['gradient_cosine']:.4f}"
    what = f"{seen['dtype']} against fp32" if seen["dtype"] != "float32" else "this CPU computes in fp32 on both sides, so that the layout alone is compared"
    lines.append(f"{what}: loss of {seen['rows']} rows {seen['loss_now']:.4f} against {seen['loss_float32']:.4f} (apart by {seen['loss_difference']:.2%}), adapter's gradients {cosine}")
    lines.append(
        f"{answers['differing']} of {answers['n']} greedy answers differ, {answers['explained']} of these where fp32's two tokens lie within {answers['tolerance']:.2g} "
        f"of the largest logit (at most {answers['largest_gap']:.2g})"
    )
    return "\n".join(lines)


def _trained(side: Mapping[str, Any]) -> str:
    base = "a base in 4 bit" if side["load_in_4bit"] else "an unquantised base"
    return f"{side['dtype']}, {base}, {'' if side['gradient_checkpointing'] else 'no '}checkpointing, room for {side['micro_batch_size']} of the longest rows"


def _generated(side: Mapping[str, Any]) -> str:
    return f"{side['dtype']}{', 4 bit' if side['precision'] == '4bit' else ''}, {side['prompts_together']} prompts together"
