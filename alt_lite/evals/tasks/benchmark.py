"""What a benchmark is, and how its rows become a task's prompts: drawn by seed, with ids that stay."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alt_lite.console import say
from alt_lite.data import places
from alt_lite.data.local import is_copy
from alt_lite.data.places import Origin, Reach, Source
from alt_lite.data.rows import EvalPrompt, Label, Task, content_id
from alt_lite.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

SAFETY_TOKENS, REASONING_TOKENS = 4096, 8192
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Item:
    """One prompt of a benchmark; `cluster` groups prompts that are not independent."""

    prompt: str
    reference: str | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A published set and how it is asked and judged.

    `item` reads a row of the hub's set, or of the original repository's file, and gives None for a row
    that is not part of the benchmark. `max_new_tokens` is what a reasoning model needs: a response cut
    inside its trace says nothing. `size` is the number of prompts that the authors published.
    """

    name: str
    title: str
    kind: Literal["harm", "over_refusal", "skill"]
    source: Source
    item: Callable[[Mapping[str, Any]], Item | None]
    judges: tuple[str, ...]
    label: Label = "benign"
    language: str = "en"
    max_new_tokens: int = SAFETY_TOKENS
    size: int = 0


def first_of(row: Mapping[str, Any], *names: str) -> Any:
    """The value of the first column that the row has."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def choices(question: str, options: Sequence[str], letters: Sequence[str] = LETTERS, ask: str = "") -> str:
    """Write a question with lettered options, and how to answer."""
    lines = [f"{letter}. {option}" for letter, option in zip(letters, options, strict=False)]
    return "\n".join([question.strip(), "", *lines, "", ask or 'Think it through, then end with "Answer: X", X being the letter of the right option.'])


def local_copy(folder: Path, name: str) -> Path | None:
    """Find a benchmark's local copy: `NAME.jsonl` and the like, compressed or not, or a folder `NAME`; None where the
    folder holds none.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"no such folder: {folder}", "name a folder that holds copies of the benchmarks")
    found = [path for path in sorted(folder.iterdir()) if is_copy(path, name)]
    if len(found) > 1:
        say(f"  {name}: {found[0].name} is read, {', '.join(path.name for path in found[1:])} not")
    return next(iter(found), None)


def load(benchmark: Benchmark, local: Path | None, limit: int | None, seed: int, reach: Reach | None = None) -> tuple[Task, Origin]:
    """Load a benchmark from a local copy, else from the cache, else from the first of its places that has it.

    `limit` prompts are drawn by `seed`; a smaller draw is part of a larger one. `reach` remembers hosts that do not
    answer from one benchmark to the next.

    Raises:
        UserError: the set cannot be had, or holds no row of the benchmark.
    """

    def accept(data: Dataset, origin: Origin) -> list[Item]:
        return _items(benchmark, data, origin)

    if local:
        data, origin = places.local(benchmark.source, local)
        items = accept(data, origin)
    else:
        items, origin = places.fetch(benchmark.source, accept, reach or Reach())
    origin = _counted(origin, len({item.prompt for item in items}), benchmark.size)
    prompts = _prompts(benchmark, items, limit, seed)
    return Task(benchmark.name, benchmark.kind, prompts, benchmark.judges, _clustered(items), benchmark.title, benchmark.max_new_tokens), origin


def _counted(origin: Origin, found: int, published: int) -> Origin:
    """Note where a set holds clearly more or fewer prompts than were published; some publish a few twice."""
    if not published or abs(found - published) <= 0.02 * published:
        return origin
    return replace(origin, note=", ".join(filter(None, (origin.note, f"{found:,} prompts, {published:,} were published"))))


def _items(benchmark: Benchmark, data: Dataset, origin: Origin) -> list[Item]:
    items = []
    for number, row in enumerate(data, 1):
        try:
            item = benchmark.item(row)
            if item and item.prompt.strip():
                items.append(item)
        except (KeyError, AttributeError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{origin.place} has not the form of {benchmark.name}: row {number}: {type(error).__name__} {error}; its columns are {', '.join(data.column_names)}",
                "give a copy of the set that the benchmark names",
            ) from error
    if not items:
        raise UserError(f"{origin.place} holds no row of {benchmark.name}; its columns are {', '.join(data.column_names)}", "give a copy of the set that the benchmark names")
    return items


def _prompts(benchmark: Benchmark, items: Iterable[Item], limit: int | None, seed: int) -> tuple[EvalPrompt, ...]:
    unique = {content_id(benchmark.name, benchmark.language, item.prompt): item for item in items}
    drawn = sorted(unique)
    random.Random(f"{benchmark.name}:{seed}").shuffle(drawn)
    return tuple(
        EvalPrompt(
            task=benchmark.name, prompt_id=id_, messages=({"role": "user", "content": unique[id_].prompt},), label=benchmark.label,
            language=benchmark.language, reference=unique[id_].reference, cluster=unique[id_].cluster or id_,
        )
        for id_ in drawn[:limit]
    )


def _clustered(items: Sequence[Item]) -> bool:
    clusters = [item.cluster for item in items if item.cluster]
    return len(set(clusters)) < len(clusters)
