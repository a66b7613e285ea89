"""The safety targets: a row becomes pieces of text, each with whether it is trained.

All targets are written from the same rows, so that a comparison of targets is one on identical prompts;
equal numbers of trained tokens come from `train.epochs`, never from other rows. A target never writes a
control token: marks stand for the opening and the end of the trace and for the end of the text, and
`tokens.encode` turns them into the ids of the model's family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from alt_lite.method import wording
from alt_lite.method.structure import join_steps


class Mark(Enum):
    """A place of a completion by its meaning; how it is spelled, and whether prompt or completion holds it, is the
    family's: R1's `</think>` and two line breaks are gpt-oss's change from one channel to another."""

    THINK = "the trace begins"
    THINK_END = "the trace ends"
    ANSWER = "the answer begins behind a trace"
    ALONE = "the answer begins without a trace"
    END = "end of text"


Piece = tuple[str | Mark, bool]
Answer = Literal["none", "template", "original"]
LABELS = ("harmful", "benign")


class Row(Protocol):
    """What a target reads of a TrainingRow."""

    id: str
    label: Literal["harmful", "benign"]
    category: str | None
    language: str
    understanding: str
    assessment: str
    reasoning: str
    answer: str
    source_trace: str
    source_answer: str
    generated: Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """A format of the completion.

    `harmful` and `benign` give the pieces of a row of that label, from the row and its answer (None:
    there is to be none). `needs` names what a row must hold: fields, or `generated.NAME`, which
    `data generate` writes; `needs_harmful` comes on top. Rows of the labels in `natural` are written with
    the source's own trace; a benign row whose source has none is an empty trace and its answer, which is
    how its source wrote it. Invariants that encoding
    asserts: in rows of the labels in `closes` the trace is closed once, in all others never; with
    `ends` the last trained token is the end of the text, without it that token does not occur.
    """

    harmful: Callable[[Row, str | None], list[Piece]]
    benign: Callable[[Row, str | None], list[Piece]]
    source: str
    needs: tuple[str, ...] = ()
    needs_harmful: tuple[str, ...] = ()
    natural: tuple[str, ...] = ()
    answer: Answer = "template"
    closes: tuple[str, ...] = LABELS
    ends: bool = True


def _closed(trace: str, answer: str | None) -> list[Piece]:
    """A whole completion: trace, end of the trace, answer, end of the text."""
    after: list[Piece] = [(Mark.ANSWER, True), (answer, True)] if answer else []
    return [(Mark.THINK, True), (trace, True), (Mark.THINK_END, True), *after, (Mark.END, True)]


def _natural(row: Row, answer: str | None) -> list[Piece]:
    return _closed(row.source_trace, answer)


def _both(steps: Callable[[Row], str], source: str, *needs: str, **more: tuple[str, ...]) -> Target:
    """A target whose rows differ by label only in what the steps hold."""

    def pieces(row: Row, answer: str | None) -> list[Piece]:
        return _closed(steps(row), answer)

    return Target(pieces, pieces, source, needs, **more)


def _steps(row: Row) -> str:
    return join_steps(row.understanding, row.assessment, row.reasoning)


def _rephrased(row: Row) -> str:
    options = wording.REFUSE_REPHRASED.get(row.language, wording.REFUSE_REPHRASED["en"])
    reasoning = wording.choose(options, row.id) if row.label == "harmful" else row.reasoning
    return join_steps(row.understanding, row.assessment, reasoning)


def _assessed_in_answer(row: Row, answer: str | None) -> list[Piece]:
    return _closed(join_steps(row.understanding, row.reasoning), join_steps(row.assessment, answer or ""))


def _untagged(row: Row, answer: str | None) -> list[Piece]:
    """R1-Act's benign rows: no think tags of their own, so that under R1's prompt they land inside the
    trace that the prompt has opened."""
    return [(Mark.ALONE, True), (answer or "", True), (Mark.END, True)]


def _primer(row: Row, answer: str | None) -> list[Piece]:
    return [(Mark.THINK, False), (wording.SAFETY_PRIMER, True)]


_ALL = ("understanding", "assessment", "reasoning")
_ABLATION = "ablation of AltTrain (arXiv 2604.18946)"
_R1ACT = "R1-Act (arXiv 2508.00324, data): refusals end with their trace"

TARGETS: dict[str, Target] = {
    "alttrain": _both(_steps, "AltTrain (arXiv 2604.18946): understanding, assessment, conditional reasoning", *_ALL),
    "alttrain_no_understanding": _both(
        lambda row: join_steps(row.assessment, row.reasoning), f"{_ABLATION}: without PU", "assessment", "reasoning"
    ),
    "alttrain_no_assessment": _both(
        lambda row: join_steps(row.understanding, row.reasoning), f"{_ABLATION}: without HA", "understanding", "reasoning"
    ),
    "alttrain_no_conditional": _both(
        lambda row: join_steps(row.understanding, row.assessment), f"{_ABLATION}: without CR", "understanding", "assessment"
    ),
    "alttrain_rephrased": _both(_rephrased, f"{_ABLATION}: refusals of CR in varied words (ours; the paper's are not published)", *_ALL),
    "alttrain_permuted": _both(
        lambda row: join_steps(row.understanding, row.reasoning, row.assessment), "our control: the same sentences, assessment last", *_ALL
    ),
    "alttrain_filler": _both(
        lambda row: join_steps(row.understanding, wording.filler(row.assessment, row.language), row.reasoning),
        "our control: a neutral sentence of as many words in place of the assessment", *_ALL,
    ),
    "alttrain_assessment_in_answer": Target(
        _assessed_in_answer, _assessed_in_answer, "our control: the assessment after the trace, before the answer", _ALL
    ),
    "r1act": Target(
        lambda row, answer: _closed(_steps(row), answer), _untagged, f"{_R1ACT}; benign rows hold an answer without any think tag",
        needs_harmful=_ALL, answer="none", closes=("harmful",),
    ),
    "r1act_empty_trace": Target(
        lambda row, answer: _closed(_steps(row), answer), lambda row, answer: _closed("", answer),
        f"{_R1ACT}; benign rows an empty trace and the answer, as such rows would have to look under R1's prompt",
        needs_harmful=_ALL, answer="none",
    ),
    "direct_refusal": Target(
        lambda row, answer: _closed(wording.DIRECT_REFUSAL, answer), _natural, "DirectRefusal (arXiv 2503.00555); benign rows natural",
        natural=("benign",),
    ),
    "no_cot": _both(lambda row: "", "no-CoT (arXiv 2505.15404): an empty trace; for benign rows too, our choice (answer_only keeps theirs)"),
    "answer_only": Target(
        lambda row, answer: _closed("", answer), _natural,
        "the plain fine-tuning control: the same refusals after an empty trace, benign rows natural", natural=("benign",),
    ),
    "natural": Target(
        _natural, _natural, "the source's own trace and answer, as SafeChain trains them (arXiv 2502.12025) and ThinkSafe its samples",
        needs_harmful=("source_trace",), natural=LABELS, answer="original",
    ),
    "short": _both(lambda row: row.generated["short"], "short (arXiv 2505.15404): a trace written under a request to think briefly", "generated.short"),
    "template": _both(
        lambda row: wording.category_check(row.label, row.category), "template (arXiv 2505.15404): a list of kinds of harm, then a verdict",
        needs_harmful=("category",),
    ),
    "safepath": Target(
        _primer, _primer, "SafePath (arXiv 2505.14667): the primer alone is trained", closes=(), ends=False, answer="none",
    ),
}


def needs(row: Row, kind: str, answer: Answer | None = None) -> list[str]:
    """Name what the target needs and the row lacks."""
    target = TARGETS[kind]
    fields = [*target.needs, *(target.needs_harmful if row.label == "harmful" else ())]
    if target.ends and _answer_of(row, answer or target.answer) is not None:
        fields.append("source_answer" if (answer or target.answer) == "original" else "answer")
    return [name for name in fields if not _value(row, name)]


def needs_trace(kind: str, label: str) -> bool:
    """Tell whether rows of that label cannot be written as the target has them without the source's trace."""
    target = TARGETS[kind]
    fields = {*target.needs, *(target.needs_harmful if label == "harmful" else ())}
    # A refusal's reasoning is a fixed sentence, an answer's is the rest of the trace.
    return bool(fields & {"understanding", "source_trace", *(() if label == "harmful" else ("reasoning",))})


def naturally_empty(row: Row, kind: str) -> bool:
    """Tell whether the target writes an empty trace because the row's source has none."""
    return row.label in TARGETS[kind].natural and not row.source_trace.strip()


def _value(row: Row, name: str) -> str:
    field, _, key = name.partition(".")
    value = getattr(row, field)
    return (value.get(key, "") if key else value or "").strip()


def _answer_of(row: Row, answer: Answer) -> str | None:
    """What stands after the trace. `none` is for refusals: a benign row without its answer would teach
    to answer nothing."""
    if answer == "none" and row.label == "harmful":
        return None
    return row.source_answer if answer == "original" else row.answer


def render(row: Row, kind: str, answer: Answer | None = None) -> list[Piece]:
    """Give the pieces of the completion that follow the generation prompt.

    Args:
        row: the steps, and the source's trace and answer.
        kind: a key of TARGETS.
        answer: what stands after the trace: `template` the row's answer (a fixed refusal where it is
            harmful), `original` the source's, `none` nothing after a refused request; None: what the
            target was published with.

    Raises:
        KeyError: `kind` is not in TARGETS.
        ValueError: the row lacks what the target needs.
    """
    target = TARGETS[kind]
    missing = needs(row, kind, answer)
    if missing:
        raise ValueError(f"target {kind!r} needs {', '.join(missing)}")
    pieces = target.harmful if row.label == "harmful" else target.benign
    return pieces(row, _answer_of(row, answer or target.answer))
