"""Load a tokenizer so that nothing is lost, keep a copy for user text, save it unchanged."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.errors import UserError
from alt_lite.families import ALL_CONTROLS, FAMILIES, Control, Family, Segment
from alt_lite.tokens import files, own_template
from alt_lite.tokens.rendering import conversations

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

# Spaces, scripts, code and emoji that a broken load changes (transformers #45488, #46710, #48206).
PROBES = (
    "Hello world",
    "  two leading and  double spaces ",
    "def f(x):\n\treturn x ** 2  # ok\n\n\n",
    "¿Cómo puedo hacer esto? Ça va, naïve café.",
    "请问 1+1 等于几？ 日本語 한국어 العربية",
    "emoji 🙂🚀 and 12345 3.14",
    "a b c 42 + 17 = 59\n",
)
_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "added_tokens.json", "vocab.json", "merges.txt",
)


@dataclass(frozen=True)
class Tokens:
    """A family's tokenizer: `fast` knows the control tokens, `plain` has none of them.

    `ids` maps the family's control tokens to their ids, found by name; `end_id` ends a text; `pad_id`
    differs from it; generation stops at any of `ends`. `controls` are all texts that stand for a control token, here or in any family.
    `template` is the chat template that writes the family's prompts; `family` is as this template has it, and
    `reason` why it is that family.
    """

    folder: Path
    family: Family
    fast: PreTrainedTokenizerFast
    plain: Tokenizer
    ids: dict[str, int]
    end_id: int
    pad_id: int
    ends: tuple[int, ...]
    controls: frozenset[str]
    template: str
    reason: str

    @property
    def form(self) -> str:
        """A digest of how conversations and responses are written: two models of one family may have other prompts."""
        family = self.family
        written = ["".join(family.prompt(messages)) for messages in conversations(family).values()]
        return hashlib.blake2b("\0".join([*written, family.think, family.think_end, family.after_trace, family.end]).encode(), digest_size=6).hexdigest()

    def encode(self, segments: Iterable[Segment]) -> list[int]:
        """Encode segments; a control token is one id, plain text never becomes a control token."""
        ids: list[int] = []
        for segment in segments:
            if isinstance(segment, Control):
                ids.append(self.ids[segment])
            else:
                ids += self.plain.encode(segment, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Decode with control tokens spelled out; the caller cuts the token that ends it off."""
        return self.fast.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@dataclass(frozen=True)
class Plain:
    """What counting tokens needs of a tokenizer, without transformers and torch."""

    plain: Tokenizer
    controls: frozenset[str]

    def encode(self, segments: Iterable[str]) -> list[int]:
        """Encode plain texts, as `Tokens.encode` does."""
        return [id_ for segment in segments for id_ in self.plain.encode(segment, add_special_tokens=False).ids]


def load_plain(folder: Path) -> Plain:
    """Load the part of a tokenizer folder that encodes a user's text.

    Raises:
        UserError: no tokenizer.json.
    """
    path = _file(folder)
    return Plain(_without_added_tokens(path), _controls(path))


def _file(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{folder} holds no tokenizer.json", "name a folder with a fast tokenizer")
    return path


def _controls(path: Path) -> frozenset[str]:
    from tokenizers import Tokenizer

    return frozenset((*ALL_CONTROLS, *(token.content for token in Tokenizer.from_file(str(path)).get_added_tokens_decoder().values())))


def load(folder: Path, family: Family | None, asked: str | None = None) -> Tokens:
    """Load a tokenizer folder by its `tokenizer.json` and check it on PROBES.

    AutoTokenizer is not used: in transformers 5 it rebuilds some families' tokenizers from their
    class and loses every space.

    Args:
        family: None: it is found out from vocabulary, chat template and configuration.
        asked: the name that the model was asked for by.

    Raises:
        UserError: no tokenizer.json, a control token is missing, the loaded tokenizer differs, or the
            folder's chat template writes other prompts than the family, or than any.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    path = _file(folder)
    try:
        raw = Tokenizer.from_file(str(path))
        fast = PreTrainedTokenizerFast.from_pretrained(folder, clean_up_tokenization_spaces=False)
    except Exception as error:  # the package tokenizers raises nothing more particular
        raise UserError(f"{folder}: its tokenizer's files are cut or damaged ({str(error).splitlines()[0]})", "get the folder's files anew") from error
    fast.padding_side = "left"
    agreed = own_template.agree(fast, folder, family.name if family else None, asked)
    family = agreed.family
    ids = {control: raw.token_to_id(control) for control in family.controls}
    end_id = ids[family.end]
    ends = end_id, *(number for end in family.ends if (number := raw.token_to_id(end)) is not None)
    tokens = Tokens(folder, family, fast, _without_added_tokens(path), ids, end_id, _pad_id(fast, end_id), ends, _controls(path), agreed.template, agreed.reason)
    _require_same_ids(tokens)
    check(tokens, path)
    return tokens


def _require_same_ids(tokens: Tokens) -> None:
    """Hold a prompt's ids, which are made of pieces, against those of its whole text, which servers encode.

    Raises:
        UserError: they differ.
    """
    for name, messages in conversations(tokens.family).items():
        segments = tokens.family.prompt(messages)
        if tokens.encode(segments) != tokens.fast("".join(segments), add_special_tokens=False)["input_ids"]:
            raise UserError(
                f"{tokens.folder}: a prompt of family {tokens.family.name!r} has other ids in pieces than as a whole text (the conversation {name!r})",
                "a model whose tokenizer splits a text at its control tokens",
            )


def check(tokens: Tokens, reference: Path) -> None:
    """Compare with `reference` (a tokenizer.json) on PROBES.

    Raises:
        UserError: an id or the round trip differs.
    """
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(reference))
    for probe in PROBES:
        expected = raw.encode(probe, add_special_tokens=False).ids
        got = tokens.fast(probe, add_special_tokens=False)["input_ids"]
        plain = tokens.plain.encode(probe, add_special_tokens=False).ids
        if not expected == got == plain or tokens.decode(got) != raw.decode(expected, skip_special_tokens=False):
            raise UserError(
                f"the tokenizer loaded from {tokens.folder} differs from its tokenizer.json on {probe!r}",
                "use a transformers version within the range of pyproject.toml",
            )


def save(tokens: Tokens, folder: Path) -> None:
    """Copy the tokenizer's files, `tokenizer.json` byte for byte, so that a plain `AutoTokenizer` of transformers 4 or 5
    gives the same ids, ends a text as it was trained, and writes the prompts that were trained with: the class that
    loads it right, the padding token, the end and the template are named in the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (tokens.folder / name).is_file():
            shutil.copyfile(tokens.folder / name, folder / name)
    named = {"eos_token": str(tokens.family.end), "pad_token": str(tokens.fast.convert_ids_to_tokens(tokens.pad_id))}
    path, special = folder / "tokenizer_config.json", folder / "special_tokens_map.json"
    own = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _write(path, files.tokenizer_settings(own, named, tokens.template))
    if special.is_file():
        _write(special, files.special_tokens(json.loads(special.read_text(encoding="utf-8")), named))
    (folder / "chat_template.jinja").write_text(tokens.template, encoding="utf-8", newline="")
    _write(folder / own_template.REMEMBERED, {"family": tokens.family.name})
    check(load(folder, FAMILIES[tokens.family.name]), tokens.folder / "tokenizer.json")


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _pad_id(fast: PreTrainedTokenizerFast, end_id: int) -> int:
    """Choose a padding id that is not the end of text (else the end would be masked)."""
    if fast.pad_token_id is not None and fast.pad_token_id != end_id:
        return int(fast.pad_token_id)
    for name in ("<｜▁pad▁｜>", "<|vision_pad|>", "<|finetune_right_pad_id|>", "<|fim_pad|>", "<|endoftext|>", "<|end_of_text|>", "<pad>", "<eos>"):
        number = fast.convert_tokens_to_ids(name)
        if number is not None and number != fast.unk_token_id and number != end_id:
            return int(number)
    raise UserError("the tokenizer has no padding token besides its end of text", "add a pad token")


def _without_added_tokens(path: Path) -> Tokenizer:
    """Build the copy for user text: R1 marks `<think>` and its turn tokens as not special, so that
    typed by a user they would become control tokens; `encode_special_tokens` does not help. Tokens of blanks
    alone stay (Gemma's)."""
    from tokenizers import Tokenizer

    spec = json.loads(path.read_text(encoding="utf-8"))
    spec["added_tokens"] = [token for token in spec["added_tokens"] if not token["special"] and not token["content"].strip()]
    spec["post_processor"] = None
    # A padding or truncation left on by an earlier call would change ids without a word.
    spec["padding"] = spec["truncation"] = None
    return Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
