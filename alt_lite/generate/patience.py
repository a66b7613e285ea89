"""How long a server's reply is waited for, and how often: the `openai` package asks again after a time-out as
often as after any other failure, so that a server that hangs would hold up each request for an hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# A slow server that is not broken: tokens a second of one reply, and a load that has a queue before it.
_SLOWEST, _QUEUE_SECONDS = 10, 120.0
# What of a time-out's class is the same in httpx and httpx2.
_NO_REPLY = "ReadTimeout"
_ASKED_BEFORE = "x-stainless-retry-count"


class _GivenUp(BaseException):
    """No reply in time, twice; no Exception, because those are retried."""


def seconds(given: float | None, max_tokens: int) -> float:
    """Seconds for one attempt at one reply: as given, else by how long a slow server takes to write it."""
    return given or _QUEUE_SECONDS + max_tokens / _SLOWEST


def http_client(**settings: Any) -> Any:
    """Make the package's own HTTP client, which gives a request up that had no reply in time for the second time."""
    from openai import DefaultHttpxClient

    class Client(DefaultHttpxClient):
        def send(self, request: Any, **how: Any) -> Any:
            try:
                return super().send(request, **how)
            except Exception as error:
                if type(error).__name__ == _NO_REPLY and int(request.headers.get(_ASKED_BEFORE, 0)):
                    raise _GivenUp(request) from error
                raise

    return Client(**settings)


def create(make: Callable[..., Any], **request: Any) -> Any:
    """Make a request of a client that has `http_client`.

    Raises:
        openai.OpenAIError: as the package does; APITimeoutError after the second time-out.
    """
    import openai

    try:
        return make(**request)
    except _GivenUp as error:
        raise openai.APITimeoutError(error.args[0]) from error.__cause__
