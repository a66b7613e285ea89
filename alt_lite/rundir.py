"""The run folder, through which stages meet: manifest, stage states, append-only rows, one lock.

`run.json` is replaced atomically and names everything the run has made, so that `--fresh` deletes
nothing else. A stage is done only when its state says so, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe, mixing
from alt_lite.console import say
from alt_lite.errors import UserError

MANIFEST = "run.json"
STAGES = ("check", "data", "train", "merge", "eval", "report")
# Sections that a stage reads; it also depends on all stages before it.
_READS = {
    "check": (), "data": ("data", "endpoint"), "train": ("model", "lora", "train"),
    "merge": ("merge",), "eval": ("eval",), "report": ("report",),
}
# Keys that change how a result is reached, but not the result that the stage leaves.
_NO_EFFECT = {
    "train.checkpoint_steps", "eval.base_from", "eval.batch_size", "model.gpu_gb", "endpoint.key_variable", "endpoint.concurrency",
    "endpoint.timeout",
}
# Keys that came later, with the value that changes nothing: runs of before them stay what they are.
_LATER: dict[str, Any] = {"model.dtype": "auto", "data.benign_from": [], "data.untraced": "leave_out", "data.longest": None, "merge.dtype": "auto"}
# What must be there for a stage to count as done, whatever its state says.
_PRODUCT = {
    "data": "data/train.jsonl", "train": "adapter/adapter_model.safetensors", "merge": "merged/config.json",
    "report": "report.json",
}
_MADE_BY = {
    "data": ("data",), "train": ("checkpoints", "adapter", "train_log.jsonl"), "merge": ("merged", "merged.partial", "merged.old"),
    "eval": ("eval",), "report": ("report.json", "report.md"),
}
_GONE: set[Path] = set()  # runs of which it was said that their source is gone


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def append_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows; a process killed meanwhile leaves at most one cut line, which `read_rows` drops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file.flush()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read an append-only file of ours, without a last line that is not whole: cut by a kill, or being
    written just now. Who goes on writing rewrites the file first."""
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1].decode("utf-8")
    # Not splitlines(): it also cuts at characters that stand raw inside JSON strings.
    return [json.loads(line) for line in whole.split("\n") if line]


def set_aside(path: Path, wanted: Container[str], what: str) -> list[dict[str, Any]]:
    """Give a file's responses whose ids are `wanted`, but for requests that failed. Those of other settings go
    into a file beside it, from which they come back when their settings do; `path` itself is left to the caller."""
    rows, aside = read_rows(path), path.with_name(f"{path.stem}.other{path.suffix}")
    known = {row["id"]: row for row in read_rows(aside)}
    others = [row for row in rows if row["id"] not in wanted and row["finish"] != "error"]
    if others:
        write_jsonl(aside, {**known, **{row["id"]: row for row in others}}.values())
        say(f"{what}: {len(others)} responses of other settings are set aside in {aside.name}, for when these are asked for again")
    found = {**known, **{row["id"]: row for row in rows if row["finish"] != "error"}}
    return [row for id_, row in found.items() if id_ in wanted]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def default_folder(recipe: Recipe) -> Path:
    """`runs/NAME`, with the overrides in the name, so that variants do not meet in one folder."""
    tail = "".join(f",{pair}" for pair in recipe.overrides).replace("/", "_").replace(os.sep, "_")
    return Path("runs") / f"{recipe.name}{tail}"


class RunDir:
    """One run's folder. Nothing is written before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, empty where no run has begun.

        Raises:
            UserError: run.json is not readable.
        """
        path = self.path / MANIFEST
        if not path.is_file():
            return {}
        try:
            manifest = read_json(path)
            manifest["stages"], manifest["recipe"]["values"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not a manifest of a run", "choose another --run-dir, or remove that file") from error
        return manifest

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; a second run in it is refused. A killed run's lock is gone with it.

        Raises:
            UserError: another process works in this folder.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"another run works in {self.path}", "wait for it, or choose another --run-dir") from None
        try:
            yield
        finally:
            lock.release()

    def require_ours(self) -> None:
        """Refuse a folder that holds other things than a run.

        Raises:
            UserError: it is a file, or a folder with content but without a manifest.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file", "choose another --run-dir")
        if self.path.is_dir() and not (self.path / MANIFEST).is_file():
            others = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if others:
                raise UserError(f"{self.path} is not a run's folder and holds {others[0]}", "choose an empty or new --run-dir")

    def plan(self, recipe: Recipe) -> dict[str, str]:
        """Tell for each stage whether it is `done`, `begun`, `todo`, or `redo` (settings changed).

        Raises:
            UserError: the folder's training was made with other settings.
        """
        manifest = self.manifest
        wanted = fingerprints(recipe)
        plan: dict[str, str] = {}
        for stage in STAGES:
            kept = manifest.get("stages", {}).get(stage, {})
            state = kept.get("state", "todo")
            same = kept.get("fingerprint") == wanted[stage]
            if stage == "data" and state == "done":
                same = same and self._same_source(recipe, manifest.get("source_digest"))
            missing = stage in _PRODUCT and not (self.path / _PRODUCT[stage]).exists()
            if state != "todo" and not same:
                state = "redo"
            plan[stage] = "todo" if state == "done" and missing else state
        trained = manifest.get("stages", {}).get("train", {}).get("state", "todo") != "todo"
        if trained and "redo" in (plan["data"], plan["train"]):
            self._refuse(recipe, manifest)
        return plan

    def _same_source(self, recipe: Recipe, before: str | None) -> bool:
        """Whether the rows' source is what it was, or is not there any more: the run keeps its rows, and goes on with them."""
        if before is None or (after := source_digest(recipe)) == before:
            return True
        if after is not None and _listing(Path(recipe.data.path or recipe.data.source)) == before:
            return True
        if after is None and self.path not in _GONE and (self.path / _PRODUCT["data"]).is_file():
            _GONE.add(self.path)
            say(f"{recipe.data.path or recipe.data.source} is not there any more; the run goes on with the rows that it keeps in {self.path / _PRODUCT['data']}")
        return after is None

    def _refuse(self, recipe: Recipe, manifest: dict[str, Any]) -> None:
        before, now = manifest["recipe"]["values"], recipe.values()
        sections = (*_READS["data"], *_READS["train"])
        differing = [
            f"{key}={before.get(key)} there, {now[key]} here"
            for key in now if key.partition(".")[0] in sections and before.get(key, _LATER.get(key)) != now[key] and key not in _NO_EFFECT
        ]
        if not differing:
            differing = [f"{now['data.source']} has changed since"]
        name = manifest["recipe"]["name"]
        whose = "" if name == recipe.name else f"of recipe {name!r}, "
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise UserError(
            f"{self.path} holds a training run {whose}made with other settings: {'; '.join(differing[:4])}{more}",
            "choose another --run-dir, or --fresh to discard that run",
        )

    def begin(self, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        """Write or update the manifest with the recipe as resolved and the machine's facts."""
        manifest = self.manifest or {"created": now(), "stages": {}, "files": [MANIFEST]}
        manifest["recipe"] = {
            "name": recipe.name, "title": recipe.title, "overrides": list(recipe.overrides),
            "values": recipe.values(), "origin": recipe.origin,
        }
        # The facts are those of the session that trained; a later one, which may be on another
        # machine, stands beside them.
        trained = manifest["stages"].get("train", {}).get("state") == "done"
        manifest.update({"last_session": facts} if trained else facts)
        write_json(self.path / MANIFEST, manifest)

    def note(self, **facts: Any) -> None:
        """Add facts to the manifest."""
        write_json(self.path / MANIFEST, {**self.manifest, **facts})

    def set_stage(self, recipe: Recipe, stage: str, state: str, seconds: float | None = None) -> None:
        """Record a stage's state; seconds add up over the sessions that it took."""
        manifest = self.manifest
        kept = manifest["stages"].get(stage, {})
        wanted = fingerprints(recipe)[stage]
        same = kept.get("fingerprint") == wanted
        spent = (kept.get("seconds") or 0.0) if same else 0.0
        manifest["stages"][stage] = {"state": state, "fingerprint": wanted, "seconds": round(spent + (seconds or 0.0), 2)}
        manifest["files"] = sorted({*manifest.get("files", []), *_MADE_BY.get(stage, ())})
        write_json(self.path / MANIFEST, manifest)

    def clear_stage(self, stage: str) -> None:
        """Remove what a stage has made, before it is made anew with other settings."""
        for name in _MADE_BY.get(stage, ()):
            _remove(self.path / name)

    def fresh(self) -> None:
        """Delete what the manifest lists, nothing else; the manifest goes last."""
        manifest = self.manifest
        if not manifest:
            return
        # First the states: killed from here on, no stage is taken for done.
        write_json(self.path / MANIFEST, {**manifest, "stages": {}})
        for name in manifest.get("files", []):
            if name != MANIFEST:
                _remove(self.path / name)
        (self.path / MANIFEST).unlink(missing_ok=True)


def fingerprints(recipe: Recipe) -> dict[str, str]:
    """Hash for each stage the settings that its result depends on, earlier stages' included."""
    result: dict[str, str] = {}
    chain = ""
    values = recipe.values()
    for stage in STAGES:
        mine = {k: v for k, v in values.items() if k.partition(".")[0] in _READS[stage] and k not in _NO_EFFECT and not (k in _LATER and v == _LATER[k])}
        chain = _digest([chain, mine]) if mine else chain or _digest(recipe.model.name)
        result[stage] = chain
    return result


def places_of(recipe: Recipe) -> list[str]:
    """The paths at which the rows' sources lie where they are on this machine: local copies, else the sources' own names."""
    data = recipe.data
    further = [mixing.further(text).name for text in data.benign_from]
    beside = [data.source] if further and data.path and Path(data.path).is_dir() else []
    return [data.path or data.source, *beside, *further]


def source_digest(recipe: Recipe) -> str | None:
    """Hash the files, or list the saved folders, that the rows come from; None where no source is one here."""
    if recipe.data.source == "tiny":
        return None
    found = [path_digest(Path(name)) for name in places_of(recipe)]
    return found[0] if len(found) == 1 else _digest(found) if any(found) else None


def path_digest(path: Path) -> str | None:
    """Hash a file's content, or a folder's files with theirs, wherever it has been copied to; None where it is neither."""
    if not path.is_file() and not path.is_dir():
        return None
    digest = hashlib.blake2b(digest_size=8)
    for item in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file() and ".git" not in item.parts):
        if item != path:
            digest.update(item.relative_to(path).as_posix().encode())
        with item.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _listing(path: Path) -> str:
    """Hash a folder as runs of earlier versions did: by its files' sizes and times."""
    digest = hashlib.blake2b(digest_size=8)
    for item in sorted(path.rglob("*")):
        digest.update(f"{item.relative_to(path)} {item.stat().st_size} {item.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def free_disk(path: Path) -> int:
    """Free bytes where `path` is, or will be."""
    while not path.exists():
        path = path.resolve().parent
    return shutil.disk_usage(path).free
