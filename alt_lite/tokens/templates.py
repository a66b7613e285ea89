"""A family's prompt format as others' template languages write it: Jinja (llama.cpp, vLLM), Go (Ollama).

Both are put together from what `Family.prompt` itself writes around a text, so that they cannot drift
from it. As everywhere behind a server, a control token typed by a user becomes one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from alt_lite.tokens.families import Family

_HERE = "\0"


@dataclass(frozen=True)
class Around:
    """What stands before and after each role's text; `answer` asks for a response."""

    bos: str
    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str


def around(family: Family) -> Around:
    """Take a family's prompts apart at their texts."""

    def pieces(*roles: str) -> list[str]:
        return "".join(family.prompt([{"role": role, "content": _HERE} for role in roles])).split(_HERE)

    bos = family.bos or ""
    opened = pieces("user")[0].removeprefix(bos)
    closed = pieces("user", "user")[1].removesuffix(opened)
    system, said = pieces("system", "user"), pieces("user", "assistant", "user")
    return Around(
        bos, (system[0].removeprefix(bos), system[1].removesuffix(opened)), (opened, closed),
        (said[1].removeprefix(closed), said[2].removesuffix(opened)), pieces("user")[1].removeprefix(closed),
    )


def go(family: Family) -> str:
    """Write the template for Ollama's Modelfile.

    The trace of an unfinished assistant turn stands in it (`.Thinking`) because Ollama takes the tags to
    split responses by from there. Ollama keeps no trace of earlier turns; it also strips the line breaks
    after `</think>`, which R1's own template keeps.
    """
    a = around(family)
    return (
        f"{a.bos}{{{{ if .System }}}}{a.system[0]}{{{{ .System }}}}{a.system[1]}{{{{ end }}}}"
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        f'{{{{ if eq .Role "user" }}}}{a.user[0]}{{{{ .Content }}}}{a.user[1]}'
        f'{{{{ else if eq .Role "assistant" }}}}{a.assistant[0]}'
        f"{{{{ if and $last .Thinking }}}}{family.think}\n{{{{ .Thinking }}}}\n{family.think_end}\n\n{{{{ end }}}}"
        f"{{{{ .Content }}}}{{{{ if not $last }}}}{a.assistant[1]}{{{{ end }}}}{{{{ end }}}}"
        f'{{{{ if and $last (ne .Role "assistant") }}}}{a.answer}{{{{ end }}}}{{{{ end }}}}'
    )


def jinja(family: Family) -> str:
    """Write the chat template for a tokenizer's configuration or a GGUF file."""
    a = around(family)
    text = {role: tuple(f"{{{{ {json.dumps(part, ensure_ascii=False)} }}}}" if part else "" for part in getattr(a, role)) for role in ("system", "user", "assistant")}
    answered = f"m['content'].split('{family.think_end}')[-1]"
    if family.chatml:
        answered = f"({answered}.lstrip('\\n') if '{family.think_end}' in m['content'] else m['content'])"
    body = (
        f"{{% if m['role'] == 'system' %}}{text['system'][0]}{{{{ m['content'] }}}}{text['system'][1]}"
        f"{{% elif m['role'] == 'user' %}}{text['user'][0]}{{{{ m['content'] }}}}{text['user'][1]}"
        f"{{% else %}}{text['assistant'][0]}{{{{ {answered} }}}}{text['assistant'][1]}{{% endif %}}"
    )
    bos = f"{{{{ {json.dumps(a.bos, ensure_ascii=False)} }}}}" if a.bos else ""
    answer = json.dumps(a.answer, ensure_ascii=False)
    return f"{bos}{{% for m in messages %}}{body}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ {answer} }}}}{{% endif %}}"


CONVERSATIONS: dict[str, list[dict[str, str]]] = {
    "one turn": [{"role": "user", "content": "Hi {{ x }}"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "\n 说中文 "}],
    "several turns": [
        {"role": "system", "content": "S"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d\ne"}, {"role": "user", "content": "f"},
    ],
    "a trace before": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nt\n</think>\n\nb"}, {"role": "user", "content": "c"}],
}
