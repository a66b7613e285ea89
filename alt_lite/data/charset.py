"""The encoding of a file of text: by its mark, UTF-8, or what Excel and older programs saved it in."""

from __future__ import annotations

import codecs
from functools import lru_cache
from pathlib import Path

from alt_lite.config.peek import encoding, opened
from alt_lite.console import say

# What spreadsheets save CSV in where they are not told UTF-8: Western, Cyrillic, Chinese, Japanese, Korean.
_OLDER = ["cp1252", "cp1251", "gb18030", "big5", "cp932", "euc_kr"]
_BLOCK = 1 << 20


def of(path: Path) -> str:
    """Name the encoding that a CSV or text file is read in; one that is not UTF-8 is said, once."""
    return _of(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _of(path: Path, written: int) -> str:
    with opened(path) as file:
        kind = encoding(file.read(4))
    if kind != "utf-8" or (bad := _first_bad_block(path)) is None:
        return kind
    text = bad.decode("utf-8", errors="surrogateescape")
    broken = sum("\udc80" <= char <= "\udcff" for char in text)
    if sum(not char.isascii() for char in text) - broken >= broken:
        return kind  # UTF-8 with a broken byte, whose line is named
    from charset_normalizer import from_bytes

    best = from_bytes(bad[: _BLOCK // 4], cp_isolation=_OLDER).best()
    if best is None:
        return kind
    say(f"data: {path} is not UTF-8 and is read as {best.encoding}; save it as UTF-8 where letters come out wrong")
    return str(best.encoding)


def _first_bad_block(path: Path) -> bytes | None:
    """The first block that is no UTF-8; None where all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(path) as file:
        while block := file.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return block
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return path.read_bytes()[-_BLOCK:]
    return None
