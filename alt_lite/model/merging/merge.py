"""Merge the adapter into a whole folder, and prove that the folder is the model that was trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import progress, say
from alt_lite.decide import Device, merge_dtype
from alt_lite.errors import UserError, is_disk_full
from alt_lite.generate import ties
from alt_lite.generate.fit import free_bytes
from alt_lite.generate.local import generate
from alt_lite.model import load
from alt_lite.model.merging import readers, settings
from alt_lite.model.merging.fold import Merging, open_merging
from alt_lite.model.merging.proof import MergeProof, rounding
from alt_lite.model.merging.shards import find_weights, row_blocks
from alt_lite.model.precision import trained_in
from alt_lite.rundir import free_disk, read_json, write_json
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.tokenizer import Tokens

_NEW_TOKENS = 64
_KEPT_LOGITS = 4_000_000  # numbers of a prompt that are kept to be compared: three models' are in memory at once
_LOADABLE = 0.9  # of the free memory, for a whole model's weights
_LOADABLE_WIDE = 0.5  # of a GPU's, for weights in fp32, which 16 bit would hold as well
_DISK_MARGIN = 64_000_000  # tokenizer files and indices


def base_model(recipe: Recipe, folder: Path, device: Device, dtype: Any = None) -> Any:
    """The base that the adapter is merged into, which is also the base evaluated; the original one in `dtype`, or what the
    device computes in."""
    if recipe.merge.base == "dequantized":
        return load.load_dequantized(folder, device)
    return load.load_full(folder, device, dtype)


def merge(
    recipe: Recipe, adapter: Path, out: Path, tokens: Tokens, prompts: Sequence[list[int]], device: Device, dtype: str | None = None
) -> MergeProof:
    """Write the merged model and its tokenizer to `out`, in `dtype` (None: what is decided without looking at the
    model's size); compare on `prompts` (ids).

    The 4-bit model itself is never merged into: that would quantise the edit away (unsloth #1519).
    Writing takes one tensor's memory; the proof holds one model at a time, as an evaluation does.

    Raises:
        UserError: base or adapter cannot be merged, or the disk is too small; `out` is as it was.
    """
    import torch

    folder = load.model_folder(recipe.model)
    written: torch.dtype = getattr(torch, dtype or merge_dtype(recipe, device).value)
    merging = open_merging(folder, adapter, written, device, recipe.merge.base == "dequantized")
    write(merging, out, tokens)
    load.free_memory()  # of the model just trained
    n, free = merging.bytes // written.itemsize, free_bytes(torch.device(device.kind))
    # In fp32 what remains is the rounding of writing alone.
    wide = device.kind == "cpu" or (recipe.merge.base == "original" and 4 * n <= _LOADABLE_WIDE * free)
    computing, whole = (torch.float32, 4 * n) if wide else (load.training_dtype(device), 2 * n)
    if whole > free * _LOADABLE:
        say(f"merge: the whole model takes {whole / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: its tensors are spot-checked, its answers are not compared")
        return _spot_checked(recipe.merge.base, merging, out)
    try:
        expected = _seen(lambda: load.with_adapter(base_model(recipe, folder, device, computing), adapter), tokens, prompts)
        # Trained in 16 bit, base and adapter are what was trained.
        quantized = recipe.model.load_in_4bit
        trained = _seen(lambda: load.with_adapter(load.load_quantized(folder, device), adapter), tokens, prompts) if quantized else None
        got = _seen(lambda: load.load_full(out, device, computing), tokens, prompts, expected, _named(written))
    except torch.OutOfMemoryError:
        say("merge: memory ended while answers were compared: the tensors are spot-checked")
        return _spot_checked(recipe.merge.base, merging, out)
    return replace(
        _spot_checked(recipe.merge.base, merging, out), prompts=len(prompts), computed=got.dtype,
        trained=trained_in(recipe.model.load_in_4bit, _named(load.training_dtype(device))),
        max_logit_share=_logit_difference(expected, got) / max(float(x.abs().max()) for x in expected.logits), greedy_explained=got.explained,
        max_logit_difference=_logit_difference(expected, got),
        max_logit_difference_inside=_logit_difference(expected, got, inside=True), greedy_agreement=_agreement(expected, got),
        shift_max_logit_difference=_logit_difference(trained, got) if trained else None,
        shift_greedy_agreement=_agreement(trained, got) if trained else None,
    )


def _spot_checked(base: str, merging: Merging, out: Path) -> MergeProof:
    """Read the beginning of each written tensor back: is it the merged one, and did the adapter change it?"""
    import torch

    written = find_weights(out)
    right = changed = 0
    for name, shape in merging.shapes.items():
        merged, before = merging.beginning(name)
        found = written.read(name).reshape(shape or (1,))[next(row_blocks(shape))].reshape(merged.shape)  # a single number is one row
        right += bool(torch.equal(found, merged))
        changed += not torch.equal(found, before.reshape(merged.shape))
    return MergeProof(base, _named(merging.dtype), 0, tensors=len(merging.shapes), tensors_right=right, tensors_changed=changed)


def write(merging: Merging, out: Path, tokens: Tokens) -> None:
    """Write the merged folder beside `out`, and put it in its place once it is whole.

    config.json comes last of its files. An earlier `out` stays until then, and is put back where a kill
    came between the two renames.

    Raises:
        UserError: the disk is too small, before or while writing, or some program would read the folder otherwise
            than it was trained (readers.py); what was written is removed.
    """
    partial, old = out.with_name(out.name + ".partial"), out.with_name(out.name + ".old")
    if old.exists() and not out.exists():
        old.rename(out)
    for left in (partial, old):
        shutil.rmtree(left, ignore_errors=True)
    needed, free = merging.bytes + _DISK_MARGIN, free_disk(out)
    room = f"free {needed / 1e9:.1f} GB there{f' (an earlier {out.name}/ may go)' if out.exists() else ''}, or put the run elsewhere with --run-dir"
    if free < needed:
        raise UserError(f"{out} needs {needed / 1e9:.1f} GB of disk; {free / 1e9:.1f} GB are free", room)
    try:
        partial.mkdir(parents=True)
        with progress("merge", len(merging.shapes)) as bar:
            merging.write(partial, bar)
        tokenizers_io.save(tokens, partial)
        merging.write_config(partial)
        _write_ends(partial, tokens)
        readers.require_same(partial, tokens, merging.rope)
        if out.exists():
            out.rename(old)
        partial.rename(out)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
        if is_disk_full(error):
            kept = f"; the earlier {out.name}/ is as it was" if out.exists() else ""
            raise UserError(f"the disk became full while {out} was written{kept}", room) from error
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_ends(folder: Path, tokens: Tokens) -> None:
    """Name in both configurations the tokens that were trained with, whatever the base ended a text with."""
    bos = tokens.ids[tokens.family.bos] if tokens.family.bos else None
    for name, several in (("generation_config.json", True), ("config.json", False)):
        kept = read_json(folder / name) if (folder / name).is_file() else {}
        write_json(folder / name, settings.with_ends(kept, tokens.ends, bos, tokens.pad_id, several))



def _named(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class _Seen:
    """What a model makes of the prompts: logits of their last positions, greedy ids, in which dtype it computes;
    `explained` is the share of another's greedy outputs that are its own but for ties."""

    logits: list[Any]
    ids: list[list[int]]
    dtype: str
    explained: float | None


def _seen(make: Callable[[], Any], tokens: Tokens, prompts: Sequence[list[int]], beside: _Seen | None = None, written: str = "") -> _Seen:
    """Observe a model that is loaded for this alone, and gone before the next one comes."""
    model = make()
    try:
        return _observe(model, tokens, prompts, beside, written)
    finally:
        del model
        load.free_memory()


def _observe(model: Any, tokens: Tokens, prompts: Sequence[list[int]], beside: _Seen | None, written: str) -> _Seen:
    """Logits at every position of every prompt, of large vocabularies at the last ones; the greedy continuations."""
    import torch

    model.eval()
    logits = []
    with torch.inference_mode():
        for prompt in prompts:
            kept = max(1, _KEPT_LOGITS // model.config.get_text_config().vocab_size)
            logits.append(model(input_ids=torch.tensor([prompt], device=model.device)).logits[0, -kept:].float().cpu())
    ids: list[list[int]] = [[]] * len(prompts)
    for batch in generate(model, tokens, prompts, _NEW_TOKENS, batch_size=len(prompts)):
        for generated in batch:
            ids[generated.index] = list(generated.ids)
    explained, computed = None, _named(model.dtype)
    if beside:
        found = ties.compare(model, prompts, ids, beside.ids, rounding(computed, written))
        explained = 1 - (found.differing - found.explained) / found.n
    return _Seen(logits, ids, computed, explained)


def _logit_difference(a: _Seen, b: _Seen, inside: bool = False) -> float:
    where = slice(None) if inside else slice(-1, None)
    return max(float((x[where] - y[where]).abs().max()) for x, y in zip(a.logits, b.logits, strict=True))


def _agreement(a: _Seen, b: _Seen) -> float:
    return sum(x == y for x, y in zip(a.ids, b.ids, strict=True)) / len(a.ids)
