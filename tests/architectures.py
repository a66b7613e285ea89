"""Small random models of every architecture that is supported, as the hub has them: with each kind of layer that it knows."""

from __future__ import annotations

import json
from pathlib import Path

import torch

# Text models, and the two forms that the hub publishes with a vision tower: AutoModelForCausalLM reads the text of both.
KINDS = ("qwen2", "qwen3", "llama", "phi3", "smollm3", "gpt_oss", "gemma4_text", "gemma4", "gemma4_moe", "qwen3_5_text", "qwen3_5")
FOUR_BIT = ("qwen2", "qwen3", "llama", "phi3", "smollm3", "gemma4_text", "gemma4")
PUBLISHED_WITH_TOWERS = ("gemma4", "qwen3_5")

_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
_SMALL = {"hidden_size": 64, "intermediate_size": 96, **_HEADS, "max_position_embeddings": 512}


def _sizes(kind: str, vocab_size: int, hidden: int = 64) -> dict:
    """What is particular to an architecture, each at its smallest."""
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    base = {**_SMALL, "num_hidden_layers": 2, "vocab_size": vocab_size, **ends}
    if kind in ("qwen2", "qwen3", "llama"):
        return {**base, "tie_word_embeddings": True, **({"head_dim": 16} if kind == "qwen3" else {})}
    if kind == "phi3":
        # Phi-4-mini: three quarters of a head are turned, by factors for short and for long texts.
        turned = range(hidden // 4 * 3 // 4 // 2)
        short, long = [1.0 + 0.05 * i for i in turned], [1.5 + 0.3 * i for i in turned]
        return {
            **base, "max_position_embeddings": 4096, "original_max_position_embeddings": 256, "partial_rotary_factor": 0.75, "sliding_window": 4096,
            "rope_scaling": {"type": "longrope", "short_factor": short, "long_factor": long}, "rope_theta": 10000.0, "tie_word_embeddings": True,
        }
    if kind == "smollm3":  # every second layer without positions
        return {**base, "num_hidden_layers": 4, "no_rope_layer_interval": 2, "tie_word_embeddings": True}
    if kind == "gpt_oss":
        rope = {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 128}
        return {**base, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16, "rope_scaling": rope, "rope_theta": 150000.0}
    if kind.startswith("gemma4"):
        # E2B: the last layers take their keys and values from earlier ones, and have a wider MLP.
        layers = ["sliding_attention", "full_attention"] * 2
        text = {
            **base, "num_hidden_layers": 4, "layer_types": layers, "head_dim": 16, "global_head_dim": 32, "sliding_window": 16,
            "vocab_size_per_layer_input": vocab_size, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
            "final_logit_softcapping": 30.0, "bos_token_id": 2,
        }
        if kind == "gemma4_moe":  # 26B-A4B: experts beside the MLP, keys that are values too, neither of the above
            text |= {
                "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "use_double_wide_mlp": False, "enable_moe_block": True, "num_experts": 4,
                "top_k_experts": 2, "moe_intermediate_size": 32, "attention_k_eq_v": True, "num_global_key_value_heads": 1, "num_hidden_layers": 2, "layer_types": layers[:2],
            }
        return text
    assert kind.startswith("qwen3_5"), kind
    return {
        **base, "num_hidden_layers": 3, "layer_types": ["linear_attention", "linear_attention", "full_attention"], "head_dim": 16, "linear_key_head_dim": 8,
        "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1], "mrope_interleaved": True},
    }


def _config(kind: str, vocab_size: int, **more):
    from transformers import AutoConfig

    text = {**_sizes(kind, vocab_size, more.get("hidden_size", 64)), **more}
    if kind == "gemma4":
        vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "patch_size": 4, "position_embedding_size": 64}
        audio = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "subsampling_conv_channels": [4, 4], "output_proj_dims": 16}
        # Ids of pictures and sounds lie beyond the text's.
        ids = {"image_token_id": vocab_size - 3, "video_token_id": vocab_size - 2, "audio_token_id": vocab_size - 1}
        return AutoConfig.for_model("gemma4", text_config=text, vision_config=vision, audio_config=audio, **ids)
    if kind == "qwen3_5":
        vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4, "out_hidden_size": 64, "num_position_embeddings": 16}
        return AutoConfig.for_model("qwen3_5", text_config=text, vision_config=vision, tie_word_embeddings=text["tie_word_embeddings"])
    return AutoConfig.for_model({"gemma4_moe": "gemma4_text"}.get(kind, kind), **text)


def make(folder: Path, kind: str, vocab_size: int = 331, dtype: torch.dtype = torch.bfloat16, shard: str = "1GB", std: float = 0.04, spread: float = 5.0, **more) -> Path:
    """Write a random model of `kind` into `folder`: config.json and safetensors under the names that the hub has.

    Args:
        std: of matrices.
        spread: how much more tokens differ than that: it makes answers that rounding does not change, and that repeat themselves.
    """
    import transformers
    from safetensors.torch import load_file, save_file

    config = _config(kind, vocab_size, **more)
    torch.manual_seed(0)
    if kind in PUBLISHED_WITH_TOWERS:
        model = getattr(transformers, {"gemma4": "Gemma4ForConditionalGeneration", "qwen3_5": "Qwen3_5ForConditionalGeneration"}[kind])(config)
    else:
        model = transformers.AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if kind.startswith("qwen3_5") and "norm" in name and "linear_attn" not in name:
            torch.nn.init.normal_(parameter, std=0.1)  # one is added to it
        elif name.endswith("A_log"):
            torch.nn.init.normal_(parameter, mean=-3.0, std=0.5)  # a state that lasts for tens of tokens
        elif "norm" in name or name.endswith(("dt_bias", "scale", "scalar")):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.1)
        else:
            torch.nn.init.normal_(parameter, std=spread * std if "embed_tokens." in name else std)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    if kind == "qwen3_5":  # its layers for predicting several tokens, which transformers leaves out
        path = folder / "model.safetensors"
        save_file({**load_file(path), "mtp.fc.weight": torch.randn(64, 128).to(dtype)}, path, {"format": "pt"})
    if kind == "phi3":  # as published: the form of transformers 4
        written = json.loads((folder / "config.json").read_text())
        written.pop("rope_parameters", None)
        sizes = _sizes(kind, vocab_size, config.hidden_size)
        written |= {key: sizes[key] for key in ("rope_scaling", "rope_theta", "partial_rotary_factor")}
        (folder / "config.json").write_text(json.dumps(written, indent=2))
    return folder
