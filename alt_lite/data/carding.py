"""Make a built set's data card out of what was counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from alt_lite.config import Recipe
from alt_lite.data.alttrain import OUR_CHOICES, TEMPLATED
from alt_lite.data.card import Card
from alt_lite.data.making import trained_texts
from alt_lite.data.mixture import given
from alt_lite.data.overlap import Overlap
from alt_lite.data.report import texts, without_wording
from alt_lite.data.rows import TrainingRow
from alt_lite.data.selection import Source
from alt_lite.data.texts import length

_SETTINGS = ("source", "benign_from", "path", "revision", "harmful", "benign", "adversarial", "untraced", "longest", "seed")


class Encoder(Protocol):
    """What counts tokens."""

    def encode(self, segments: Any) -> list[int]: ...


def row_lengths(rows: Sequence[TrainingRow], tokens: Encoder | None) -> tuple[list[int], str]:
    """Lengths of the rows as AltTrain trains them, or as they come where they hold no steps; prompt included,
    in words where no tokenizer is at hand."""
    if tokens is None:
        return [sum(map(length, trained_texts(row))) for row in rows], "words"
    return [len(tokens.encode(["\n".join(trained_texts(row))])) for row in rows], "tokens"


def made_card(
    recipe: Recipe, name: str, assessor: str, sources: Sequence[Source], rows: Sequence[TrainingRow], overlap: Overlap, unchecked: dict[str, str],
    tokens: Encoder | None,
) -> Card:
    lengths, unit = row_lengths(rows, tokens)
    writer = {"self": recipe.model.name, "endpoint": f"{recipe.endpoint.model or 'the only model'} at {recipe.endpoint.url}"}.get(assessor, "the template, no model")
    settings = {f"data.{key}": value for key, value in recipe.section("data").items() if key in _SETTINGS and value not in (None, [], "leave_out")}
    several = len(sources) > 1
    columns = {f"columns of {source.name}" if several else "columns": json.dumps(source.table.columns) for source in sources}
    counts: dict[str, dict[str, int]] = {}
    for source in sources:
        of, mine = (f" of {source.name}" if several else ""), source.counts
        counts |= {
            (f"{source.name}: {mine.rows:,} rows" if several else f"The source's {mine.rows:,} rows"): dict(mine.labels), f"Taken{of}": dict(mine.taken),
            f"Looked at and left out{of}": dict(+mine.dropped), f"Left out for overlap{of}": dict(mine.overlap),
        }
    counts["Assessments"] = dict(sources[0].counts.assessments)
    counts |= {f"How texts were read{f' of {source.name}' if several else ''}": texts(source.table, source.counts) for source in sources}
    choices = () if recipe.data.source == "r1act" else (*OUR_CHOICES, *([TEMPLATED] if any(source.counts.templated for source in sources) else []))
    counts["Languages"] = dict(Counter(row.language for row in rows))
    counts["Languages without a wording of their own, whose fixed sentences are English"] = without_wording(rows)
    return Card(
        name=name, source="; ".join(f"{source.table.origin}, {given(source)}" if several else source.table.origin for source in sources),
        recipe={**settings, "assessments": writer, **columns},
        counts=counts, lengths=lengths, unit=unit, checked=overlap.counts, unchecked=unchecked, choices=choices,
    )
