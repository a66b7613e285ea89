"""What a GGUF file says of its model: read from its head, checked, and written as a config.json.

transformers' own reader of GGUF files takes a model's sizes from them, and leaves out what it does not know: rotary
scaling, heads of another size, tensors without a place. A model would load and compute something else. So the
configuration is made here, and what has no place in it is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alt_lite.errors import UserError
from alt_lite.model.exporting import gguf_rotary

MAGIC = b"GGUF"
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "phi3": "Phi3ForCausalLM"}
_ANOTHER = "a file of one of the architectures " + ", ".join(CLASSES) + "; or the folder of the model that it was made from"
_ANEW = "get the file anew"
# Entries below the architecture's name that are read here, or change nothing.
_READ = {
    "vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length", "rope.dimension_count", "rope.freq_base",
    *(f"rope.scaling.{key}" for key in ("type", "factor", "original_context_length", "attn_factor", "yarn_beta_fast", "yarn_beta_slow", "finetuned")),
    *(f"attention.{key}" for key in ("head_count", "head_count_kv", "layer_norm_rms_epsilon", "key_length", "value_length", "sliding_window")),
}
_OFF = {"expert_count": 0, "expert_used_count": 0, "attention.causal": True}  # what others must be, if they are there
_CLOSE = 1e-5  # of a factor: they are stored in 32 bit


@dataclass(frozen=True)
class Header:
    """A file's entries and tensors; what they hold is read when it is asked for."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        return self.fields[key].contents() if key in self.fields else default

    @property
    def architecture(self) -> str:
        return str(self.get("general.architecture"))

    @property
    def parameters(self) -> int:
        return sum(int(tensor.n_elements) for tensor in self.tensors.values())

    @property
    def types(self) -> tuple[str, ...]:
        """The tensors' types, the one of most numbers first."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors.values():
            sizes[tensor.tensor_type.name] = sizes.get(tensor.tensor_type.name, 0) + int(tensor.n_elements)
        return tuple(sorted(sizes, key=lambda name: -sizes[name]))

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape as torch has it; GGUF files have it turned round."""
        return tuple(int(size) for size in reversed(self.tensors[name].shape))

    def refuse(self, what: str, fix: str = _ANOTHER) -> UserError:
        return UserError(f"{self.path} {what}", fix)


def require_magic(path: Path) -> None:
    """Look at a file's first bytes.

    Raises:
        UserError: it is no GGUF file.
    """
    with path.open("rb") as file:
        begin = file.read(24)
    if begin.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, not the weights themselves", "git lfs pull, in the folder that was cloned")
    if not begin.startswith(MAGIC):
        raise UserError(f"{path} is no GGUF file", "model.name takes a GGUF file, a model's folder, or a hub id; of *.safetensors name the folder")


def read(path: Path) -> Header:
    """Read a file's head and find out whether a model can be made of it, without reading a weight.

    Raises:
        UserError: it is cut or damaged, one part of several, no text model, or of tensors that are not unpacked.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        header = Header(path, reader.fields, {tensor.name: tensor for tensor in reader.tensors})
        kind, parts, architecture = header.get("general.type", "model"), header.get("split.count", 1), header.architecture
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError, MemoryError, TypeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "GGMLQuantizationType" in said:
            raise UserError(f"{path} holds tensors of a type that the package gguf does not know ({said})", "pip install -U gguf; or a file in another quantisation") from error
        if "we cannot handle" in said:
            raise UserError(f"{path} is of a version that the package gguf does not read ({said})", "a file made by a newer llama.cpp") from error
        short = isinstance(error, IndexError) or any(word in said for word in ("reshape", "new type", "larger dtype", "mmap"))  # numpy's words
        raise UserError(f"{path} is cut or damaged ({'it ends before what its head says' if short else said})", _ANEW) from error
    if parts > 1:
        raise header.refuse(f"is one of {parts} parts of a file", f"llama-gguf-split --merge {path.name} WHOLE.gguf, and name that")
    if kind == "adapter":
        raise header.refuse("holds a LoRA adapter, no model", "a file that the adapter is merged into, or the adapter as PEFT's folder for eval")
    if kind not in ("model", "") or architecture in ("clip", "None"):
        raise header.refuse(f"holds no text model ({'architecture ' + architecture if kind in ('model', '') else kind})", "the file of the language model, which lies beside it")
    if architecture not in CLASSES:
        raise header.refuse(f"is of architecture {architecture}, which is not read from GGUF files")
    if not header.tensors:
        raise header.refuse("holds a vocabulary and no weights", "the file with the model's weights")
    if reader.byte_order == "S":
        raise header.refuse("is of the other byte order", "gguf-convert-endian, of the package gguf")
    for tensor in {tensor.tensor_type: tensor for tensor in header.tensors.values()}.values():
        _require_unpackable(header, tensor)
    return header


def _require_unpackable(header: Header, tensor: Any) -> None:
    import gguf

    block = gguf.GGML_QUANT_SIZES[tensor.tensor_type][1]
    try:
        gguf.dequantize(np.zeros((1, block), dtype=np.uint8).view({"F32": np.float32, "F16": np.float16}.get(tensor.tensor_type.name, np.uint8)), tensor.tensor_type)
    except (NotImplementedError, ValueError) as error:
        raise header.refuse(f"holds {tensor.name} as {tensor.tensor_type.name}, which the package gguf does not unpack", "a file in another quantisation, such as Q8_0") from error


def configuration(header: Header) -> dict[str, Any]:
    """Give the model's config.json but for its dtype and its special tokens, in the form that transformers 4 and 5 read.

    Raises:
        UserError: an entry or a tensor is missing, or has no place in a model of transformers.
    """
    name = header.architecture
    _require_known(header, name)

    def entry(key: str, *default: Any) -> Any:
        value = header.get(f"{name}.{key}", *default)
        if value is None and not default:
            raise header.refuse(f"has no entry {name}.{key}", _ANEW)
        if isinstance(value, list):  # one a layer
            if len(set(value)) != 1:
                raise header.refuse(f"has layers that differ in {name}.{key}")
            value = value[0]
        return value

    if "token_embd.weight" not in header.tensors:
        raise header.refuse("has no tensor token_embd.weight", _ANEW)
    hidden, heads, context = int(entry("embedding_length")), int(entry("attention.head_count")), int(entry("context_length"))
    size = int(entry("attention.key_length", hidden // heads))
    config: dict[str, Any] = {
        "architectures": [CLASSES[name]], "model_type": name, "hidden_act": "silu", "hidden_size": hidden, "intermediate_size": int(entry("feed_forward_length")),
        "num_hidden_layers": int(entry("block_count")), "num_attention_heads": heads, "num_key_value_heads": int(entry("attention.head_count_kv", heads)), "head_dim": size,
        "max_position_embeddings": context, "rms_norm_eps": shortest(entry("attention.layer_norm_rms_epsilon")), "rope_theta": shortest(entry("rope.freq_base", 10000.0)),
        "vocab_size": header.shape("token_embd.weight")[0], "tie_word_embeddings": "output.weight" not in header.tensors,
    }
    if int(entry("attention.value_length", size)) != size:
        raise header.refuse("has keys and values of different size")
    if 0 < int(entry("attention.sliding_window", 0)) < context:
        raise header.refuse(f"attends in a sliding window of {entry('attention.sliding_window')} tokens")
    turned = int(entry("rope.dimension_count", size))
    if name == "phi3":
        if size * heads != hidden:
            raise header.refuse("has heads of another size")
        config |= {"partial_rotary_factor": turned / size, "sliding_window": None}
        del config["head_dim"]  # transformers' class computes it
    elif turned != size:
        raise header.refuse(f"turns {turned} of a head's {size} dimensions")
    if name in ("qwen2", "qwen3"):
        config["use_sliding_window"] = False
    config |= _require_tensors(header, config, size)
    if rope := _rope(header, config, entry):
        config["rope_scaling"] = rope
        if name == "phi3":  # where its class and published files have it
            config["original_max_position_embeddings"] = rope.pop("original_max_position_embeddings")
    return config


def _require_known(header: Header, name: str) -> None:
    for key in header.fields:
        own, _, rest = key.partition(".")
        if own != name or rest in _READ:
            continue
        value = header.get(key)
        if rest not in _OFF or value != _OFF[rest]:
            raise header.refuse(f"has the entry {key} = {str(value)[:40]}, of which it is not known what transformers makes of it")


def _require_tensors(header: Header, config: dict[str, Any], size: int) -> dict[str, bool]:
    """Hold the file's tensors against those of the model, by name and shape; gives which biases it has.

    Raises:
        UserError: one is missing, has another shape, or no place.
    """
    name, hidden, wide, layers = config["model_type"], config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    maps: dict[str, tuple[int, int]] = {"attn_output": (hidden, queries), "ffn_down": (hidden, wide)}
    if name == "phi3":
        maps |= {"attn_qkv": (queries + 2 * keys, hidden), "ffn_up": (2 * wide, hidden)}
    else:
        maps |= {"attn_q": (queries, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden), "ffn_gate": (wide, hidden), "ffn_up": (wide, hidden)}
    norms = {"attn_norm": (hidden,), "ffn_norm": (hidden,), **({"attn_q_norm": (size,), "attn_k_norm": (size,)} if name == "qwen3" else {})}
    given: dict[str, bool] = {}
    biased: list[str] = ["attn_q", "attn_k", "attn_v"] if name == "qwen2" else []
    for setting, parts in (("attention_bias", ["attn_q", "attn_k", "attn_v", "attn_output"]), ("mlp_bias", ["ffn_gate", "ffn_up", "ffn_down"])):
        if name == "llama" or (name == "qwen3" and setting == "attention_bias"):
            given[setting] = f"blk.0.{parts[-1]}.bias" in header.tensors
            biased += parts if given[setting] else []
    expected: dict[str, tuple[int, ...]] = {"token_embd.weight": (config["vocab_size"], hidden), "output_norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        expected["output.weight"] = (config["vocab_size"], hidden)
    for layer in range(layers):
        expected |= {f"blk.{layer}.{part}.weight": shape for part, shape in {**maps, **norms}.items()}
        expected |= {f"blk.{layer}.{part}.bias": maps[part][:1] for part in biased}
    for tensor, shape in expected.items():
        if tensor not in header.tensors:
            raise header.refuse(f"has no tensor {tensor}", _ANEW)
        if header.shape(tensor) != shape:
            raise header.refuse(f"has {tensor} of {_by(header.shape(tensor))}, where its entries say {_by(shape)}", _ANEW)
    further = {"rope_freqs.weight"} if name == "llama" else {"rope_factors_long.weight", "rope_factors_short.weight"} if name == "phi3" else set()
    if unknown := sorted(set(header.tensors) - set(expected) - further):
        raise header.refuse(f"has the tensor {unknown[0]}, which {CLASSES[name]} has no place for")
    return given


def _rope(header: Header, config: dict[str, Any], entry: Any) -> dict[str, Any] | None:
    """Give the rotary scaling, or None.

    Raises:
        UserError: transformers has none that computes the same.
    """
    factor, attention = entry("rope.scaling.factor", None), float(entry("rope.scaling.attn_factor", 1.0))
    # llama.cpp takes a factor without a type for a linear one.
    kind = entry("rope.scaling.type", "linear" if factor else "none")
    original = int(entry("rope.scaling.original_context_length", 0)) or config["max_position_embeddings"]
    if "rope_factors_short.weight" in header.tensors and kind in ("none", "longrope"):
        factors = {f"{length}_factor": [shortest(value) for value in _values(header, f"rope_factors_{length}.weight")] for length in ("short", "long")}
        return {"type": "longrope", **factors, "original_max_position_embeddings": original, **_longrope_attention(config, original, attention)}
    if "rope_freqs.weight" in header.tensors and kind == "none":
        return _llama3(header, config)
    if kind == "yarn" and "rope_freqs.weight" not in header.tensors and factor:
        # llama.cpp multiplies what stands in the file by this; transformers takes the whole, and this where nothing is said.
        own = {} if math.isclose(attention, 1.0, rel_tol=_CLOSE) else {"attention_factor": attention * (1 + 0.1 * math.log(factor))}
        betas = {key: float(value) for key in ("beta_fast", "beta_slow") if (value := entry(f"rope.scaling.yarn_{key}", None)) is not None}
        return {"rope_type": "yarn", "factor": shortest(factor), "original_max_position_embeddings": original, **betas, **own}
    if kind in ("none", "linear") and attention == 1.0 and "rope_freqs.weight" not in header.tensors:
        return {"rope_type": "linear", "factor": shortest(factor)} if kind == "linear" and factor and factor != 1.0 else None
    raise header.refuse(f"scales its rotary embedding ({kind}, attn_factor {attention:g}) as no model of transformers does")


def _longrope_attention(config: dict[str, Any], original: int, attention: float) -> dict[str, float]:
    """What is told of the factor on attention: nothing where transformers computes the same."""
    ratio = config["max_position_embeddings"] / original
    computed = math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 else 1.0
    return {} if math.isclose(computed, attention, rel_tol=_CLOSE) else {"attention_factor": attention}


def _llama3(header: Header, config: dict[str, Any]) -> dict[str, Any] | None:
    """Find the settings of Llama 3's scaling from the factors that they were computed into, which is all that the file holds.

    Raises:
        UserError: none give these factors.
    """
    there = _values(header, "rope_freqs.weight")
    if there.shape == (config["head_dim"] // 2,) and np.allclose(there, 1.0, rtol=_CLOSE):
        return None
    for original in (8192, *(2**power for power in range(5, 18))):  # 8192 is Llama 3's own
        rope = {"rope_type": "llama3", "factor": round(float(there.max()), 4), "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": original}
        made = gguf_rotary.llama3_factors({**config, "rope_scaling": rope})
        if made.shape == there.shape and np.allclose(made, there, rtol=_CLOSE):
            return rope
    raise header.refuse("scales its rotary embedding by factors (rope_freqs.weight) that are not those of Llama 3")


def _values(header: Header, name: str) -> np.ndarray:
    import gguf

    return np.asarray(gguf.dequantize(header.tensors[name].data, header.tensors[name].tensor_type), dtype=np.float32)


def shortest(value: Any) -> float:
    """The shortest decimal that is this number in 32 bit: 1e-06 where the file has 9.999999974752427e-07."""
    return float(str(np.float32(value)))


def _by(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))
