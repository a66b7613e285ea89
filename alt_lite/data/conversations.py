"""Read conversations in the forms that people keep them in: OpenAI's messages, ShareGPT's, pairs of turns; pure.

A conversation becomes system prompt, earlier turns, the last request, and the last reply with its trace. Traces
of earlier replies are dropped, as chat templates do.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alt_lite.data.rows import Turn
from alt_lite.families.splitting import split_completion

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "usr"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "ai", "chatbot", "bard", "bing", "claude", "gemini"), "assistant"),
}
_TOOLS = {"tool", "function", "function_call", "function_response", "observation", "tool_call", "tool_calls", "tool_response", "tool_result", "ipython"}
_ROLE_KEYS, _TEXT_KEYS = ("role", "from", "speaker", "author"), ("content", "value", "text", "message")
TRACE_KEYS = ("reasoning_content", "reasoning", "thinking", "thought", "thoughts")
_SPEAKS = re.compile(r"^\s*\[[\s\S]*[\"'](?:role|from|speaker|author|human|user)[\"']")
# A trace at the beginning of a response in tags of another name, and the answer behind it, tagged or not.
_OTHER_TAGS = re.compile(
    r"\s*<(?P<pipe>\|?)(?P<open>begin_of_)?(?P<tag>think|thinking|thought|thoughts|reasoning|reason|scratchpad|cot|inner_thoughts|chain_of_thought|reflection)(?P=pipe)>"
    r"(?P<trace>.*?)<(?:/|(?P=pipe)end_of_|(?P=pipe)/)(?P=tag)(?P=pipe)>(?P<answer>.*)",
    re.DOTALL | re.IGNORECASE,
)
_ANSWER_TAGS = re.compile(
    r"<(?P<pipe>\|?)(?:begin_of_)?(?P<tag>answer|solution|response|output|final_answer|final)(?P=pipe)>(?P<answer>.*?)(?:<(?:/|(?P=pipe)end_of_|(?P=pipe)/)(?P=tag)(?P=pipe)>)?",
    re.DOTALL | re.IGNORECASE,
)
_TEXT_PARTS = ("text", "input_text", "output_text")
_TRACE_PARTS = ("thinking", "reasoning")


class Unusable(ValueError):
    """Why a conversation cannot be trained on."""


@dataclass(frozen=True)
class Conversation:
    """One conversation; `response` is the last reply, its trace in think tags, or None where there is none."""

    system: str | None
    history: tuple[Turn, ...]
    prompt: str
    response: str | None


def tagged(trace: str, answer: str) -> str:
    """Put a trace that stands apart before its answer, as models write it; what has think tags stays."""
    if not trace.strip() or "</think>" in answer or answer.lstrip().startswith("<think>"):
        return answer
    inner, rest = split_completion(trace, prompt_opened_trace=True)
    return f"<think>\n{inner}\n</think>\n\n{answer or rest or ''}"


def usual_tags(response: str) -> str:
    """Put a response whose trace stands in other tags (`<thinking>`, `<reasoning>`, OpenThoughts' and the like) into
    `<think>` tags; every other response is given as it is."""
    found = None if "</think>" in response else _OTHER_TAGS.match(response)
    if not found:
        return response
    answer = _ANSWER_TAGS.fullmatch(found["answer"].strip())
    return f"<think>\n{found['trace'].strip()}\n</think>\n\n{(answer['answer'] if answer else found['answer']).strip()}"


def parsed(value: Any) -> Any:
    """Give the list that a text holds, as JSON or as Python prints it; every other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of backslashes in a text that is no list
        for reader in (json.loads, ast.literal_eval):
            try:
                return reader(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value


def is_conversation(value: Any) -> bool:
    """Tell whether a value is a list of messages, or the text of one."""
    if isinstance(value, str) and not _SPEAKS.search(value):
        return False  # no need to read it
    value = _untransposed(parsed(value))
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and all(
        isinstance(item, Mapping) and (any(item.get(key) is not None for key in _ROLE_KEYS) or len(_apart(item)) > 1) for item in value
    )


def read(value: Any, response: Any = None) -> Conversation:
    """Read a list of messages, followed by those of `response` where there are any.

    Args:
        value: messages, or their JSON text.
        response: more messages, or the reply's text where the conversation ends with a request.

    Raises:
        Unusable: it holds something else than text, tools, roles that are not known, or no request.
    """
    messages = [_message(item) for item in _list(value)]
    if is_conversation(response):
        replies = [_message(item) for item in _list(response)]
        # Some sets repeat the request before the reply.
        messages = [*(one for one in messages if one[0] == "system" and one not in replies), *replies] if replies[0][0] != "assistant" else messages + replies
    elif isinstance(response, str) and response.strip() and messages and messages[-1][0] == "user":
        messages.append(("assistant", response))
    system: list[str] = []
    while messages and messages[0][0] == "system":
        system.append(messages.pop(0)[1])
    if any(role == "system" for role, _ in messages):
        raise Unusable("conversation with a system message in the middle")
    if any(one[0] == two[0] for one, two in zip(messages, messages[1:], strict=False)):
        raise Unusable("conversation with two turns of one side in a row")
    reply = messages.pop()[1] if messages and messages[-1][0] == "assistant" else None
    if not messages or messages[-1][0] != "user" or not messages[-1][1].strip():
        raise Unusable("conversation without a request")
    prompt = messages.pop()[1]
    return Conversation("\n\n".join(text for text in system if text.strip()) or None, turns(messages), prompt, reply)


def pairs(value: Any) -> tuple[Turn, ...]:
    """Read earlier turns: a list of [request, reply] pairs, or of messages.

    Raises:
        Unusable: it is neither.
    """
    value = parsed(value)
    if value is None or (isinstance(value, str | Sequence) and not value):
        return ()
    if is_conversation(value):
        return turns([_message(item) for item in _list(value)])
    found: list[tuple[str, str]] = []
    for pair in value if isinstance(value, Sequence) and not isinstance(value, str) else [None]:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise Unusable("history that is no list of [request, reply] pairs")
        found += [("user", pair[0]), ("assistant", pair[1])]
    return turns(found)


def turns(messages: Sequence[tuple[str, str]]) -> tuple[Turn, ...]:
    """Make earlier turns, without the traces of replies."""
    made = []
    for role, text in messages:
        if role == "assistant":
            trace, answer = split_completion(text, prompt_opened_trace=False)
            text = answer or ("" if trace else text)
            made.append(Turn(role="assistant", content=text))
        elif role == "user":
            made.append(Turn(role="user", content=text))
        else:
            raise Unusable("conversation with a system message in the middle")
    return tuple(made)


def _list(value: Any) -> Sequence[Any]:
    value = _untransposed(parsed(value))
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Unusable("no conversation")
    return [message for item in value for message in _apart(item)]


def _untransposed(value: Any) -> Any:
    """Make a list of messages of an object of lists, as `datasets` gives a sequence of objects."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(part, Sequence) and not isinstance(part, str) for part in value.values()):
        return value
    return [dict(zip(value, parts, strict=True)) for parts in zip(*value.values(), strict=False)]


def _apart(item: Any) -> Sequence[Any]:
    """Make messages of a turn whose keys are its sides ({"human": …, "assistant": …}); other items are one message."""
    if not isinstance(item, Mapping) or any(key in item for key in _ROLE_KEYS):
        return [item]
    sides = {key: text for key, text in item.items() if str(key).lower() in _ROLES and isinstance(text, str) and text}
    return [{"role": key, "content": text} for key, text in sides.items()] or [item]


def _message(item: Any) -> tuple[str, str]:
    """Read a message: (side, text); a reply's own trace stands in think tags."""
    if not isinstance(item, Mapping):
        raise Unusable("message that is no object")
    name = str(next((item[key] for key in _ROLE_KEYS if item.get(key) is not None), "")).strip().lower()
    if name in _TOOLS or item.get("tool_calls") or item.get("function_call"):
        raise Unusable("conversation with tools")
    role = _ROLES.get(name)
    if role is None:
        raise Unusable(f"message of an unknown role ({name[:20] or 'none'})")
    text, trace = _text(next((item[key] for key in _TEXT_KEYS if item.get(key) is not None), None))
    if role == "assistant":
        trace = next((str(item[key]) for key in TRACE_KEYS if isinstance(item.get(key), str) and item[key].strip()), trace)
        text = tagged(trace, text)
    return role, text


def _text(content: Any) -> tuple[str, str]:
    """Read a message's content, a text or a list of parts: (text, trace)."""
    if content is None or isinstance(content, str):
        return content or "", ""
    texts, traces = [], []
    for part in content if isinstance(content, Sequence) else [content]:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in _TRACE_PARTS and isinstance(part.get(kind), str):
            traces.append(part[kind])
        elif kind in (*_TEXT_PARTS, None) and isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            raise Unusable("message that is not text alone (image, audio, file)")
    return "\n".join(texts), "\n".join(traces)
