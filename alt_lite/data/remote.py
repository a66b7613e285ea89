"""Sets that are fetched: from the hub at a commit, by `datasets`, or as a file; what a host answers is told in one line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alt_lite.console import say
from alt_lite.data import cache
from alt_lite.errors import UserError
from alt_lite.net import asking, one_line, wrong_setting

if TYPE_CHECKING:
    from datasets import Dataset


# Serves a public repository's files as OWNER/NAME/COMMIT/PATH; ALT_LITE_FILES_HOST names a mirror.
FILES_HOST = "https://raw.githubusercontent.com"
_SECONDS = 20.0
_SPLITS = {"train", "test", "validation", "val", "dev"}
_SLOWEST = 4096  # bytes a second, after the first seconds


class Layout(Protocol):
    """How a repository is read: which configuration and split, of which files, at which commit."""

    @property
    def config(self) -> str | None: ...
    @property
    def split(self) -> str: ...
    @property
    def files(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def parquet(self) -> str | None: ...


def download(path: str, to: Path, copy: str = "give a local copy") -> None:
    """Fetch a repository's file, OWNER/NAME/COMMIT/PATH, into `to`; it is there only where all of it came.

    Args:
        copy: how a local copy is given, for the fix.

    Raises:
        UserError: the host has no such file, or broke off.
        Unreachable: the host does not answer, or this machine is told to stay offline.
    """
    import httpx

    from alt_lite.net import Unreachable

    host = os.environ.get("ALT_LITE_FILES_HOST")
    if not host and os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise Unreachable("cannot reach the file host (HF_HUB_OFFLINE is set)", f"unset it, or {copy}")
    url = f"{(host or FILES_HOST).rstrip('/')}/{path}"
    partial = to.with_name(f"{to.name}.partial")
    owner, name, _, file_path = path.split("/", 3)
    named, began, size = f"{owner}/{name}/{file_path}", time.monotonic(), 0
    with asking(f"{host or 'the file host'} for {named}", copy), httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=True) as answer:
        if answer.status_code != 200:
            raise UserError(f"{named}: the file host answers {answer.status_code}", copy)
        with partial.open("wb") as file:
            for block in answer.iter_bytes():
                size += file.write(block)
                if (seconds := time.monotonic() - began) > _SECONDS and size / seconds < _SLOWEST:
                    raise UserError(f"{named}: the file host sends less than {_SLOWEST} bytes a second", copy)
    partial.rename(to)


def hub_set(name: str, revision: str | None, layout: Layout | None, local: str) -> tuple[Dataset, str]:
    """Load a set from the hub: (rows, `NAME@COMMIT`), at `revision`, else at the newest commit, which is resolved first.

    Args:
        local: the setting by which a local copy is given, for the fix.

    Raises:
        UserError: the set is gated, or there is none of that name.
        Unreachable: the hub does not answer.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    copy = f"give a local copy: {local} (JSONL, JSON, CSV, Parquet or a saved folder of {name})"
    with asking(f"the hub for {name}", copy):
        try:
            if layout and layout.files:
                return load_dataset("json", data_files=str(_kept(layout.files, copy)), split="train"), layout.files
            commit = HfApi().dataset_info(name, revision=revision or (layout.revision if layout else None), timeout=_SECONDS).sha
            return of_repository(load_dataset, name, layout, commit), f"{name}@{commit}"
        except (RepositoryNotFoundError, RevisionNotFoundError, DatasetNotFoundError, HFValidationError) as error:
            if isinstance(error, GatedRepoError) or "is a gated" in str(error):
                raise UserError(f"{name} is gated", f"accept its terms on huggingface.co/datasets/{name} and set HF_TOKEN; or {copy}") from error
            raise UserError(f"the hub has no data set {name!r} at revision {revision or 'main'}, or it needs a token", f"check the name, set HF_TOKEN, or {copy}") from error
        except (ValueError, DatasetsError) as error:
            if wrong_setting(error):
                raise
            raise UserError(f"{name}: {one_line(error.__cause__ or error)}", copy) from error


def _kept(path: str, copy: str) -> Path:
    """Fetch a repository's file once, into the cache."""
    kept = cache.root() / "files" / path
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        download(path, kept, copy)
    return kept


def of_repository(load_dataset: Any, name: str, layout: Layout | None, commit: str | None) -> Any:
    """Load one split of a repository, or of a folder that is laid out like one. Where it does not describe its
    configurations and splits as they were, the files are read whose paths name them.

    Raises:
        ValueError: it has neither.
    """
    from datasets.exceptions import DatasetsError

    if layout is None:
        return load_dataset(name, split="train", revision=commit)
    if layout.parquet:
        return load_dataset(name, layout.config, split=layout.split, revision=commit, data_files={layout.split: layout.parquet})
    try:
        return load_dataset(name, layout.config, split=layout.split, revision=commit)
    except (ValueError, DatasetsError) as error:
        if type(error).__name__ == "DatasetNotFoundError" or wrong_setting(error):
            raise
        files = named_files(_files(name, commit), layout.config, layout.split)
        if not files:
            raise
        say(f"  {name} does not describe its parts; read are {', '.join(files[:3])}{f' and {len(files) - 3} more' if len(files) > 3 else ''}")
        return load_dataset(name, split=layout.split, revision=commit, data_files={layout.split: files})


def _files(name: str, commit: str | None) -> list[str]:
    from huggingface_hub import HfApi

    return HfApi().list_repo_files(name, repo_type="dataset", revision=commit)


def named_files(paths: Sequence[str], config: str | None, split: str) -> list[str]:
    """Choose the data files whose paths name a configuration and a split; where none names the split, those that name
    no other one, or the only one. None are chosen where the configuration is not named and the files are several."""
    data = [path for path in paths if Path(path).suffix.lower() in (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".txt") and Path(path).name.lower() not in ("dataset_infos.json", "requirements.txt")]

    def words(path: str) -> set[str]:
        return set(re.split(r"[/._\-]+", path.lower()))

    mine = [path for path in data if config is None or config.lower() in words(path)]
    if not mine and len(data) == 1:
        mine = data  # one file is all that there is
    exact = [path for path in mine if split.lower() in words(path)]
    plain = [path for path in mine if not words(path) & _SPLITS]
    splits = set().union(*(words(path) & _SPLITS for path in mine))
    return exact or plain or (mine if len(splits) == 1 else [])
