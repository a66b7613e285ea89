"""Hold a folder's own chat template against the prompts that a family writes: those who serve the model use the template.
Which family it is, is found out here, too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES, Family
from alt_lite.tokens.fitting import changes, differing, fit
from alt_lite.tokens.rendering import DATE, Renderer, own, thinking
from alt_lite.tokens.templates import jinja

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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
    if name and name not in able:
        missing = next(control for control in FAMILIES[name].controls if control not in there)
        raise UserError(
            f"{folder}: the tokenizer has no {missing}, which family {name!r} needs",
            f"model.family=auto, or of {', '.join(able)}, whose tokens it has" if able else "a model of a family that is known: python -m alt_lite families",
        )
    template = own(fast)
    if template is None:
        return _without_template(folder, name, able, asked)
    render, added = Renderer(fast, template), fast.get_added_vocab()
    named = fit(FAMILIES[name], render, added) if name else None
    if named is None or differing(named, render):
        fitted = {other.name: fit(other, render, added) for other in able.values()}
        left = {other: differing(family, render) for other, family in fitted.items()}
        agreeing = _ranked([other for other in fitted if not left[other]], fitted, folder, asked)
        if name or not agreeing:
            if not able:
                raise UserError(f"{folder}: its vocabulary has the control tokens of none of the families {', '.join(FAMILIES)}", "another model: python -m alt_lite families lists those that are known")
            nearest = name or min(fitted, key=lambda other: len(left[other]))
            raise _refusal(folder, nearest, left[nearest], agreeing)
        family = fitted[agreeing[0]]
    else:
        family = named
    if render.dated:
        _tell(folder, f"has a chat template that writes the day's date; here it is always {DATE:%d %B %Y}, so that a run can go on tomorrow")
    whole = thinking(render)
    if whole != template:
        _tell(folder, "has a chat template that reasons only if it is told to; here it is told to, and merged/ gets one that does by itself")
    reason = "as asked" if name else _why(family, folder)
    if changed := changes(family, FAMILIES[family.name]):
        reason += f", {changed} of its details as this template has them"
    return Agreed(family, whole, reason)


def _ranked(names: list[str], fitted: dict[str, Family], folder: Path, asked: Path | str | None) -> list[str]:
    """Sort families that a template agrees with: those that had to be changed least first, then those of the architecture."""
    kind, order = _model_type(folder), list(FAMILIES)
    called = [Path(asked or "").name, folder.name]
    mine = [name for name in names if not (pattern := FAMILIES[name].names) or any(re.search(pattern, each, re.IGNORECASE) for each in called)]

    def unlike(name: str) -> tuple[bool, int, bool, int]:
        family = FAMILIES[name]
        # A head of one model's own is no other model's, though any head fits it.
        foreign = family.fixed and kind is not None and kind not in family.model_types
        return foreign, changes(fitted[name], family), kind not in family.model_types, order.index(name)

    return sorted(mine, key=unlike)


def _without_template(folder: Path, name: str | None, able: dict[str, Family], asked: Path | str | None) -> Agreed:
    """Choose by the vocabulary and the architecture where a folder has no chat template.

    Raises:
        UserError: no family fits, or its prompts cannot be written without the template.
    """
    kind = _model_type(folder)
    possible = [family for family in able.values() if not family.fixed]
    ranked = _ranked([family.name for family in possible], able, folder, asked)
    family = FAMILIES[name] if name else FAMILIES[ranked[0]] if ranked else None
    if family is None or family.fixed:
        what = f"whose prompts begin with what is in it (family {family.name!r})" if family else "and its vocabulary is no family's"
        raise UserError(f"{folder} has no chat template, {what}", "the folder's chat_template.jinja, as the model's repository has it")
    _tell(folder, f"has no chat template; prompts are those of family {family.name}, and merged/ gets a template of them")
    return Agreed(family, jinja(family), "as asked" if name else f"no chat template; {_vocabulary(family)}" + (f", and config.json says {kind}" if kind in family.model_types else ""))


def _refusal(folder: Path, name: str, left: dict[str, tuple[str | Exception, str]], agreeing: list[str]) -> UserError:
    """Show both renderings of the first conversation that differs, and name a family whose prompts these are."""
    conversation, (text, expected) = next(iter(left.items()))
    wrong = f"fails ({_first_line(text)})" if isinstance(text, Exception) else "writes {}, the family {}".format(*beside(text, expected))
    fix = (
        f"model.family={agreeing[0]}, whose prompts it writes" if agreeing
        else f"another model, of one of the families {', '.join(FAMILIES)}; or, if this one was trained on such prompts, a copy of its folder without the chat template"
    )
    return UserError(f"{folder}: its chat template does not write the prompts of family {name!r}: for the conversation {conversation!r} it {wrong}", fix)


def _why(family: Family, folder: Path) -> str:
    kind = _model_type(folder)
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
