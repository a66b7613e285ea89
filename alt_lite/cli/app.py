"""The command line: `python -m alt_lite VERB`, with one error handler for all verbs."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from alt_lite.cli import data_verbs, dataset_verbs, eval_verbs, export_verbs, family_verbs, run_verbs, tiny_verbs
from alt_lite.console import say, tolerate
from alt_lite.errors import (
    EXIT_OUT_OF_TIME,
    EXIT_USER_ERROR,
    OUT_OF_MEMORY,
    OutOfTime,
    UserError,
    is_disk_full,
    is_out_of_memory,
)

_INTERRUPTED = 130
_FULL = ("no space left on the disk", "free some space; the same command goes on from here")
_PATH_ERRORS = {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}

app = typer.Typer(
    name="alt-lite", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Fine-tune small reasoning models to be safer, and measure what changed.",
)
for module in (run_verbs, data_verbs, family_verbs, eval_verbs, export_verbs):
    module.register(app)
app.add_typer(tiny_verbs.app, name="tiny")
app.add_typer(dataset_verbs.app, name="data")


def main(argv: Sequence[str] | None = None, prog: str = "python -m alt_lite") -> NoReturn:
    """Run one verb and leave with its exit status (DESIGN section 3)."""
    signal.signal(signal.SIGTERM, _terminated)
    tolerate()
    arguments = [_expanded(argument) for argument in (sys.argv[1:] if argv is None else argv)] or ["--help"]
    command = typer.main.get_command(app)
    try:
        _require_text(arguments)
        status: Any = command.main(args=arguments, prog_name=prog, standalone_mode=False)
    except UserError as error:
        _leave(error.message, error.fix, EXIT_USER_ERROR)
    except OutOfTime:
        say("stopped by --max-minutes; the same command goes on from here")
        sys.exit(EXIT_OUT_OF_TIME)
    except (KeyboardInterrupt, typer.Abort):
        _interrupted()
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if is_disk_full(error):
            _leave(*_FULL, EXIT_USER_ERROR)
        if error.errno in _PATH_ERRORS:
            _leave(f"{error.strerror}: {error.filename}", "check that path and its permissions, or choose another", EXIT_USER_ERROR)
        raise
    except Exception as error:
        if _is_usage_error(error):
            verb = "" if prog.endswith(".recipe") else _verb(arguments)
            _leave(error.format_message(), f"{prog} {verb}--help", EXIT_USER_ERROR)  # type: ignore[attr-defined]
        if is_out_of_memory(error):
            _leave(*OUT_OF_MEMORY, EXIT_USER_ERROR)
        if is_disk_full(error):
            _leave(*_FULL, EXIT_USER_ERROR)
        raise
    if status == _INTERRUPTED:  # so typer tells of Ctrl-C
        _interrupted()
    sys.exit(status if isinstance(status, int) else 0)


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no UTF-8, which the shell hands on as halves of characters; a file may be named so.

    Raises:
        UserError: an argument holds some, and no such file exists.
    """
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument) and not any(Path(part).exists() for part in (argument, argument.partition("=")[2]) if part):
            raise UserError(f"{argument!r} holds bytes that are no UTF-8 text", "type it in a terminal that is set to UTF-8, or put it into a file")


def _expanded(argument: str) -> str:
    """Expand `~` behind an option's equals sign, where no shell does (`--out=~/set`)."""
    option, sign, value = argument.partition("=")
    return f"{option}={Path(value).expanduser()}" if option.startswith("--") and sign and value[:2] in ("~/", "~\\") else argument


def _interrupted() -> NoReturn:
    say("interrupted; what is done is kept, the same command goes on from here")
    sys.exit(_INTERRUPTED)


def _leave(message: str, fix: str, status: int) -> NoReturn:
    say(f"error: {message}")
    say(f"Fix: {fix}")
    sys.exit(status)


def _is_usage_error(error: Exception) -> bool:
    """typer ships its own copy of click in newer versions, so the class is told by its name."""
    return any(cls.__name__ == "ClickException" for cls in type(error).__mro__)


def _verb(arguments: Sequence[str]) -> str:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return f"{arguments[0]} " if arguments and arguments[0] in known else ""


def _terminated(number: int, frame: Any) -> NoReturn:
    say("terminated; what is done is kept, the same command goes on from here")
    sys.exit(128 + number)
