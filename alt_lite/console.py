"""The one Console, and progress that is live on a terminal and plain lines elsewhere.

Everything a person watches goes to standard error; results (reports, JSON) go to standard output.
Model text is always printed as `Text`, never parsed as markup (rich #2711).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# In a pipe rich would assume 80 columns and wrap tables that fit any editor.
_PIPE_WIDTH = 150


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, emoji=False)


console = _console(stderr=True)
results = _console(stderr=False)


def say(text: str) -> None:
    """Print one plain line to standard error, however long it is."""
    console.print(text, markup=False, soft_wrap=True)


def tolerate() -> None:
    """Let both streams replace what their encoding has not (a pipe on a Western Windows knows no arrows), instead of
    ending with an error; half characters out of damaged text or file names, too."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def json_line(value: Any) -> str:
    """Write a value as JSON in one line that standard output takes whole: escaped where its encoding is not UTF-8."""
    whole = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") in ("utf8", "utf8sig")
    return json.dumps(value, ensure_ascii=not whole)


def emit(text: str) -> None:
    """Print one line of data (JSON) to standard output as it is: not wrapped, not styled."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def progress(title: str, total: int, one_of_many: bool = False) -> Iterator[Callable[[int, str], None]]:
    """Show a long step; the yielded function takes the number done and a note. What the first call
    says is done was done before, and does not count for the time left.

    On a terminal a live bar with the time left; in pipes and notebooks a line at the start, then at
    most every 10 seconds, then at the end (live displays repeat themselves there). Of `one_of_many`
    steps alike the line at the start is left out, and the bar stays, since its note is a result.
    """
    if console.is_terminal and not console.is_jupyter:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console, transient=not one_of_many) as bar:
            task = bar.add_task(title, total=total, note="")
            begun = False

            def show(done: int, note: str = "") -> None:
                nonlocal begun
                if begun:
                    bar.update(task, completed=done, note=note)
                else:  # what was done before would count as speed
                    bar.reset(task, completed=done, total=total, note=note)
                begun = True

            yield show
        return
    began = last = time.monotonic()
    start: int | None = None
    final = [0, ""]

    def update(done: int, note: str = "") -> None:
        nonlocal last, start
        final[:] = [done, note]
        now = time.monotonic()
        if start is None:
            start = done
            if not one_of_many:
                say(f"{title}: {start}/{total}")
        if now - last >= 10 and done < total:
            last = now
            left = (now - began) / max(done - start, 1) * (total - done)
            say(f"{title}: {done}/{total}, {left:.0f} s left{', ' + note if note else ''}")

    yield update
    say(f"{title}: {final[0]}/{total} in {time.monotonic() - began:.0f} s{', ' + str(final[1]) if final[1] else ''}")
