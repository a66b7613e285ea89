"""Read a merged folder as others do (transformers 4 and 5, vLLM, llama.cpp's converter) from its JSON files alone, by
the rules of their published code, and hold what each finds against what was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.model.merging import settings
from alt_lite.rundir import read_json
from alt_lite.tokens.files import text_of
from alt_lite.tokens.tokenizer import Tokens

_THETA = 10_000.0  # of qwen2, qwen3 and llama, where a configuration has none
_KEYS = {"linear": ("factor",), "dynamic": ("factor",), "yarn": ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow")}
_KEYS["llama3"] = ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor")


@dataclass(frozen=True)
class Files:
    """A folder's settings, parsed; what is not there is empty."""

    config: dict[str, Any]
    generation: dict[str, Any]
    tokenizer: dict[str, Any]
    named: dict[str, Any]
    jinja: str | None
    ids: dict[str, int]


@dataclass(frozen=True)
class Reading:
    """What a program understands: `rope` as (type, theta, attention factor, the type's numbers), where generation
    stops, the token that ends a text, the chat template."""

    rope: tuple[Any, ...]
    ends: frozenset[int]
    end: str | None
    template: str | None


def files(folder: Path) -> Files:
    """Parse a folder's settings."""

    def parsed(name: str) -> dict[str, Any]:
        return read_json(folder / name) if (folder / name).is_file() else {}

    jinja = folder / "chat_template.jinja"
    added = parsed("tokenizer.json").get("added_tokens", [])
    return Files(
        parsed("config.json"), parsed("generation_config.json"), parsed("tokenizer_config.json"), parsed("special_tokens_map.json"),
        jinja.read_text(encoding="utf-8") if jinja.is_file() else None, {token["content"]: token["id"] for token in added},
    )


def rope_facts(rope: dict[str, Any], theta: float, longest: int) -> tuple[Any, ...]:
    """Put what a rotary embedding computes with into one form."""
    kind = settings.kind(rope)
    numbers = {**{"original_max_position_embeddings": longest, "beta_fast": 32, "beta_slow": 1}, **{k: v for k, v in rope.items() if v is not None}}
    return kind, float(theta), round(settings.attention_factor(rope), 6), tuple((key, numbers.get(key)) for key in _KEYS.get(kind, ()))


def transformers_4(found: Files) -> Reading:
    """configuration_*.py and modeling_rope_utils.py of 4.57: `rope_theta` and `rope_scaling`, whose `type` goes before `rope_type`.

    Raises:
        ValueError: it would raise on a file.
    """
    scaling = dict(found.config.get("rope_scaling") or {})
    if "type" in scaling:
        scaling["rope_type"] = scaling["type"]
    scaling.pop("attn_factor", None)  # not read
    for where in (found.tokenizer, found.named):
        if isinstance(where.get("extra_special_tokens"), list):
            raise ValueError("extra_special_tokens is a list")
    if found.tokenizer.get("tokenizer_class") == "TokenizersBackend":
        raise ValueError("tokenizer_class TokenizersBackend")
    rope = rope_facts(scaling, found.config.get("rope_theta") or _THETA, found.config.get("max_position_embeddings", 0))
    return Reading(rope, _stops(found), _eos(found), _template(found, found.jinja or found.tokenizer.get("chat_template")))


def transformers_5(found: Files) -> Reading:
    """RotaryEmbeddingConfigMixin of 5.17: `rope_scaling` goes before `rope_parameters`, and `rope_theta` inside before that outside."""
    rope = dict(found.config.get("rope_scaling") or found.config.get("rope_parameters") or {})
    rope.pop("attn_factor", None)  # not read
    theta = rope.get("rope_theta") or found.config.get("rope_theta") or _THETA
    facts = rope_facts(rope, theta, found.config.get("max_position_embeddings", 0))
    return Reading(facts, _stops(found), _eos(found), _template(found, found.jinja or found.tokenizer.get("chat_template")))


def vllm(found: Files) -> Reading:
    """transformers_utils/config.py of 0.33, which is on transformers 5: it stops at the tokenizer's end and at
    all of generation_config.json's.

    Raises:
        ValueError: it would raise on config.json.
    """
    for rope in (found.config.get("rope_scaling") or {}, found.config.get("rope_parameters") or {}):
        if {"type", "rope_type"} <= set(rope) and (rope["type"], rope["rope_type"]) not in (("su", "longrope"), ("mrope", "default")) and rope["type"] != rope["rope_type"]:
            raise ValueError(f"rope_type={rope['rope_type']} beside type={rope['type']}")
    read = transformers_5(found)
    end = found.ids.get(read.end or "")
    return Reading(read.rope, frozenset(_listed(found.generation.get("eos_token_id"))) | ({end} if end is not None else set()), read.end, read.template)


def llama_cpp(found: Files) -> Reading:
    """conversion/base.py and gguf-py's SpecialVocab: `rope_parameters` where the key is there, else `rope_scaling`; the
    template of tokenizer_config.json before the file; one end. Ollama reads what it writes.

    What it takes for YaRN's attention factor is told by `llama_cpp_scales_otherwise`.
    """
    rope = dict(found.config.get("rope_parameters", found.config.get("rope_scaling")) or {})
    facts = rope_facts(rope, rope.get("rope_theta") or found.config.get("rope_theta") or _THETA, found.config.get("max_position_embeddings", 0))
    end = text_of(found.tokenizer.get("eos_token"))
    id_ = found.ids.get(end or "", found.config.get("eos_token_id"))
    return Reading(facts, frozenset(_listed(id_)), end, _template(found, found.tokenizer.get("chat_template") or found.jinja))


READERS: dict[str, Callable[[Files], Reading]] = {
    "transformers 4": transformers_4, "transformers 5": transformers_5, "vLLM": vllm, "llama.cpp's converter": llama_cpp,
}


def differences(found: Files, tokens: Tokens, rope: dict[str, Any]) -> list[str]:
    """Tell for each program what it would read otherwise than it was trained; none where all agree.

    Args:
        found: the merged folder's files.
        tokens: the tokenizer trained with.
        rope: `rope_parameters` trained with; empty or nested, it is not compared.
    """
    wanted = None if not rope or settings.only_new(rope) else rope_facts(rope, rope["rope_theta"], found.config.get("max_position_embeddings", 0))
    told: list[str] = []
    for name, read in READERS.items():
        try:
            got = read(found)
        except ValueError as error:
            told.append(f"{name} fails on it: {error}")
            continue
        ends = frozenset(tokens.ends[:1] if read is llama_cpp else tokens.ends)
        if wanted is not None and got.rope != wanted:
            told.append(f"{name} reads the rotary embedding {got.rope}, trained was {wanted}")
        if got.ends != ends:
            told.append(f"{name} stops at {sorted(got.ends)}, trained was {sorted(ends)}")
        if got.end != tokens.family.end:
            told.append(f"{name} ends a text with {got.end!r}, trained was {tokens.family.end!r}")
        if got.template != tokens.template:
            told.append(f"{name} reads another chat template than was trained with")
    if found.config.get("eos_token_id") != tokens.end_id:
        told.append(f"config.json's eos_token_id is {found.config.get('eos_token_id')}, trained was {tokens.end_id}")
    return told


def require_same(folder: Path, tokens: Tokens, rope: dict[str, Any]) -> None:
    """Refuse a merged folder that some program would read otherwise than it was trained.

    Raises:
        UserError: one would; the message says which, and what.
    """
    found = files(folder)
    if rope and settings.only_new(rope):
        say("merge: the rotary embedding is of a kind that transformers 4 does not know; its configuration is the base's, as transformers 5 reads it")
    elif llama_cpp_scales_otherwise(found.config):
        say("merge: llama.cpp's own converter loses YaRN's attention factor, which is not the usual one here; export --to gguf writes what was trained with")
    if told := differences(found, tokens, rope):
        raise UserError(f"the merged folder is not what was trained to every program: {'; '.join(told)}", "report this with the base's config.json and tokenizer_config.json; the adapter is kept")


def llama_cpp_scales_otherwise(config: dict[str, Any]) -> bool:
    """Whether llama.cpp multiplies attention by another factor than was trained with. Its converter writes YaRN's under
    `rope.scaling.yarn_attn_factor`; what runs reads `rope.scaling.attn_factor`, and computes 1 + 0.1 ln(factor)
    without it (src/llama-context.cpp, after llama.cpp #17945)."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if settings.nested(rope) or settings.kind(rope) != "yarn":
        return False
    return abs(settings.attention_factor({"rope_type": "yarn", "factor": rope["factor"]}) - settings.attention_factor(rope)) > 1e-6


def _stops(found: Files) -> frozenset[int]:
    """generate() stops at generation_config.json's ends, or config.json's where it has none."""
    if found.generation.get("_from_model_config") or "eos_token_id" not in found.generation:
        return frozenset(_listed(found.config.get("eos_token_id")))
    return frozenset(_listed(found.generation["eos_token_id"]))


def _eos(found: Files) -> str | None:
    """tokenizer_config.json's; special_tokens_map.json goes before it where the former lists no added tokens."""
    first = {} if "added_tokens_decoder" in found.tokenizer else found.named
    return text_of(first.get("eos_token", found.tokenizer.get("eos_token")))


def _template(found: Files, value: Any) -> str | None:
    if isinstance(value, list):
        value = {one["name"]: one["template"] for one in value}.get("default")
    return value


def _listed(value: Any) -> list[int]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]
