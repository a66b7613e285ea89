"""Make one training row of a prompt and its response, or say why it cannot be made; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from alt_lite.data import languages
from alt_lite.data.candidates import Candidate
from alt_lite.data.rows import TrainingRow
from alt_lite.data.table import Table
from alt_lite.data.texts import length
from alt_lite.families.splitting import split_completion
from alt_lite.method import restating, structure, wording
from alt_lite.method.sentences import first_sentence, sentences

NO_TRACE = "no trace"
# What becomes of a row without a trace: it is left out where the target needs one, is a row all the same, or has its
# missing steps written by template.
Untraced = Literal["leave_out", "keep", "template"]
_LONGEST_UNDERSTANDING = 80  # words; longer first "sentences" are lists or code


def make_row(candidate: Candidate, response: str, table: Table, controls: Collection[str], untraced: Untraced = "leave_out") -> TrainingRow | str:
    """Make a row with a template assessment; gives the reason where the response is not usable."""
    trace, answer = split_completion(response, prompt_opened_trace=False)
    trace, answer = trace or "", answer or ""
    harmful = candidate.label == "harmful"
    language = candidate.language or languages.guess(candidate.prompt)
    understanding, rest = first_sentence(trace)
    reasoning = rest.strip()
    if untraced == "template" and not (restating.restates(understanding) and _short(understanding) and (harmful or reasoning)):
        understanding = restating.understanding(candidate.prompt, language, candidate.id, controls)
        reasoning = restating.worked_out(trace.strip(), language) if trace.strip() else restating.answerable(language, candidate.id)
    if untraced == "leave_out" and not understanding:
        return NO_TRACE
    if not harmful and untraced != "keep" and not reasoning:
        return "nothing after the trace's first sentence"
    if not harmful and not answer:
        return "no answer"
    if not _short(understanding):
        return f"first sentence of more than {_LONGEST_UNDERSTANDING} words"
    if any(control in part for control in controls for part in (trace, answer)):
        return "control token in the response"
    if not harmful and structure.find(" ".join(s for _, s in sentences(answer)[:2])).has("refusing"):
        return "benign, but the source refuses"
    category = candidate.category or (wording.categorise(candidate.prompt) if harmful else None)
    id_ = candidate.id
    return TrainingRow(
        id=id_, system=candidate.system, prompt=candidate.prompt, label=candidate.label, category=category, language=language,
        source=f"{table.origin} {candidate.style}".strip(),
        understanding=understanding, assessment=wording.template_assessment(candidate.label, category, language, id_),
        reasoning=wording.REFUSE.get(language, wording.REFUSE["en"]) if harmful else reasoning,
        answer=wording.REFUSAL.get(language, wording.REFUSAL["en"]) if harmful else answer,
        source_trace=trace, source_answer=answer, history=list(candidate.history),
    )


def _short(understanding: str) -> bool:
    return len(understanding.split()) <= _LONGEST_UNDERSTANDING


def is_templated(row: TrainingRow) -> bool:
    """Tell whether a built row's understanding was written by template: its source's trace does not open with it."""
    return bool(row.understanding) and not row.source_trace.lstrip().startswith(row.understanding)


def trained_texts(row: TrainingRow) -> tuple[str, ...]:
    """A row's prompt and what AltTrain trains of it; the source's trace where it holds no steps."""
    if row.understanding:
        return row.prompt, row.understanding, row.assessment, row.reasoning, row.answer
    return row.prompt, row.source_trace, row.answer


def words_of(row: TrainingRow) -> int:
    return sum(map(length, trained_texts(row)))
