"""One way to ask any model: a loaded one here, or one behind a server.

An engine takes conversations and yields lists of responses as they finish, so that a caller appends
each list to a file and goes on there after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alt_lite.families import Family
from alt_lite.families.splitting import split_completion
from alt_lite.generate import endpoint, local
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.tokenizer import Tokens

Message = dict[str, str]


@dataclass(frozen=True)
class Decoding:
    """How responses are drawn: greedily at temperature 0, else each with the noise of its own seed."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None


@dataclass(frozen=True)
class Ask:
    """One conversation. `prefill` is the beginning of the response, put into the model's mouth; `raw` sends
    the last message's text without any template."""

    messages: Sequence[Message]
    seed: int = 0
    prefill: str = ""
    raw: bool = False


@dataclass(frozen=True)
class Response:
    """What came back: `text` with the prefill, split at the end of the trace (DESIGN section 4); `index` points into
    what was asked, `n_tokens` is None where a server does not tell, `error` is one line, set only where
    `finish` is "error"."""

    index: int
    text: str
    trace: str | None
    answer: str | None
    n_tokens: int | None
    finish: Literal["stop", "length", "error"]
    error: str | None = None


Engine = Callable[[Sequence[Ask], Decoding], Iterator[list[Response]]]


def here(tokens: Tokens, load: Callable[[], Any], batch_size: int | None) -> Engine:
    """The engine of a model on this machine, loaded when it is first needed."""
    loaded: list[Any] = []

    def ask(asked: Sequence[Ask], decoding: Decoding) -> Iterator[list[Response]]:
        if not loaded:
            loaded.append(load())
        prompts = [encode_prompt(tokens, item.messages, item.prefill, item.raw) for item in asked]
        noise = local.Noise(decoding.temperature, decoding.top_p, decoding.top_k, [item.seed for item in asked]) if decoding.temperature else None
        for batch in local.generate(loaded[0], tokens, prompts, decoding.max_new_tokens, batch_size, noise):
            yield [_response(made, asked[made.index], tokens.family) for made in batch]

    return ask


def _response(made: local.Generated, item: Ask, family: Family) -> Response:
    text = item.prefill + made.text
    trace, answer = split_completion(text, (family.opens_trace or bool(item.prefill)) and not item.raw, family)
    return Response(made.index, text, trace, answer, made.n_tokens, made.finish)


def served(server: endpoint.Endpoint, family: Family | None = None) -> Engine:
    """The engine of a server. A prefill cannot be sent to one in general, so that it is refused; the model's
    `family` tells whether its template opens the trace, for replies that are cut inside it.

    Raises:
        ValueError: a prefill, or a prompt without its template, is asked for.
    """

    def ask(asked: Sequence[Ask], decoding: Decoding) -> Iterator[list[Response]]:
        if any(item.prefill or item.raw for item in asked):
            raise ValueError("a server takes neither a prefilled response nor a prompt without its template")
        top_p = decoding.top_p if decoding.temperature else None
        requests = [
            (list(item.messages), endpoint.Sampling(decoding.temperature, top_p, decoding.top_k, decoding.max_new_tokens, item.seed)) for item in asked
        ]
        for reply in endpoint.ask(server, requests):
            trace, answer = reply.trace, reply.answer
            if family and family.opens_trace and trace is None and reply.finish == "length":
                trace, answer = reply.text, None
            yield [Response(reply.index, reply.text, trace, answer, reply.n_tokens, reply.finish, reply.error)]

    return ask
