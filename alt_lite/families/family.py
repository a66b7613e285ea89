"""What a model family is: how its conversations are written, what opens and closes its traces, and what ends a text.

Chat templates are not used for prompts: a template renders user text and control tokens into one string, in
which they cannot be told apart any more. A folder's own template is compared with what is written here, and
fills in what differs between a family's models: `tokens/own_template.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Cut = Literal["", "both", "left", "right", "lines"]
Earlier = Literal["dropped", "dropped_lines", "kept", "always"]


class Control(str):
    """A control token's text; everything else in a prompt is plain text."""


Segment = Control | str
HERE = "{}"  # where a message's text stands in a turn


@dataclass(frozen=True)
class Sampling:
    """How the makers advise to draw responses; `top_k` None: they advise none; not `advised`: what is usual for reasoning models."""

    temperature: float
    top_p: float
    top_k: int | None = None
    advised: bool = True


@dataclass(frozen=True)
class Family:
    """One family's way of writing.

    Attributes:
        name: the value of `model.family`.
        models: which models it is, for the table of families.
        source: the official template that its golden prompts come from.
        tried: on which tokenizer prompts and masks are tried.
        controls: tokens of the vocabulary that its texts are written with; the text between them is plain.
        user, assistant, system: a turn of each role, with HERE in place of the text; `system` None: it has none.
        answer: what asks for a response.
        end: the token that training ends a text with.
        ends: further tokens at which the model's own configuration stops.
        bos: the token at the beginning of every text.
        no_system: what stands in place of a system turn where a conversation has none.
        think, think_end: what opens a trace and what closes it.
        after_trace: what opens the answer behind a trace.
        alone: what opens an answer without a trace.
        opens_trace: the prompt itself ends with `think`; else the model writes it, so that it is trained.
        system_cut, user_cut, assistant_cut: how a text's ends are cut.
        earlier: what becomes of an earlier answer's trace; `dropped_lines`: with the line breaks behind it; `always`:
            it is kept, and an empty one stands where there was none.
        trace_field: the key in which its template takes a trace apart from the answer.
        sampling: the makers' advice.
        parser: vLLM's reasoning parser; None: vLLM has none that reads these traces.
        fixed: text that its conversations begin with beside more of the model's own, so that its template is needed.
        names: what a model's name must match to be taken for this family without being told.
        model_types: architectures by which it is taken where a folder has no template.
    """

    name: str
    models: str
    source: str
    tried: str
    controls: tuple[str, ...]
    user: str
    assistant: str
    system: str | None
    answer: str
    end: str
    sampling: Sampling
    parser: str | None
    bos: str | None = None
    no_system: str = ""
    ends: tuple[str, ...] = ()
    think: str = "<think>\n"
    think_end: str = "\n</think>"
    after_trace: str = "\n\n"
    alone: str = ""
    opens_trace: bool = False
    system_cut: Cut = ""
    user_cut: Cut = ""
    assistant_cut: Cut = ""
    earlier: Earlier = "dropped"
    trace_field: str | None = None
    fixed: str | None = None
    names: str | None = None
    model_types: tuple[str, ...] = ()

    @property
    def open_tag(self) -> str:
        """What opens a trace, without the line breaks around it."""
        return self.think.strip()

    @property
    def close_tag(self) -> str:
        """What closes a trace, without the line breaks around it."""
        return self.think_end.strip()

    @property
    def plain_tags(self) -> bool:
        """Whether the tags are plain text, as no token of the vocabulary stands for them."""
        return not any(isinstance(segment, Control) for segment in self.spell(self.think_end))

    @property
    def trace_controls(self) -> tuple[str, ...]:
        """Control tokens that stand in a response before its end."""
        return tuple(c for c in self.controls if c != self.end and c in self.think + self.think_end + self.after_trace + self.alone)

    def prompt(self, messages: Sequence[dict[str, str]]) -> list[Segment]:
        """Write the generation prompt, as the family's official template renders it; neighbouring plain texts
        are joined, since they are encoded as one.

        Raises:
            ValueError: a role is unknown, the last turn is not the user's, or a system message does not
                stand first (R1's template would move it there without a word) or is one too many.
        """
        if not messages or messages[-1]["role"] != "user":
            raise ValueError("the last message must be the user's")
        if any(message["role"] == "system" for message in messages[1:]):
            raise ValueError("a system message must be the first message")
        segments: list[Segment] = [Control(self.bos)] if self.bos else []
        if messages[0]["role"] != "system":
            segments += self.spell(self.no_system)
        for message in messages:
            text, trace = message["content"], message.get(self.trace_field or "")
            segments += self._turn(message["role"], f"<think>\n{trace}\n</think>\n\n{text}" if trace else text)
        segments += self.spell(self.answer)
        if self.opens_trace:
            segments += self.spell(self.think)
        return plain_joined(segments)

    def completion_prefix(self) -> list[Segment]:
        """What the model itself must write before its trace."""
        return [] if self.opens_trace else self.spell(self.think)

    def prefilled(self, text: str) -> list[Segment]:
        """Write the beginning of a response, which is given with the tag `</think>`, in the family's own tags: only
        its first one closes the trace."""
        trace, closed, answer = text.partition("</think>")
        if not closed:
            return [*self.completion_prefix(), text]
        if self.close_tag != "</think>":
            return [*self.completion_prefix(), trace.removesuffix("\n"), *self.spell(self.think_end + self.after_trace), answer.lstrip("\n")]
        return [*self.completion_prefix(), trace, *self.spell("</think>"), answer]

    def spell(self, text: str) -> list[Segment]:
        """Take a text of the family's own apart at its control tokens."""
        return [Control(part) if part in self.controls else part for part in self._at_controls.split(text) if part]

    @cached_property
    def _at_controls(self) -> re.Pattern[str]:
        longest_first = sorted(self.controls, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def _turn(self, role: str, text: str) -> list[Segment]:
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"unknown role {role!r}")
        turn: str | None = getattr(self, role)
        if turn is None:
            raise ValueError("this model's chat template takes no system message")
        before, after = turn.split(HERE)
        inside = self._earlier(text) if role == "assistant" else [cut(text, getattr(self, f"{role}_cut"))]
        return [*self.spell(before), *inside, *self.spell(after)]

    def _earlier(self, text: str) -> list[Segment]:
        """Write an earlier answer as the templates do: R1's keeps the line breaks after `</think>`, Qwen3's drops them."""
        if self.close_tag != "</think>" and "</think>" in text:
            trace, _, answer = text.partition("</think>")
            text = self.think + trace.strip().removeprefix("<think>").strip() + self.think_end + self.after_trace + answer.lstrip()
        if self.earlier == "kept":
            return self._tagged(cut(text, self.assistant_cut))
        if self.earlier == "always":
            before, _, answer = text.rpartition(self.close_tag)
            trace = before.partition(self.open_tag)[2].strip()
            return [*self.spell(self.think), trace, *self.spell(self.think_end + self.after_trace), cut(answer.lstrip("\n"), self.assistant_cut)]
        _, closed, rest = cut(text, self.assistant_cut).rpartition(self.close_tag)
        if closed:
            rest = rest.removeprefix(self.after_trace.strip())
            rest = rest.lstrip("\n") if self.earlier == "dropped_lines" else rest
        return [cut(rest, self.assistant_cut)]

    def _tagged(self, text: str) -> list[Segment]:
        """Spell the first trace of a text with its tags as they were generated; the rest is plain."""
        before, opened, rest = text.partition(self.open_tag)
        trace, closed, answer = rest.partition(self.close_tag)
        if before.strip() or not (opened and closed):
            return [text]
        return [before, *self.spell(opened), trace, *self.spell(closed), answer]


def cut(text: str, how: Cut) -> str:
    """Cut a text's ends: `both`, `left` and `right` of blanks, `lines` of line breaks before it."""
    return {"": text, "both": text.strip(), "left": text.lstrip(), "right": text.rstrip(), "lines": text.lstrip("\n")}[how]


def joined(parts: Sequence[tuple[Segment, bool]]) -> list[tuple[Segment, bool]]:
    """Join neighbouring plain texts that are trained alike, since they are one text to the model (on
    Qwen3 `user\\n` and a text encoded apart give other ids); empty texts go."""
    result: list[tuple[Segment, bool]] = []
    for segment, trained in parts:
        plain = not isinstance(segment, Control)
        if plain and result and not isinstance(result[-1][0], Control) and result[-1][1] == trained:
            result[-1] = (result[-1][0] + segment, trained)
        elif segment:
            result.append((segment, trained))
    return result


def plain_joined(segments: Iterable[Segment]) -> list[Segment]:
    return [segment for segment, _ in joined([(segment, False) for segment in segments])]
