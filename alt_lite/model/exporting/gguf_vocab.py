"""A tokenizer as a GGUF file holds it: tokens, their types, merges, and the pre-tokenizer's name.

llama.cpp splits text by rules of its own that are picked by `tokenizer.ggml.pre`. Its converter finds
the name by a hash of ids, which any change of tokenizer.json breaks; here the splitting pattern
itself, which the hash stands for, is compared, and ids are compared where it is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?{letters}+|\p{{N}}{digits}| ?[^\s{marks}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PLAIN = {"letters": r"\p{L}", "marks": r"\p{L}"}
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # what ByteLevel splits by unless told not to
_DIGIT = r"\p{N}"
_CASED = (
    r"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Names llama.cpp knows → the patterns it splits by, one after the other, as the published tokenizer.json has them.
# It takes `deepseek-r1-qwen` for another name of `qwen2`; `llama-bpe` also takes a word that is a token whole.
PATTERNS: dict[str, tuple[str, ...]] = {
    "qwen2": (_SPLIT.format(**_PLAIN, digits=""),),
    "llama-bpe": (_SPLIT.format(**_PLAIN, digits="{1,3}"),),  # SmolLM3 too
    "smollm": (_DIGIT, _GPT2),
    "gpt-4o": (_CASED.format(upper=r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", lower=r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"),),  # Phi-4-mini, gpt-oss
    "qwen35": (_SPLIT.format(letters=r"[\p{L}\p{M}]", marks=r"\p{L}\p{M}", digits=""),),
}
# Where llama.cpp itself splits otherwise: it tells upper from lower case in ASCII only, and takes no marks for letters.
_OF_LLAMA_CPP = {**PATTERNS, "gpt-4o": (_CASED.format(upper="[\\p{L}&&[^a-z]]", lower="[\\p{L}&&[^A-Z]]"),)}
# Gemma 4: no words, spaces are "▁", characters without a token become tokens of bytes.
GEMMA4, _SPACE, _LINES = "gemma4", "▁", r"[^\n]+|\n+"
_DEEPSEEK_BOS = "<｜begin▁of▁sentence｜>"


@dataclass(frozen=True)
class Vocabulary:
    """`tokens`, `types`, `merges` by the GGUF conventions; `pre` names the pre-tokenizer, `exact` tells that
    its pattern is the tokenizer's own; `differing` are texts whose ids llama.cpp gets otherwise."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    exact: bool
    differing: tuple[str, ...]

    @property
    def model(self) -> str:
        """What kind of tokenizer it is to llama.cpp."""
        return GEMMA4 if self.pre == GEMMA4 else "gpt2"


def read(folder: Path, size: int, texts: Sequence[str], shown: Sequence[str] = ()) -> Vocabulary:
    """Read a tokenizer.json for a model with `size` rows of embeddings; `texts` are compared. `shown` are
    tokens that llama.cpp shall show in what is generated, even where tokenizer.json calls them special.

    Raises:
        UserError: the tokenizer is no byte-level BPE and not Gemma's, or has more tokens than the model.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    gemma4 = _is_gemma4(spec)
    if spec["model"]["type"] != "BPE" or not (gemma4 or "ByteLevel" in json.dumps(spec["pre_tokenizer"])):
        raise UserError(f"{path} is no byte-level BPE, which with Gemma 4's is all that is exported here", "convert it with llama.cpp's convert_hf_to_gguf.py")
    if not spec["model"]["merges"]:
        raise UserError(f"{path} has no merges, without which llama.cpp loads no vocabulary", "a tokenizer that was trained; or export it to vllm or hub")
    tokens, types = _tokens(spec, size, path, shown)
    merges = [" ".join(_glued(part) for part in (pair.split(" ") if isinstance(pair, str) else pair)) for pair in spec["model"]["merges"]]
    raw = Tokenizer.from_file(str(path))
    patterns = None if gemma4 else _patterns(spec)
    known = [GEMMA4] if gemma4 else [name for name, there in PATTERNS.items() if there == patterns]
    # A pattern of the model's own: the known one that splits these texts most like it.
    different = {name: _differing(raw, rebuilt(tokens, types, merges, name), texts) for name in known or PATTERNS}
    pre = min(different, key=lambda name: len(different[name]))
    name = "deepseek-r1-qwen" if known and pre == "qwen2" and _DEEPSEEK_BOS in tokens else pre
    return Vocabulary(tokens, types, merges, name, bool(known), different[pre])


def rebuilt(tokens: Sequence[str], types: Sequence[int], merges: Sequence[str], pre: str) -> Tokenizer:
    """Build the tokenizer for plain text that llama.cpp builds of a GGUF file's entries; it knows no
    normalisation, so that text which is not composed (NFC) gives other ids than Qwen's tokenizers."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    name = "qwen2" if pre == "deepseek-r1-qwen" else pre
    vocabulary = {token: number for number, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind in (NORMAL, BYTE)}
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    if name == GEMMA4:
        built = Tokenizer(models.BPE(vocabulary, pairs, byte_fallback=True))
        built.normalizer, built.pre_tokenizer = normalizers.Replace(" ", _SPACE), pre_tokenizers.Split(Regex(_LINES), "isolated")
        return built
    built = Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=name == "llama-bpe"))
    built.pre_tokenizer = pre_tokenizers.Sequence([
        *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _OF_LLAMA_CPP[name]), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    built.decoder = decoders.ByteLevel()
    return built


def _is_gemma4(spec: dict[str, Any]) -> bool:
    normalizer = spec.get("normalizer") or {}
    spaced = normalizer.get("type") == "Replace" and (normalizer["pattern"], normalizer["content"]) == ({"String": " "}, _SPACE)
    # Split at spaces, of which none are left, or not at all.
    return bool(spaced and spec["model"].get("byte_fallback") and (spec["pre_tokenizer"] or {"pattern": {"String": " "}}).get("pattern") == {"String": " "})


def _tokens(spec: dict[str, Any], size: int, path: Path, shown: Sequence[str]) -> tuple[list[str], list[int]]:
    """Tokens by id with their types; ids without a token are named and marked as llama.cpp's converter does."""
    bytes_ = {f"<0x{byte:02X}>" for byte in range(256)} if spec["model"].get("byte_fallback") else ()
    by_id = {number: (token, BYTE if token in bytes_ else NORMAL) for token, number in spec["model"]["vocab"].items()}
    for added in spec["added_tokens"]:
        control = (added["special"] or _looks_special(added["content"])) and added["content"] not in shown
        by_id[added["id"]] = (added["content"], CONTROL if control else USER_DEFINED)
    if max(by_id) >= size:
        raise UserError(f"{path} has token {max(by_id)}, the model only {size}", "merge the run again: python -m alt_lite merge RUN")
    pairs = [by_id.get(number, (f"[PAD{number}]", UNUSED)) for number in range(size)]
    return [token for token, _ in pairs], [kind for _, kind in pairs]


def _looks_special(token: str) -> bool:
    """Tokens that turn a conversation are control tokens to llama.cpp even where tokenizer.json says
    otherwise (R1). `<think>` is not: as a control token it would be missing from what is generated."""
    return token == "<pad>" or (token[:2] in ("<|", "<｜") and token[-2:] in ("|>", "｜>"))


def _glued(part: str) -> str:
    """Spell a space inside a merge as byte-level BPE does, since merges are written with a space between."""
    return part.replace(" ", "Ġ")


def _patterns(spec: dict[str, Any]) -> tuple[str | None, ...]:
    """The patterns that a tokenizer splits by, one after the other; None for a step of another kind."""
    found: list[str | None] = []
    for step in spec["pre_tokenizer"].get("pretokenizers", [spec["pre_tokenizer"]]):
        if step["type"] == "Split":
            found.append(step["pattern"].get("Regex"))
        elif step["type"] == "ByteLevel":
            found += [_GPT2] if step.get("use_regex", True) else []
        else:
            found.append(_DIGIT if step["type"] == "Digits" and step.get("individual_digits") else None)
    return tuple(found)


def _differing(raw: Tokenizer, built: Tokenizer, texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        text for text in texts
        if raw.encode(text, add_special_tokens=False).ids != built.encode(text, add_special_tokens=False).ids
    )
