"""Hold a folder's own chat template against the prompts that its family writes: those who serve the model use the template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.tokens.families import FAMILIES, Family
from alt_lite.tokens.templates import CONVERSATIONS, jinja

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SHOWN, _BEFORE = 60, 24  # characters of a text that are shown, and of these before the first difference
_KEPT = "a trace before"
_told: set[Path] = set()


def own(fast: PreTrainedTokenizerFast) -> str | None:
    """Give the template that `fast` writes a conversation with; of several by name it is `default`."""
    template = fast.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), None)
    return template if template and template.strip() else None


def require_agreement(fast: PreTrainedTokenizerFast, folder: Path, family: Family) -> str:
    """Give the template by which the family's prompts are written: the folder's own, proved on CONVERSATIONS;
    one made of the family's prompts where the folder has none.

    Raises:
        UserError: the folder's template writes other prompts, or fails.
    """
    if own(fast) is None:
        _tell(folder, f"has no chat template; prompts are those of family {family.name}, and merged/ gets a template of them")
        return jinja(family)
    rendered = {name: _render(fast, messages) for name, messages in CONVERSATIONS.items()}
    differing = _differing(family, rendered)
    if not differing:
        return str(own(fast))
    name = differing[0]
    text, expected = rendered[name], "".join(family.prompt(CONVERSATIONS[name]))
    wrong = f"fails ({_first_line(text)})" if isinstance(text, Exception) else "writes {}, the family {}".format(*beside(text, expected))
    raise UserError(
        f"{folder}: its chat template does not write the prompts of family {family.name!r}: for the conversation {name!r} it {wrong}",
        _fix(fast, rendered, family),
    )


def _fix(fast: PreTrainedTokenizerFast, rendered: dict[str, str | Exception], family: Family) -> str:
    """Name the family whose prompts were rendered; else the nearest one whose tokens are there, and how its prompts are had."""
    there = fast.get_vocab()
    nearest = min((other for other in FAMILIES.values() if all(control in there for control in other.controls)), key=lambda other: (len(_differing(other, rendered)), other is not family))
    left = _differing(nearest, rendered)
    if not left:
        return f"model.family={nearest.name}, whose prompts it writes"
    if left == [_KEPT]:
        how = f" with model.family={nearest.name}" if nearest is not family else ""
        return (
            f"a copy of the folder without its chat template{how}: prompts are then those of family {nearest.name}, which drops the traces of earlier "
            "answers, and merged/ gets a template of them"
        )
    return f"another model, of one of the families {', '.join(FAMILIES)}; or, if this one was trained on such prompts, a copy of its folder without the chat template"


def _differing(family: Family, rendered: dict[str, str | Exception]) -> list[str]:
    """Name those of CONVERSATIONS that are rendered otherwise than the family writes them."""
    return [name for name, messages in CONVERSATIONS.items() if rendered.get(name) != "".join(family.prompt(messages))]


def _tell(folder: Path, what: str) -> None:
    """Say it once of a folder, however often its tokenizer is loaded."""
    if folder not in _told:
        _told.add(folder)
        say(f"{folder} {what}")


def beside(text: str, other: str) -> tuple[str, str]:
    """Show both texts around their first difference, line breaks and spaces visible."""
    at = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(at - _BEFORE, 0)

    def shown(whole: str) -> str:
        part = whole[start : start + _SHOWN]
        return f"{'…' if start else ''}{part!r}{'…' if start + _SHOWN < len(whole) else ''}"

    return shown(text), shown(other)


def _render(fast: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> str | Exception:
    try:
        return str(fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template may raise whatever it likes
        return error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
