"""Put a merged model with its card on the Hugging Face hub, privately, in one commit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from alt_lite.config import EMBEDDED, ModelSection
from alt_lite.config.peek import names_gguf
from alt_lite.console import say
from alt_lite.errors import UserError

CARD = "README.md"


def require_repo(repo: str | None) -> str:
    """Raises:
    UserError: it is not of the form OWNER/NAME.
    """
    if not repo or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise UserError("pushing needs a repository's name" if not repo else f"{repo!r} is not the name of a repository", "--repo OWNER/NAME")
    return repo


def files(merged: Path) -> list[Path]:
    """What is pushed beside the card."""
    return [path for path in sorted(merged.iterdir()) if path.is_file() and path.name != CARD and not path.name.startswith(".")]


def has_token() -> bool:
    """Whether HF_TOKEN or a saved login is at hand."""
    from huggingface_hub import get_token

    return bool(get_token())


def push(merged: Path, card: str, repo: str) -> str:
    """Create the repository, private, where it does not exist, and commit everything at once; gives its address.

    Raises:
        UserError: the hub cannot be reached or refuses.
    """
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    operations = [CommitOperationAdd(path.name, str(path)) for path in files(merged)]
    operations.append(CommitOperationAdd(CARD, card.encode()))
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        if not api.model_info(repo).private:
            say(f"export: {repo} was there before and is PUBLIC")
        return str(api.create_commit(repo, operations, commit_message="Merged model and card by alt_lite").repo_url)
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot push to {repo}: {first}", "check the network, --repo and that HF_TOKEN may write there; the same command tries again") from error


def base_metadata(model: ModelSection) -> dict[str, Any]:
    """The head of the base's own model card, where the card is here (a folder's, or the hub's cache)."""
    if model.name == EMBEDDED:
        return {}
    if names_gguf(model.name):
        from alt_lite.model.importing import from_gguf

        named = (from_gguf.record_of(model) or {}).get("license")
        return {"license": named} if named else {}
    path: Any = Path(model.name) / CARD
    if not Path(model.name).is_dir():
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(model.name, CARD, revision=model.revision)
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return {}
    # As editors and other systems leave them: a byte order mark, other line ends, blank lines before, a byte of another encoding.
    data = Path(path).read_bytes()
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="replace")
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", re.sub(r"\r\n?", "\n", text)).lstrip()
    text = re.sub("[\t\u0085\u2028\u2029]", " ", text)  # which YAML takes for line ends, or does not take
    head = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(\n|$)", text, re.DOTALL)
    try:
        loaded = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        return {}
    return _one_licence(loaded) if isinstance(loaded, dict) else {}


def _one_licence(metadata: dict[str, Any]) -> dict[str, Any]:
    """A list of one licence is that; several are `other`, by the hub's own way to name what has no identifier."""
    named = metadata.get("license")
    if not isinstance(named, list):
        return metadata
    names = [str(name) for name in named if name]
    if len(names) < 2:
        return {**metadata, "license": names[0] if names else None}
    return {**metadata, "license": "other", "license_name": metadata.get("license_name") or ", ".join(names)}
