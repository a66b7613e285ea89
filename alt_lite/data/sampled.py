"""Training rows from a model's own samples: what is asked, which samples are kept, and why others are not.

Methods: `thinksafe` (arXiv 2601.23143): harmful prompts behind a refusal-steering prefix, benign ones as
they are; samples whose trace is not closed are dropped, a guard keeps the safe ones, and the original
prompt is paired with the kept response; `unsteered`: the same without the prefix, for a model that refuses by itself. `short` (arXiv 2505.15404): a system prompt asks for a short
trace, which is added to the row for the target `short`. Pure: model and guard come in as replies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from alt_lite.data.rows import TrainingRow, content_id
from alt_lite.method import wording

Method = Literal["thinksafe", "unsteered", "short"]
Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class Sample:
    """One response: split at `</think>`, `trace` None where it was not closed."""

    trace: str | None
    answer: str | None
    finish: Finish


def messages(row: TrainingRow, method: Method) -> list[dict[str, str]]:
    """What the model is asked; the row itself keeps its original prompt."""
    history = [{"role": turn.role, "content": turn.content} for turn in row.history]
    if method == "short":
        return [{"role": "system", "content": wording.SHORT_SYSTEM}, *history, {"role": "user", "content": row.prompt}]
    system = [{"role": "system", "content": row.system}] if row.system else []
    return [*system, *history, {"role": "user", "content": wording.steered(row.prompt, row.label) if method == "thinksafe" else row.prompt}]


def row_seed(row: TrainingRow, seed: int) -> int:
    """The seed of a row's own noise, so that batches and interruptions change no sample."""
    return int(content_id(seed, row.id), 16) % 2**31


def before_guard(sample: Sample, controls: Collection[str]) -> str | None:
    """Why a sample is dropped before a guard sees it; None where it is not."""
    if sample.finish == "error":
        return "request failed"
    if sample.finish == "length":
        return "cut at the limit of tokens"
    if sample.trace is None:
        return "no </think>"
    if not sample.answer:
        return "no answer"
    if any(control in part for control in controls for part in (sample.trace, sample.answer)):
        return "control token in the sample"
    return None


def keep(row: TrainingRow, sample: Sample, verdict: str | None, method: Method, source: str) -> TrainingRow | str:
    """Pair the original prompt with a sample that the guard calls safe; gives the reason where it does not."""
    if verdict != "safe":
        return f"guard: {verdict or 'no verdict'}"
    trace, answer = sample.trace or "", sample.answer or ""
    if method == "short":
        return row.model_copy(update={"generated": {**row.generated, "short": trace}})
    return TrainingRow(
        id=content_id(method, row.id, trace, answer), system=row.system, prompt=row.prompt, label=row.label, category=row.category,
        language=row.language, source=source, answer=answer, source_trace=trace, source_answer=answer, history=row.history,
    )


def select(
    rows: Sequence[TrainingRow], samples: Mapping[str, Sample], verdicts: Mapping[str, str | None], method: Method, source: str,
    controls: Collection[str],
) -> tuple[list[TrainingRow], Counter[str], Counter[str]]:
    """Keep what may be trained on: (rows, kept by label, dropped by label and reason)."""
    kept: list[TrainingRow] = []
    taken: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for row in rows:
        if row.id not in samples:
            continue
        why = before_guard(samples[row.id], controls)
        made = why or keep(row, samples[row.id], verdicts.get(row.id), method, source)
        if isinstance(made, str):
            dropped[f"{row.label}: {made}"] += 1
        else:
            kept.append(made)
            taken[row.label] += 1
    return kept, taken, dropped
