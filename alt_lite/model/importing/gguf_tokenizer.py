"""A tokenizer.json made of a GGUF file's entries: byte-level BPE that splits by a pattern which is known."""

from __future__ import annotations

from typing import Any

from alt_lite.errors import UserError
from alt_lite.model.exporting.gguf_vocab import CONTROL, PATTERNS, UNUSED, USER_DEFINED
from alt_lite.model.importing.gguf_config import Header

# Other names of llama.cpp (src/llama-vocab.cpp) for the same pattern.
_SAME = {"deepseek-r1-qwen": "qwen2", "llama3": "llama-bpe", "llama-v3": "llama-bpe"}
_WHOLE_WORDS = ("llama-bpe",)  # a word that is a token is taken whole, whatever its merges
_COMPOSED = ("qwen2", "qwen35")  # their tokenizer.json composes characters (NFC), of which a GGUF file says nothing
_FIX = "the folder of the model that it was made from, with its tokenizer.json"
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def specification(header: Header, rows: int) -> dict[str, Any]:
    """Give the content of tokenizer.json for a model with `rows` embeddings.

    Raises:
        UserError: the tokenizer is of another kind, or not whole.
    """
    model, pre = header.get("tokenizer.ggml.model"), header.get("tokenizer.ggml.pre")
    if model is None:
        raise header.refuse("holds no tokenizer", _FIX)
    if model != "gpt2":
        raise header.refuse(f"holds a tokenizer of kind {model!r}; only byte-level BPE ('gpt2') is read", _FIX)
    name = _SAME.get(pre, pre)
    if name not in PATTERNS:
        raise header.refuse(f"names a pre-tokenizer {pre!r} that is not known here; known are {', '.join((*PATTERNS, *_SAME))}", _FIX)
    tokens, merges = header.get("tokenizer.ggml.tokens") or [], header.get("tokenizer.ggml.merges") or []
    types = header.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    if not (tokens and merges) or len(types) != len(tokens) or len(tokens) > rows:
        raise header.refuse(f"has {len(tokens)} tokens, {len(types)} types of tokens, {len(merges)} merges and {rows} embeddings", "get the file anew")
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": kind == CONTROL}
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind in (CONTROL, USER_DEFINED)
    ]
    own = {token: number for number, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind not in (CONTROL, USER_DEFINED, UNUSED)}
    beginning = _beginning(header, tokens, types, name)
    spec: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"} if name in _COMPOSED else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            *({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False} for pattern in PATTERNS[name]), _BYTES,
        ]},
        "post_processor": _beginning_first(*beginning) if beginning else _BYTES,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": name in _WHOLE_WORDS, "vocab": own, "merges": merges,
        },
    }
    last = max(own.values())
    # Added tokens are numbered on from the vocabulary; those that lie between its ids, or beyond a gap, have to stand in it.
    for inside in ([token for token in added if token["id"] <= last], added):
        spec["model"]["vocab"] = {**own, **{token["content"]: token["id"] for token in inside}}
        if _numbered(spec, header):
            return spec
    raise header.refuse("has a token twice, so that its ids cannot be kept", _FIX)


def _numbered(spec: dict[str, Any], header: Header) -> bool:
    """Whether every token has its id."""
    import json

    from tokenizers import Tokenizer

    try:
        built = Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    except Exception as error:  # the package tokenizers raises nothing more particular
        raise UserError(f"{header.path} has a tokenizer that is damaged ({str(error).splitlines()[0]})", "get the file anew") from error
    wanted = {**spec["model"]["vocab"], **{token["content"]: token["id"] for token in spec["added_tokens"]}}
    return all(built.token_to_id(token) == number for token, number in wanted.items())


def _beginning(header: Header, tokens: list[str], types: list[int], name: str) -> tuple[str, int] | None:
    """The token that is put before every text, where the file says so; llama.cpp does it for Llama 3 unless it is told not to."""
    number = header.get("tokenizer.ggml.bos_token_id")
    asked = header.get("tokenizer.ggml.add_bos_token", name == "llama-bpe")
    if not asked or number is None or not 0 <= number < len(tokens) or types[number] != CONTROL:
        return None
    return tokens[number], int(number)


def _beginning_first(token: str, number: int) -> dict[str, Any]:
    special, text, second = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing", "single": [special, text], "pair": [special, text, {"SpecialToken": {"id": token, "type_id": 1}}, second],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
