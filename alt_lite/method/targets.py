"""The safety targets: a row becomes pieces of text, each with whether it is trained.

A target never writes a control token: the two marks stand for the end of the trace and the end of
the text, and `tokens.encode` turns them into the ids of the model's family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from alt_lite.method.structure import join_steps


class Mark(Enum):
    """A control token by its meaning; its spelling is the family's."""

    THINK_END = "</think>"
    END = "end of text"


Piece = tuple[str | Mark, bool]


class Row(Protocol):
    """What a target reads of a TrainingRow."""

    understanding: str
    assessment: str
    reasoning: str
    answer: str
    source_trace: str
    source_answer: str


@dataclass(frozen=True)
class Target:
    """A format of the completion.

    `needs` names the row fields that must not be empty; `think_ends` and `ends` are the numbers of
    THINK_END and END marks that encoding asserts.
    """

    needs: tuple[str, ...]
    pieces: Callable[[Row], list[Piece]]
    source: str
    think_ends: int = 1
    ends: int = 1


def _trace_and_answer(trace: str, answer: str) -> list[Piece]:
    return [(trace + "\n", True), (Mark.THINK_END, True), ("\n\n" + answer, True), (Mark.END, True)]


TARGETS: dict[str, Target] = {
    "alttrain": Target(
        needs=("understanding", "assessment", "reasoning", "answer"),
        pieces=lambda row: _trace_and_answer(
            join_steps(row.understanding, row.assessment, row.reasoning), row.answer
        ),
        source="AltTrain, arXiv 2604.18946: understanding, assessment, conditional reasoning",
    ),
    "natural": Target(
        needs=("source_trace", "source_answer"),
        pieces=lambda row: _trace_and_answer(row.source_trace, row.source_answer),
        source="the source's own trace and answer, as SafeChain trains them (arXiv 2502.12025)",
    ),
}


def render(row: Row, kind: str) -> list[Piece]:
    """Give the pieces of the completion that follow the generation prompt.

    Raises:
        KeyError: `kind` is not in TARGETS.
        ValueError: the row lacks a field that the target needs.
    """
    target = TARGETS[kind]
    missing = [name for name in target.needs if not getattr(row, name).strip()]
    if missing:
        raise ValueError(f"target {kind!r} needs {', '.join(missing)}")
    return target.pieces(row)
