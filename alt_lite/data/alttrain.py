"""Build AltTrain's training set from labelled prompts with R1 traces (SafeChain): select, then assess.

Source: AltTrain (arXiv 2604.18946): about 900 harmful and 100 benign rows; problem understanding is the
trace's first sentence, harmfulness assessment one sentence by a language model, conditional reasoning a
refusal sentence or the rest of the trace. How the paper selects rows, and its wording, are not
published: `OUR_CHOICES` says what stands in for it. `selection` draws the rows, `making` makes one. A model that writes assessments comes as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from alt_lite.data import languages
from alt_lite.data.candidates import Candidate, Counts, candidates, read_label
from alt_lite.data.making import make_row
from alt_lite.data.rows import Label, TrainingRow, content_id
from alt_lite.data.selection import Plan, Source, select
from alt_lite.data.table import Table
from alt_lite.families.splitting import split_completion
from alt_lite.method import structure, wording
from alt_lite.method.sentences import first_sentence, sentences

__all__ = ["OUR_CHOICES", "Candidate", "Counts", "Plan", "Source", "act_row", "assess", "candidates", "convert", "make_row", "read_label", "select"]
TEMPLATED = (
    "steps that a source does not have (data.untraced=template): the request restated from the sentence that asks, and a sentence that it can be "
    "answered, or the source's trace where that solves and restates nothing"
)
# Texts written for rows: (number of the row, text), in any order.
Assessor = Callable[[Sequence[TrainingRow]], Iterable[tuple[int, str]]]
_LONGEST_ASSESSMENT = 60  # words

OUR_CHOICES = (
    "which rows: drawn by seed, at random within label and style, so that a smaller set is part of a larger one",
    "share of adversarial prompts: the source's own, unless data.adversarial is given",
    "the wording of the refusal sentence, of the refusal and of assessments by template",
    "a first sentence of fewer than four words takes the next along",
    "near-duplicates: Jaccard similarity of four-word shingles of 0.7 or more, signs such as + or -> being words",
    "language without a column of it: by script, and by common words where that is Latin, English where none is plain",
    "left out: rows without a trace or an answer, with control tokens in them, benign rows that the source refuses",
)


def convert(table: Table, controls: Collection[str], most: int, counts: Counts) -> list[TrainingRow]:
    """Make rows of at most `most` rows of a set, evenly spread over it, to look at them."""
    found = candidates(table, counts)
    rows: list[TrainingRow] = []
    for candidate in found[:: max(1, -(-len(found) // most))]:
        row = make_row(candidate, table.response(candidate.index), table, controls, "keep")
        if isinstance(row, str):
            counts.dropped[row] += 1
        else:
            counts.untraced += not row.understanding
            rows.append(row)
    return rows


def check_assessment(text: str, label: Label, controls: Collection[str]) -> tuple[str | None, str]:
    """Take one sentence of assessment out of a model's reply: (sentence, `kept`), or (None, why not)."""
    _, answer = split_completion(text, prompt_opened_trace=False)
    lines = sentences((answer or "").strip())
    if not lines:
        return None, "no sentence"
    sentence = " ".join(lines[0][1].split())
    if len(sentence.split()) > _LONGEST_ASSESSMENT:
        return None, f"more than {_LONGEST_ASSESSMENT} words"
    if any(control in sentence for control in controls):
        return None, "control token"
    if structure.assess(sentence) != label:
        return None, "does not pass the label's verdict"
    return sentence, "kept"


def assess(rows: Sequence[TrainingRow], assessor: Assessor, controls: Collection[str], counts: Counts) -> list[TrainingRow]:
    """Let a model write the assessments; one that disagrees with the row's label stays the template's."""
    written = dict(assessor(rows))
    done: list[TrainingRow] = []
    for number, row in enumerate(rows):
        sentence, why = check_assessment(written.get(number, ""), row.label, controls)
        counts.assessments[why if sentence else f"replaced by the template: {why}"] += 1
        done.append(row.model_copy(update={"assessment": sentence}) if sentence else row)
    return done


def act_row(candidate: Candidate, response: str, table: Table) -> TrainingRow:
    """Read a row of R1-Act's published set, whose refusals are steps already: understanding, assessment,
    and what follows; its benign rows are an answer alone (arXiv 2508.00324, data)."""
    trace, answer = split_completion(response, prompt_opened_trace="</think>" in response)
    understanding, rest = first_sentence(trace or "")
    parts = [sentence for _, sentence in sentences(rest)]
    last = max((i for i, sentence in enumerate(parts) if structure.assess(sentence)), default=-1)
    harmful = candidate.label == "harmful"
    return TrainingRow(
        id=content_id("r1act", candidate.prompt), prompt=candidate.prompt, label=candidate.label, language=candidate.language or languages.guess(candidate.prompt),
        category=wording.categorise(candidate.prompt) if harmful else None, source=table.origin, understanding=understanding,
        assessment="".join(parts[: last + 1]).strip(), reasoning="".join(parts[last + 1 :]).strip(),
        answer=wording.REFUSAL["en"] if harmful else answer or "", source_trace=trace or "", source_answer=answer or "",
    )
