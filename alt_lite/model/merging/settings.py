"""What stands in a merged folder's JSON files, so that older and newer programs read the same from them: rotary
embedding, precision, ends. Pure functions of parsed files; transformers 4 and 5 name the same things otherwise."""

from __future__ import annotations

import math
from typing import Any

# What transformers 5 keeps in `rope_parameters` and transformers 4 at the top of config.json.
_TOP = ("rope_theta", "partial_rotary_factor")


def nested(rope: dict[str, Any]) -> bool:
    """Whether the rotary embedding differs by kind of layer, which transformers 4 has no common form for."""
    return any(isinstance(value, dict) for value in rope.values())


def only_new(rope: dict[str, Any]) -> bool:
    """Whether transformers 4 knows no such rotary embedding: one that differs by kind of layer, or turns by places in
    pictures (`mrope_section`, of architectures that came with transformers 5)."""
    return nested(rope) or "mrope_section" in rope


def with_text(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Give config.json with some values, in the part of its text model too where it has one."""
    inner = {"text_config": {**config["text_config"], **values}} if isinstance(config.get("text_config"), dict) else {}
    return {**config, **inner, **values}


def attention_factor(rope: dict[str, Any]) -> float:
    """What a rotary embedding multiplies queries and keys by, YaRN's `attn_factor` heeded (transformers'
    modeling_rope_utils, and model/load.heed_attn_factor)."""
    if kind(rope) != "yarn":
        return 1.0
    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])

    def scale(mscale: float) -> float:
        return 0.1 * mscale * math.log(rope["factor"]) + 1 if rope["factor"] > 1 else 1.0

    m, every = rope.get("mscale"), rope.get("mscale_all_dim")
    return (scale(m) / scale(every) if m and every else scale(1)) * (rope.get("attn_factor") or 1.0)


def kind(rope: dict[str, Any]) -> str:
    """The type, by its new or its old name."""
    return str(rope.get("rope_type") or rope.get("type") or "default")


def in_both_forms(config: dict[str, Any], rope: dict[str, Any]) -> dict[str, Any]:
    """Give config.json with the rotary embedding in both forms.

    Args:
        config: the base's, in either form.
        rope: `rope_parameters` as transformers 5 understood the base, which was trained with. Empty, or
            of a kind that transformers 4 does not know, it leaves the configuration as it is.
    """
    if not rope or only_new(rope):
        return config
    rope = {key: value for key, value in rope.items() if key != "type"} | {"rope_type": kind(rope)}
    if rope["rope_type"] == "yarn":
        if rope.get("factor") is None:
            rope["factor"] = config["max_position_embeddings"] / rope["original_max_position_embeddings"]
        if rope.get("attn_factor") and rope.get("attention_factor") is None:  # the same, by the name that transformers reads
            rope["attention_factor"] = attention_factor(rope)
    if rope["rope_type"] == "longrope" and config.get("model_type") == "phi3":
        # transformers 4 takes these three and no other (configuration_phi3.py of 4.57); the original length stands at the top.
        scaling = {"type": "longrope", "short_factor": rope["short_factor"], "long_factor": rope["long_factor"]}
        top = {key: rope[key] for key in (*_TOP, "original_max_position_embeddings") if key in rope}
        return {**config, **top, "rope_parameters": rope, "rope_scaling": scaling}
    scaling = {**(config.get("rope_scaling") or {}), **{key: value for key, value in rope.items() if key not in _TOP}}
    if rope["rope_type"] in ("linear", "dynamic"):  # transformers before 4.43 knows these, by this name alone
        scaling["type"] = rope["rope_type"]
    result = {**config, **{key: rope[key] for key in _TOP if key in rope}, "rope_parameters": rope}
    if scaling != {"rope_type": "default"}:
        result["rope_scaling"] = scaling
    return result


def in_precision(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Give config.json with its precision by both names, without a quantisation."""
    return with_text({key: value for key, value in config.items() if key != "quantization_config"}, {"dtype": dtype, "torch_dtype": dtype})


def with_ends(settings: dict[str, Any], ends: tuple[int, ...], bos: int | None, pad: int, several: bool) -> dict[str, Any]:
    """Give config.json or generation_config.json with the tokens that were trained with; the rest stays.

    Args:
        ends: what ends a text, the token trained to end it first.
        bos: None leaves the base's own: the family's prompts have none.
        several: write all ends (generation_config.json), else the first.
    """
    # `_from_model_config` lets transformers take the ends from config.json instead, which has room for one.
    kept = {key: value for key, value in settings.items() if key != "_from_model_config"}
    eos = list(ends) if several and len(ends) > 1 else ends[0]
    return with_text(kept, {"eos_token_id": eos, "pad_token_id": pad, **({} if bos is None else {"bos_token_id": bos})})
