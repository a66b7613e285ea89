"""What a set of rows holds: labels, duplicates, overlap, structure. Plain values; no tokenizer, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from alt_lite.data.overlap import NearDuplicates, Overlap
from alt_lite.data.rows import TrainingRow
from alt_lite.method import structure
from alt_lite.method.targets import TARGETS, needs


def facts(rows: Sequence[TrainingRow], overlap: Overlap) -> dict[str, Any]:
    """Count what a reader of a set wants to know before training on it.

    Returns:
        `labels`, `languages`, `categories`, `sources`: counts; `filled`: rows in which a field holds
        text; `same_prompt` and `near_duplicates`: rows after their first like; `overlap`: rows by task
        and kind; `structure`: of the steps and of the source's traces, the share with each step and
        with a verdict equal to the label; `targets`: rows that each target could be written from.
    """
    near, seen = NearDuplicates(), set()
    same = nearly = 0
    hits: Counter[str] = Counter()
    for row in rows:
        asked = "\n".join([*(turn.content for turn in row.history), row.prompt])
        if asked in seen:
            same += 1
        elif near.seen(asked):
            nearly += 1
        else:
            near.add(asked)
        seen.add(asked)
        if hit := overlap.find(row.prompt):
            hits[f"{hit[0]} ({hit[1]})"] += 1
    fields = ("system", "understanding", "assessment", "reasoning", "answer", "source_trace", "source_answer", "history", "generated")
    return {
        "rows": len(rows),
        "labels": dict(Counter(row.label for row in rows)), "languages": dict(Counter(row.language for row in rows)),
        "categories": dict(Counter(row.category or "none" for row in rows).most_common(12)),
        "sources": dict(Counter(row.source or "none" for row in rows).most_common(5)),
        "filled": {name: sum(bool(getattr(row, name)) for row in rows) for name in fields},
        "same_prompt": same, "near_duplicates": nearly, "overlap": dict(hits),
        "structure": {
            "steps": _structure([(structure.join_steps(r.understanding, r.assessment, r.reasoning), r.label) for r in rows]),
            "source_trace": _structure([(row.source_trace, row.label) for row in rows]),
        },
        "targets": {kind: sum(not needs(row, kind) for row in rows) for kind in TARGETS},
    }


def _structure(traces: Sequence[tuple[str, str]]) -> dict[str, float] | None:
    found = [(structure.find(trace), label) for trace, label in traces if trace.strip()]
    if not found:
        return None
    share = {step: sum(s.has(step) for s, _ in found) / len(found) for step in structure.STEPS}
    right = sum(s.verdict == label for s, label in found) / len(found)
    return {"traces": len(found), **share, "alttrain_order": sum(s.is_alttrain for s, _ in found) / len(found), "verdict_is_label": right}
