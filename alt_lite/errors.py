"""The two ways a run may end early without it being a bug of ours."""

from __future__ import annotations

EXIT_USER_ERROR = 2
EXIT_OUT_OF_TIME = 3


class UserError(Exception):
    """A mistake the user can mend; shown as the message and a `Fix:` line, exit status 2."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class OutOfTime(Exception):
    """`--max-minutes` is over; what is done is kept, the same command goes on (exit status 3)."""
