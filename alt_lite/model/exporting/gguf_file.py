"""Write a model folder as a GGUF file for llama.cpp and Ollama, one tensor in memory at a time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alt_lite.errors import UserError
from alt_lite.model.exporting.gguf_vocab import Vocabulary
from alt_lite.model.load import heed_attn_factor
from alt_lite.tokens.tokenizer import Tokens

ARCHITECTURES = {"Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3", "LlamaForCausalLM": "llama"}
WRITTEN = ("f16", "q8_0")  # by us; others by llama.cpp's own llama-quantize
_ROPE_FACTORS = "rope_freqs.weight"
_LARGEST_F16 = 65504.0


@dataclass(frozen=True)
class Tensor:
    """One tensor of the GGUF file: its name and type there, where it comes from (None: computed)."""

    name: str
    source: tuple[Path, str] | None
    shape: tuple[int, ...]
    kind: Any
    size: int


@dataclass(frozen=True)
class Plan:
    """What a file will hold; `bytes` is its size but for the header."""

    architecture: str
    config: dict[str, Any]
    quant: str
    tensors: list[Tensor]

    @property
    def bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)


def require_gguf() -> None:
    """Raises:
    UserError: the package that writes GGUF files is not installed.
    """
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise UserError("the package gguf, which writes GGUF files, is not installed", "pip install gguf")


def plan(folder: Path, quant: str) -> Plan:
    """Map every tensor of a (sharded) folder to its GGUF name and type; nothing is loaded.

    Raises:
        UserError: the architecture, its rotary embedding or a tensor is not one that is exported.
    """
    import gguf
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = (config.get("architectures") or ["none"])[0]
    if name not in ARCHITECTURES:
        raise UserError(f"{folder}: architecture {name} is not exported to GGUF", f"only {', '.join(ARCHITECTURES)} are; llama.cpp's convert_hf_to_gguf.py knows others")
    architecture = ARCHITECTURES[name]
    if config.get("use_sliding_window"):
        raise UserError(f"{folder} attends in a sliding window, which llama.cpp's {architecture} does not", "export it to vllm or hub")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config["num_hidden_layers"])
    kinds = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    tensors: list[Tensor] = []
    if _rope(config)["rope_type"] == "llama3":
        tensors.append(_tensor(_ROPE_FACTORS, None, (_head_size(config) // 2,), kinds[quant]))
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                mapped = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if mapped is None:
                    raise UserError(f"{path}: tensor {key} has no place in a GGUF file of {architecture}", "export it to vllm or hub")
                tensors.append(_tensor(mapped, (path, key), tuple(file.get_slice(key).get_shape()), kinds[quant]))
    have = {tensor.name for tensor in tensors}
    if missing := {"token_embd.weight", *(() if config.get("tie_word_embeddings") else ("output.weight",))} - have:
        raise UserError(f"{folder} lacks the weights of {', '.join(sorted(missing))}", "merge the run again: python -m alt_lite merge RUN")
    return Plan(architecture, config, quant, tensors)


def write(planned: Plan, path: Path, tokens: Tokens, vocabulary: Vocabulary, name: str, chat_template: str, done: Callable[[int, str], None]) -> None:
    """Write `planned` to `path`, which exists only once it is whole: a full disk or a kill leaves nothing
    under that name.

    Raises:
        UserError: a weight is not finite, or too large for the type asked for, or the disk is full.
    """
    import gguf

    writer = gguf.GGUFWriter(None, planned.architecture)
    _describe(writer, planned, name)
    _add_vocabulary(writer, tokens, vocabulary, planned.config, chat_template)
    for tensor in planned.tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.size, raw_dtype=tensor.kind)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        writer.write_header_to_file(temporary)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for number, (tensor, value) in enumerate(values(planned), 1):
            writer.write_tensor_data(_converted(tensor, value))
            done(number, tensor.name)
        for file in writer.fout or ():
            file.flush()
            os.fsync(file.fileno())
        writer.close()
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:
            raise
        # numpy tells of a short write without saying why.
        raise UserError(f"{path} could not be written whole: {error}", "free some disk space; the same command goes on from here") from error
    finally:
        for file in writer.fout or ():
            file.close()
        temporary.unlink(missing_ok=True)


def _tensor(name: str, source: tuple[Path, str] | None, shape: tuple[int, ...], wanted: Any) -> Tensor:
    """Choose the type: vectors and norms in 32 bit, matrices as wanted where rows divide into its blocks."""
    import gguf

    kind = wanted
    if len(shape) == 1 or name.endswith("_norm.weight"):
        kind = gguf.GGMLQuantizationType.F32
    elif shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0]:
        kind = gguf.GGMLQuantizationType.F16
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return Tensor(name, source, shape, kind, math.prod(shape) // block * size)


def values(planned: Plan) -> Iterator[tuple[Tensor, Any]]:
    """Load one tensor after the other as torch has it, its rows in the order of the GGUF file."""
    import torch
    from safetensors import safe_open

    for tensor in planned.tensors:
        if tensor.source is None:
            yield tensor, torch.from_numpy(_rope_factors(planned.config))
            continue
        with safe_open(tensor.source[0], framework="pt") as file:
            value = file.get_tensor(tensor.source[1])
        if planned.architecture == "llama" and (".attn_q." in tensor.name or ".attn_k." in tensor.name):
            heads = planned.config["num_attention_heads" if ".attn_q." in tensor.name else "num_key_value_heads"]
            value = _interleaved(value, heads)
        yield tensor, value


def _converted(tensor: Tensor, value: Any) -> np.ndarray:
    import gguf
    import torch

    largest = max(abs(float(value.max())), abs(float(value.min())))
    half = tensor.kind == gguf.GGMLQuantizationType.F16
    if not math.isfinite(largest) or (half and largest > _LARGEST_F16):
        raise UserError(f"{tensor.name} holds {largest:g}, which {tensor.kind.name.lower()} cannot", "--quant q8_0, or look at how it was trained")
    return value.to(torch.float16).numpy() if half else gguf.quants.quantize(value.to(torch.float32).numpy(), tensor.kind)


def _interleaved(value: Any, heads: int) -> Any:
    """Reorder a Llama's query or key rows: llama.cpp turns neighbouring pairs where transformers turns halves."""
    half = value.shape[0] // heads // 2
    return value.reshape(heads, 2, half, *value.shape[1:]).transpose(1, 2).reshape(value.shape).contiguous()


def _head_size(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings, wherever this version of transformers has put them."""
    old = config.get("rope_scaling") or {}
    rope = {"rope_theta": config.get("rope_theta", 10000.0), **old, **(config.get("rope_parameters") or {})}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "linear", "yarn", "llama3") or (kind == "llama3" and config["architectures"][0] != "LlamaForCausalLM"):
        raise UserError(f"rotary scaling {kind!r} is not exported to GGUF for {config['architectures'][0]}", "export it to vllm or hub")
    return {**rope, "rope_type": kind}


def _rotary(config: dict[str, Any]) -> tuple[Any, float]:
    """(inverse frequencies, factor on the attention), as the model that was evaluated computes them."""
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    heed_attn_factor()
    loaded = AutoConfig.for_model(**config)
    frequencies, factor = ROPE_INIT_FUNCTIONS[_rope(config)["rope_type"]](loaded, "cpu")
    return frequencies, float(factor)


def _rope_factors(config: dict[str, Any]) -> np.ndarray:
    """What llama.cpp divides each rotary frequency by, for Llama 3's scaling."""
    size = _head_size(config)
    plain = 1.0 / _rope(config)["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    return (plain / _rotary(config)[0].double().numpy()).astype(np.float32)


def _describe(writer: Any, planned: Plan, name: str) -> None:
    import gguf

    config, rope = planned.config, _rope(planned.config)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type({"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}[planned.quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(_head_size(config))
    writer.add_value_length(_head_size(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(_head_size(config))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        for key, add in (("beta_fast", writer.add_rope_scaling_yarn_beta_fast), ("beta_slow", writer.add_rope_scaling_yarn_beta_slow)):
            if rope.get(key) is not None:
                add(rope[key])
        # llama.cpp multiplies by 1 + 0.1 ln(factor) itself; transformers does not read every published key.
        writer.add_rope_scaling_attn_factors(_rotary(config)[1] / (1 + 0.1 * math.log(rope["factor"])))


def _add_vocabulary(writer: Any, tokens: Tokens, vocabulary: Vocabulary, config: dict[str, Any], chat_template: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    bos = tokens.ids[tokens.family.bos] if tokens.family.bos else config.get("bos_token_id")
    if bos is not None:
        writer.add_bos_token_id(bos)
    writer.add_eos_token_id(tokens.end_id)
    writer.add_pad_token_id(tokens.pad_id)
    # The template holds the begin-of-text token where the family has one: with `true` there would be two.
    # Left out, llama.cpp and Ollama would decide by themselves.
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(chat_template)
