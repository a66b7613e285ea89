"""Before/after traces of the same prompt, taken from the responses of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.evals.runner import RESPONSES, SUITE
from alt_lite.rundir import read_json, read_rows


@dataclass(frozen=True)
class Example:
    """One prompt with the base's and the tuned model's response rows."""

    title: str
    prompt: str
    base: dict[str, Any]
    tuned: dict[str, Any]


def examples(run: Path, count: int) -> list[Example]:
    """Take the first prompt of a task of each kind in turn (harm, over-refusal, skill, harm, …)."""
    if not (run / "eval" / SUITE).is_file():
        return []
    suite = read_json(run / "eval" / SUITE)
    by_kind: dict[str, list[str]] = {}
    for task, facts in suite.items():
        by_kind.setdefault(facts["kind"], []).append(task)
    # New objects tell more than trained ones, so a kind's second task comes first.
    queues = [tasks[1:] + tasks[:1] for tasks in by_kind.values()]
    turns = [queue[i] for i in range(max(map(len, queues), default=0)) for queue in queues if i < len(queue)]
    chosen: list[Example] = []
    for task in turns[:count]:
        before = {row["prompt_id"]: row for row in read_rows(run / "eval" / "base" / task / RESPONSES) if not row["attack"]}
        after = [row for row in read_rows(run / "eval" / "tuned" / task / RESPONSES) if not row["attack"]]
        main = suite[task].get("language")
        after.sort(key=lambda row: (row["language"] != main, row["prompt_id"]))
        for row in after:
            if row["prompt_id"] in before:
                chosen.append(Example(suite[task]["title"], row["messages"][-1]["content"], before[row["prompt_id"]], row))
                break
    return chosen
