"""What an architecture asks for: which layers LoRA adapts, whether 4 bit suits it, whether rows may lie end to end.

The latter two are read from a config.json, as a dict or as transformers' object; the layers from the model itself, without its weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alt_lite.rundir import read_json

# The order in which layers are named: as they work in a block.
_ORDER = (
    "q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj", "gate_proj", "up_proj", "gate_up_proj",
    "down_proj",
)
# Modules that choose experts: adapted, they would send tokens elsewhere than the frozen experts learnt to expect.
_ROUTERS = re.compile(r"(^|\.)(router|gate|shared_expert_gate|mlp_router)(\.|$)")
# Layers through which a token sees others of its row by their positions alone, so that rows end to end can be told apart.
_ATTENTION = {"full_attention", "sliding_attention", "attention", "global", "local"}
# Layers that change nothing between tokens.
_WITHIN_TOKENS = {"moe", "mlp", "dense", "sparse"}
_RECURRENT_TYPES = re.compile(r"mamba|rwkv|xlstm|jamba|zamba|bamba|hyena|recurrent|falcon_h1|nemotron_h|lfm2|qwen3_next|qwen3_5|kimi_linear|granitemoehybrid|minimax(?!_m[23])|plamo2")
_RECURRENT_KEYS = re.compile(r"^(mamba_|ssm_|linear_(conv|key|value|num)|lru_width|conv_L_cache|state_size$|hybrid_override_pattern)")
# Their masks are made without positions in transformers 5.17 (modeling_gpt_oss.py): rows end to end attend to all before them.
_BLIND_MASKS = ("gpt_oss",)
# Of Qwen3.5 and its kin; by Unsloth's documentation, not measured here.
_SIXTEEN_BIT = re.compile(r"^qwen3_(5|next)")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


def experts_of(config: Mapping[str, Any] | Any) -> tuple[int, int]:
    """How many experts a token passes, and of how many; (1, 1) where there are none."""
    facts = text_facts(config)
    of = next((facts[key] for key in _EXPERTS if facts.get(key)), 1)
    return next((facts[key] for key in ("num_experts_per_tok", "top_k_experts", "moe_topk") if facts.get(key) and of > 1), 1), of


def text_facts(config: Mapping[str, Any] | Any) -> dict[str, Any]:
    """Give what a configuration says of its text model; models that also see or hear keep it apart."""
    facts = dict(config) if isinstance(config, Mapping) else config.to_dict()
    inner = facts.get("text_config") or {}
    return {**facts, **(dict(inner) if isinstance(inner, Mapping) else inner.to_dict())}


def four_bit(config: Mapping[str, Any] | Any) -> tuple[bool, str]:
    """Decide whether a base is trained in 4 bit, with the reason."""
    facts = text_facts(config)
    kind = str(facts.get("model_type"))
    if _SIXTEEN_BIT.match(kind):
        return False, f"Unsloth's documentation advises LoRA in 16 bit for {kind}, not in 4"
    if experts := next((facts[key] for key in _EXPERTS if facts.get(key)), 0):
        return False, f"bitsandbytes leaves the {experts} experts of each layer, nearly all of {kind}'s weights, in 16 bit: they are no linear layers"
    return True, "the base is frozen: 4 bit takes a quarter of the memory"


def leaks(config: Mapping[str, Any] | Any) -> str | None:
    """Say why rows laid end to end would see one another, as through a state that runs on from token to token; None where
    attention alone connects tokens. What is not known counts as such: rows that are padded are right in any case."""
    facts = text_facts(config)
    kind = str(facts.get("model_type"))
    if kind in _BLIND_MASKS:
        return f"transformers makes {kind}'s masks without positions, so that rows would attend to those before them"
    layers = facts.get("layer_types") or facts.get("layers_block_type") or facts.get("block_types")
    if layers:
        other = sorted(set(map(str, layers)) - _ATTENTION - _WITHIN_TOKENS)
        if not other:
            return None
        return f"{kind} has layers of {' and '.join(other)}, whose state would run on from one row into the next"
    if _RECURRENT_TYPES.search(kind) or any(_RECURRENT_KEYS.match(key) and value for key, value in facts.items()):
        return f"{kind} has recurrent layers, whose state would run on from one row into the next"
    return None


def targets_of(folder: Path) -> tuple[tuple[str, ...], str]:
    """Name the layers that LoRA adapts by default in the model of `folder`, of which config.json is read; with the reason.

    Raises:
        UserError: transformers makes no model of its config.json.
    """
    from alt_lite.model.merging.fold import skeleton

    return targets(skeleton(folder))


def four_bit_of(folder: Path) -> tuple[bool, str]:
    """`four_bit` of a folder's config.json."""
    return four_bit(read_json(folder / "config.json"))


def targets(model: Any) -> tuple[tuple[str, ...], str]:
    """Name all linear layers within the decoder's blocks, with what LoRA does not reach."""
    inside = {name.rpartition(".")[2] for name in linear_in_blocks(model)}
    names = tuple(sorted(inside, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)))
    told = "all linear layers of the decoder's blocks"
    if experts := sorted({name.rpartition(".")[2] for name in _experts(model)}):
        told += f"; not its experts ({', '.join(experts)}), which are no linear layers, nor what chooses among them"
    return names, told


def unreached(model: Any, names: list[str]) -> str | None:
    """Give a pattern (PEFT's `exclude_modules`) of the modules that bear one of `names` and are not adapted all the same: those of
    a tower that sees or hears, and of routers; None where there are none, as in models of text alone."""
    inside, head = decoder(model)[0], model.get_output_embeddings()
    same = [name for name, module in model.named_modules() if module is not head and any(name == target or name.endswith(f".{target}") for target in names)]
    towers = sorted({_top(name, inside) for name in same if not name.startswith(inside)})
    routers = [name for name in same if name.startswith(inside) and _ROUTERS.search(name)]
    return "|".join([rf"{re.escape(top)}\..*" for top in towers] + list(map(re.escape, routers))) or None


def _top(name: str, inside: str) -> str:
    """The first part of a module's name in which it differs from the decoder's."""
    parts, own = name.split("."), inside.split(".")
    same = next((n for n, (a, b) in enumerate(zip(parts, own, strict=False)) if a != b), len(own))
    return ".".join(parts[: same + 1])


def decoder(model: Any) -> tuple[str, Any]:
    """Give the text model within a model, and its name with a dot."""
    found = model.get_decoder()
    name = next((name for name, module in model.named_modules() if module is found), "")
    return (f"{name}." if name else ""), found


def blocks(model: Any) -> list[str]:
    """Name the decoder's lists of blocks (`model.layers.`)."""
    import torch

    prefix, inner = decoder(model)
    return [f"{prefix}{name}." for name, child in inner.named_children() if isinstance(child, torch.nn.ModuleList)]


def linear_of_text(model: Any) -> list[str]:
    """Name the linear layers of the text model, without the output head."""
    import torch

    prefix, inner = decoder(model)
    return [f"{prefix}{name}" for name, module in inner.named_modules() if type(module) is torch.nn.Linear and module is not model.get_output_embeddings()]


def linear_in_blocks(model: Any) -> list[str]:
    """Name the layers that LoRA adapts by default."""
    lists = tuple(blocks(model))
    return [name for name in linear_of_text(model) if name.startswith(lists) and not _ROUTERS.search(name)]


def _experts(model: Any) -> list[str]:
    """Name the matrices of experts, which are held in one tensor of three dimensions."""
    lists = tuple(blocks(model))
    return [name for name, value in model.named_parameters() if value.dim() == 3 and name.startswith(lists) and "expert" in name]
