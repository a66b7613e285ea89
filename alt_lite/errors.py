"""The ways a run may end early without it being a bug of ours."""

from __future__ import annotations

import errno

EXIT_USER_ERROR = 2
EXIT_OUT_OF_TIME = 3


# What an OSError says where a disk, a quota or the largest file allowed is full.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# torch and safetensors wrap it.
_DISK_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
# Message and fix where a GPU's memory ended; what cuBLAS, CUDA itself and Unsloth's loss say of it.
OUT_OF_MEMORY = (
    "the GPU's memory is too small, or another program holds it",
    "close other programs, eval.precision=4bit, or a smaller model; the same command goes on from here",
)
_OUT_OF_MEMORY = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory", "GPU memory available")


class UserError(Exception):
    """A mistake the user can mend; shown as the message and a `Fix:` line, exit status 2."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class OutOfTime(Exception):
    """`--max-minutes` is over; what is done is kept, the same command goes on (exit status 3)."""


def is_disk_full(error: BaseException) -> bool:
    """Tell whether a disk was full, by the system's error or by what libraries make of it."""
    return (isinstance(error, OSError) and error.errno in DISK_FULL) or any(text in str(error) for text in _DISK_FULL)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a GPU's memory was too small: by torch's own error, which is not imported for that, or by what others say."""
    return type(error).__name__ == "OutOfMemoryError" or any(text in str(error) for text in _OUT_OF_MEMORY)
