"""Fold an adapter into a base's weights, tensor by tensor, in blocks of rows: W + scale · B A, in fp32."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.console import say
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.model.architecture import linear_of_text
from alt_lite.model.load import training_dtype
from alt_lite.model.merging import fourbit, settings
from alt_lite.model.merging.adapter import Adapter, read_adapter
from alt_lite.model.merging.shards import Shape, Weights, find_weights, row_blocks, write_weights
from alt_lite.rundir import read_json, write_json

_READABLE = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Merging:
    """A merge that was looked through and can be written: `shapes` by the names that are written, the model's own in
    its order, or those of the base's files where these hold more than its text, of which `kept` is copied; `inside`
    gives a weight's name in the model where that is another, `names` each tensor's in the base's files; `quantized`
    tells which weights are seen in 4 bit, computed in `compute` on `kind`, and is empty where the original weights are
    wanted; `untied` where the output embedding was the embedding itself, and now is that plus the adapter; `rope` is
    the base's rotary embedding as transformers 5 understands it; `wider` are the types of tensors that the base holds
    in 32 bit beside a 16-bit model, such as the decays of linear attention."""

    weights: Weights
    adapter: Adapter
    architecture: str
    shapes: dict[str, Shape]
    names: dict[str, str]
    quantized: frozenset[str]
    dtype: Any
    compute: Any
    kind: str
    untied: bool
    rope: dict[str, Any]
    inside: dict[str, str]
    kept: frozenset[str]
    wider: dict[str, Any]

    @property
    def bytes(self) -> int:
        return sum(math.prod(shape) * self.type_of(name).itemsize for name, shape in self.shapes.items())

    def type_of(self, name: str) -> Any:
        return self.wider.get(name, self.dtype)

    def write(self, folder: Path, report: Callable[[int, str], None] = lambda done, note: None) -> None:
        """Write the weights into `folder`."""
        write_weights(folder, self.shapes, self.dtype, self._blocks, report, wider=self.wider)

    def write_config(self, folder: Path) -> None:
        """Write the base's generation settings and its configuration: as they are but for the precision, and for the
        rotary embedding, which stands there in the form of transformers 4 and of 5.

        transformers would write its own version's names for them, which older programs do not read.
        """
        source = self.weights.folder
        if (source / "generation_config.json").is_file():
            shutil.copyfile(source / "generation_config.json", folder / "generation_config.json")
        config = settings.in_precision(read_json(source / "config.json"), str(self.dtype).removeprefix("torch."))
        config = settings.in_both_forms(config, self.rope)
        if self.untied:
            config = settings.with_text(config, {"tie_word_embeddings": False})
        config.setdefault("architectures", [self.architecture])
        write_json(folder / "config.json", config)

    def beginning(self, name: str) -> tuple[Any, Any]:
        """A tensor's first rows: (merged, as they were), both in the type that is written."""
        return next(self._blocks(name)), self._rows(name)(next(row_blocks(self.shapes[name]))).to(self.type_of(name))

    def _blocks(self, name: str) -> Iterator[Any]:
        """Give a merged tensor's rows in the type that is written.

        Raises:
            UserError: a value is none in that precision, or the adapter's copy of the base's weight differs.
        """
        import torch

        rows = self._rows(name)
        module = self.inside.get(name, name).removesuffix(".weight")
        pair, copy = self.adapter.pairs.get(module), self.adapter.copies.get(module)
        for where in row_blocks(self.shapes[name]):
            block = rows(where)
            if copy is not None and not torch.equal(block.to(self.compute).to(copy.dtype), copy[where]):
                raise UserError(f"{self.adapter.folder} was trained with another weight of {module} than {self.weights.folder} holds", "name the model that it was trained on")
            if pair is not None:
                a, b = pair
                block = block.to(torch.float32, copy=True).add_((b[where] @ a).mul_(self.adapter.scale))
            block = block.to(self.type_of(name))
            # What a tower keeps beside its weights, such as the bounds of its numbers, may be infinite.
            single = name in self.kept or block.numel() == 1
            if not single and not all(math.isfinite(end) for end in block.aminmax()):  # NaN passes through both; thirty times as fast as isfinite
                raise UserError(
                    f"{name} holds values beyond {str(self.dtype).removeprefix('torch.')}",
                    "merge where the GPU has bf16, or on a CPU; where the base itself is damaged, get its files anew",
                )
            yield block

    def _rows(self, name: str) -> Callable[[slice], Any]:
        source = self.names[name]
        if name not in self.quantized:
            tensor = self.weights.read(source)
            return (tensor if tensor.dim() else tensor.view(1)).__getitem__
        if fourbit.parts(self.weights, source):
            return fourbit.read_quantized(self.weights, source, self.kind).rows
        return fourbit.quantize(self.weights.read(source), self.compute, self.kind).rows


@dataclass(frozen=True)
class Base:
    """A base that was looked through: its model without weights, and the name in its files of each of the model's
    tensors (`names`), with their `shapes`; `owner` names each tensor's first name, `stored` those held in 4 bit,
    `kept` those that are no part of the model and are kept beside it, None where nothing is."""

    weights: Weights
    model: Any
    owner: dict[str, str]
    shapes: dict[str, Shape]
    names: dict[str, str]
    stored: frozenset[str]
    kept: dict[str, Shape] | None

    @property
    def linear(self) -> dict[str, Any]:
        """The linear layers by the names of their weights."""
        import torch

        return {f"{name}.weight": module for name, module in self.model.named_modules() if type(module) is torch.nn.Linear}


def open_base(folder: Path, dequantized: bool) -> Base:
    """Look through a base, of which headers are read.

    Raises:
        UserError: it is not merged into, or its files are not those of its configuration.
    """
    require_unquantized(folder, dequantized)
    weights, model = find_weights(folder), skeleton(folder)
    owner = _owners(model)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if owner[name] == name}
    stored = {name.partition(".quant_state.")[0] for name in weights.files if ".quant_state." in name}
    names, unused = _names(weights, owner, stored)
    # A folder that holds more than a text model is written as it is, with what sees and hears.
    kept = {name: weights.headers[name][1] for name in unused} if is_composite(read_json(folder / "config.json")) else None
    if unused and kept is None:
        say(f"merge: {len(unused)} tensors of {folder} are no part of {type(model).__name__} and left out: {', '.join(sorted(unused)[:3])}")
    if foreign := [name for name in kept or () if name in stored or weights.headers[name][0] not in _READABLE]:
        raise UserError(f"{folder}: {foreign[0]} is {weights.headers[foreign[0]][0]}, not 16- or 32-bit", "name the 16-bit model, whole")
    for name, shape in shapes.items():
        kind, found = weights.headers[names[name]]
        if names[name] not in stored and (kind not in _READABLE or found != shape):
            raise UserError(f"{folder}: {names[name]} is {kind} {found}, not 16- or 32-bit {shape}", "name the 16-bit model, whole")
    if stored and not dequantized:
        raise UserError(*_only_4_bit(folder))
    return Base(weights, model, owner, shapes, names, frozenset(stored), kept)


def is_composite(config: dict[str, Any]) -> bool:
    """Whether a config.json describes more than a text model, such as one that sees too."""
    return isinstance(config.get("text_config"), dict)


def open_merging(base: Path, adapter: Path, dtype: Any, device: Device, dequantized: bool) -> Merging:
    """Look through a base and an adapter, of which headers and the adapter's matrices are read.

    Raises:
        UserError: they do not fit one another, or hold what is not merged.
    """
    read, opened = read_adapter(adapter), open_base(base, dequantized)
    model, owner, shapes, names = opened.model, opened.owner, dict(opened.shapes), dict(opened.names)
    linear, architecture = opened.linear, type(model).__name__
    apart = [f"{module}.weight" for module in read.pairs if owner.get(f"{module}.weight", "") not in ("", f"{module}.weight")]
    for name in apart:
        shapes[name], names[name] = shapes[owner[name]], names[owner[name]]
    _require_fit(read, set(linear), shapes, architecture)
    quantized = {name for name in shapes if names[name] in opened.stored}
    if dequantized and not opened.stored:  # the output embedding is never quantised on loading, and towers see nothing while text is trained
        quantized = {f"{name}.weight" for name in linear_of_text(model)}
    kept, written = opened.kept or {}, {name: name for name in shapes}
    if opened.kept is not None:
        written = {name: name if name in apart else names[name] for name in shapes}
    inside = {there: name for name, there in written.items() if name != there}
    rope = {} if opened.kept is not None else dict(getattr(model.config, "rope_parameters", None) or {})
    in_files = {written[name]: names[name] for name in shapes} | {name: name for name in kept}
    return Merging(
        opened.weights, read, architecture, {written[name]: shape for name, shape in shapes.items()} | kept,
        in_files, frozenset(written[name] for name in quantized), dtype,
        training_dtype(device), device.kind, bool(apart), rope, inside, frozenset(kept),
        _wider(opened.weights, {name: there for name, there in in_files.items() if inside.get(name, name).removesuffix(".weight") not in read.pairs}),
    )


def _wider(weights: Weights, unchanged: dict[str, str]) -> dict[str, Any]:
    """Give the types of small tensors that a base of 16 bit holds in 32, by the names that are written."""
    import torch

    headers = weights.headers
    sizes = {kind: sum(math.prod(shape) for other, shape in headers.values() if other == kind) for kind in ("F32", "F16", "BF16")}
    if sizes["F32"] > 0.1 * (sizes["F16"] + sizes["BF16"]):
        return {}
    return {name: torch.float32 for name, there in unchanged.items() if headers[there][0] == "F32"}


def require_unquantized(base: Path, dequantized: bool) -> None:
    """Refuse by its configuration a base whose weights cannot be merged into.

    Raises:
        UserError: it is quantised otherwise than in 4 bit by bitsandbytes, or in 4 bit where the original
            weights are wanted.
    """
    config = read_json(base / "config.json") if (base / "config.json").is_file() else {}
    kept = config.get("quantization_config") or config.get("compression_config")
    if not kept:
        return
    if not (kept.get("load_in_4bit") or kept.get("_load_in_4bit")):
        if kept.get("quant_method") == "mxfp4":
            raise UserError(f"{base} holds its experts in MXFP4, which is neither trained nor merged into", "model.name of a copy in bf16, such as unsloth/gpt-oss-20b-BF16 of openai/gpt-oss-20b")
        how = "bitsandbytes in 8 bit" if kept.get("load_in_8bit") or kept.get("_load_in_8bit") else kept.get("quant_method", "a method that it does not name")
        raise UserError(f"{base} is quantised by {how}, which is not merged into", "model.name of the 16-bit model that it was made from")
    if not dequantized:
        raise UserError(*_only_4_bit(base))


def _only_4_bit(base: Path) -> tuple[str, str]:
    return f"{base} holds 4-bit weights, so there are no original ones to merge into", "merge.base=dequantized, or model.name of the 16-bit model"


def skeleton(base: Path) -> Any:
    """Build the model without its weights: it knows their names, shapes and kinds.

    Raises:
        UserError: transformers makes no model of its config.json.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if not (base / "config.json").is_file():
        raise UserError(f"{base} holds no config.json", "name a complete model folder")
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    except Exception as error:  # configurations are checked by each architecture in its own way
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{base / 'config.json'}: transformers makes no model of it ({first})", "get that file anew, or name a model that transformers knows") from error


def _owners(model: Any) -> dict[str, str]:
    """Give for each tensor of the model the first name that it has: tied ones have two."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}


def _names(weights: Weights, owner: dict[str, str], stored: set[str]) -> tuple[dict[str, str], list[str]]:
    """Find each of the model's tensors, named with the prefix `model.` or without, or as the text of a larger model;
    of tied ones, either. Also names what the model has no use for.

    Raises:
        UserError: a tensor is missing, or tied ones differ.
    """
    import torch

    beside = {other for name in stored for other in fourbit.parts(weights, name).values()}
    found: dict[str, str] = {}
    unused: list[str] = []
    for name in weights.files:
        known = owner.get(name) or owner.get(f"model.{name}") or owner.get(name.replace("language_model.", "", 1))
        if known is None:
            unused += [] if name in beside else [name]
        elif known not in found:
            found[known] = name
        elif not torch.equal(weights.read(found[known]), weights.read(name)):
            raise UserError(f"{weights.folder}: config.json ties {found[known]} and {name}, but they differ", "set tie_word_embeddings to false there")
    missing = [name for name in owner.values() if name not in found]
    if missing:
        raise UserError(f"{weights.folder} holds no {missing[0]}", "name a complete folder of a dense model")
    return found, unused


def _require_fit(adapter: Adapter, linear: set[str], shapes: dict[str, Shape], architecture: str) -> None:
    for module, (a, b) in adapter.pairs.items():
        weight = f"{module}.weight"
        if weight not in linear:
            raise UserError(f"{adapter.folder} adapts {module}, which is no linear layer of {architecture}", "name the model that the adapter was trained on")
        if (b.shape[0], a.shape[1]) != shapes[weight]:
            raise UserError(
                f"{adapter.folder} adapts {module} as {b.shape[0]} × {a.shape[1]}; the model's is {shapes[weight][0]} × {shapes[weight][1]}",
                "name the model that the adapter was trained on",
            )
