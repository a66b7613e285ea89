"""Export a merged model as GGUF files, each read back and compared before it counts as done."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.console import progress, say
from alt_lite.data.rows import content_id
from alt_lite.errors import UserError
from alt_lite.families import Family
from alt_lite.model.exporting import gguf_file, gguf_vocab
from alt_lite.model.load import weights_digest
from alt_lite.rundir import free_disk, now, read_json, write_json
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.tokenizer import PROBES, Tokens

RECORD = "export.json"
# Part of what a finished export is known by: a change of how files are written makes new ones.
_VERSION = 1
# Made from the f16 file by llama.cpp's own program, which is found on the PATH.
LLAMA_CPP = ("q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_0", "q4_k_s", "q4_k_m", "q5_0", "q5_k_s", "q5_k_m", "q6_k", "iq4_nl", "iq4_xs")
# Largest error of a weight, as a share of its tensor's largest: the formats' own rounding. 16 bit: half of
# the last of 11 binary places; 8 bit: half a step of 127, and the step itself in 16 bit.
WEIGHT_TOLERANCE = {"f16": 2**-11, "q8_0": 1 / 254 + 2**-11}
# Root mean square of the logits' differences, as a share of their standard deviation. Weights of 16 bit stay as they
# are in f16; what fp32's lose adds up over the layers (0.0008 for the 30 of SmolLM2-135M).
LOGIT_TOLERANCE = {"f16": 0.001, "q8_0": 0.1}
ROUNDED_LOGIT_TOLERANCE = {**LOGIT_TOLERANCE, "f16": 0.01}
_ROWS = 4096  # of a tensor compared at a time


@dataclass(frozen=True)
class Source:
    """A merged folder with what is compared: `texts` for their ids, `prompts` (ids) for their logits."""

    merged: Path
    name: str
    family: Family
    texts: Sequence[str]
    prompts: Sequence[list[int]]


def require_quants(quants: Sequence[str]) -> None:
    """Find out before any work whether every type can be made.

    Raises:
        UserError: a type is unknown, or what makes it is not installed.
    """
    known = (*gguf_file.WRITTEN, *LLAMA_CPP)
    for quant in quants:
        if quant not in known:
            near = difflib.get_close_matches(quant, known, n=2)
            raise UserError(f"--quant: no type {quant!r}{'; did you mean ' + ' or '.join(near) + '?' if near else ''}", f"--quant takes some of {','.join(known)}")
    gguf_file.require_gguf()
    theirs = [quant for quant in quants if quant in LLAMA_CPP]
    if theirs and shutil.which("llama-quantize") is None:
        raise UserError(f"{', '.join(theirs)} is made by llama.cpp's llama-quantize, which is not on the PATH", "install llama.cpp (brew, winget, or build it), or --quant f16,q8_0")


def file_name(name: str, quant: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{quant}.gguf"


def sizes(source: Source, quants: Sequence[str]) -> dict[str, int]:
    """Bytes of each file by quantisation, for those of llama-quantize at most."""
    planned = {quant: gguf_file.plan(source.merged, quant).bytes for quant in gguf_file.WRITTEN}
    return {quant: planned.get(quant, planned["q8_0"]) for quant in quants}


def to_gguf(source: Source, out: Path, quants: Sequence[str]) -> dict[str, Path]:
    """Write the GGUF files that are not there yet; gives the path of each asked for.

    Raises:
        UserError: the model cannot be exported, or the disk is too small for it.
    """
    written = [quant for quant in gguf_file.WRITTEN if quant in quants or (quant == "f16" and set(quants) & set(LLAMA_CPP))]
    paths = {quant: out / file_name(source.name, quant) for quant in (*written, *(q for q in quants if q in LLAMA_CPP))}
    tokens = tokenizers_io.load(source.merged, source.family)
    digest = f"{weights_digest(source.merged)}-{source.family.name}-{content_id(tokens.template)}-{_VERSION}"
    left = [quant for quant, path in paths.items() if not _done(out, path, digest)]
    for quant in paths:
        if quant not in left:
            say(f"export: {paths[quant]} is there and of these weights, not written again")
    if not left:
        return {quant: paths[quant] for quant in quants}
    if "f16" in left and "f16" not in quants:
        say("export: f16 is written too; llama-quantize starts from it")
    require_disk(out, sum(sizes(source, left).values()))
    plans = {quant: gguf_file.plan(source.merged, quant) for quant in gguf_file.WRITTEN}
    if note := plans["f16"].architecture.note(plans["f16"].config):
        say(f"export: {note}")
    vocabulary = gguf_vocab.read(source.merged, plans["f16"].config["vocab_size"], [*PROBES, *source.texts], source.family.trace_controls)
    _tell_differing(vocabulary)
    out.mkdir(parents=True, exist_ok=True)
    for quant in left:
        if quant in gguf_file.WRITTEN:
            with progress(f"export {quant}", len(plans[quant].tensors)) as bar:
                gguf_file.write(plans[quant], paths[quant], tokens, vocabulary, source.name, tokens.template, bar)
        else:
            _llama_quantize(paths["f16"], paths[quant], quant)
        checked = read_back(plans.get(quant, plans["f16"]), paths[quant], source, tokens, quant)
        _record(out, paths[quant], {"source": digest, "quant": quant, "bytes": paths[quant].stat().st_size, "created": now(), **checked})
        say(_told(paths[quant], quant, checked))
    return {quant: paths[quant] for quant in quants}


def require_disk(out: Path, need: int) -> None:
    """Raises:
    UserError: less than `need` bytes, and some for headers, are free where `out` is.
    """
    need = int(need * 1.01) + 20_000_000
    free = free_disk(out)
    if free < need:
        raise UserError(f"{out} needs about {need / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free", "free some space, fewer --quant, or another --out")


def read_back(planned: gguf_file.Plan, path: Path, source: Source, tokens: Tokens, quant: str) -> dict[str, Any]:
    """Read a file back: its vocabulary, every weight where we wrote it, and the logits where transformers reads
    such a file and memory allows.

    `proved` tells that all that was compared is within the tolerances; null for the types of
    llama-quantize, whose rounding is not ours to judge.
    """
    import gguf

    reader = gguf.GGUFReader(path)
    entries = {name: reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges", "pre")}
    built = gguf_vocab.rebuilt(entries["tokens"], entries["token_type"], entries["merges"], entries["pre"])
    equal = sum(built.encode(text, add_special_tokens=False).ids == tokens.encode([text]) for text in (*PROBES, *source.texts))
    error = _weight_error(planned, reader) if quant in gguf_file.WRITTEN else None
    unread = _not_compared(planned)
    logits = None if unread else _logits_differ(planned, path, source)
    proved = None
    if error is not None:
        allowed = (ROUNDED_LOGIT_TOLERANCE if error else LOGIT_TOLERANCE)[quant]
        proved = error <= WEIGHT_TOLERANCE[quant] and (logits is None or logits["share"] <= allowed)
    return {
        "pre": entries["pre"], "texts": len(PROBES) + len(source.texts), "texts_with_equal_ids": equal, "largest_weight_error": error,
        "max_logit_difference": logits and logits["largest"], "logit_difference_share": logits and logits["share"],
        "same_next_token": logits and logits["same"], "logits_not_compared": unread, "proved": proved,
    }


def _weight_error(planned: gguf_file.Plan, reader: Any) -> float:
    """The largest error of any weight, as a share of the largest weight of its tensor; some rows at a time."""
    import gguf
    import torch

    stored = {tensor.name: tensor for tensor in reader.tensors}
    worst = 0.0
    for tensor, value in gguf_file.values(planned):
        there = stored[tensor.name]
        scale = max(abs(float(value.max())), abs(float(value.min()))) or 1.0
        value, data = value.reshape(-1, value.shape[-1]), there.data.reshape(-1, there.data.shape[-1])
        for start in range(0, len(value), _ROWS):
            rows = torch.tensor(gguf.dequantize(data[start : start + _ROWS], there.tensor_type))
            worst = max(worst, float((rows - value[start : start + _ROWS].float()).abs().max()) / scale)
    return worst


def _not_compared(planned: gguf_file.Plan) -> str | None:
    """Why logits are not compared, if they are not: one model in fp32 and the file's tensors beside it have to fit what is free."""
    import psutil

    if not planned.architecture.reader:
        return f"transformers reads no GGUF files of {planned.architecture.name}"
    return "that needs more memory than is free" if planned.parameters * 10 >= psutil.virtual_memory().available else None


def _logits_differ(planned: gguf_file.Plan, path: Path, source: Source) -> dict[str, float]:
    """Compare logits at every position of the prompts, both in fp32 on the CPU."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    def observed(**where: Any) -> Any:
        model = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **where).eval()
        with torch.inference_mode():
            return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in source.prompts])

    expected = observed(pretrained_model_name_or_path=source.merged)
    read = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    merged = AutoConfig.from_pretrained(source.merged)
    # Not read from a GGUF file by transformers; llama.cpp does.
    for name in ("rope_parameters", "head_dim", "original_max_position_embeddings"):
        if hasattr(merged, name):
            setattr(read, name, getattr(merged, name))
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar of its own that cannot be turned off
        got = observed(pretrained_model_name_or_path=path.parent, gguf_file=path.name, config=read)
    off = expected - got
    return {
        "largest": float(off.abs().max()), "share": float(off.square().mean().sqrt() / expected.std()),
        "same": float((expected.argmax(-1) == got.argmax(-1)).float().mean()),
    }


def _llama_quantize(source: Path, path: Path, quant: str) -> None:
    """Let llama.cpp quantise the f16 file.

    Raises:
        UserError: its program fails; what it said last is shown.
    """
    temporary = path.with_name(f".{path.name}.partial")
    say(f"export: llama-quantize {quant} …")
    try:
        ended = subprocess.run(["llama-quantize", str(source), str(temporary), quant.upper()], capture_output=True, text=True, errors="replace", check=False)
        if ended.returncode or not temporary.is_file():
            last = (ended.stderr or ended.stdout).strip().splitlines()[-1:] or ["no word"]
            raise UserError(f"llama-quantize {quant} failed with status {ended.returncode}: {last[0]}", "a newer llama.cpp, or --quant f16,q8_0")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _tell_differing(vocabulary: gguf_vocab.Vocabulary) -> None:
    if not vocabulary.exact:
        say(f"export: llama.cpp has no pre-tokenizer of this model's own; {vocabulary.pre} is the nearest")
    if vocabulary.differing:
        say(
            f"export: llama.cpp gets other ids for {len(vocabulary.differing)} of the texts compared, such as {vocabulary.differing[0]!r}; "
            "prompts that are sent as ids are not concerned"
        )


def _told(path: Path, quant: str, checked: dict[str, Any]) -> str:
    parts = [f"export: {path}, {path.stat().st_size / 1e6:,.1f} MB, read back: ids of {checked['texts_with_equal_ids']} of {checked['texts']} texts equal"]
    if checked["largest_weight_error"] is not None:
        parts.append(f"weights within {checked['largest_weight_error']:.2g} of their largest")
    if checked["max_logit_difference"] is None:
        parts.append(f"logits NOT compared, since {checked['logits_not_compared']}")
    else:
        parts.append(f"logits within {checked['max_logit_difference']:.2g}, next token the same at {checked['same_next_token']:.1%} of positions")
    return ", ".join(parts) + ("" if checked["proved"] in (True, None) else f" — BEYOND the tolerance of {quant}")


def _done(out: Path, path: Path, digest: str) -> bool:
    entry = read_record(out).get(path.name, {})
    return path.is_file() and entry.get("source") == digest and entry.get("proved") is not False and entry.get("bytes") == path.stat().st_size


def read_record(out: Path) -> dict[str, Any]:
    return read_json(out / RECORD) if (out / RECORD).is_file() else {}


def _record(out: Path, path: Path, entry: dict[str, Any]) -> None:
    write_json(out / RECORD, {**read_record(out), path.name: entry})
