"""A GGUF file as the base: unpacked once, into a plain folder in the cache, which every stage then uses."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alt_lite.config import ModelSection
from alt_lite.console import console, progress, say
from alt_lite.data import cache
from alt_lite.errors import UserError, is_disk_full
from alt_lite.families import FAMILIES
from alt_lite.model.exporting.gguf_file import require_gguf
from alt_lite.model.importing import gguf_config, gguf_tokenizer
from alt_lite.model.importing.gguf_config import Header
from alt_lite.rundir import free_disk, read_json, write_json
from alt_lite.tokens import files
from alt_lite.tokens import tokenizer as tokenizers_io

RECORD = "gguf.json"  # in the folder: which file it was made of
_VERSION = 1  # of how a folder is made: a change makes new ones
_BLOCK = 1 << 24
# Bytes for a number of the largest tensor while that is unpacked, beside 2 for each of the model (measured on two files of
# 135M: 13.9, and 1.8), and for all else in memory and in the folder.
_LARGEST, _PROCESS, _SMALL_FILES = 14, 300_000_000, 50_000_000
_told: set[Path] = set()


def require_file(name: str) -> Path:
    """Find the file, which is looked at no further than its first bytes.

    Raises:
        UserError: it is missing, or no GGUF file.
    """
    path = Path(name)
    if not path.is_file():
        made = [folder for folder, record in _folders() if record.get("file") == path.name]
        kept = f"; what was made of it before is in {made[0]}, which is a model.name for new runs" if made else ""
        raise UserError(f"there is no GGUF file {name}", f"give its path, or put it back if a run goes on with it{kept}")
    gguf_config.require_magic(path)
    return path


def folder_of(model: ModelSection) -> Path:
    """Give the folder that the file is unpacked in; it is made where it is not there yet.

    Raises:
        UserError: the file is missing or damaged, cannot be made a model of transformers, or does not fit memory or disk.
    """
    path = require_file(model.name)
    digest = _known_digest(path)
    folder = _existing(path, digest, model.family) if digest else None
    if folder is None:
        require_gguf()
        header = gguf_config.read(path)
        config = gguf_config.configuration(header)
        tokenizer = gguf_tokenizer.specification(header, config["vocab_size"])
        _require_room(header)
        digest = digest or _digest(path)
        folder = _existing(path, digest, model.family)
    if folder is None:
        with _locked(_place(path, digest)):
            folder = _existing(path, digest, model.family) or _make(header, config, tokenizer, digest, model)
    if folder not in _told:
        _told.add(folder)
        say(f"{path} is used as unpacked in {folder}")
    return folder


def record_of(model: ModelSection) -> dict[str, Any] | None:
    """What is known of the file that a model's folder was made of; None where the model is no GGUF file, or was not unpacked."""
    path = Path(model.name)
    digest = _known_digest(path) if path.is_file() else None
    folder = _existing(path, digest, model.family) if digest else None
    return dict(read_json(folder / RECORD)) if folder else None


def _root() -> Path:
    return cache.root() / "models"


def _folders() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(_root().glob(f"*/{RECORD}")):
        with contextlib.suppress(OSError, ValueError):
            yield path.parent, read_json(path)


def _place(path: Path, digest: str) -> Path:
    return _root() / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', path.stem)[:100]}-{digest}"


def _existing(path: Path, digest: str, family: str) -> Path | None:
    """Find the folder made of a file: of one text in two families' forms there may be two, if these end it otherwise."""
    folder = _place(path, digest)
    for place in (folder, folder.with_name(f"{folder.name}-{family}")):
        if (place / RECORD).is_file() and (family == "auto" or read_json(place / RECORD)["eos_token"] == str(FAMILIES[family].end)):
            return place
    return None


def _index(path: Path) -> Path:
    """Where a file's digest is remembered. It covers the whole content, since two trainings of one model differ in nothing else;
    5 GB are not read for it again as long as path, size and time are the same."""
    stat = path.stat()
    key = f"{_VERSION}\0{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return _root() / ".digests" / f"{hashlib.blake2b(key.encode(errors='surrogateescape'), digest_size=16).hexdigest()}.json"


def _known_digest(path: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(read_json(_index(path))["digest"])
    return None


def _digest(path: Path) -> str:
    digest, total = hashlib.blake2b(str(_VERSION).encode(), digest_size=8), path.stat().st_size
    with path.open("rb") as file, progress(f"read {path.name} (MB)", total // 1_000_000) if total > 1_000_000_000 else contextlib.nullcontext(lambda *_: None) as bar:
        while block := file.read(_BLOCK):
            digest.update(block)
            bar(file.tell() // 1_000_000, "")
    _index(path).parent.mkdir(parents=True, exist_ok=True)
    write_json(_index(path), {"digest": digest.hexdigest()})
    return digest.hexdigest()


def _require_room(header: Header) -> None:
    """Raises:
    UserError: disk or memory is too small to unpack the file.
    """
    import psutil

    need = 2 * header.parameters + _SMALL_FILES
    if (free := free_disk(_root())) < need:
        raise header.refuse(f"takes {need / 1e9:.1f} GB when it is unpacked; {free / 1e9:.1f} GB of disk are free at {_root()}", "free some space, or set ALT_LITE_CACHE to a folder on a larger disk")
    need = 2 * header.parameters + _LARGEST * max(int(tensor.n_elements) for tensor in header.tensors.values()) + _PROCESS
    if (left := psutil.virtual_memory().available) < need:
        raise header.refuse(f"takes {need / 1e9:.1f} GB of memory while it is unpacked (estimate); {left / 1e9:.1f} GB are free", "close other programs; or a folder of the model in 16 bit")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process make a folder while others wait for it; a killed one's lock is gone with it."""
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is making {folder}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(header: Header, config: dict[str, Any], tokenizer: dict[str, Any], digest: str, model: ModelSection) -> Path:
    """Make the folder beside its place, and put it there when it is whole."""
    folder, began = _place(header.path, digest), time.monotonic()
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process
    try:
        partial.mkdir(parents=True)
        ends = _write_small_files(header, config, tokenizer, partial, model)
        say(f"{header.path} ({header.path.stat().st_size / 1e6:,.0f} MB, {', '.join(header.types)}) is unpacked once into {folder}: about {2 * header.parameters / 1e6:,.0f} MB …")
        dtype, why = _write_weights(header, partial)
        write_json(partial / "config.json", {**read_json(partial / "config.json"), "dtype": dtype})
        write_json(partial / RECORD, {
            "file": header.path.name, "digest": digest, "bytes": header.path.stat().st_size, "types": header.types, "dtype": dtype, "why": why,
            "eos_token": ends, "license": header.get("general.license"), "name": header.get("general.name"),
        })
        if (folder / RECORD).is_file():  # of a family that ends a text otherwise
            folder = folder.with_name(f"{folder.name}-{model.family}")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"unpacked to {dtype} ({why}) in {time.monotonic() - began:.0f} s")
    _told.add(folder)
    return folder


def _write_small_files(header: Header, config: dict[str, Any], tokenizer: dict[str, Any], folder: Path, model: ModelSection) -> str:
    """Write tokenizer and configuration; gives what ends a text. What begins and ends one is the family's: a file's own
    entries may name the token that begins a turn, as converters take them from another place.

    Raises:
        UserError: no family fits the tokenizer and the template.
    """
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    template, tokens = header.get("tokenizer.chat_template"), header.get("tokenizer.ggml.tokens")
    write_json(folder / "config.json", config)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, "model_max_length": config["max_position_embeddings"],
        **({"chat_template": template} if template else {}),
    }
    pad, beginning = (_token(header, key, tokens) for key in ("padding", "bos"))
    refused: list[UserError] = []
    quiet, console.quiet = console.quiet, True  # what is told of a tokenizer is told when the folder is used
    try:
        for first, last in _ends(set(tokens), model.family, beginning):
            named = {"eos_token": last, **({"pad_token": pad} if pad and pad != last else {}), **({"bos_token": first} if first else {})}
            write_json(folder / "tokenizer_config.json", {**settings, **named})
            try:
                found = tokenizers_io.load(folder, FAMILIES.get(model.family), model.name)
            except UserError as error:
                refused.append(error)
                continue
            if str(found.family.end) == last and first in (found.family.bos, None if found.family.bos else beginning):
                break
        else:
            error = refused[0] if refused else header.refuse("has a chat template that fits no family by itself", "model.family=NAME; python -m alt_lite families lists them")
            raise UserError(*(text.replace(str(folder), str(header.path)) for text in (error.message, error.fix))) from error
    finally:
        console.quiet = quiet
    settings |= {**named, "pad_token": str(found.fast.convert_ids_to_tokens(found.pad_id))}
    write_json(folder / "tokenizer_config.json", files.tokenizer_settings(settings, {}, template) if template else settings)
    ids = {"eos_token_id": found.end_id, "pad_token_id": found.pad_id, "bos_token_id": found.fast.convert_tokens_to_ids(first) if first else None}
    write_json(folder / "config.json", {**config, **ids})
    write_json(folder / "generation_config.json", {**ids, "eos_token_id": list(found.ends)})
    return last


def _token(header: Header, role: str, tokens: list[str]) -> str | None:
    number = header.get(f"tokenizer.ggml.{role}_token_id")
    return tokens[number] if number is not None and 0 <= number < len(tokens) else None


def _ends(vocabulary: set[str], asked: str, beginning: str | None) -> list[tuple[str | None, str]]:
    """What a text may begin and end with, by the families whose tokens are there; templates write both by these roles. Last,
    what the file says that it begins with."""
    able = [family for family in FAMILIES.values() if asked in ("auto", family.name) and set(family.controls) <= vocabulary]
    pairs = [(str(family.bos) if family.bos else None, str(family.end)) for family in able]
    pairs += [(beginning, str(family.end)) for family in able if not family.bos and beginning]
    return list(dict.fromkeys(pairs)) or [(beginning, next(iter(vocabulary)))]  # of no family, as loading it will say


def _write_weights(header: Header, folder: Path) -> tuple[str, str]:
    """Unpack the weights by transformers' reader and write them; gives the type, and why it is this one.

    Raises:
        UserError: a weight is not finite, or transformers cannot read the file.
    """
    import torch
    from safetensors.torch import save_file

    if "BF16" in header.types:
        dtype, why = torch.bfloat16, "the file holds bf16"
    else:
        dtype, why = torch.float16, "scales of its blocks are fp16, of which bf16 would lose 3 bits"
    weights = _unpacked(header, folder, dtype)
    if dtype == torch.float16 and not _finite(weights):
        del weights
        dtype, why = torch.bfloat16, "a weight is beyond what fp16 can hold"
        weights = _unpacked(header, folder, dtype)
    if not _finite(weights):
        raise header.refuse("holds weights that are not finite", "get the file anew")
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return str(dtype).removeprefix("torch."), why


def _finite(weights: dict[str, Any]) -> bool:
    return all(bool(value.isfinite().all()) for value in weights.values())


def _unpacked(header: Header, folder: Path, dtype: Any) -> dict[str, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    # Its progress cannot be turned off, and in a pipe or notebook it is pages long.
    hidden = contextlib.nullcontext() if console.is_terminal and not console.is_jupyter else contextlib.redirect_stderr(io.StringIO())
    try:
        with hidden:
            # The whole path: a name alone would be looked for in the working directory first.
            model, told = AutoModelForCausalLM.from_pretrained(folder, gguf_file=str(header.path.resolve()), config=config, dtype=dtype, output_loading_info=True)
    except (ValueError, RuntimeError, KeyError, NotImplementedError, ImportError, OSError) as error:
        if is_disk_full(error):
            raise
        raise header.refuse(f"cannot be read by transformers ({(str(error).strip() or type(error).__name__).splitlines()[0][:160]})") from error
    if missing := sorted(told["missing_keys"]):
        raise header.refuse(f"lacks {missing[0]} as transformers reads it")
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    return {name: value.contiguous() for name, value in model.state_dict().items() if name not in tied}
