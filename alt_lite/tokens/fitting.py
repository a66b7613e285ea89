"""Fit a family to a folder's own chat template: what stands before the first user's turn, and how texts are cut.

Models of one format differ in these: a default system prompt, a head of metadata, blanks that are cut, earlier traces
that are kept. Turns, tags and ends are the family's. Nothing is taken on trust: what was fitted is held against the
template on other conversations (own_template.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from alt_lite.families import Cut, Earlier, Family
from alt_lite.families.family import HERE
from alt_lite.tokens.rendering import conversations
from alt_lite.tokens.templates import answer

Render = Callable[[Sequence[dict[str, str]]], str | Exception]
_SHOWN = 80  # characters of a detail
_USER, _SYSTEM = "0user0", "0system0"
_CUTS: tuple[Cut, ...] = ("", "both", "right", "left", "lines")
_EARLIER: tuple[Earlier, ...] = ("dropped", "dropped_lines", "kept", "always")
FITTED = ("system", "no_system", "system_cut", "user_cut", "assistant_cut", "earlier", "trace_field")


def fit(family: Family, render: Render, added: Collection[str]) -> Family:
    """Give the family as `render` writes it, where that differs in FITTED only; the family itself where it does not fit.

    Args:
        added: the tokenizer's added tokens; those that stand in the head are control tokens of the prompts.
    """
    family = with_tokens(family, added)
    if not differing(family, render):
        return family
    fitted = _head(family, render, added)
    for name in ("user_cut", "system_cut"):
        fitted = _best(fitted, render, [{name: how} for how in _CUTS])
    return _best(fitted, render, _answers(fitted))


def with_tokens(family: Family, added: Collection[str]) -> Family:
    """Give the family with think tags that are tokens, where they are plain text to it and the vocabulary has them."""
    if not (family.plain_tags and family.close_tag == "</think>" and {"<think>", "</think>"} <= set(added)):
        return family
    # The parser of Qwen's and DeepSeek's tags, which needs them to be tokens.
    return replace(family, controls=(*family.controls, "<think>", "</think>"), parser="deepseek_r1")


def differing(family: Family, render: Render) -> dict[str, tuple[str | Exception, str]]:
    """Give those conversations that are rendered otherwise than the family writes them: (rendered, the family's)."""
    found = {}
    for name, messages in conversations(family).items():
        written, rendered = "".join(family.prompt(messages)), render(messages)
        if written != rendered:
            found[name] = rendered, written
    return found


def changes(fitted: Family, family: Family) -> list[str]:
    """Name in what a family had to be changed to fit, with the beginning of the new value; a head that is the model's own does not count."""
    names = [name for name in FITTED if not (family.fixed and name in ("system", "no_system")) and getattr(fitted, name) != getattr(family, name)]
    return [f"{name} {_shortened(getattr(fitted, name))}" for name in names]


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _head(family: Family, render: Render, added: Collection[str]) -> Family:
    """Take what stands before a user's first turn from the template."""
    asked = {"role": "user", "content": _USER}
    alone, led = render([asked]), render([{"role": "system", "content": _SYSTEM}, asked])
    first = family.user.replace(HERE, _USER) + answer(family)
    begins = family.bos or ""
    if isinstance(alone, Exception) or not (alone.startswith(begins) and alone.endswith(first)):
        return family
    no_system, system = alone[len(begins) : len(alone) - len(first)], family.system
    if isinstance(led, Exception):
        system = None
    elif led.startswith(begins) and led.endswith(first) and led.count(_SYSTEM) == 1:
        system = led[len(begins) : len(led) - len(first)].replace(_SYSTEM, HERE)
    if HERE in no_system or (system and system.count(HERE) != 1) or (family.fixed and family.fixed not in no_system):
        return family
    controls = [token for token in added if token.strip() and (token in no_system or token in (system or ""))]
    return replace(family, no_system=no_system, system=system, controls=tuple(dict.fromkeys((*family.controls, *controls))))


def _answers(family: Family) -> Iterator[dict[str, Any]]:
    for earlier in _EARLIER:
        for how in _CUTS:
            yield {"earlier": earlier, "assistant_cut": how}
            if earlier == "always" and not family.trace_field:  # such templates take the trace apart from the answer
                yield {"earlier": earlier, "assistant_cut": how, "trace_field": "reasoning_content"}


def _best(family: Family, render: Render, options: Iterable[dict[str, Any]]) -> Family:
    """Give the change after which the fewest conversations differ; none where none helps."""
    best, least = family, len(differing(family, render))
    for option in options:
        tried = replace(family, **option)
        if (left := len(differing(tried, render))) < least:
            best, least = tried, left
    return best
