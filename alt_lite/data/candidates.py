"""Read which rows of a set could be trained on: their requests, labels, languages; the responses are not needed yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from alt_lite.data import languages
from alt_lite.data.overlap import key, words_and_signs
from alt_lite.data.rows import Label, Turn, content_id, summarise
from alt_lite.data.table import Table
from alt_lite.errors import UserError

Style = str  # vanilla, adversarial, or "" where the source does not tell
# How the reasons begin for which a conversation is left out.
SPOKEN = ("conversation", "message", "history", "no conversation")
_HARMFUL = {"harmful", "unsafe", "malicious", "toxic"}
_BENIGN = {"benign", "safe", "harmless", "unharmful", "not harmful", "non harmful", "nonharmful"}


@dataclass(frozen=True)
class Candidate:
    """A row's request. `language` is empty where no column tells it."""

    index: int
    prompt: str
    label: Label
    style: Style
    category: str | None
    language: str
    system: str | None = None
    history: tuple[Turn, ...] = ()

    @property
    def asked(self) -> str:
        """All that is asked, earlier turns included."""
        return "\n".join([*(turn.content for turn in self.history), self.prompt])

    @property
    def id(self) -> str:
        if not (self.system or self.history):
            return content_id("alttrain", self.prompt)
        return content_id("alttrain", self.prompt, self.system, [[turn.role, turn.content] for turn in self.history])


@dataclass
class Counts:
    """What became of the source's rows, for the data card."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    overlap: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    assessments: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)  # names in the source's column that are not known
    untraced: int = 0
    unrestated: int = 0  # rows whose understanding, their trace's first sentence, is not read as one
    templated: int = 0  # rows whose missing steps were written by template


def read_label(text: object, column: str = "") -> tuple[Label, Style] | None:
    """Read a label: harmful, unsafe, malicious, toxic; benign, safe, harmless, unharmful; each with
    `vanilla` or `adversarial` before or behind it; yes or no (true, 1) where the column's name says to what
    (`is_safe`, `harmful`). None for everything else: a guess could turn a harmful row into a benign one."""
    asked = column.lower().removeprefix("is_").removeprefix("is").strip("_ ").replace("_", " ")
    truth = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}.get(str(text).strip().lower())
    if truth is not None and asked in _HARMFUL | _BENIGN:
        return "harmful" if truth == (asked in _HARMFUL) else "benign", ""
    name = " ".join(str(text).lower().replace("_", " ").replace("-", " ").split())
    style = next((style for style in ("adversarial", "vanilla") if style in name.split()), "")
    name = " ".join(word for word in name.split() if word != style)
    if name in _HARMFUL:
        return "harmful", style
    return ("benign", style) if name in _BENIGN else None


def candidates(table: Table, counts: Counts) -> list[Candidate]:
    """Read every row's prompt and label; rows with the same prompt are taken once, and not at all where
    they differ in their label, for either could be the wrong one. Conversations that cannot be read are left out.

    Raises:
        UserError: rows lack a prompt or have a label that cannot be read; all are named at once.
    """
    found: list[Candidate] = []
    bad: list[str] = []
    seen: set[tuple[str, ...]] = set()
    labels: dict[str, set[Label]] = {}
    names = ("prompt", "system", "history", "problem", "category", "language") + (("response",) if table.labelled else ("label",))
    for index, row in table.rows(*names):
        prompt = row.get("prompt")
        if row.get("problem"):
            counts.dropped[row["problem"]] += 1
            continue
        if not isinstance(prompt, str) or not prompt.strip():
            bad.append(f"row {index + 1}: no prompt")
            continue
        if table.label:
            labelled: tuple[Label, Style] | None = (table.label, "")
        elif table.labelled:
            response = row.get("response")
            if not isinstance(response, str) or not response.strip():
                bad.append(f"row {index + 1}: no response")
                continue
            labelled = (table.labelled(response), "")
        else:
            labelled = read_label(row.get("label"), table.columns.get("label", ""))
        if labelled is None:
            bad.append(f"row {index + 1}: label {row.get('label')!r} says neither harmful nor benign")
            continue
        category = row.get("category")
        category = category[0] if isinstance(category, list) and category else category
        candidate = Candidate(
            index, prompt, *labelled, category if isinstance(category, str) and category else None, _named(row.get("language"), counts),
            row.get("system"), row.get("history") or (),
        )
        labels.setdefault(_loosely(candidate), set()).add(candidate.label)
        same = (key(candidate.asked), candidate.system or "")
        if same in seen:
            counts.dropped["same prompt again"] += 1
            continue
        seen.add(same)
        found.append(candidate)
    if bad:
        raise UserError(f"{table.origin}: {summarise(bad)}", _FIX)
    doubtful = [c for c in found if len(labels[_loosely(c)]) > 1]
    if doubtful:
        counts.dropped["same prompt with both labels"] += len(doubtful)
        found = [c for c in found if len(labels[_loosely(c)]) == 1]
    counts.rows = len(table)
    counts.labels.update(f"{c.label}{', ' + c.style if c.style else ''}" for c in found)
    return found


_FIX = (
    "mend these rows, or name other columns: data.columns=prompt=COLUMN,label=COLUMN (a label is harmful, unsafe, malicious, toxic, or benign, safe, harmless; "
    "true and false, or 1 and 0, in a column named so, such as is_safe); nothing has been written"
)


def _loosely(candidate: Candidate) -> str:
    """What requests have in common whose labels must agree: sentence punctuation makes no other request."""
    return " ".join(words_and_signs(candidate.asked)) or candidate.asked


def _named(value: object, counts: Counts) -> str:
    """The language that a column names; empty where it names none."""
    if not isinstance(value, str) or not value.strip():
        return ""
    found = languages.code(value)
    if found is None:
        counts.languages[value.strip()] += 1
    return found or ""
