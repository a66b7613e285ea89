"""The running estimate that a long evaluation shows: what the answers so far say, by the task's rule judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alt_lite.data.rows import Task
from alt_lite.evals.judging.judges import ATTACK_SCORER, Judge
from alt_lite.evals.stats import wilson

# What an estimate counts, by its judge; `None` is the score's mean.
_HARMFUL, _REFUSED, _CORRECT = ("harmful", {"harmful"}), ("refused", {"partial", "full"}), ("correct", {"correct"})


class Estimate:
    """Counts a task's events as responses come in; plain prompts only. Models that judge come later, so
    that a harm task without a judge by rules shows what is refused."""

    def __init__(self, task: Task, judges: Mapping[str, Judge]) -> None:
        name = next((name for name in task.judges if name in judges and name != ATTACK_SCORER), None)
        self._judge = judges[name] if name else None
        self._title, self._events = _CORRECT if task.kind == "skill" else _REFUSED if "refusal" in (name or "") else _HARMFUL
        self._mean = bool(name and name.startswith("rouge"))
        self._sum, self._n = 0.0, 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Judge some response rows; those without a verdict count as the event not being there."""
        if self._judge is None:
            return
        for row in rows:
            if row["attack"] is None:
                verdict, score = self._judge(row)
                self._sum += (score or 0.0) if self._mean else verdict in self._events
                self._n += 1

    def __str__(self) -> str:
        if not self._n:
            return ""
        if self._mean:
            return f"ROUGE-L {self._sum / self._n:.3f}"
        limits = wilson(self._sum, self._n)
        return f"{self._title} {self._sum / self._n:.0%} [{limits.low * 100:.0f}, {limits.high * 100:.0f}]"
