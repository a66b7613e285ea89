"""Ask an OpenAI-compatible server: vLLM, llama.cpp, Ollama, `transformers serve`, OpenAI.

The `openai` package does retries with back-off and Retry-After, time-outs and connection pooling. Here
stands what it leaves open: many requests at a time, which failure is one reply's and which is a
mistake that every request would meet, and where in a reply the trace is. A conversation is asked as a
chat, a prompt of token ids as a completion; all else is one path.

The key is sent to the server that the URL names, and stands in no message: what a server says is
shown with the key struck out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from json import JSONDecodeError
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.families.splitting import split_completion
from alt_lite.generate import patience

if TYPE_CHECKING:
    from openai import OpenAI

_NO_KEY = "none"
_SILENT = "no reply in time"
_CHECK_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_LONGEST_MESSAGE = 300
_MOST_MODELS = 10
_LOCAL = ("127.0.0.1", "localhost", "::1")
# Some servers (`transformers serve` 5.17) leave the end of text in the content.
_ENDS = sorted({end for family in FAMILIES.values() for end in (family.end, *family.ends)})
_END = re.compile(rf"(?:(?:{'|'.join(map(re.escape, _ENDS))})\s*)+\Z")
# Where the trace is not closed, `transformers serve` 5.17 gives R1's prompt as the content.
_PROMPT = re.compile(r"<[|｜].*(?:<｜Assistant｜>|<\|im_start\|>assistant)\s*(?:<think>\s*)?", re.DOTALL)
_REFUSED = re.compile(
    r"\bun(?:expected|supported|recogni[sz]ed|known)\b|\bnot (?:supported|permitted)\b|\bdoes not support\b|\bextra (?:inputs|fields)\b",
    re.IGNORECASE,
)
_SETTINGS = re.compile(r"\b(?:temperature|top_p|top_k|max_tokens|seed|stop_token_ids|ignore_eos|skip_special_tokens|return_token_ids)\b")
# OpenRouter answers 403 to a single prompt that its moderation does not like.
_MODERATED = re.compile(r"moderation|flagged", re.IGNORECASE)


@dataclass(frozen=True)
class Endpoint:
    """A server and how to treat it: `url` is its base URL, such as http://localhost:8000/v1 (a missing
    /v1 is added only where the path is empty), `key_variable` the environment variable that holds its
    key; local servers need none. `timeout` is in seconds, for one attempt at one reply; None: by its length."""

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    retries: int = 5
    timeout: float | None = None


@dataclass(frozen=True)
class Sampling:
    """What is sent with a request; None is not sent. `top_k` is not part of OpenAI's protocol: vLLM and
    llama.cpp take it, OpenAI and `transformers serve` refuse it."""

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int = 1024
    seed: int | None = None


@dataclass(frozen=True)
class Ids:
    """A prompt as token ids, asked at /v1/completions: no template, no token added, and `ends` alone end
    the reply, whatever the model's own configuration says. All but `ids` are vLLM's fields: others refuse them."""

    ids: Sequence[int]
    ends: Sequence[int]


@dataclass(frozen=True)
class Reply:
    """One reply; `index` points into the requests. `text` is the whole completion with its trace,
    `n_tokens` is the server's count, `error` is one line, set only where `finish` is "error".

    To a prompt of token ids `trace` and `answer` are None, since only its maker knows whether it opens a
    trace, and `ids` are the reply's own, the end included, where the server tells them."""

    index: int
    text: str
    trace: str | None
    answer: str | None
    n_tokens: int | None
    finish: Literal["stop", "length", "error"]
    error: str | None = None
    ids: tuple[int, ...] | None = None


Request = tuple[list[dict[str, str]] | Ids, Sampling]


def ask(
    endpoint: Endpoint, requests: Sequence[Request], stop: Callable[[], bool] = lambda: False
) -> Iterator[Reply]:
    """Yield replies as they finish, in any order. Once `stop` says so nothing more is sent; what is in
    flight is waited for. A request that fails for good is a Reply with an error.

    Each request in flight has a thread of its own, a daemon: those of an executor would be waited for
    at the program's end, so that Ctrl-C took as long as the slowest reply.

    Raises:
        UserError: what every request would meet: no server (found out only after the retries: `check`
            is quicker), no reply in time to the first `concurrency` of them, a key that is refused, no
            credit, an unknown model, a setting that the server does not take. Apart from key and credit this is believed only before the first success;
            after it a server counts as gone when it cannot be reached `concurrency` times in a row.
    """
    client = _client(endpoint, endpoint.retries, max((patience.seconds(endpoint.timeout, sampling.max_tokens) for _, sampling in requests), default=1.0))
    outcomes: SimpleQueue[tuple[int, Reply | BaseException]] = SimpleQueue()

    def send(index: int, request: Request) -> None:
        try:
            outcomes.put((index, _send(client, endpoint, index, *request)))
        except BaseException as error:  # else a bug here would leave the reader waiting for ever
            outcomes.put((index, error))

    waiting = iter(enumerate(requests))
    in_flight = unreached = silent = 0
    stopped = succeeded = False
    try:
        while True:
            while in_flight < max(endpoint.concurrency, 1):
                stopped = stopped or stop()
                if stopped or (item := next(waiting, None)) is None:
                    break
                Thread(target=send, args=item, daemon=True).start()
                in_flight += 1
            if not in_flight:
                return
            index, outcome = _next(outcomes)
            in_flight -= 1
            if isinstance(outcome, Reply):
                succeeded, unreached, silent = True, 0, 0
                yield outcome
                continue
            if not _is_failure(outcome):
                raise outcome
            unreached = unreached + 1 if _no_connection(outcome) else 0
            silent = silent + 1 if _describe(outcome, endpoint) == _SILENT else 0
            if silent >= endpoint.concurrency and not succeeded:
                raise UserError(f"{_shown(endpoint)} gave no reply in time to its first {silent} requests", "mend the server; or endpoint.timeout=SECONDS higher, endpoint.concurrency=N lower") from outcome
            if mistake := _mistake(outcome, endpoint, client, succeeded, unreached):
                raise mistake from outcome
            yield Reply(index, "", None, None, None, "error", _describe(outcome, endpoint))
    finally:
        if not in_flight:  # else the threads still use it; it goes with the last of them
            client.close()


def check(endpoint: Endpoint) -> list[str]:
    """Ask for the models' ids, once and for 10 s at most; empty where the server does not list them
    (`transformers serve` 5.17 answers 500 as long as there is no hub cache).

    Raises:
        UserError: no server, one that is still loading, or a key that is refused.
    """
    import openai

    with _client(endpoint, 0, min(endpoint.timeout or _CHECK_SECONDS, _CHECK_SECONDS)) as client:
        try:
            return _model_ids(client)
        except openai.APIConnectionError as error:
            raise _no_server(error, endpoint) from error
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                raise _refused_key(error, endpoint) from error
            if error.status_code == 503:
                raise UserError(f"{_shown(endpoint)} is not ready: {_describe(error, endpoint)}", "wait until its model is loaded") from error
            return []
        except ValueError:
            return []


def _client(endpoint: Endpoint, retries: int, timeout: float) -> OpenAI:
    """Make a client.

    Raises:
        UserError: the URL or the key cannot be used.
    """
    from openai import OpenAI, Timeout

    key = _key(endpoint) or _NO_KEY
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the key in {endpoint.key_variable} holds characters that cannot be sent", f"set {endpoint.key_variable} again, to the key alone")
    url = _base_url(endpoint)
    # A proxy of the environment cannot reach a server on this machine.
    direct = urlsplit(url).hostname in _LOCAL and url.startswith("http:")
    return OpenAI(
        base_url=url, api_key=key, max_retries=retries, http_client=patience.http_client(trust_env=not direct), timeout=Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
    )


def _base_url(endpoint: Endpoint) -> str:
    url = endpoint.url.strip()
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        usable = parts.scheme in ("http", "https") and bool(host) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # a port that is no number, a host name that cannot be one
        usable = False
    if not usable:
        raise UserError(f"{_shown(endpoint)} is no server's URL", "give it in full, such as http://localhost:8000/v1")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") or "/v1"))


def _key(endpoint: Endpoint) -> str:
    return os.environ.get(endpoint.key_variable, "").strip()


def _shown(endpoint: Endpoint) -> str:
    """The URL for messages, without what may be secret in it."""
    return re.sub(r"[^/]*@|[?#].*", "", endpoint.url.strip()) or "an empty text"


def _next(outcomes: SimpleQueue[tuple[int, Reply | BaseException]]) -> tuple[int, Reply | BaseException]:
    while True:
        try:
            return outcomes.get(timeout=0.5)  # on Windows Ctrl-C does not break a wait without an end
        except Empty:
            continue


def _send(client: OpenAI, endpoint: Endpoint, index: int, prompt: list[dict[str, str]] | Ids, sampling: Sampling) -> Reply:
    settings = {name: value for name, value in asdict(sampling).items() if value is not None} | {"model": endpoint.model}
    extra: dict[str, Any] = {"top_k": settings.pop("top_k")} if "top_k" in settings else {}
    if isinstance(prompt, Ids):
        extra |= {"stop_token_ids": list(prompt.ends), "ignore_eos": True, "return_token_ids": True}
        extra |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}  # else `<think>` may be lost
        create, what = client.completions.create, {"prompt": list(prompt.ids), "extra_body": extra}
    else:
        create, what = client.chat.completions.create, {"messages": prompt, "extra_body": extra or None}
    return _read(index, patience.create(create, **what, **settings), chat=not isinstance(prompt, Ids))


def _read(index: int, completion: Any, chat: bool) -> Reply:
    """Read a chat's completion or a plain one; the package does not check what it parsed, so each part
    may be missing.

    Raises:
        ValueError: it holds no reply; the message says why.
    """
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices:
        said = _said(getattr(completion, "error", None))  # OpenRouter sends errors with status 200
        raise ValueError(f"the server's reply has no choices{': ' + said if said else ''}")
    choice, reason = choices[0], getattr(choices[0], "finish_reason", None)
    if reason in ("content_filter", "error", "abort"):
        raise ValueError(f"the server gives no reply: finish_reason {reason}")
    count = getattr(getattr(completion, "usage", None), "completion_tokens", None)
    n_tokens, finish = count if isinstance(count, int) else None, "length" if reason == "length" else "stop"
    if not chat:
        text, ids = getattr(choice, "text", None), getattr(choice, "token_ids", None)
        if not isinstance(text, str):
            raise ValueError("the server's reply holds no text")
        told = isinstance(ids, list) and all(isinstance(id_, int) for id_ in ids)
        return Reply(index, _END.sub("", text), None, None, n_tokens, finish, ids=tuple(ids) if told else None)
    message = getattr(choice, "message", None)
    content = getattr(message, "content", None)
    reasoning = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if message is None or not isinstance(content, str | None) or not isinstance(reasoning, str | None):
        raise ValueError("the server's reply holds no text")
    return Reply(index, *split_reply(content or "", reasoning or ""), n_tokens, finish)


def split_reply(content: str, reasoning: str) -> tuple[str, str | None, str | None]:
    """Give (text, trace, answer). Beside a trace given apart, empty content means that there is no
    answer: servers do not say whether the trace was closed."""
    content, reasoning = _END.sub("", content), _END.sub("", reasoning).strip()
    if not reasoning:
        return content, *split_completion(content.lstrip(), prompt_opened_trace=False)
    if not content.strip() or _PROMPT.fullmatch(content):
        return f"<think>\n{reasoning}", reasoning, None
    return f"<think>\n{reasoning}\n</think>\n\n{content.strip()}", reasoning, content.strip()


def _is_failure(error: BaseException) -> bool:
    """Tell what a server or the way to it did from a bug of ours."""
    import openai

    return isinstance(error, openai.OpenAIError | ValueError)


def _no_connection(error: BaseException) -> bool:
    """Refused, unknown host, no route: a connection that was never there, not one that was lost. The
    transport's classes are told by name, since openai 3 changed from httpx to httpx2."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError")


def _mistake(error: BaseException, endpoint: Endpoint, client: OpenAI, succeeded: bool, unreached: int) -> UserError | None:
    """Give the error to end with, where every other request would fail alike."""
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    said = _described(error)
    if unreached > (endpoint.concurrency if succeeded else 0):
        return _no_server(error, endpoint)
    if status == 401 or (status == 403 and not succeeded and not _MODERATED.search(said)):
        return _refused_key(error, endpoint)
    if status == 402 or code == "insufficient_quota":
        return UserError(f"no credit is left at {_shown(endpoint)}: {_describe(error, endpoint)}", "add credit, or use another server; then run the same command again")
    if succeeded:
        return None
    if status in (404, 405) or code == "model_not_found" or (status == 400 and "pinned to" in said):
        return _unknown_model(error, endpoint, client)
    named = sorted(set(_SETTINGS.findall(said)))
    if status in (400, 422) and named and _REFUSED.search(said):
        return UserError(f"{_shown(endpoint)} does not take {', '.join(named)}: {_describe(error, endpoint)}", f"leave {', '.join(named)} out, or use another server")
    return None


def _no_server(error: BaseException, endpoint: Endpoint) -> UserError:
    return UserError(
        f"no server answers at {_shown(endpoint)}: {_describe(error, endpoint)}",
        "start the server and wait until it is up, or correct the URL",
    )


def _refused_key(error: BaseException, endpoint: Endpoint) -> UserError:
    # What the server says is left out: OpenAI's message shows the ends of the key.
    variable = endpoint.key_variable
    have = f"check the key in the environment variable {variable}, and what it may use"
    return UserError(
        f"{_shown(endpoint)} refuses the request for {endpoint.model} (HTTP {getattr(error, 'status_code', '?')}): "
        + ("its key is not accepted" if _key(endpoint) else "it wants a key"),
        have if _key(endpoint) else f"set the environment variable {variable} to the server's key",
    )


def _unknown_model(error: BaseException, endpoint: Endpoint, client: OpenAI) -> UserError:
    try:
        ids = _model_ids(client.with_options(max_retries=0, timeout=_CHECK_SECONDS))
    except Exception:  # the list is a help only; what went wrong is told either way
        ids = []
    if ids and endpoint.model not in ids:
        listed = ", ".join(ids[:_MOST_MODELS]) + (f" and {len(ids) - _MOST_MODELS} more" if len(ids) > _MOST_MODELS else "")
        return UserError(f"{_shown(endpoint)} has no model {endpoint.model}; it has {_line(listed, endpoint, 1000)}", "name one of these")
    return UserError(
        f"{_shown(endpoint)} gives no reply by {endpoint.model}: {_describe(error, endpoint)}",
        "check the model's name, and that the URL is the base URL, such as http://localhost:8000/v1",
    )


def _model_ids(client: OpenAI) -> list[str]:
    body = client.get("/models", cast_to=object)
    rows = body.get("data") if isinstance(body, dict) else None
    return [str(row["id"]) for row in rows or [] if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []


def _describe(error: BaseException, endpoint: Endpoint) -> str:
    return _line(_described(error), endpoint)


def _described(error: BaseException) -> str:
    """Say what failed; for a message use `_describe`, which strikes the key out."""
    import openai

    cause = str(error.__cause__ or "") or type(error.__cause__).__name__
    if _no_connection(error):
        return cause
    if isinstance(error, openai.APITimeoutError):
        return _SILENT
    if isinstance(error, openai.APIConnectionError):
        return f"connection lost: {cause}"
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code} {_said(error.body)}".strip()
    if isinstance(error, JSONDecodeError):
        return f"the server's reply is no JSON: {error}"
    return str(error)


def _said(body: Any) -> str:
    """Find the message in an error's body: OpenAI's form, FastAPI's `detail`, or plain text."""
    if isinstance(body, dict):
        body = next((body[name] for name in ("message", "detail", "error") if body.get(name)), body)
        if isinstance(body, dict) and "message" in body:
            body = body["message"]
    return "" if body is None else str(body)


def _line(text: str, endpoint: Endpoint, longest: int = _LONGEST_MESSAGE) -> str:
    """Put a foreign text on one line, without the key, cut to `longest` characters."""
    key = _key(endpoint)
    text = " ".join((text.replace(key, "***") if key else text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
