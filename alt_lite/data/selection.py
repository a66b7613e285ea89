"""Draw the rows of a set from its sources: by label, style and seed, without overlap and near-duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alt_lite.config.mixing import shares
from alt_lite.data.candidates import SPOKEN, Candidate, Counts, Style, candidates
from alt_lite.data.making import NO_TRACE, Untraced, is_templated, make_row, words_of
from alt_lite.data.overlap import NearDuplicates, Overlap
from alt_lite.data.rows import Label, TrainingRow, content_id
from alt_lite.data.table import Table
from alt_lite.errors import UserError
from alt_lite.method import restating
from alt_lite.method.targets import LABELS, TARGETS, needs_trace

# Sources of at most so many rows are counted to their end where they have too few.
_FEW = 5000
# How the reason begins for which a long row is left out.
LONGER = "more than data.longest="


@dataclass(frozen=True)
class Plan:
    """How rows are drawn; `adversarial` is the share of adversarial prompts, None: the source's."""

    seed: int
    adversarial: float | None = None
    target: str = "alttrain"  # rows without a trace fill up what is missing where it needs none
    untraced: Untraced = "leave_out"
    longest: int | None = None  # words of a row


@dataclass(frozen=True)
class Source:
    """One source of a set: how many rows of which labels it gives, `weight` being its share of those that sources give
    together; what was taken of it, and what became of the rest."""

    table: Table
    wanted: Mapping[Label, int]
    name: str = ""
    weight: float = 1.0
    counts: Counts = field(default_factory=Counts)
    taken: list[TrainingRow] = field(default_factory=list)


def select(
    sources: Sequence[Source], plan: Plan, overlap: Overlap, controls: Collection[str],
    report: Callable[[int, str], None] = lambda done, note: None,
) -> list[TrainingRow]:
    """Draw the rows of the plan, with template assessments; what is left out is counted by its reason.

    Rows without a trace are taken last, and only for a target that needs none, so that targets differ in
    their rows nowhere else; where their steps are written by template, they are rows like all others.

    Raises:
        UserError: a source has too few usable rows of a label; all numbers are told at once.
    """
    near = NearDuplicates()
    draws: list[_Draw] = []
    for source in sources:
        groups: dict[tuple[Label, Style], list[Candidate]] = {}
        for candidate in candidates(source.table, source.counts):
            groups.setdefault((candidate.label, candidate.style), []).append(candidate)
        if len(sources) > 1 and not any(kind in source.wanted for kind, _ in groups):
            raise UserError(f"{source.table.origin} holds no {' or '.join(source.wanted)} row, and only such are taken of it", "another source, or leave it out of data.benign_from")
        draws.append(_Draw(source, plan, overlap, near, controls, groups))
    drawn: list[_Drawn] = []
    done = 0
    for label in LABELS:
        for draw in draws:
            if label in draw.source.wanted:
                drawn.append(draw.label(label))
                done += drawn[-1].taken
                report(done, label)
    if any(one.taken < one.wanted for one in drawn):
        raise _too_few(drawn, plan.target)
    return sorted((row for source in sources for row in source.taken), key=lambda row: content_id(plan.seed, row.id))


@dataclass
class _Drawn:
    """What a source gave of a label; `rest` are the streams of what is left."""

    draw: _Draw
    label: Label
    wanted: int
    taken: int
    rows: int
    rest: list[Iterator[TrainingRow]]

    def usable(self) -> int:
        """The rows that could be taken. Of a large source the rest is not counted: what was asked for is there."""
        more = sum(len(self.draw.take(stream, _FEW)) for stream in self.rest) if self.taken >= self.wanted and self.rows <= _FEW else 0
        return self.taken + more


def _too_few(drawn: Sequence[_Drawn], target: str) -> UserError:
    """The error that tells which source has how many usable rows of a label, and the settings that fit them."""
    draws = list(dict.fromkeys(one.draw for one in drawn))
    # Before the rest is counted, which leaves out more.
    why = {draw: (draw.source.counts.dropped + draw.source.counts.overlap).most_common(3) for draw in draws}
    usable = [one.usable() for one in drawn]
    texts: list[str] = []
    lacking: list[_Draw] = []
    for draw in draws:
        mine = [(one, number) for one, number in zip(drawn, usable, strict=True) if one.draw is draw and (one.rows or one.wanted)]
        mine.sort(key=lambda pair: pair[0].taken >= pair[0].wanted)
        if not any(one.taken < one.wanted for one, _ in mine):
            continue
        lacking.append(draw)
        text = ", and ".join(f"{number} usable {one.label} rows of {one.rows}, {one.wanted} are asked for" for one, number in mine)
        left = f" (left out: {', '.join(f'{reason} {number}' for reason, number in why[draw])})" if why[draw] else ""
        texts.append(f"{draw.source.table.origin} has {text}{left}")
    untraced = [draw for draw in lacking if why[draw] and why[draw][0][0] == NO_TRACE]
    ways = _ways_out([one.draw.source for one in drawn], drawn, usable)
    if untraced:
        free = sorted((kind for kind in TARGETS if not any(needs_trace(kind, label) for label in LABELS) and not TARGETS[kind].needs), key=lambda kind: kind != "no_cot")
        ways.insert(min(len(ways), 1), f"data.target={free[0]} (or {', '.join(free[1:])}), which needs no trace, not as {target} does; data.untraced=template, which writes what is missing")
    if untraced and untraced[0] is draws[0]:
        ways.append(f"data.columns=trace=COLUMN where one of the columns {', '.join(untraced[0].source.table.data.column_names[:20])} holds the traces")
    if any(reason.startswith(SPOKEN) for draw in lacking for reason, _ in why[draw]):
        ways.append("mend these conversations, or name other columns (data.columns=messages=COLUMN, or prompt=COLUMN,response=COLUMN)")
    if any(reason.startswith(LONGER) for draw in lacking for reason, _ in why[draw]):
        ways.append("a larger data.longest")
    if len(draws) > 1:
        ways.append("other weights in data.benign_from")
    return UserError("; ".join(texts), "; ".join([*ways, "another source"]).replace("; another", ", or another"))


def _ways_out(sources: Sequence[Source], drawn: Sequence[_Drawn], usable: Sequence[int]) -> list[str]:
    """The numbers of rows that can be had, where there are any."""
    fits: dict[Label, int] = {}
    for label in LABELS:
        mine = [(source.weight, one.wanted, number) for source, one, number in zip(sources, drawn, usable, strict=True) if one.label == label]
        total = sum(wanted for _, wanted, _ in mine)
        weights = [weight for weight, _, _ in mine]
        while mine and total and any(part > number for part, (_, _, number) in zip(shares(total, weights), mine, strict=True)):
            total -= 1
        if mine:
            fits[label] = total
    return [" ".join(f"data.{label}={number}" for label, number in fits.items())] if any(fits.values()) else []


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


@dataclass(eq=False)
class _Draw:
    """Draws usable rows of one source; only as many responses are read as are needed."""

    source: Source
    plan: Plan
    overlap: Overlap
    near: NearDuplicates
    controls: Collection[str]
    groups: Mapping[tuple[Label, Style], list[Candidate]]

    def label(self, label: Label) -> _Drawn:
        """Take the rows of a label that are wanted of the source, or all that there are."""
        table, counts, plan, wanted = self.source.table, self.source.counts, self.plan, self.source.wanted[label]
        styles = {style: group for (kind, style), group in sorted(self.groups.items()) if kind == label}
        sizes = {style: len(group) for style, group in styles.items()}
        if plan.adversarial is not None and wanted and not {"adversarial", "vanilla"} <= set(styles):
            raise UserError(
                f"a share of adversarial prompts is asked for, but {table.origin} does not tell {label} rows apart as vanilla and adversarial",
                "leave data.adversarial out",
            )
        untraced: list[Candidate] = []
        streams = {style: self.usable(group, plan.untraced, untraced) for style, group in styles.items()}
        quotas = _quotas(sizes, wanted, plan.adversarial)
        taken: list[TrainingRow] = []
        for style in styles:
            taken += self.take(streams[style], quotas[style])
        for style in styles:  # what one style lacks, the other gives
            taken += self.take(streams[style], wanted - len(taken))
        rest = list(streams.values())
        if not needs_trace(plan.target, label):
            rest.append(self.usable(untraced, "keep", []))
            part = self.take(rest[-1], wanted - len(taken))
            counts.untraced += len(part)
            taken += part
        counts.taken.update(f"{label}{', ' + style if style else ''}" for row in taken for style in [_style_of(row, table)])
        if plan.untraced == "template":
            counts.templated += sum(map(is_templated, taken))
        else:
            counts.unrestated += sum(bool(row.understanding) and not restating.restates(row.understanding) for row in taken)
        self.source.taken.extend(taken)
        return _Drawn(self, label, wanted, len(taken), sum(sizes.values()), rest)

    def take(self, stream: Iterator[TrainingRow], count: int) -> list[TrainingRow]:
        taken: list[TrainingRow] = []
        while len(taken) < count and (row := next(stream, None)) is not None:
            self.near.add("\n".join([*(turn.content for turn in row.history), row.prompt]))
            taken.append(row)
        return taken

    def usable(self, group: list[Candidate], how: Untraced, untraced: list[Candidate]) -> Iterator[TrainingRow]:
        """Yield a group's usable rows in the seed's order; `untraced` takes those that lack a trace where they are left out."""
        counts = self.source.counts
        for candidate in sorted(group, key=lambda c: content_id(self.plan.seed, c.prompt)):
            texts = [candidate.prompt, *(turn.content for turn in candidate.history if turn.role == "user")]
            if hit := next(filter(None, map(self.overlap.find, texts)), None):
                counts.overlap[f"{hit[0]} ({hit[1]})"] += 1
                continue
            if self.near.seen(candidate.asked):
                counts.dropped["near-duplicate"] += 1
                continue
            row = make_row(candidate, self.source.table.response(candidate.index), self.source.table, self.controls, how)
            if isinstance(row, TrainingRow) and self.plan.longest and words_of(row) > self.plan.longest:
                row = f"{LONGER}{self.plan.longest} words"
            if how == "keep":  # it was counted as one without a trace, which it is not left out for any more
                counts.dropped -= Counter([NO_TRACE])
            if isinstance(row, TrainingRow):
                yield row
                continue
            counts.dropped[row] += 1
            if row == NO_TRACE:
                untraced.append(candidate)
