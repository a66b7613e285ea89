"""Sets that are fetched: from the hub at a commit, by `datasets`; what a host answers is told in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from alt_lite.errors import UserError
from alt_lite.net import asking, one_line, wrong_setting

if TYPE_CHECKING:
    from datasets import Dataset


class Layout(Protocol):
    """How a repository is read: which configuration and split, of which files, at which commit."""

    config: str | None
    split: str
    files: str | None
    revision: str | None
    parquet: str | None


def hub_set(name: str, revision: str | None, layout: Layout | None, local: str) -> tuple[Dataset, str]:
    """Load a set from the hub: (rows, `NAME@COMMIT`), at `revision`, else at the newest commit, which is resolved first.

    Args:
        local: the setting by which a local copy is given, for the fix.

    Raises:
        UserError: the set is gated, or there is none of that name.
        Unreachable: the hub does not answer.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    copy = f"give a local copy: {local} (JSONL, JSON, CSV, Parquet or a saved folder of {name})"
    with asking(f"the hub for {name}", copy):
        try:
            if layout and layout.files:
                return load_dataset("json", data_files=layout.files, split="train"), layout.files
            commit = HfApi().dataset_info(name, revision=revision or (layout.revision if layout else None), timeout=20).sha
            return of_repository(load_dataset, name, layout, commit), f"{name}@{commit}"
        except (RepositoryNotFoundError, RevisionNotFoundError, DatasetNotFoundError, HFValidationError) as error:
            if isinstance(error, GatedRepoError) or "gated" in str(error):
                raise UserError(f"{name} is gated", f"accept its terms on huggingface.co/datasets/{name} and set HF_TOKEN; or {copy}") from error
            raise UserError(f"the hub has no data set {name!r} at revision {revision or 'main'}, or it needs a token", f"check the name, set HF_TOKEN, or {copy}") from error
        except ValueError as error:
            if wrong_setting(error):
                raise
            raise UserError(f"{name}: {one_line(error)}", copy) from error


def of_repository(load_dataset: Any, name: str, layout: Layout | None, commit: str | None) -> Any:
    """Load one split of a repository, or of a folder that is laid out like one."""
    if layout is None:
        return load_dataset(name, split="train", revision=commit)
    files = {"data_files": {layout.split: layout.parquet}} if layout.parquet else {}
    return load_dataset(name, layout.config, split=layout.split, revision=commit, **files)
