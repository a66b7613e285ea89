"""The architectures that are exported to GGUF: what a file of each holds beside what all of them hold.

What is written follows what llama.cpp computes (src/models/*.cpp of llama.cpp). What it would compute
otherwise than the model that was evaluated is refused, not approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alt_lite.model.exporting import gguf_rotary

Config = dict[str, Any]
# What is done with a tensor on its way into the file; None: nothing. It works without values too (device "meta").
Change = Callable[[Any], Any] | None


def _none(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Architecture:
    """One architecture of GGUF.

    `rope` are the rotary scalings that llama.cpp computes for it; `share` gives the share of a head that is
    turned. `refused` says what llama.cpp does not compute, `note` what it computes a little otherwise, or
    nothing. `parts` gives the tensors that one of the model's becomes: names as the package gguf maps
    them, or GGUF's own ("blk."), and the change; `computed` gives further ones. `common` gives the settings
    that the keys of every architecture are written from, `describe` adds keys. `reader` tells that
    transformers reads such a file, so that logits are compared.
    """

    name: str
    rope: tuple[str, ...] = ("default", "linear", "yarn")
    share: Callable[[Config], float] = lambda config: 1.0
    refused: Callable[[Config], str | None] = _none
    note: Callable[[Config], str | None] = _none
    parts: Callable[[str, Config], Sequence[tuple[str, Change]]] = lambda key, config: [(key, None)]
    computed: Callable[[Config], dict[str, np.ndarray]] = lambda config: {}
    common: Callable[[Config], Config] = lambda config: config
    describe: Callable[[Any, Config], None] = _none
    reader: bool = True


# Llama and SmolLM3: llama.cpp turns neighbouring pairs where transformers turns halves.


def _llama_parts(key: str, config: Config) -> list[tuple[str, Change]]:
    heads = "num_attention_heads" if ".q_proj." in key else "num_key_value_heads" if ".k_proj." in key else None
    return [(key, None if heads is None else lambda value: _interleaved(value, config[heads]))]


def _interleaved(value: Any, heads: int) -> Any:
    half = value.shape[0] // heads // 2
    return value.reshape(heads, 2, half, *value.shape[1:]).transpose(1, 2).reshape(value.shape).contiguous()


def _llama_computed(config: Config) -> dict[str, np.ndarray]:
    return {"rope_freqs.weight": gguf_rotary.llama3_factors(config)} if gguf_rotary.settings(config)["rope_type"] == "llama3" else {}


def _smollm3_refused(config: Config) -> str | None:
    layers = config["num_hidden_layers"]
    turned = config.get("no_rope_layers") or [int((layer + 1) % (config.get("no_rope_layer_interval") or 4) != 0) for layer in range(layers)]
    if [bool(layer) for layer in turned[:layers]] != [(layer + 1) % 4 != 0 for layer in range(layers)]:
        return "leaves positions out of other layers than every fourth"
    return _biased(config)


def _biased(config: Config) -> str | None:
    return "has biases" if config.get("attention_bias") or config.get("mlp_bias") else None


# Phi-3 and Phi-4-mini


def _phi3_share(config: Config) -> float:
    return float(gguf_rotary.settings(config).get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0)


def _phi3_refused(config: Config) -> str | None:
    if (config.get("sliding_window") or config["max_position_embeddings"]) < config["max_position_embeddings"]:
        return f"attends in a sliding window of {config['sliding_window']} tokens"
    if gguf_rotary.head_size(config) * config["num_attention_heads"] != config["hidden_size"]:
        return "has heads of another size"
    return None


def _phi3_note(config: Config) -> str | None:
    if gguf_rotary.settings(config)["rope_type"] != "longrope":
        return None
    length = gguf_rotary.original_length(config)
    return f"llama.cpp takes the rotary factors of long sequences wherever its context (num_ctx, -c) is above {length}, transformers only above {length} tokens"


def _phi3_computed(config: Config) -> dict[str, np.ndarray]:
    rope = gguf_rotary.settings(config)
    if rope["rope_type"] != "longrope":
        return {}
    return {f"rope_factors_{kind}.weight": np.array(rope[f"{kind}_factor"], dtype=np.float32) for kind in ("long", "short")}


def _phi3_describe(writer: Any, config: Config) -> None:
    writer.add_sliding_window(0)  # none; left out, older llama.cpp takes Phi-3's


# Qwen3.5: three layers of linear attention (gated delta net) to one of full attention


def _qwen35_share(config: Config) -> float:
    return float(gguf_rotary.settings(config).get("partial_rotary_factor") or config.get("partial_rotary_factor") or 0.25)


def _qwen35_interval(config: Config) -> int:
    """Of how many layers one attends fully; 0 where that is not regular."""
    layers, kinds = config["num_hidden_layers"], config.get("layer_types")
    if kinds is None:
        return int(config.get("full_attention_interval") or 4)
    full = [kind == "full_attention" for kind in kinds]
    return next((step for step in range(1, layers + 1) if full == [(layer + 1) % step == 0 for layer in range(layers)]), 0)


def _qwen35_refused(config: Config) -> str | None:
    if not _qwen35_interval(config):
        return "has layers of full attention at irregular places"
    if config["linear_key_head_dim"] != config["linear_value_head_dim"]:
        return "has keys and values of different size in its linear attention"
    if not config.get("attn_output_gate", True):
        return "has no gate on its attention"
    return _biased(config)


def _qwen35_parts(key: str, config: Config) -> list[tuple[str, Change]]:
    """Heads of values lie by their key's head; llama.cpp wants the first of each key's head, then the second of each."""
    if key.startswith(("mtp.", "model.mtp.", "model.visual.")):
        return []  # not part of the language model that was trained and evaluated
    key = key.replace("model.language_model.", "model.", 1)
    groups, size = config["linear_num_key_heads"], config["linear_value_head_dim"]
    queries = 2 * groups * config["linear_key_head_dim"]  # rows of queries and keys, before those of values

    def tiled(value: Any, dim: int = 0, head: int = size) -> Any:
        return value.unflatten(dim, (groups, -1, head)).transpose(dim, dim + 1).flatten(dim, dim + 2)

    def after_keys(value: Any) -> Any:
        import torch

        return torch.cat([value[:queries], tiled(value[queries:])])

    _, linear, part = key.partition(".linear_attn.")
    if not linear:
        return [(key, _plus_one if key.endswith("norm.weight") else None)]
    changes: dict[str, Change] = {
        "in_proj_qkv.weight": after_keys, "conv1d.weight": lambda value: after_keys(value.squeeze(1)), "in_proj_z.weight": tiled,
        "in_proj_a.weight": lambda value: tiled(value, 0, 1), "in_proj_b.weight": lambda value: tiled(value, 0, 1),
        "dt_bias": lambda value: tiled(value, 0, 1), "A_log": lambda value: -tiled(value.float(), 0, 1).exp(), "out_proj.weight": lambda value: tiled(value, 1),
    }
    return [(key.replace("dt_bias", "dt_proj.bias"), changes.get(part))]


def _plus_one(value: Any) -> Any:
    """Norms that multiply by one more than their weight."""
    return value.float() + 1


def _qwen35_describe(writer: Any, config: Config) -> None:
    sections = gguf_rotary.settings(config).get("mrope_section") or [11, 11, 10]
    writer.add_rope_dimension_sections([*sections, 0, 0][:4])
    writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(config["linear_key_head_dim"])
    writer.add_ssm_group_count(config["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(config["linear_num_value_heads"])
    writer.add_ssm_inner_size(config["linear_value_head_dim"] * config["linear_num_value_heads"])
    writer.add_full_attention_interval(_qwen35_interval(config))


# gpt-oss: experts, each a row of one tensor; gate and up rows take turns


def _gpt_oss_refused(config: Config) -> str | None:
    kinds = config.get("layer_types")
    if kinds is not None and kinds != ["full_attention" if layer % 2 else "sliding_attention" for layer in range(config["num_hidden_layers"])]:
        return "attends in a sliding window in other layers than every other one"
    if not config.get("sliding_window"):
        return "has no sliding window"
    if config.get("swiglu_limit", 7.0) != 7.0:
        return "limits its experts' gates otherwise"
    return None


def _gpt_oss_note(config: Config) -> str | None:
    rope = gguf_rotary.settings(config)
    if rope["rope_type"] != "yarn" or rope.get("truncate", True):
        return None
    return "llama.cpp rounds the bounds of YaRN's ramp to whole dimensions, which this model does not; on small random models logits differ by it as much as by q8_0"


def _gpt_oss_parts(key: str, config: Config) -> list[tuple[str, Change]]:
    stem, _, part = key.rpartition(".")
    named = {
        "sinks": [("sinks.weight", None)], "down_proj_bias": [("down_proj.bias", None)], "down_proj": [("down_proj.weight", _turned)],
        "gate_up_proj": [("gate_proj.weight", lambda value: _turned(value)[:, ::2]), ("up_proj.weight", lambda value: _turned(value)[:, 1::2])],
        "gate_up_proj_bias": [("gate_proj.bias", lambda value: value[:, ::2]), ("up_proj.bias", lambda value: value[:, 1::2])],
    }
    return [(f"{stem}.{name}", change) for name, change in named.get(part, [(part, None)])]


def _turned(value: Any) -> Any:
    return value.transpose(1, 2)


def _gpt_oss_describe(writer: Any, config: Config) -> None:
    writer.add_sliding_window(config["sliding_window"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])


# Gemma 4: layers of full attention have heads of their own size, last layers take keys and values of earlier ones


def _gemma4_full(config: Config, key: str, beside: str) -> Any:
    """A setting of the layers of full attention; transformers saves it layer by layer, Google beside the others' (`beside`)."""
    own = {int(number): given for number, given in (config.get("per_layer_config") or {}).items()}.get(config["layer_types"].index("full_attention"), {})
    return own.get(key) or (config.get(beside) if key == "head_dim" or config.get("attention_k_eq_v") else None) or config[key]


def _gemma4_refused(config: Config) -> str | None:
    kinds, shared = config["layer_types"], config.get("num_kv_shared_layers") or 0
    own = config.get("per_layer_config") or {}
    if own and ({int(layer) for layer in own} != {layer for layer, kind in enumerate(kinds) if kind == "full_attention"} or any(given != next(iter(own.values())) for given in own.values())):
        return "has layers of full attention that differ"
    if shared and kinds[: len(kinds) - shared][-2:] != ["sliding_attention", "full_attention"]:
        return "takes keys and values of other layers than the last two that have them"
    if config.get("use_bidirectional_attention") == "all":
        return "attends to later tokens"
    if config.get("hidden_size_per_layer_input") and config["vocab_size_per_layer_input"] != config["vocab_size"]:
        return "has a vocabulary of another size for its layers"
    return _biased(config)


def _gemma4_note(_: Config) -> str:
    return "llama.cpp puts Gemma's begin-of-text token before every text by itself, whatever the file says: text that is sent to its completion endpoint must not hold one"


def _gemma4_common(config: Config) -> Config:
    kinds, shared = config["layer_types"], config.get("num_kv_shared_layers") or 0
    heads, wide = _gemma4_full(config, "num_key_value_heads", "num_global_key_value_heads"), config["intermediate_size"]
    return {
        **config, "rope_parameters": config["rope_parameters"]["full_attention"], "head_dim": _gemma4_full(config, "head_dim", "global_head_dim"),
        "num_key_value_heads": [heads if kind == "full_attention" else config["num_key_value_heads"] for kind in kinds],
        "intermediate_size": [wide * (1 + bool(config.get("use_double_wide_mlp") and layer >= len(kinds) - shared)) for layer in range(len(kinds))],
    }


def _gemma4_parts(key: str, config: Config) -> list[tuple[str, Change]]:
    if key.startswith(("model.vision_tower.", "model.audio_tower.", "model.embed_vision.", "model.embed_audio.")):
        return []  # not part of the language model that was trained and evaluated
    key = key.replace("model.language_model.", "model.", 1)
    layer = key.split(".")[2]
    named = {"router.scale": f"blk.{layer}.ffn_gate_inp.scale", "router.per_expert_scale": f"blk.{layer}.ffn_down_exps.scale"}
    unmarked = key.endswith("layer_scalar") or ".experts." in key
    return [(next((name for end, name in named.items() if key.endswith(end)), f"{key}.weight" if unmarked else key), None)]


def _gemma4_computed(config: Config) -> dict[str, np.ndarray]:
    """Layers of full attention turn the first part of a head only: what the others' frequencies are divided by is beyond all."""
    half = _gemma4_full(config, "head_dim", "global_head_dim") // 2
    turned = int(half * config["rope_parameters"]["full_attention"].get("partial_rotary_factor", 1.0))
    return {"rope_freqs.weight": np.array([1.0] * turned + [1e30] * (half - turned), dtype=np.float32)}


def _gemma4_describe(writer: Any, config: Config) -> None:
    writer.add_shared_kv_layers(config.get("num_kv_shared_layers") or 0)
    writer.add_embedding_length_per_layer_input(config.get("hidden_size_per_layer_input") or 0)
    writer.add_sliding_window(config["sliding_window"])
    writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config["layer_types"]])
    writer.add_key_length_swa(config["head_dim"])
    writer.add_value_length_swa(config["head_dim"])
    writer.add_rope_dimension_count_swa(config["head_dim"])
    writer.add_rope_freq_base_swa(config["rope_parameters"]["sliding_attention"]["rope_theta"])
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if config.get("enable_moe_block"):
        writer.add_expert_count(config["num_experts"])
        writer.add_expert_used_count(config["top_k_experts"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])


_GEMMA4 = Architecture(
    "gemma4", rope=("proportional",), refused=_gemma4_refused, note=_gemma4_note, parts=_gemma4_parts, computed=_gemma4_computed,
    common=_gemma4_common, describe=_gemma4_describe,
    reader=False,  # that of transformers 5.17 knows heads of one size only
)
_QWEN35 = Architecture(
    "qwen35", share=_qwen35_share, refused=_qwen35_refused, parts=_qwen35_parts, describe=_qwen35_describe, reader=False,
)
# By the class that config.json names.
ARCHITECTURES = {
    "Qwen2ForCausalLM": Architecture("qwen2"),
    "Qwen3ForCausalLM": Architecture("qwen3"),
    "LlamaForCausalLM": Architecture("llama", rope=("default", "linear", "yarn", "llama3"), parts=_llama_parts, computed=_llama_computed),
    "SmolLM3ForCausalLM": Architecture("smollm3", refused=_smollm3_refused, parts=_llama_parts, reader=False),
    "Phi3ForCausalLM": Architecture(
        "phi3", rope=("default", "longrope"), share=_phi3_share, refused=_phi3_refused, note=_phi3_note, computed=_phi3_computed, describe=_phi3_describe,
    ),
    "Qwen3_5ForCausalLM": _QWEN35,
    "Qwen3_5ForConditionalGeneration": _QWEN35,
    "Gemma4ForCausalLM": _GEMMA4,
    "Gemma4ForConditionalGeneration": _GEMMA4,
    "GptOssForCausalLM": Architecture(
        "gpt-oss", rope=("default", "yarn"), refused=_gpt_oss_refused, note=_gpt_oss_note, parts=_gpt_oss_parts, describe=_gpt_oss_describe,
        reader=False,  # that of transformers 5.17 looks for experts under names that llama.cpp does not use
    ),
}
