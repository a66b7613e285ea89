"""Show two responses while they grow: columns on a terminal, plain text elsewhere.

On a terminal both models answer in turn, token by token, since one of them often has done while the other
goes on for long. In pipes and notebooks, where a live display would repeat itself (rich #2711), base comes
first and then tuned, and nothing is written twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from alt_lite.chat import Reply, Show, Turn
from alt_lite.console import results
from alt_lite.families.splitting import between
from alt_lite.report.tables import coloured_trace, response

_REDRAW_SECONDS = 0.1
# Lines of the screen that are not text: borders, head, the prompt typed below.
_FRAME = 6
# What the first tokens of a character of several are decoded to.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def on_terminal() -> bool:
    """Tell whether both may grow at once."""
    return results.is_terminal and not results.is_jupyter


@contextmanager
def shown() -> Iterator[Show]:
    """Show responses; the yielded function takes the name of the one that has grown, and all of them."""
    if on_terminal():
        with _columns() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _columns() -> Iterator[Show]:
    """Redraw the ends of both columns, as much as the screen holds, and leave the whole table behind."""
    last = 0.0
    latest: Turn = {}

    def show(name: str, turn: Turn) -> None:
        nonlocal last, latest
        latest = turn
        now = time.monotonic()
        if now - last >= _REDRAW_SECONDS:
            last = now
            live.update(table(turn, max(results.height - _FRAME, 4)), refresh=True)

    try:
        with Live(console=results, auto_refresh=False, transient=True) as live:
            yield show
    finally:
        if latest:
            results.print(table(latest))


def table(turn: Turn, lines: int | None = None) -> Table:
    """Put responses beside each other, steps coloured; of each the last `lines` only."""
    width = (results.width - 3 * len(turn) - 1) // len(turn)
    grid = Table()
    cells = []
    for name, reply in turn.items():
        grid.add_column(Text(f"{name} · {how_far(reply)}"), width=width)
        cells.append(_cell(reply, width, lines))
    grid.add_row(*cells)
    return grid


def how_far(reply: Reply) -> str:
    ended = {"length": ", cut", "interrupted": ", interrupted", "stop": "", None: " …"}
    return f"{reply.n_tokens} tokens{ended[reply.finish]}"


def _cell(reply: Reply, width: int, lines: int | None) -> Text:
    trace, answer = reply.trace, reply.answer
    tag = between(reply.text, trace, answer)
    if lines is None:
        return response(trace, answer, tag)
    # Only what may be on the screen is coloured and wrapped, ten times a second.
    trace, answer = (_end(part, width * lines) for part in (trace or "", answer))
    text = coloured_trace(trace or "") if answer is None else response(trace, answer, tag)
    return Text("\n").join(text.wrap(results, width)[-lines:])


def _end(text: str | None, size: int) -> str | None:
    """Cut a text's beginning off, at a line's end, so that what remains is wrapped and coloured as before."""
    return text and text[text.rfind("\n", 0, max(len(text) - size, 0)) + 1 :]


def _lines() -> Show:
    """Write each response as it comes, unwrapped and without colours."""
    current, written = "", 0

    def show(name: str, turn: Turn) -> None:
        nonlocal current, written
        reply = turn[name]
        if name != current:
            current, written = name, 0
            sys.stdout.write(f"{name}:\n")
        text = reply.text if reply.finish else reply.text.rstrip(_UNFINISHED)
        sys.stdout.write(text[written:])
        written = max(written, len(text))
        if reply.finish:
            sys.stdout.write(f"\n({how_far(reply)})\n\n")
        sys.stdout.flush()

    return show
