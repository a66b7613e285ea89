"""Write a model folder as a GGUF file for llama.cpp and Ollama, one tensor in memory at a time."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alt_lite.errors import UserError
from alt_lite.model.exporting import gguf_rotary
from alt_lite.model.exporting.gguf_architectures import ARCHITECTURES, Architecture, Change, Config
from alt_lite.model.exporting.gguf_vocab import Vocabulary
from alt_lite.tokens.tokenizer import Tokens

WRITTEN = ("f16", "q8_0")  # by us; others by llama.cpp's own llama-quantize
_LARGEST_F16 = 65504.0
# Matrices that llama.cpp takes in 32 bit only, as it does all that is no weight (biases of experts).
_IN_32_BIT = ("_norm.weight", ".ffn_gate_inp.weight", ".ssm_conv1d.weight")


@dataclass(frozen=True)
class Tensor:
    """One tensor of the GGUF file: its name and type there, where it comes from (None: computed) and how it is changed."""

    name: str
    source: tuple[Path, str] | None
    change: Change
    shape: tuple[int, ...]
    kind: Any
    size: int


@dataclass(frozen=True)
class Plan:
    """What a file will hold, of the language model's `config`; `bytes` is its size but for the header."""

    architecture: Architecture
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
        raise UserError("the package gguf, which reads and writes GGUF files, is not installed", "pip install gguf")


def plan(folder: Path, quant: str) -> Plan:
    """Map every tensor of a (sharded) folder to its GGUF name and type; nothing is loaded.

    Raises:
        UserError: the architecture, its rotary embedding or a tensor is not one that is exported.
    """
    import gguf
    from safetensors import safe_open

    whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config: Config = {**(whole.get("text_config") or whole), **({"tie_word_embeddings": whole["tie_word_embeddings"]} if "tie_word_embeddings" in whole else {})}
    architecture = _architecture(folder, whole, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.name.upper().replace("-", "_")], config["num_hidden_layers"])
    kind = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}[quant]
    tensors = [_tensor(name, None, None, values.shape, kind) for name, values in architecture.computed(config).items()]
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                for part, change in architecture.parts(key, config):
                    mapped = part if part.startswith("blk.") else names.get_name(part, try_suffixes=(".weight", ".bias"))
                    if mapped is None:
                        raise UserError(f"{path}: tensor {key} has no place in a GGUF file of {architecture.name}", "export it to vllm or hub")
                    tensors.append(_tensor(mapped, (path, key), change, tuple(file.get_slice(key).get_shape()), kind))
    have = {tensor.name for tensor in tensors}
    if missing := {"token_embd.weight", *(() if config.get("tie_word_embeddings") else ("output.weight",))} - have:
        raise UserError(f"{folder} lacks the weights of {', '.join(sorted(missing))}", "merge the run again: python -m alt_lite merge RUN")
    return Plan(architecture, config, quant, tensors)


def _architecture(folder: Path, whole: Config, config: Config) -> Architecture:
    name = (whole.get("architectures") or ["none"])[0]
    if name not in ARCHITECTURES:
        raise UserError(f"{folder}: architecture {name} is not exported to GGUF", f"only {', '.join(ARCHITECTURES)} are; llama.cpp's convert_hf_to_gguf.py knows others")
    architecture = ARCHITECTURES[name]
    try:
        kind = gguf_rotary.settings(architecture.common(config))["rope_type"]
        what = "attends in a sliding window" if config.get("use_sliding_window") else architecture.refused(config)
    except KeyError as error:
        raise UserError(f"{folder}/config.json has no {error}, which a GGUF file of {architecture.name} needs", "merge the run again: python -m alt_lite merge RUN") from error
    if kind not in architecture.rope:
        raise UserError(f"rotary scaling {kind!r} is not exported to GGUF for {name}", "export it to vllm or hub")
    if what:
        raise UserError(f"{folder} {what}, which llama.cpp's {architecture.name} does not", "export it to vllm or hub")
    return architecture


def write(planned: Plan, path: Path, tokens: Tokens, vocabulary: Vocabulary, name: str, chat_template: str, done: Callable[[int, str], None]) -> None:
    """Write `planned` to `path`, which exists only once it is whole: a full disk or a kill leaves nothing
    under that name.

    Raises:
        UserError: a weight is not finite, or too large for the type asked for, or the disk is full.
    """
    import gguf

    writer = gguf.GGUFWriter(None, planned.architecture.name)
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


def _tensor(name: str, source: tuple[Path, str] | None, change: Change, shape: tuple[int, ...], wanted: Any) -> Tensor:
    """Choose the type: vectors and norms in 32 bit, matrices as wanted where rows divide into its blocks."""
    import gguf
    import torch

    if change is not None:
        shape = tuple(change(torch.empty(shape, device="meta")).shape)
    kind = wanted
    if len(shape) == 1 or name.endswith(_IN_32_BIT) or not name.endswith(".weight"):
        kind = gguf.GGMLQuantizationType.F32
    elif shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0]:
        kind = gguf.GGMLQuantizationType.F16
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return Tensor(name, source, change, shape, kind, math.prod(shape) // block * size)


def values(planned: Plan) -> Iterator[tuple[Tensor, Any]]:
    """Load one tensor after the other as torch has it, changed as the GGUF file wants it."""
    import torch
    from safetensors import safe_open

    computed = planned.architecture.computed(planned.config)
    for tensor in planned.tensors:
        if tensor.source is None:
            yield tensor, torch.from_numpy(computed[tensor.name])
            continue
        with safe_open(tensor.source[0], framework="pt") as file:
            value = file.get_tensor(tensor.source[1])
        yield tensor, value if tensor.change is None else tensor.change(value).contiguous()


def _converted(tensor: Tensor, value: Any) -> np.ndarray:
    import gguf
    import torch

    largest = max(abs(float(value.max())), abs(float(value.min())))
    half = tensor.kind == gguf.GGMLQuantizationType.F16
    if not math.isfinite(largest) or (half and largest > _LARGEST_F16):
        raise UserError(f"{tensor.name} holds {largest:g}, which {tensor.kind.name.lower()} cannot", "--quant q8_0, or look at how it was trained")
    return value.to(torch.float16).numpy() if half else gguf.quants.quantize(value.to(torch.float32).numpy(), tensor.kind)


def _describe(writer: Any, planned: Plan, name: str) -> None:
    import gguf

    config = planned.architecture.common(planned.config)
    writer.add_type(gguf.GGUFType.MODEL)
    # By this name llama.cpp takes a vocabulary for Phi-3's, which is another kind; it then fails, or drops spaces.
    writer.add_name(re.sub(r"(?i)phi-?3", "Phi 3", name))
    writer.add_file_type({"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}[planned.quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(gguf_rotary.head_size(config))
    writer.add_value_length(gguf_rotary.head_size(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    gguf_rotary.describe(writer, config, planned.architecture.share(config))
    planned.architecture.describe(writer, planned.config)


def _add_vocabulary(writer: Any, tokens: Tokens, vocabulary: Vocabulary, config: dict[str, Any], chat_template: str) -> None:
    writer.add_tokenizer_model(vocabulary.model)
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
