"""An opened set of prompts and responses, whose columns are read as ours: texts, pairs of turns, conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alt_lite.data import conversations
from alt_lite.data.conversations import Unusable, is_conversation, tagged
from alt_lite.data.rows import Label, Turn
from alt_lite.data.texts import BECAME, clean

if TYPE_CHECKING:
    from datasets import Dataset

# What a row's request and reply are read of.
_ASKED, _REPLIED = ("prompt", "input", "system", "history", "messages"), ("response", "trace")
_READ = ("prompt", "response", "system", "history", "problem")
_BATCH = 1000
INPUT, TURNS, SYSTEM, NOTHING, TAGS = "input", "turns", "system", "nothing", "tags"
# Whole cells of columns that need not be filled, by which spreadsheets, pandas and Alpaca's sets say that they are not.
_NOTHING = {"", "none", "null", "nan", "n/a", "na", "<na>", "<noinput>", "<nan>"}


@dataclass(frozen=True)
class Example:
    """One row as it is asked and answered; `problem` tells why it cannot be used."""

    prompt: Any
    response: Any = None
    system: str | None = None
    history: tuple[Turn, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """An opened set. `columns` maps our names to its own; `origin` says where it came from, with the commit.

    `noted` holds the rows, of those that were read, in which something was done that is to be told.
    """

    data: Dataset
    columns: dict[str, str]
    origin: str
    label: Label | None = None
    labelled: Callable[[str], Label] | None = None
    noted: dict[str, set[int]] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.data)

    def response(self, index: int) -> str:
        """Give a row's response, its trace in think tags where it stands in a column of its own."""
        raw = self._replies[index]
        found = self._example(index, {ours: raw[name] for ours, name in self.columns.items() if name in raw})
        return found.response if isinstance(found.response, str) else ""

    @cached_property
    def _replies(self) -> Dataset:
        return self.data.select_columns(self._names_of((*_REPLIED, *(_ASKED if self.talks else ()))))

    @cached_property
    def talks(self) -> bool:
        """Whether rows are conversations, so that request and reply are read together."""
        pair = self._names_of(("prompt", "response"))
        return "messages" in self.columns or any(is_conversation(value) for values in self.data.select_columns(pair)[:20].values() for value in values)

    def _names_of(self, ours: tuple[str, ...]) -> list[str]:
        return list(dict.fromkeys(self.columns[name] for name in ours if name in self.columns))

    def rows(self, *names: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (row number from 0, our column → value) with only the columns in memory that are needed for these.

        Beside columns, `system`, `history` and `problem` may be asked for, as `Example` has them.
        """
        asked = any(name in names for name in _READ)
        replied = "response" in names or self.talks
        thin = self.data.select_columns(self._names_of((*names, *(_ASKED if asked else ()), *(_REPLIED if replied else ()))))
        named = {name: _names_of_classes(thin.features.get(self.columns.get(name, ""))) for name in names}
        for start in range(0, len(thin), _BATCH):
            batch = thin[start : start + _BATCH]
            size = len(next(iter(batch.values())))
            for offset in range(size):
                raw = {ours: batch[name][offset] for ours, name in self.columns.items() if name in batch}
                row = {name: _class_name(raw.get(name), named[name]) for name in names if name in self.columns}
                if asked:
                    found = self._example(start + offset, raw)
                    row |= {name: getattr(found, name) for name in names if name in _READ}
                yield start + offset, row

    def changes(self) -> dict[str, int]:
        """Count the rows, of those read, whose texts were mended, by what was found."""
        return {f"{kind} that became {became}": len(self.noted[kind]) for kind, became in BECAME.items() if self.noted.get(kind)}

    def _note(self, what: str, index: int) -> None:
        self.noted.setdefault(what, set()).add(index)

    def _example(self, index: int, raw: Mapping[str, Any]) -> Example:
        try:
            found = self._talk(raw) if self.talks and _talk_of(raw) is not None else self._plain(index, raw)
        except Unusable as reason:
            return Example("", problem=str(reason))
        if found.history:
            self._note(TURNS, index)
        if any(isinstance(raw.get(name), str) and raw[name].strip() and _text(raw[name]) is None for name in ("input", "system", "trace")):
            self._note(NOTHING, index)
        if isinstance(found.response, str) and (usual := conversations.usual_tags(found.response)) != found.response:
            self._note(TAGS, index)
            found = replace(found, response=usual)
        if found.system:
            self._note(SYSTEM, index)
        return Example(
            self._clean(index, found.prompt), self._clean(index, found.response), self._clean(index, found.system),
            tuple(Turn(role=turn.role, content=self._clean(index, turn.content)) for turn in found.history), found.problem,
        )

    def _clean(self, index: int, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        text, found = clean(text)
        for kind in found:
            self._note(kind, index)
        return text

    def _talk(self, raw: Mapping[str, Any]) -> Example:
        talk = conversations.read(_talk_of(raw), raw.get("response"))
        history = conversations.pairs(raw.get("history")) + talk.history
        problem = None if talk.response else "conversation that ends without a reply"
        return Example(talk.prompt, _traced(raw, talk.response), talk.system or _text(raw.get("system")), history, problem)

    def _plain(self, index: int, raw: Mapping[str, Any]) -> Example:
        prompt, response = raw.get("prompt"), raw.get("response")
        if "messages" in self.columns and not (isinstance(prompt, str) and prompt.strip()):
            raise Unusable("no conversation")
        more = _text(raw.get("input"))
        if more and isinstance(prompt, str):
            self._note(INPUT, index)
            prompt = f"{prompt.rstrip()}\n\n{more.strip()}"
        if is_conversation(response) and isinstance(prompt, str):
            talk = conversations.read([{"role": "user", "content": prompt}], response)
            return Example(talk.prompt, _traced(raw, talk.response), talk.system or _text(raw.get("system")), conversations.pairs(raw.get("history")) + talk.history)
        return Example(prompt, _traced(raw, response), _text(raw.get("system")), conversations.pairs(raw.get("history")))


def _traced(raw: Mapping[str, Any], response: Any) -> Any:
    trace = _text(raw.get("trace"))
    return tagged(trace, response) if trace and isinstance(response, str) else response


def _talk_of(raw: Mapping[str, Any]) -> Any:
    """The messages of a row, in whichever column they stand."""
    if raw.get("messages") is not None and len(raw["messages"]):
        return raw["messages"]
    return raw["prompt"] if is_conversation(raw.get("prompt")) else None


def _text(value: Any) -> str | None:
    """A column's text; a list of texts is one, a number is written out; None for what is blank, or says that nothing is there."""
    if isinstance(value, list):
        value = "\n\n".join(item for item in value if isinstance(item, str))
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value.strip().lower() not in _NOTHING else None


def _names_of_classes(feature: Any) -> list[str] | None:
    """The names of a column that holds numbers of classes."""
    names = getattr(feature, "names", None)
    return list(names) if isinstance(names, list) else None


def _class_name(value: Any, names: list[str] | None) -> Any:
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
