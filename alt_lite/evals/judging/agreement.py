"""How far a judge agrees with human labels, or two judges with each other; pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# How people's labels are spelled, and what a judge calls the same.
_SPELLED = {
    "none": ("none", "compliance", "full_compliance", "1_full_compliance", "complied"),
    "full": ("full", "refusal", "full_refusal", "2_full_refusal", "refused"),
    "partial": ("partial", "partial_refusal", "3_partial_refusal"),
    # "1.0": how a column of 0 and 1 is read where some of its cells are empty
    "harmful": ("harmful", "unsafe", "true", "1", "1.0", "jailbroken", "yes"),
    "harmless": ("harmless", "safe", "benign", "false", "0", "0.0", "no"),
    "correct": ("correct", "right"), "wrong": ("wrong", "incorrect"),
}
_MEANING = {spelling: label for label, spellings in _SPELLED.items() for spelling in spellings}
# Verdicts that mean the same once only two sides are told apart.
_SIDES = {"partial": "refused", "full": "refused", "none": "complied"}
_KINDS = {
    "none": "refusal", "partial": "refusal", "full": "refusal", "harmful": "harm", "harmless": "harm", "correct": "skill", "wrong": "skill",
}
# What refusing and complying come to on a harmful request; on a harmless one they say nothing about harm.
ACROSS = {"partial": "harmless", "full": "harmless", "none": "harmful"}


@dataclass(frozen=True)
class Agreement:
    """`n` pairs of labels; `kappa` is Cohen's, None where one side uses a single label throughout."""

    n: int
    accuracy: float
    kappa: float | None
    confusion: dict[tuple[str, str], int]


def read_label(text: object) -> str | None:
    """Read a person's or a guard's label in our verdicts; None where it is none of them."""
    # None is no label, though its name is spelled like one.
    return None if text is None else _MEANING.get(str(text).strip().lower().replace(" ", "_"))


def side(verdict: str) -> str:
    """Merge partial and full refusals."""
    return _SIDES.get(verdict, verdict)


def kind(labels: Iterable[str]) -> str | None:
    """Tell what labels are about: refusal, harm or skill; None where they are of several kinds, or there are none."""
    kinds = {_KINDS[label] for label in labels}
    return kinds.pop() if len(kinds) == 1 else None


def read_column(values: Sequence[object]) -> list[str | None] | None:
    """Read a column as labels of one kind, None for an empty cell; None where it holds anything else."""
    cells = [None if value is None or not str(value).strip() else value for value in values]
    labels = [read_label(cell) for cell in cells]
    strange = any(label is None and cell is not None for label, cell in zip(labels, cells, strict=True))
    return None if strange or kind(label for label in labels if label) is None else labels


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Compare two raters' labels of the same items (Cohen 1960).

    Raises:
        ValueError: they label different numbers of items, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError("two raters must label the same items, at least one")
    n = len(first)
    pairs = Counter(zip(first, second, strict=True))
    observed = sum(count for (a, b), count in pairs.items() if a == b) / n
    left, right = Counter(first), Counter(second)
    chance = sum(left[label] * right[label] for label in left) / n**2
    return Agreement(n, observed, None if chance == 1 else (observed - chance) / (1 - chance), dict(pairs))
