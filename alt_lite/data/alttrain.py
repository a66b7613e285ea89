"""Build AltTrain's training set from labelled prompts with R1 traces (SafeChain): select, then assess.

Source: AltTrain (arXiv 2604.18946): about 900 harmful and 100 benign rows; problem understanding is the
trace's first sentence, harmfulness assessment one sentence by a language model, conditional reasoning a
refusal sentence or the rest of the trace. How the paper selects rows, and its wording, are not
published: `OUR_CHOICES` says what stands in for it. A model that writes assessments comes as an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from alt_lite.data import languages
from alt_lite.data.candidates import SPOKEN, Candidate, Counts, Style, candidates, read_label
from alt_lite.data.overlap import NearDuplicates, Overlap
from alt_lite.data.rows import Label, TrainingRow, content_id
from alt_lite.data.table import Table
from alt_lite.errors import UserError
from alt_lite.families.splitting import split_completion
from alt_lite.method import structure, wording
from alt_lite.method.sentences import first_sentence, sentences
from alt_lite.method.targets import LABELS, TARGETS, needs_trace

__all__ = ["OUR_CHOICES", "Candidate", "Counts", "Plan", "act_row", "assess", "candidates", "convert", "make_row", "read_label", "select"]
# Texts written for rows: (number of the row, text), in any order.
Assessor = Callable[[Sequence[TrainingRow]], Iterable[tuple[int, str]]]
NO_TRACE = "no trace"
# Sources of at most so many rows are counted to their end where they have too few.
_FEW = 5000
_LONGEST_UNDERSTANDING = 80  # words; longer first "sentences" are lists or code
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


@dataclass(frozen=True)
class Plan:
    """How many rows of each label; `adversarial` is the share of adversarial prompts, None: the source's."""

    harmful: int
    benign: int
    seed: int
    adversarial: float | None = None
    target: str = "alttrain"  # rows without a trace fill up what is missing where it needs none


def select(
    table: Table, plan: Plan, overlap: Overlap, controls: Collection[str], counts: Counts,
    report: Callable[[int, str], None] = lambda done, note: None,
) -> list[TrainingRow]:
    """Draw the rows of the plan, with template assessments; what is left out is counted by its reason.

    Rows without a trace are taken last, and only for a target that needs none, so that targets differ in
    their rows nowhere else.

    Raises:
        UserError: the source has too few usable rows of a label; both numbers are told at once.
    """
    groups: dict[tuple[Label, Style], list[Candidate]] = {}
    for candidate in candidates(table, counts):
        groups.setdefault((candidate.label, candidate.style), []).append(candidate)
    draw = _Draw(table, plan.seed, overlap, NearDuplicates(), controls, counts)
    rows: list[TrainingRow] = []
    drawn: dict[Label, _Drawn] = {}
    asked: tuple[tuple[Label, int], ...] = (("harmful", plan.harmful), ("benign", plan.benign))
    for label, wanted in asked:
        styles = {style: group for (kind, style), group in sorted(groups.items()) if kind == label}
        sizes = {style: len(group) for style, group in styles.items()}
        if plan.adversarial is not None and wanted and not {"adversarial", "vanilla"} <= set(styles):
            raise UserError(
                f"a share of adversarial prompts is asked for, but {table.origin} does not tell {label} rows apart as vanilla and adversarial",
                "leave data.adversarial out",
            )
        untraced: list[Candidate] = []
        streams = {style: draw.usable(group, untraced) for style, group in styles.items()}
        quotas = _quotas(sizes, wanted, plan.adversarial)
        taken: list[TrainingRow] = []
        for style in styles:
            taken += draw.take(streams[style], quotas[style])
            report(len(rows) + len(taken), label)
        for style in styles:  # what one style lacks, the other gives
            taken += draw.take(streams[style], wanted - len(taken))
        rest = list(streams.values())
        if not needs_trace(plan.target, label):
            rest.append(draw.usable(untraced, None))
            part = draw.take(rest[-1], wanted - len(taken))
            counts.untraced += len(part)
            taken += part
        drawn[label] = _Drawn(wanted, len(taken), sum(sizes.values()), rest)
        counts.taken.update(f"{label}{', ' + style if style else ''}" for row in taken for style in [_style_of(row, table)])
        rows += taken
    if any(one.taken < one.wanted for one in drawn.values()):
        raise _too_few(table, drawn, draw, plan.target)
    return sorted(rows, key=lambda row: content_id(plan.seed, row.id))


@dataclass
class _Drawn:
    """What a label gave; `rest` are the streams of what is left."""

    wanted: int
    taken: int
    rows: int
    rest: list[Iterator[TrainingRow]]


def _too_few(table: Table, drawn: dict[Label, _Drawn], draw: _Draw, target: str) -> UserError:
    """The error that tells both labels' usable rows and the settings that fit them."""
    why = (draw.counts.dropped + draw.counts.overlap).most_common(3)
    usable: dict[Label, int] = {}
    for label, one in drawn.items():
        # Of a large source the rest is not counted: what was asked for is there.
        more = sum(len(draw.take(stream, _FEW)) for stream in one.rest) if one.taken >= one.wanted and one.rows <= _FEW else 0
        usable[label] = one.taken + more
    told = sorted((label for label, one in drawn.items() if one.rows or one.wanted), key=lambda label: drawn[label].taken >= drawn[label].wanted)
    text = ", and ".join(f"{usable[label]} usable {label} rows of {drawn[label].rows}, {drawn[label].wanted} are asked for" for label in told)
    fits = {label: min(one.wanted, usable[label]) for label, one in drawn.items()}
    ways = [" ".join(f"data.{label}={fits[label]}" for label in drawn)] if any(fits.values()) else []
    if why and why[0][0] == NO_TRACE:
        free = [kind for kind in TARGETS if not any(needs_trace(kind, label) for label in LABELS) and not TARGETS[kind].needs]
        ways.insert(0 if not any(fits.values()) else 1, f"data.target={free[0]} (or {', '.join(free[1:])}), which needs no trace, not as {target} does")
        ways.append(f"data.columns=trace=COLUMN where one of the columns {', '.join(table.data.column_names[:20])} holds the traces")
    if any(reason.startswith(SPOKEN) for reason, _ in why):
        ways.append("mend these conversations, or name other columns (data.columns=messages=COLUMN, or prompt=COLUMN,response=COLUMN)")
    reasons = f" (left out: {', '.join(f'{reason} {number}' for reason, number in why)})" if why else ""
    return UserError(f"{table.origin} has {text}{reasons}", "; ".join([*ways, "another source"]).replace("; another", ", or another"))


def _style_of(row: TrainingRow, table: Table) -> Style:
    return row.source.removeprefix(table.origin).strip()


def _quotas(sizes: dict[Style, int], wanted: int, adversarial: float | None) -> dict[Style, int]:
    """Share `wanted` among the styles: by the given share, else as the source has them."""
    if not sizes:
        return {}
    total = sum(sizes.values())
    if adversarial is not None and set(sizes) >= {"adversarial", "vanilla"}:
        part = round(wanted * adversarial)
        return {style: {"adversarial": part, "vanilla": wanted - part}.get(style, 0) for style in sizes}
    quotas = {style: wanted * size // total for style, size in sizes.items()}
    largest = max(sizes, key=lambda style: sizes[style])
    quotas[largest] += wanted - sum(quotas.values())
    return quotas


@dataclass
class _Draw:
    """Draws usable rows of one source; only as many responses are read as are needed."""

    table: Table
    seed: int
    overlap: Overlap
    near: NearDuplicates
    controls: Collection[str]
    counts: Counts

    def take(self, stream: Iterator[TrainingRow], count: int) -> list[TrainingRow]:
        taken: list[TrainingRow] = []
        while len(taken) < count and (row := next(stream, None)) is not None:
            self.near.add("\n".join([*(turn.content for turn in row.history), row.prompt]))
            taken.append(row)
        return taken

    def usable(self, group: list[Candidate], untraced: list[Candidate] | None) -> Iterator[TrainingRow]:
        """Yield a group's usable rows in the seed's order; `untraced` takes those that lack a trace, None: they are usable."""
        for candidate in sorted(group, key=lambda c: content_id(self.seed, c.prompt)):
            texts = [candidate.prompt, *(turn.content for turn in candidate.history if turn.role == "user")]
            if hit := next(filter(None, map(self.overlap.find, texts)), None):
                self.counts.overlap[f"{hit[0]} ({hit[1]})"] += 1
                continue
            if self.near.seen(candidate.asked):
                self.counts.dropped["near-duplicate"] += 1
                continue
            row = make_row(candidate, self.table.response(candidate.index), self.table, self.controls, traced=untraced is not None)
            if isinstance(row, TrainingRow):
                if untraced is None:
                    self.counts.dropped -= Counter([NO_TRACE])
                yield row
                continue
            if untraced is not None or row != NO_TRACE:
                self.counts.dropped[row] += 1
            if row == NO_TRACE and untraced is not None:
                untraced.append(candidate)


def make_row(candidate: Candidate, response: str, table: Table, controls: Collection[str], traced: bool = True) -> TrainingRow | str:
    """Make a row with a template assessment; gives the reason where the response is not usable.

    Args:
        traced: a row without a trace is not usable.
    """
    traced = traced and table.traces
    trace, answer = split_completion(response, prompt_opened_trace=False)
    trace, answer = trace or "", answer or ""
    harmful = candidate.label == "harmful"
    language = candidate.language or languages.guess(candidate.prompt)
    understanding, rest = first_sentence(trace)
    if traced and not understanding:
        return NO_TRACE
    if not harmful and traced and not rest.strip():
        return "nothing after the trace's first sentence"
    if not harmful and not answer:
        return "no answer"
    if len(understanding.split()) > _LONGEST_UNDERSTANDING:
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
        reasoning=wording.REFUSE.get(language, wording.REFUSE["en"]) if harmful else rest.strip(),
        answer=wording.REFUSAL.get(language, wording.REFUSAL["en"]) if harmful else answer,
        source_trace=trace, source_answer=answer, history=list(candidate.history),
    )


def convert(table: Table, controls: Collection[str], most: int, counts: Counts) -> list[TrainingRow]:
    """Make rows of at most `most` rows of a set, evenly spread over it, to look at them."""
    found = candidates(table, counts)
    rows: list[TrainingRow] = []
    for candidate in found[:: max(1, -(-len(found) // most))]:
        row = make_row(candidate, table.response(candidate.index), table, controls, traced=False)
        if isinstance(row, str):
            counts.dropped[row] += 1
        else:
            counts.untraced += table.traces and not row.understanding
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
