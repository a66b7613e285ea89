"""A small tokenizer with the control tokens of a family, and merged folders of random two-layer models with it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from test_merge import CPU, make_adapter, make_base

from alt_lite.families import FAMILIES, Family
from alt_lite.model.merging import merge
from alt_lite.model.merging.fold import open_merging
from alt_lite.tokens import templates, tokenizer
from alt_lite.tokens.tokenizer import Tokens

VOCABULARY = 331


def lay_tokenizer(folder: Path, family: Family, template: str | None = "own", **settings) -> None:
    """Write a byte-level tokenizer into `folder`; `template` "own" is the family's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # With one merge, since llama.cpp refuses a vocabulary without any.
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate((*alphabet, "in"))}, [("i", "n")]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    names = dict.fromkeys((*family.controls, *family.ends, "<|endoftext|>", "<pad>", "<tool>"))
    made.add_tokens([AddedToken(name, normalized=False, special="think" not in name) for name in names])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": family.end, "pad_token": "<pad>", "clean_up_tokenization_spaces": False, **({"bos_token": family.bos} if family.bos else {}), **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(templates.jinja(family) if template == "own" else template, encoding="utf-8")


def id_of(folder: Path, token: str) -> int:
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return next(one["id"] for one in added if one["content"] == token)


def base(folder: Path, kind: str, family: str, rope: dict | None = None, template: str | None = "own", **settings) -> Path:
    """A random base of `kind` with a tokenizer of `family`; `rope` is written over its config.json (None: taken out)."""
    make_base(folder, kind, vocab_size=VOCABULARY, max_position_embeddings=512)
    lay_tokenizer(folder, FAMILIES[family], template, **settings)
    config = json.loads((folder / "config.json").read_text())
    config = {key: value for key, value in {**config, **(rope or {})}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def merged(folder: Path, family: str, out: Path) -> Tokens:
    """Merge a random adapter into a base; the tokenizer that it was trained with."""
    tokens = tokenizer.load(folder, FAMILIES[family])
    adapter = make_adapter(out.with_name(out.name + "_adapter"), folder)
    merge.write(open_merging(folder, adapter, torch.bfloat16, CPU, False), out, tokens)
    return tokens
