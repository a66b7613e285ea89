"""What goes wrong between this machine and a hub or a file host, told in one line with its fix.

The hub's client raises its own errors, its transport's, and whatever a proxy variable or a token of the
environment makes the transport stumble over; callers ask under `asking`, which tells them apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from alt_lite.errors import UserError, is_disk_full

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
# What transports raise where an answer had begun.
_BROKEN_OFF = ("RemoteProtocolError", "ReadError", "IncompleteRead", "ChunkedEncodingError", "ClientPayloadError", "DecodingError")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


class Unreachable(UserError):
    """A host itself cannot be reached, so that asking it for another file is of no use."""


@contextmanager
def asking(what: str, fix: str) -> Iterator[None]:
    """Ask a host for `what`; `fix` is what helps where it cannot be had.

    Raises:
        Unreachable: the host does not answer, or this machine's settings keep the question from being asked.
        UserError: the host answered with an error, or broke off.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        if told := wrong_setting(error):
            raise Unreachable(*told) from error
        if not is_transport(error):
            raise
        reason = f"{type(error).__name__}: {one_line(error)}"
        host, _, thing = what.partition(" for ")
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status:
            raise UserError(f"{thing or what}: {host} answers {status}", f"try again later, or {fix}") from error
        if _broke_off(error):
            raise UserError(f"{thing or what}: {host} broke off ({reason})", f"try again later, or {fix}") from error
        raise Unreachable(f"cannot reach {what} ({reason})", f"check the network, or {fix}") from error


def _broke_off(error: BaseException) -> bool:
    """Tell whether the host is there: it had begun to answer, or what came is no whole file."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ == "LocalEntryNotFoundError":  # a missing file to Python; to the hub's client: not cached, and no answer
            return False
        if isinstance(seen, FileNotFoundError) or type(seen).__name__ in _BROKEN_OFF:
            return True
        seen = seen.__cause__
    return False


def wrong_setting(error: BaseException) -> tuple[str, str] | None:
    """Tell which setting of the environment the transport stumbled over: (message, fix); None where it is none."""
    text = str(error)
    if isinstance(error, ImportError) and "socksio" in text:
        return f"{_set(_PROXIES, 'socks')} is a SOCKS proxy, which needs the package socksio", "pip install socksio, or unset that variable"
    if isinstance(error, ValueError) and ("proxy" in text.lower() or _set(_PROXIES, "") in text):
        return f"{_set(_PROXIES, '')} is no proxy that can be used ({one_line(error)})", "set it to http://HOST:PORT or socks5://HOST:PORT, or unset it"
    header = isinstance(error, UnicodeEncodeError) or (type(error).__name__ == "LocalProtocolError" and "header" in text.lower())
    if header:
        name = next((name for name in _TOKENS if os.environ.get(name)), "the saved login's token")
        return f"{name} holds a character that no token has", "set it again (huggingface.co/settings/tokens), or unset it"
    if type(error).__name__ in ("UnsupportedProtocol", "InvalidURL"):
        return f"a host's address cannot be used ({one_line(error)})", "HF_ENDPOINT and ALT_LITE_FILES_HOST begin with http:// or https://"
    return None


def is_transport(error: BaseException) -> bool:
    """Tell errors of the network, of the host, and of the files that were fetched; told by family, since the hub's
    client raises its transport's own."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    known = (HfHubHTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, OSError, TimeoutError)
    return isinstance(error, known) or type(error).__module__.partition(".")[0] in ("httpx", "httpcore", "aiohttp", "requests", "urllib3")


def one_line(error: BaseException, most: int = 120) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:most]


def _set(names: tuple[str, ...], begins: str) -> str:
    """Name the first of these variables whose value begins so."""
    return next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name, "").startswith(begins) and os.environ.get(name)), names[0])
