"""The chat on the command line: what is typed, its commands, and the answers shown while they grow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from alt_lite.chat import Chat, Turn
from alt_lite.cli import growing
from alt_lite.console import say
from alt_lite.errors import UserError


def answer(talk: Chat, prompt: str) -> Turn:
    """Ask both and show the answers while they grow."""
    both = growing.on_terminal()
    if not both:
        sys.stdout.write(f"> {prompt}\n\n")
    with growing.shown() as show:
        return talk.ask(prompt, show, together=both)


def session(talk: Chat) -> None:
    """Answer what is typed until an empty line or the end of input."""
    say("a line that begins with / is a command, /help lists them; Ctrl-C stops an answer, an empty line ends")
    typed = sys.stdin.isatty()
    if typed:
        with suppress(ImportError):  # the arrow keys; not on Windows
            import readline  # noqa: F401
    while True:
        try:
            line = input("> " if typed else "")
            if not line.strip():
                return
            if line.startswith("/"):
                _command(talk, line)
                continue
            for name, reply in answer(talk, line).items():
                if reply.answer is None:
                    say(f"{name} ended inside its trace; for it the conversation goes on with an empty reply")
        except EOFError:
            return
        except KeyboardInterrupt:
            say("\nan empty line, Ctrl-D or /quit ends")
        except UserError as error:
            say(f"{error.message}; {error.fix}")
        except OSError as error:
            say(f"{error.strerror}: {error.filename}")


def _command(talk: Chat, line: str) -> None:
    word, _, rest = line.partition(" ")
    if word not in COMMANDS:
        raise UserError(f"no command {word}", f"there are {', '.join(COMMANDS)}; a space in front makes it a question")
    COMMANDS[word][1](talk, rest.strip())


def _system(talk: Chat, text: str) -> None:
    talk.system = text or None
    say(f"system prompt: {text}" if text else "no system prompt")


def _reset(talk: Chat, text: str) -> None:
    talk.turns.clear()
    say("a new conversation" + ("; the system prompt stays" if talk.system else ""))


def _save(talk: Chat, text: str) -> None:
    path = Path(text).expanduser() if text else talk.run / time.strftime("chat-%Y%m%d-%H%M%S.jsonl")
    say(f"wrote {path}: {talk.save(path)} responses")


def _help(talk: Chat, text: str) -> None:
    for name, (told, _) in COMMANDS.items():
        say(f"{name:8} {told}")


def _quit(talk: Chat, text: str) -> None:
    raise EOFError


COMMANDS: dict[str, tuple[str, Callable[[Chat, str], None]]] = {
    "/system": ("TEXT: the system prompt from here on; without TEXT, none", _system),
    "/reset": ("begin a new conversation; the system prompt stays", _reset),
    "/save": ("[FILE]: write the conversation as JSONL; without FILE, into the run's folder", _save),
    "/help": ("this list", _help),
    "/quit": ("end, as an empty line and Ctrl-D do", _quit),
}
