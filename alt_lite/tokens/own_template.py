"""Hold a folder's own chat template against the prompts that a family writes: those who serve the model use the template.
Which family it is, is found out here, too."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES, Family
from alt_lite.tokens.fitting import changes, differing, fit, with_tokens
from alt_lite.tokens.rendering import DATE, Renderer, own, thinking
from alt_lite.tokens.templates import jinja

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REMEMBERED = "alt_lite.json"  # in a merged folder
_SHOWN, _BEFORE = 60, 24  # characters of a text that are shown, and of these before the first difference
_told: set[tuple[Path, str]] = set()


@dataclass(frozen=True)
class Agreed:
    """A family as a folder's models are written to, the template that writes these prompts, and why it is this family."""

    family: Family
    template: str
    reason: str


def agree(fast: PreTrainedTokenizerFast, folder: Path, name: str | None, asked: Path | str | None = None) -> Agreed:
    """Find the family, or hold the one that is named against the folder.

    Args:
        name: a family; None: it is found out.
        asked: the name by which the model was asked for, where that is not the folder.

    Raises:
        UserError: the tokenizer lacks its tokens, its template writes other prompts, or no family fits.
    """
    there = fast.get_vocab()
    able = {other.name: other for other in FAMILIES.values() if set(other.controls) <= set(there)}
    remembered = _remembered(folder)
    if name is None and remembered in able:
        name, reason = remembered, f"it was trained as such ({REMEMBERED})"
    else:
        reason = "as asked" if name else ""
    if name and name not in able:
        missing = next(control for control in FAMILIES[name].controls if control not in there)
        raise UserError(
            f"{folder}: the tokenizer has no {missing}, which family {name!r} needs",
            f"model.family=auto, or of {', '.join(able)}, whose tokens it has" if able else "a model of a family that is known: python -m alt_lite families",
        )
    added = fast.get_added_vocab()
    if len(half := {"<think>", "</think>"} & set(added)) == 1:
        raise UserError(f"{folder}: its vocabulary has {half.pop()} and not the tag that belongs to it", "a tokenizer that has both, or neither")
    template = own(fast, folder)
    if template is None:
        return _without_template(folder, name, able, added, asked)
    render, others = Renderer(fast, template), list[str]()
    named = fit(FAMILIES[name], render, added) if name else None
    if named is None or differing(named, render):
        fitted = {other.name: fit(other, render, added) for other in able.values()}
        left = {other: differing(family, render) for other, family in fitted.items()}
        agreeing = _ranked([other for other in fitted if not left[other]], fitted, folder, asked)
        if name or not agreeing:
            if not able:
                raise UserError(f"{folder}: its vocabulary has the control tokens of none of the families {', '.join(FAMILIES)}", "another model: python -m alt_lite families lists those that are known")
            nearest = name or min((other for other in fitted if not FAMILIES[other].names), key=lambda other: (len(left[other]), -_alike(left[other])))
            raise _refusal(folder, nearest, left[nearest], agreeing)
        family, others = fitted[agreeing[0]], agreeing[1:]
    else:
        family = named
    if render.dated:
        _tell(folder, f"has a chat template that writes the day's date; here it is always {DATE:%d %B %Y}, so that a run can go on tomorrow")
    whole = thinking(render)
    if whole != template:
        _tell(folder, "has a chat template that reasons only if it is told to; here it is told to, and merged/ gets one that does by itself")
    reason = reason or _why(family, folder, others)
    if changed := changes(family, FAMILIES[family.name]):
        reason += f"; as this template has them: {', '.join(changed)}"
        said = f"is of family {family.name}, with these details as its chat template has them: {', '.join(changed)}"
        if named:
            _tell(folder, said)
        _told.add((folder, said))  # what was found out is told with its reason, and not again when the family is known
    return Agreed(family, whole, reason)


def _ranked(names: list[str], fitted: dict[str, Family], folder: Path, asked: Path | str | None) -> list[str]:
    """Sort families that a template agrees with: those whose vocabulary has these tags, then those that had to be changed least, then
    those of the architecture. One that is known by its name alone goes first where the name is its, and is none otherwise."""
    kind, order = _model_type(folder), list(FAMILIES)
    mine = [name for name in names if not FAMILIES[name].names or _named(FAMILIES[name], folder, asked)]

    def unlike(name: str) -> tuple[bool, bool, int, bool, int]:
        family = FAMILIES[name]
        return not family.names, family.plain_tags != fitted[name].plain_tags, len(changes(fitted[name], family)), kind not in family.model_types, order.index(name)

    return sorted(mine, key=unlike)


def _named(family: Family, folder: Path, asked: Path | str | None) -> bool:
    """Whether a model is called as this family's are."""
    return bool(family.names) and any(re.search(str(family.names), called, re.IGNORECASE) for called in (Path(asked or "").name, folder.name))


def _without_template(folder: Path, name: str | None, able: dict[str, Family], added: Collection[str], asked: Path | str | None) -> Agreed:
    """Choose by the vocabulary and the architecture where a folder has no chat template.

    Raises:
        UserError: no family fits, or its prompts cannot be written without the template.
    """
    kind = _model_type(folder)
    own_head = next((family for family in able.values() if family.fixed and (kind in family.model_types or family.name == name)), None)
    ranked = _ranked([family.name for family in able.values() if not family.fixed], able, folder, asked)
    if own_head or not (name or ranked):
        own_head = own_head or next((family for family in able.values() if family.fixed), None)
        what = f"with which the prompts of family {own_head.name!r} begin" if own_head else "and its vocabulary is no family's"
        raise UserError(f"{folder} has no chat template, {what}", "the folder's chat_template.jinja, as the model's repository has it")
    family = with_tokens(FAMILIES[name or ranked[0]], added)
    _tell(folder, f"has no chat template; prompts are those of family {family.name}, and merged/ gets a template of them")
    found = "it is called so" if family.names else _vocabulary(family) + (f", and config.json says {kind}" if kind in family.model_types else "")
    return Agreed(family, jinja(family), "as asked" if name else f"no chat template; {found}")


def _refusal(folder: Path, name: str, left: dict[str, tuple[str | Exception, str]], agreeing: list[str]) -> UserError:
    """Show both renderings of the first conversation that differs, and name a family whose prompts these are."""
    conversation, (text, expected) = next(iter(left.items()))
    wrong = f"fails ({_first_line(text)})" if isinstance(text, Exception) else "writes {}, the family {}".format(*beside(text, expected))
    fix = (
        f"model.family={agreeing[0]}, whose prompts it writes" if agreeing
        else f"another model, of one of the families {', '.join(FAMILIES)}; or, if this one was trained on such prompts, a copy of its folder without the chat template"
    )
    return UserError(f"{folder}: its chat template does not write the prompts of family {name!r}: for the conversation {conversation!r} it {wrong}", fix)


def _alike(left: dict[str, tuple[str | Exception, str]]) -> int:
    """Count the characters that the first two renderings that differ have in common, from the beginning and from the end."""
    text, other = next(iter(left.values()), ("", ""))
    return 0 if isinstance(text, Exception) else len(commonprefix([text, other])) + len(commonprefix([text[::-1], other[::-1]]))


def _remembered(folder: Path) -> str | None:
    """The family as which a merged folder was trained."""
    try:
        return str(json.loads((folder / REMEMBERED).read_text(encoding="utf-8"))["family"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _why(family: Family, folder: Path, others: Sequence[str]) -> str:
    kind = _model_type(folder)
    if family.names:
        return f"it is called so, and its chat template writes such prompts, as it does those of {', '.join(others)}: model.family={others[0]} if it is none"
    config = f", and config.json says {kind}" if kind in family.model_types else ""
    return f"its chat template writes that family's prompts, {_vocabulary(family)}{config}"


def _vocabulary(family: Family) -> str:
    tags = f"{family.open_tag} and {family.close_tag}"
    return f"its vocabulary has no think tags, so that {tags} are plain text" if family.plain_tags else f"its vocabulary has {tags}"


def _model_type(folder: Path) -> str | None:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config.get("model_type"))
    except (OSError, ValueError, AttributeError):
        return None


def _tell(folder: Path, what: str) -> None:
    """Say it once of a folder, however often its tokenizer is loaded."""
    if (folder, what) not in _told:
        _told.add((folder, what))
        say(f"{folder} {what}")


def beside(text: str, other: str) -> tuple[str, str]:
    """Show both texts around their first difference, line breaks and spaces visible."""
    at = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(at - _BEFORE, 0)

    def shown(whole: str) -> str:
        part = whole[start : start + _SHOWN]
        return f"{'…' if start else ''}{part!r}{'…' if start + _SHOWN < len(whole) else ''}"

    return shown(text), shown(other)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
