"""A family's prompt format as others' template languages write it: Jinja (llama.cpp, vLLM), Go (Ollama).

As everywhere behind a server, a control token typed by a user becomes one.
"""

from __future__ import annotations

import json

from alt_lite.families import Cut, Family
from alt_lite.families.family import HERE


def go(family: Family) -> str:
    """Write the template for Ollama's Modelfile.

    The trace of an unfinished assistant turn stands in it (`.Thinking`) because Ollama takes the tags to
    split responses by from there. Ollama keeps no trace of earlier turns; it also strips the line breaks
    after `</think>`, which R1's own template keeps, and leaves blanks around a text, which some templates cut.
    """
    user, assistant = family.user.split(HERE), family.assistant.split(HERE)
    system = family.system.split(HERE) if family.system else ["", ""]
    alone = f"{{{{ else if not $last }}}}{family.alone}" if family.alone else ""
    trace = f"{{{{ if and $last .Thinking }}}}{family.think}{{{{ .Thinking }}}}{family.think_end}{family.after_trace}{alone}{{{{ end }}}}"
    without = f"{{{{ else }}}}{family.no_system}" if family.no_system else ""
    return (
        f"{family.bos or ''}{{{{ if .System }}}}{system[0]}{{{{ .System }}}}{system[1]}{without}{{{{ end }}}}"
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        f'{{{{ if eq .Role "user" }}}}{user[0]}{{{{ .Content }}}}{user[1]}'
        f'{{{{ else if eq .Role "assistant" }}}}{assistant[0].removesuffix(family.alone)}{trace}'
        f"{{{{ .Content }}}}{{{{ if not $last }}}}{assistant[1]}{{{{ end }}}}{{{{ end }}}}"
        f'{{{{ if and $last (ne .Role "assistant") }}}}{answer(family)}{{{{ end }}}}{{{{ end }}}}'
    )


def answer(family: Family) -> str:
    """What asks for a response, with the trace that it opens."""
    return family.answer + (family.think if family.opens_trace else "")


def jinja(family: Family) -> str:
    """Write the chat template for a tokenizer's configuration or a GGUF file."""
    said = {"system": _cut("m['content']", family.system_cut), "user": _cut("m['content']", family.user_cut), "assistant": _answered(family)}
    turns = {role: f"{_literal(before)}{{{{ {said[role]} }}}}{_literal(after)}" for role in said for before, after in [(getattr(family, role) or HERE).split(HERE)]}
    none = f"{{% if m['role'] != 'system' and loop.first %}}{_literal(family.no_system)}{{% endif %}}" if family.no_system else ""
    body = f"{none}{{% if m['role'] == 'system' %}}{turns['system']}{{% elif m['role'] == 'user' %}}{turns['user']}{{% else %}}{turns['assistant']}{{% endif %}}"
    return f"{_literal(family.bos or '')}{{% for m in messages %}}{body}{{% endfor %}}{{% if add_generation_prompt %}}{_literal(answer(family))}{{% endif %}}"


def _literal(text: str) -> str:
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _cut(expression: str, how: Cut) -> str:
    return expression + {"": "", "both": ".strip()", "left": ".lstrip()", "right": ".rstrip()", "lines": ".lstrip('\\n')"}[how]


def _answered(family: Family) -> str:
    """An earlier answer, of which the trace goes where the family's templates drop it."""
    whole, tag = _cut("m['content']", family.assistant_cut), json.dumps(family.close_tag, ensure_ascii=False)
    if family.earlier == "kept":
        return whole
    rest = f"{whole}.split({tag})[-1]"
    if family.earlier == "dropped_lines":
        rest = f"({rest}.lstrip('\\n') if {tag} in m['content'] else {whole})"
    return _cut(rest, family.assistant_cut)
