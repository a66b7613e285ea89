"""How long a run will take on this machine: measured once a run has been made, else estimated; told by the check stage.

A training and an evaluation leave their speed in the cache (`speeds.jsonl`); the next check of the same model on the
same device reads it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.data import cache
from alt_lite.data.rows import Task
from alt_lite.decide import Decisions, Device, chosen
from alt_lite.evals.runner import Settings
from alt_lite.model import memory, speed
from alt_lite.model.counted import shape_of
from alt_lite.model.shape import Shape
from alt_lite.rundir import append_jsonl, now, read_rows

# Tokens of a mean prompt where no task is at hand, and characters of a token: our assumptions.
_PROMPT, _CHARACTERS = 200, 4
# Tokens of a mean response where none was measured: reasoning models' on sampled responses, our assumption; the embedded model's.
_RESPONSE = {"harm": 800, "over_refusal": 900, "skill": 1500}
_RESPONSE_EMBEDDED = 50


def record(recipe: Recipe, here: Device, stage: str, how: str, tokens_per_second: float | None, **facts: Any) -> None:
    """Keep a measured speed for later checks; a cache that cannot be written is no reason to stop."""
    if not tokens_per_second:
        return
    entry = {"device": here.name, "model": recipe.model.name, "stage": stage, "how": how, "tokens_per_second": round(tokens_per_second, 2), "date": now()[:10], **facts}
    try:
        append_jsonl(cache.root() / "speeds.jsonl", [entry])
    except OSError as error:
        say(f"  this run's speed is not kept for later estimates ({error.strerror})")


def steady(log: Sequence[Mapping[str, Any]]) -> float | None:
    """Give a training's tokens per second from its log, without the first two steps, in which rows are compared and
    kernels chosen; None where no more than these were taken."""
    later = [row for row in log[2:] if row.get("tokens_per_second") and row.get("seconds")]
    seconds = sum(row["seconds"] for row in later)
    return sum(row["tokens_per_second"] * row["seconds"] for row in later) / seconds if seconds else None


def measured(recipe: Recipe, here: Device, stage: str, how: str) -> dict[str, Any] | None:
    """Find the newest speed of this model on this device: of a run here, else one that the project ships."""
    from alt_lite.report.hardware import measurements

    try:
        known = read_rows(cache.root() / "speeds.jsonl")
    except (OSError, ValueError):
        known = []
    wanted = (here.name, recipe.model.name, stage, how)
    if mine := [entry for entry in known if tuple(entry.get(key) for key in ("device", "model", "stage", "how")) == wanted]:
        return mine[-1]
    shipped = [entry for entry in measurements() if (entry["recipe"], entry["gpu"], entry["stage"]) == (recipe.name, here.name, stage)]
    return next((entry for entry in reversed(shipped) if entry["tokens_per_second"]), None)


def machine(here: Device) -> speed.Machine:
    """Measure what this machine computes and moves, in a fraction of a second."""
    import torch

    gpu = here.kind == "cuda"
    side, numbers = (4096, 1 << 26) if gpu else (768, 1 << 23)
    dtype = getattr(torch, here.dtype)
    a, b = (torch.ones(side, side, dtype=dtype, device=here.kind) for _ in range(2))
    block = torch.ones(numbers, device=here.kind)

    def per_second(work: Any, amount: float) -> float:
        work()
        best = float("inf")
        for _ in range(3):
            if gpu:
                torch.cuda.synchronize()
            began = time.perf_counter()
            work()
            if gpu:
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
        return amount / max(best, 1e-9)

    return speed.Machine(per_second(lambda: a @ b, 2.0 * side**3), per_second(lambda: block.clone(), 2.0 * 4 * numbers), gpu)


def tell(recipe: Recipe, here: Device, decisions: Decisions, lengths: Sequence[int], tasks: Sequence[Task], drawn: Settings, arms: int) -> None:
    """Say how long training and evaluation will take, and what a smaller evaluation would; nothing where the
    architecture is no decoder with attention.

    Args:
        lengths: tokens of each training row; none where nothing is trained.
        tasks: what is evaluated, on `arms` models, with responses `drawn` so.
    """
    from alt_lite.model.load import model_folder
    from alt_lite.preflight import free_memory

    config = model_folder(recipe.model, weights=False) / "config.json"
    shape = shape_of(config.parent) if config.is_file() else None
    if shape is None:
        return
    free = free_memory(here, chosen(decisions, "model.backend"))
    found: speed.Machine | None = None

    def here_measured() -> speed.Machine:
        nonlocal found
        found = found or machine(here)
        return found

    if lengths:
        backend = chosen(decisions, "model.backend")
        tokens = sum(lengths) * recipe.train.epochs
        known = measured(recipe, here, "train", backend)
        if known:
            rate = float(known["tokens_per_second"])
        else:
            together = chosen(decisions, "train.micro_batch_size") if "train.micro_batch_size" in decisions else 1
            rate = speed.training(shape, here_measured(), recipe.train.gradient_checkpointing, (together or 1) * sum(lengths) / len(lengths))
        say(f"  time, training: about {speed.spoken(tokens / rate)} ({tokens:,.0f} tokens, {_rate(rate)}, {_whence(known)})")
    rate, known = _generating(recipe, here, decisions, shape, here_measured, free, tasks, drawn.max_new_tokens)
    # A response that was cut short says nothing of how long it would have become.
    limit, then = drawn.max_new_tokens, (known or {}).get("max_new_tokens")
    means = ((known or {}).get("mean_tokens") or {}) if then is None or (limit is not None and limit <= then) else {}

    def length(kind: str) -> float:
        return min(means.get(kind, _RESPONSE_EMBEDDED if recipe.embedded else _RESPONSE[kind]), limit or float("inf"))

    def lasting(prompts: Mapping[str, float]) -> float:
        return sum(count * length(kind) for kind, count in prompts.items()) * drawn.samples * arms / rate

    asked: dict[str, float] = {}
    for task in tasks:
        asked[task.kind] = asked.get(task.kind, 0) + len(task.prompts)
    how = f"{_rate(rate)}, {'responses as long as then, ' if means else ''}{_whence(known)}; judges that are models not counted"
    if asked:
        each = f" × {arms} models" if arms > 1 else ""
        say(f"  time, evaluation: about {speed.spoken(lasting(asked))} ({sum(asked.values()):,} prompts{each}, {how})")
    smaller = [f"{name} about {speed.spoken(seconds)}" for name, seconds in _smaller(recipe, decisions, asked, lasting)]
    if smaller:
        say(f"  time, {'a smaller evaluation' if asked else 'an evaluation'}: {', '.join(smaller)}{'' if asked else f' ({how})'}")


def _smaller(recipe: Recipe, decisions: Decisions, asked: Mapping[str, float], lasting: Any) -> Iterator[tuple[str, float]]:
    from alt_lite.evals.suites import SUITES
    from alt_lite.evals.tasks import TASKS

    suite = chosen(decisions, "eval.suite")
    if not recipe.embedded and not recipe.eval.tasks and suite != "quick":
        quick: dict[str, float] = {}
        for name in SUITES["quick"].tasks:
            quick[TASKS[name].kind] = quick.get(TASKS[name].kind, 0) + (recipe.eval.limit or SUITES["quick"].limit or TASKS[name].size)
        yield "eval.suite=quick", lasting(quick)
    if asked and (recipe.eval.limit is None or recipe.eval.limit > 10):
        share = min(1.0, 10 / (recipe.eval.limit or (SUITES[suite].limit if suite in SUITES else None) or 200))
        yield "eval.limit=10", lasting({kind: count * share for kind, count in asked.items()})


def _generating(
    recipe: Recipe, here: Device, decisions: Decisions, shape: Shape, measure: Any, free: int, tasks: Sequence[Task], limit: int | None,
) -> tuple[float, dict[str, Any] | None]:
    precision = chosen(decisions, "eval.precision")
    known = measured(recipe, here, "eval", f"{recipe.eval.engine}, {precision}")
    if known:
        return float(known["tokens_per_second"]), known
    new = limit or recipe.eval.max_new_tokens or memory.NEW
    peak = memory.generation(shape, recipe, here, free, precision, new=new, together=chosen(decisions, "eval.batch_size"))
    width = memory.width_of(here)
    rows = max(1, peak.parts["cache"] // (memory.cache_bytes(shape, width) * (memory.PROMPT + new)))
    # No more are together than a task has.
    rows = min(rows, max((len(task.prompts) for task in tasks), default=rows))
    return speed.generation(shape, measure(), rows, peak.parts["weights"], width, _prompt_tokens(tasks), new), None


def _prompt_tokens(tasks: Sequence[Task]) -> float:
    """Tokens of a mean prompt, from its characters."""
    texts = [sum(len(message["content"]) for message in prompt.messages) for task in tasks for prompt in task.prompts]
    return sum(texts) / len(texts) / _CHARACTERS if any(texts) else _PROMPT


def _rate(rate: float) -> str:
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.2g} a second"


def _whence(known: Mapping[str, Any] | None) -> str:
    return f"measured on {known.get('device') or known.get('gpu')}, {known['date']}" if known else "estimate"


@contextmanager
def generating(recipe: Recipe, here: Device, drawn: Settings, folder: Path, tasks: Sequence[Task]) -> Iterator[list[int]]:
    """Measure what is generated meanwhile into `folder/TASK/responses.jsonl`, and keep its speed. The list that is given
    takes how many responses were taken over from other runs: then nothing is kept, nor where attackers wrote meanwhile."""
    from alt_lite.evals.adaptive import ADAPTIVE
    from alt_lite.evals.runner import RESPONSES

    def there() -> dict[str, tuple[str | None, int]]:
        return {
            row["id"]: (None if row["attack"] else task.kind, row["n_tokens"] or 0)
            for task in tasks for row in read_rows(folder / task.name / RESPONSES) if row["finish"] != "error"
        }

    taken_over: list[int] = []
    before, began = there(), time.monotonic()
    yield taken_over
    seconds = time.monotonic() - began
    made = [entry for id_, entry in there().items() if id_ not in before]
    # Of a few responses loading would be most of the time.
    if sum(taken_over) or len(made) < 20 or any(prompt.attack in ADAPTIVE for task in tasks for prompt in task.prompts):
        return
    kinds: dict[str, list[int]] = {}
    for kind, count in made:
        if kind:
            kinds.setdefault(kind, []).append(count)
    means = {kind: round(sum(counts) / len(counts), 1) for kind, counts in kinds.items()}
    record(recipe, here, "eval", f"{recipe.eval.engine}, {drawn.precision}", sum(count for _, count in made) / max(seconds, 1e-6), mean_tokens=means, max_new_tokens=drawn.max_new_tokens)
