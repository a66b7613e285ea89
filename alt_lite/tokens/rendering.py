"""Write conversations with a folder's own chat template, the same on every day and with its reasoning turned on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.families import Family

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Some templates write the day's date. A run must be the same when it goes on tomorrow, so it is always this one.
DATE = date(2025, 8, 1)
_PROCESSORS = "chat_template.json"
_THINKS = "{%- if enable_thinking is not defined %}{%- set enable_thinking = true %}{%- endif %}"


@dataclass
class Renderer:
    """A folder's own template. `dated` tells that it has asked for the date."""

    fast: PreTrainedTokenizerFast
    template: str
    dated: bool = field(default=False, init=False)

    def __call__(self, messages: Sequence[dict[str, str]], thinks: bool = True) -> str | Exception:
        """Write a prompt, with reasoning turned on or (`thinks` False) as the template has it where nothing is said;
        gives the exception where the template raises one."""
        settings: dict[str, Any] = {"enable_thinking": True} if thinks else {}
        try:
            return str(self.fast.apply_chat_template(
                list(messages), chat_template=self.template, tokenize=False, add_generation_prompt=True, strftime_now=self._now, **settings
            ))
        except Exception as error:  # a template may raise whatever it likes
            return error

    def _now(self, form: str) -> str:
        self.dated = True
        return DATE.strftime(form)


def own(fast: PreTrainedTokenizerFast, folder: Path) -> str | None:
    """Give the template that `fast` writes a conversation with; of several by name it is `default`. Models that also see
    may have it in a file of its own, which their processor reads."""
    template = fast.chat_template
    if template is None and (folder / _PROCESSORS).is_file():
        with suppress(OSError, ValueError, AttributeError):
            template = json.loads((folder / _PROCESSORS).read_text(encoding="utf-8")).get("chat_template")
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), None)
    return template if isinstance(template, str) and template.strip() else None


def thinking(render: Renderer) -> str:
    """Give the template with its reasoning turned on where nothing is said: those who serve a model say nothing,
    and would write prompts that were not trained with."""
    asked = [{"role": "user", "content": "Hi"}]
    same = str(render(asked)) == str(render(asked, thinks=False))
    return render.template if same else _THINKS + render.template


def conversations(family: Family) -> dict[str, list[dict[str, str]]]:
    """Give the conversations on which a template is held against a family, by what they show."""
    system = [] if family.system is None else [{"role": "system", "content": "S"}]
    trace, answer = {"role": "assistant", "content": "<think>\nt\n</think>\n\nb"}, {"role": "assistant", "content": "b"}
    if family.trace_field:
        trace = {**answer, family.trace_field: "t"}
    elif family.close_tag != "</think>":
        trace["content"] = f"{family.think}t{family.think_end}{family.after_trace}b"
    return {
        "one turn": [{"role": "user", "content": "Hi {{ x }}"}],
        **({"system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "\n 说中文 "}]} if system else {}),
        "several turns": [
            *system, {"role": "user", "content": "a"}, answer, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d\ne"},
            {"role": "user", "content": "f"},
        ],
        "a trace before": [{"role": "user", "content": "a"}, trace, {"role": "user", "content": "c"}],
        "blanks": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " \n b \n"}, {"role": "user", "content": " c\n\n"}],
        **({"blanks around a system message": [{"role": "system", "content": "\n S \n"}, {"role": "user", "content": "a"}]} if system else {}),
    }
