"""Split a response into trace and answer, by the tags of all families."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from alt_lite.families import FAMILIES
from alt_lite.families.family import Family

# Marks of no width are blanks too, though Python does not count them.
_BLANKS = "\ufeff\u200b"


@dataclass(frozen=True)
class Tags:
    """What opens and closes a trace. Between two blocks, and before an answer, `link` stands; `alone` opens an answer.
    `aside` opens a message that is neither (harmony's commentary)."""

    opens: str
    closes: str
    link: str = ""
    alone: str = ""
    aside: str = ""


def tags(family: Family) -> Tags:
    """Give a family's tags."""
    aside = family.alone.replace("final", "commentary")
    return Tags(family.open_tag, family.close_tag, family.after_trace.removesuffix(family.alone).strip(), family.alone, aside)


_USUAL = Tags("<think>", "</think>")
# Of models that are in no family here: read where a response begins with them.
_OTHERS = (Tags("<thinking>", "</thinking>"), Tags("<thought>", "</thought>"), Tags("<reasoning>", "</reasoning>"), Tags("[THINK]", "[/THINK]"))
TAGS = tuple(dict.fromkeys(tags(family) for family in FAMILIES.values()))
_ENDS = {end for family in FAMILIES.values() for end in (family.end, *family.ends)} - {known.closes for known in TAGS}


def split_completion(completion: str, prompt_opened_trace: bool, family: Family | None = None) -> tuple[str | None, str | None]:
    """Split at the first closing tag into (trace, answer); a part that does not exist is None.

    Blanks before the opening tag are none of the trace; blocks that follow one another at the beginning,
    as an empty one and then the real one, are one trace. Without a tag everything is trace where the
    prompt had opened one, else everything is answer (DESIGN section 4).

    Args:
        family: whose tags are read, with `</think>`, which prefills have; None: not known, so that all families' opening tags
            are read. A closing tag alone says nothing but `</think>`, which R1's responses have alone.
    """
    text = completion.lstrip().lstrip(_BLANKS).lstrip()
    text = _without_end(text, family)
    mine = (tags(family),) if family else ()
    for known in mine or (*TAGS, *_OTHERS):
        text = _past_asides(text, known)
        if _begins(text, known.opens):
            return _blocks(text, known)
        if known.alone and text.startswith(known.alone):
            return None, text.removeprefix(known.alone).strip()
    found = _first(text, (*(mine if prompt_opened_trace else ()), _USUAL))
    if found:
        return _blocks(text, found)
    return (text.strip(), None) if prompt_opened_trace else (None, text.strip())


def between(completion: str, trace: str | None, answer: str | None) -> str:
    """Give what a response has written between its trace and its answer, such as `</think>`, in its own spelling;
    nothing where it has no trace, or came to no answer."""
    if trace is None or answer is None:
        return ""
    before = completion.rpartition(answer)[0] if answer else completion
    # Blocks are joined in a trace, and stand apart in the response: the last of them is looked for.
    blocks = trace.split("\n\n")
    for number in range(len(blocks)):
        last = "\n\n".join(blocks[number:])
        place = before.rfind(last)
        # A word that is in the tag itself is none of the trace's.
        while place >= 0 and before[place + len(last) :][:1].strip().strip("<["):
            place = before.rfind(last, 0, place + len(last) - 1)
        if place >= 0 and last:
            return before[place + len(last) :].strip()
    return before.strip()


def _without_end(text: str, family: Family | None) -> str:
    """Cut tokens that end a text off, as raw responses have them; one that closes some family's trace is left where the family is not known."""
    ends = {family.end, *family.ends} if family else _ENDS
    while end := next((end for end in ends if text.rstrip().endswith(end)), None):
        text = text.rstrip().removesuffix(end)
    return text


def _past_asides(text: str, known: Tags) -> str:
    while known.aside and text.startswith(known.aside) and known.closes in text:
        text = _linked(text.partition(known.closes)[2], known)
    return text


def _blocks(text: str, known: Tags) -> tuple[str, str | None]:
    """Read the blocks at a text's beginning, of which the first need not be opened in it."""
    parts: list[str] = []
    rest: str | None = text
    while rest is not None and (not parts or (_begins(rest, known.opens) and _at(rest, known.closes))):
        inside = rest[len(known.opens) :] if _begins(rest, known.opens) else rest
        place = _at(inside, known.closes)
        parts.append((inside[: place.start()] if place else inside).strip())
        rest = _linked(inside[place.end() :], known) if place else None
    return "\n\n".join(part for part in parts if part), None if rest is None else rest.removeprefix(known.alone).strip()


def _linked(text: str, known: Tags) -> str:
    return _past_asides(text.lstrip().removeprefix(known.link), known)


def _begins(text: str, tag: str) -> bool:
    return text[: len(tag)].lower() == tag.lower()


def _at(text: str, tag: str) -> re.Match[str] | None:
    return re.search(re.escape(tag), text, re.IGNORECASE)


def _first(text: str, known: Iterable[Tags]) -> Tags | None:
    """Give the tags whose closing one stands first."""
    places = [(place.start(), number, one) for number, one in enumerate(known) if (place := _at(text, one.closes))]
    return min(places)[2] if places else None
