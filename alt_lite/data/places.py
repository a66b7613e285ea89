"""Where a published set can be had: its places in order, of which the first that answers is used and cached.

A place is the authors' own file at a pinned commit, or a data set on the hub. What was fetched is kept with the
place and the commit that it came from, so that later runs need no network and read the same rows.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from alt_lite.console import say
from alt_lite.data import cache, remote
from alt_lite.data.rows import content_id
from alt_lite.data.sources import Place, Preset, open_data
from alt_lite.errors import UserError, is_disk_full
from alt_lite.net import Unreachable
from alt_lite.rundir import now, read_json, write_json

if TYPE_CHECKING:
    from datasets import Dataset

Found = TypeVar("Found")
# Folders of which it was said that nothing can be kept there.
_TOLD: set[Path] = set()


@dataclass(frozen=True)
class File:
    """A file of a public repository at `commit`; `sha256` is that of its content, where it is known."""

    repository: str
    commit: str
    path: str
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.repository}/{self.path}"


@dataclass(frozen=True)
class Hub:
    """A data set on the hub; `gated` tells that its terms must be accepted with a token first.

    `revision` is where the hub keeps a set in a form that needs no script; `parquet` names the repository's files,
    where a set of many configurations is read as one.
    """

    name: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    parquet: str | None = None
    gated: bool = False
    files: str | None = None

    def __str__(self) -> str:
        return f"{self.name}{' (gated)' if self.gated else ''}"


@dataclass(frozen=True)
class Source:
    """A published set: its places in order, and the columns' names of a file of it that has no header."""

    name: str
    places: tuple[File | Hub, ...]
    header: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """Name the set in the cache: other places make another entry."""
        return f"{self.name}-{content_id([[type(place).__name__, asdict(place)] for place in self.places])}"


@dataclass(frozen=True)
class Origin:
    """Where rows came from: `place` is a repository's file, a hub id or a local path; `commit` is the repository's, or
    the digest of a local file; `note` is what a reader should know about it."""

    place: str
    commit: str | None = None
    note: str = ""

    def __str__(self) -> str:
        at = f"@{self.commit[:12]}" if self.commit and ":" not in self.commit else f" ({self.commit})" if self.commit else ""
        return f"{self.place}{at}{f', {self.note}' if self.note else ''}"


@dataclass
class Reach:
    """The hosts that did not answer, with the reason: none is waited for twice. `slow` holds those that let one file
    wait, which may be that file's fault; `fixes` what mends this machine's settings."""

    silent: dict[str, str] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    fixes: list[str] = field(default_factory=list)


def local(source: Source, path: Path) -> tuple[Dataset, Origin]:
    """Open a local copy of a set.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    data, _ = open_data(Place(source.name, path), Preset("", {}, header=source.header))
    return data, Origin(str(path), _digest(path))


def fetch(source: Source, accept: Callable[[Dataset, Origin], Found], reach: Reach) -> tuple[Found, Origin]:
    """Read a set from the cache, else from the first of its places whose rows `accept` takes, which is then cached.

    Args:
        accept: makes of the rows what is wanted; it raises UserError where they are not of the set.

    Raises:
        Unreachable: no place could be asked, since no host answers.
        UserError: every place refused, or held something else; the message names each with its reason.
    """
    entry = cache.root() / "benchmarks" / source.key
    if (kept := _kept(entry, source)) is not None:
        try:
            return accept(*kept), kept[1]
        except UserError as error:
            say(f"  {source.name}: the cached copy is not used ({error.message}); fetched again")
    reasons: list[str] = []
    silent: dict[str, str] = {}
    for place in source.places:
        host = "the file host" if isinstance(place, File) else "the hub"
        if host in reach.silent:
            silent[host] = reach.silent[host]
            continue
        with TemporaryDirectory(prefix="alt_lite_") as scratch:
            try:
                data, origin, file = _open(place, source, Path(scratch))
                found = accept(data, origin)
            except Unreachable as error:
                if not error.fix.startswith("check the network"):
                    reach.fixes.append(error.fix)
                if "ReadTimeout" in error.message and host not in reach.slow:
                    reach.slow.add(host)
                    reasons.append(error.message)
                    continue
                reach.silent[host] = silent[host] = re.sub(r" for [^ ]+ \(", " (", error.message)
                continue
            except UserError as error:
                named = (place.path if isinstance(place, File) else place.name) in error.message
                reasons.append(error.message if named else f"{place}: {error.message}")
                continue
            _keep(entry, data, origin, file)
            return found, origin
    fix = f"give a local copy: eval.data=FOLDER, which holds {source.name}.jsonl, .csv, .tsv, .txt or .parquet"
    if not reasons:
        raise Unreachable("; ".join(dict.fromkeys(silent.values())), fix)
    raise UserError("; ".join(dict.fromkeys([*reasons, *silent.values()])), fix)


def _open(place: File | Hub, source: Source, scratch: Path) -> tuple[Dataset, Origin, Path | None]:
    """Open one place; gives the fetched file, too, where it is one."""
    if isinstance(place, Hub):
        data, origin = remote.hub_set(place.name, None, place, f"eval.data=FOLDER, which holds {source.name}.jsonl")
        name, _, commit = origin.rpartition("@")
        return data, Origin(name, commit), None
    path = scratch / f"{source.name}{Path(place.path).suffix}"
    remote.download(f"{place.repository}/{place.commit}/{place.path}", path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    note = ""
    if place.sha256 and digest != place.sha256:
        if not path.read_bytes().endswith(b"\n"):
            raise UserError("the file is cut: it is not the published one, and ends inside a line", "try again later")
        note = f"NOT the published file (sha256 {digest[:12]}, published {place.sha256[:12]})"
    data, _ = open_data(Place(source.name, path), Preset("", {}, header=source.header))
    return data, Origin(str(place), place.commit, note), path


def _kept(entry: Path, source: Source) -> tuple[Dataset, Origin] | None:
    facts = entry.with_name(f"{entry.name}.json")
    if not facts.is_file():
        return None
    try:
        known: dict[str, Any] = read_json(facts)
        path = entry.with_name(known["file"])
        if _digest(path) != known["digest"]:
            return None
        data, _ = open_data(Place(source.name, path), Preset("", {}, header=source.header))
        return data, Origin(known["place"], known["commit"], known["note"])
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None  # cut by a kill, or made by another version: fetched again


def _keep(entry: Path, data: Dataset, origin: Origin, file: Path | None) -> None:
    """Put a set into the cache, its facts last; where that cannot be written, the next run fetches it again."""
    path = entry.with_name(f"{entry.name}{file.suffix if file else '.parquet'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        if file:
            partial.write_bytes(file.read_bytes())
        else:
            data.to_parquet(str(partial))
        os.replace(partial, path)
        write_json(entry.with_name(f"{entry.name}.json"), {**asdict(origin), "file": path.name, "digest": _digest(path), "fetched": now()})
    except OSError as error:
        if is_disk_full(error):
            raise
        if entry.parent in _TOLD:
            return
        _TOLD.add(entry.parent)
        say(f"  what is fetched cannot be kept in {entry.parent} ({error.strerror or error}): the next run fetches it again; ALT_LITE_CACHE=FOLDER names another place")


def _digest(path: Path) -> str:
    """Hash a file, or the files of a folder in their order."""
    digest = hashlib.sha256()
    for each in [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file()):
        with each.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return f"sha256:{digest.hexdigest()[:16]}"
