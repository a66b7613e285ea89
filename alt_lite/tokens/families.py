"""Prompt formats of the model families, written out: which control tokens stand where.

Chat templates are not used for prompts: a template renders user text and control tokens into one string, in
which they cannot be told apart any more. The folder's own template is compared with them (own_template.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Control(str):
    """A control token's text; everything else in a prompt is plain text."""


Segment = Control | str


@dataclass(frozen=True)
class Family:
    """One family's control tokens and the way its turns are written.

    `opens_trace` tells whether the prompt itself ends with an opened `<think>`; where it does not,
    the model writes the tag, so it is part of what is trained. `end` is what training ends a text with;
    `ends` are further tokens at which the model's own configuration stops. `top_k` is the makers' advice for
    sampling beside temperature 0.6 and top_p 0.95 (None: they advise none); `parser` is vLLM's reasoning parser.
    """

    name: str
    bos: str | None
    end: str
    controls: tuple[str, ...]
    opens_trace: bool
    chatml: bool = False
    ends: tuple[str, ...] = ()
    think: Control = Control("<think>")
    think_end: Control = Control("</think>")
    top_k: int | None = None
    parser: str = "deepseek_r1"

    def prompt(self, messages: Sequence[dict[str, str]]) -> list[Segment]:
        """Write the generation prompt, as the family's official template renders it. Earlier assistant
        turns lose their trace; neighbouring plain texts are joined, since they are encoded as one.

        Raises:
            ValueError: a role is unknown, the last turn is not the user's, or a system message does not
                stand first (R1's template would move it there without a word).
        """
        if not messages or messages[-1]["role"] != "user":
            raise ValueError("the last message must be the user's")
        if any(message["role"] == "system" for message in messages[1:]):
            raise ValueError("a system message must be the first message")
        segments: list[Segment] = [Control(self.bos)] if self.bos else []
        for message in messages:
            segments += self._turn(message["role"], message["content"])
        segments += self._assistant()
        if self.opens_trace:
            segments += [self.think, "\n"]
        return [segment for segment, _ in joined([(segment, False) for segment in segments])]

    def completion_prefix(self) -> list[Segment]:
        """What the model itself must write before its trace."""
        return [] if self.opens_trace else [self.think, "\n"]

    def _turn(self, role: str, text: str) -> list[Segment]:
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"unknown role {role!r}")
        if role == "assistant":
            # What the templates do: R1's keeps the line breaks after `</think>`, Qwen3's drops them.
            _, closed, rest = text.rpartition(self.think_end)
            text = rest.lstrip("\n") if closed and self.chatml else rest
        if self.chatml:
            return [Control("<|im_start|>"), f"{role}\n{text}", Control("<|im_end|>"), "\n"]
        if role == "system":
            return [text]
        if role == "user":
            return [Control("<｜User｜>"), text]
        return [Control("<｜Assistant｜>"), text, Control(self.end)]

    def _assistant(self) -> list[Segment]:
        if self.chatml:
            return [Control("<|im_start|>"), "assistant\n"]
        return [Control("<｜Assistant｜>")]


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


_DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
_QWEN = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")

# Typed by a user these stay text; in a target's text they are an error, whatever the family.
ALL_CONTROLS = tuple(dict.fromkeys((*_DEEPSEEK, *_QWEN, "<|endoftext|>", "<|eot_id|>")))

FAMILIES: dict[str, Family] = {
    "r1": Family("r1", _DEEPSEEK[0], _DEEPSEEK[1], _DEEPSEEK, opens_trace=True),
    "r1_0528": Family("r1_0528", _DEEPSEEK[0], _DEEPSEEK[1], _DEEPSEEK, opens_trace=False),
    "qwen3": Family("qwen3", None, "<|im_end|>", _QWEN, opens_trace=False, chatml=True, ends=("<|endoftext|>",), top_k=20, parser="qwen3"),
    # Qwen3-*-Thinking-2507 and QwQ. Qwen's cards name the parser that needs no opening tag in the response.
    "qwen3_thinking": Family("qwen3_thinking", None, "<|im_end|>", _QWEN, opens_trace=True, chatml=True, ends=("<|endoftext|>",), top_k=20),
}
