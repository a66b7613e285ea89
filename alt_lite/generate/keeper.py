"""Run a command for an owner, and end it with all that it started once the owner is gone: python keeper.py COMMAND...

The owner holds the writing end of standard input and writes nothing. The kernel closes that end however
the owner ends, by an exception, Ctrl-C, `kill -9` or for want of memory, which a handler at exit would
miss. PR_SET_PDEATHSIG would miss other things: it is tied to the thread that started the command, is there
on Linux only, and reaches one process, while vLLM's engine, which holds the GPU's memory, is a child of the
server and outlives its SIGKILL (vllm #55510). So the command gets a process group of its own, and the whole
group goes. What would still be left behind: a group whose keeper, too, is killed by SIGKILL.

Only the standard library is imported: this file is run by its path, outside the package.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from threading import Event, Thread

ASKED_SECONDS = 10.0
LEFT_SECONDS = 5.0


def main(command: list[str]) -> int:
    """Run the command to its end, or to the owner's; give its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    # Signals to all processes of a job reach the keeper too; it must outlive the others. Set only now, since
    # a command would inherit them.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    orphaned = Event()
    Thread(target=_end_with_owner, args=(child, orphaned), daemon=True).start()
    status = child.wait()
    # All were asked to end where the owner has gone; where the command died by itself none was.
    _end_group(child.pid, LEFT_SECONDS if orphaned.is_set() else 0.0)
    return status if status >= 0 else 128 - status


def _end_with_owner(child: subprocess.Popen[bytes], orphaned: Event) -> None:
    while os.read(0, 4096):
        pass
    orphaned.set()
    _signal(child.pid, signal.SIGTERM)
    try:
        child.wait(ASKED_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(child.pid, signal.SIGKILL)


def _end_group(group: int, seconds: float) -> None:
    """Give what is left of the group time to end by itself, then end it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and _signal(group, 0):
        time.sleep(0.05)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Signal all of the group at once: vLLM's server passes no signal on while its engine starts. False
    where nothing is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, for processes that have ended
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
