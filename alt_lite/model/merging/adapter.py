"""Read a saved LoRA adapter as matrices, and refuse what they alone do not tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.errors import UserError
from alt_lite.rundir import read_json

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PICKLED = "adapter_model.bin"
PREFIX, _COPY = "base_model.model.", ".base_layer.weight"
# Keys of adapter_config.json that say where the matrices came from, or are read here. Any other that is
# set may change what the adapter computes (DoRA, trained biases, whole modules, …): so may one that a
# later PEFT brings.
_KNOWN = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout", "loftq_config", "megatron_core", "peft_type",
    "peft_version", "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type",
    "use_rslora",
}
# Starts that leave the base's weights as they are; others (PiSSA, OLoRA, CorDA, LoftQ) take their part out of them.
_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class Adapter:
    """Each adapted module's name within the model, with `A` (r, inputs) and `B` (outputs, r); a merged
    weight is W + `scale` · B A. `copies` are the base's own weights, which PEFT saves beside an adapted
    output embedding."""

    folder: Path
    scale: float
    pairs: dict[str, tuple[Any, Any]]
    copies: dict[str, Any]


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's folder.

    Raises:
        UserError: it is none, is damaged, or is more than plain LoRA.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(folder)
    try:
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / CONFIG} is no LoRA's configuration (r and lora_alpha)", "train again, or get that file anew") from error
    require_lora(folder, config)
    _require_plain(folder, config)
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise UserError(f"{folder / WEIGHTS} is cut or damaged ({str(error).splitlines()[0]})", "train again, or get that file anew") from error
    pairs: dict[str, tuple[Any, Any]] = {}
    copies = {name.removeprefix(PREFIX).removesuffix(_COPY): tensor for name, tensor in tensors.items() if name.endswith(_COPY)}
    for name, tensor in tensors.items():
        if name.endswith(_COPY):
            continue
        module, _, part = name.removeprefix(PREFIX).rpartition(".lora_")
        if not name.startswith(PREFIX) or part not in ("A.weight", "B.weight") or tensor.dim() != 2:
            raise UserError(f"{folder / WEIGHTS}: {name} is no matrix of a LoRA layer", "plain LoRA on linear layers is merged")
        other = f"{PREFIX}{module}.lora_{'B' if part[0] == 'A' else 'A'}.weight"
        if other not in tensors:
            raise UserError(f"{folder / WEIGHTS} holds {name} without {other}", "train again, or get that file anew")
        if tensor.shape[0 if part[0] == "A" else 1] != rank:
            raise UserError(f"{folder / WEIGHTS}: {name} is {tuple(tensor.shape)}, not of rank {rank} as {CONFIG} says", "get both files from one training")
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{folder / WEIGHTS}: {name} holds values that are no numbers", "train again with a lower train.learning_rate")
        if part[0] == "A":
            pairs[module] = (tensor.float(), tensors[other].float())
    if not set(copies) <= set(pairs):
        raise UserError(f"{folder / WEIGHTS} holds a weight of {min(set(copies) - set(pairs))}, which is not adapted", "plain LoRA on linear layers is merged")
    if not pairs:
        raise UserError(f"{folder / WEIGHTS} holds no matrices", "train again")
    # Scale as of LoRA (arXiv 2106.09685) and of rsLoRA (arXiv 2312.03732).
    return Adapter(folder, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank), pairs, copies)


def read_config(folder: Path) -> dict[str, Any]:
    """Give adapter_config.json of a folder that holds an adapter in safetensors.

    Raises:
        UserError: it does not.
    """
    if not (folder / CONFIG).is_file():
        what = "a whole model, not an adapter" if (folder / "config.json").is_file() else f"no adapter's folder (no {CONFIG})"
        raise UserError(f"{folder} is {what}", "name a run's adapter/ folder")
    if not (folder / WEIGHTS).is_file():
        if (folder / _PICKLED).is_file():
            paths = f"{str(folder / _PICKLED)!r}, weights_only=True), {str(folder / WEIGHTS)!r}"
            raise UserError(f"{folder} holds its weights as {_PICKLED}, which is not read", f'python -c "import torch; from safetensors.torch import save_file; save_file(torch.load({paths})" writes {WEIGHTS}')
        raise UserError(f"{folder} holds no {WEIGHTS}", "train again, or name a complete adapter's folder")
    try:
        return dict(read_json(folder / CONFIG))
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / CONFIG} is no LoRA's configuration, or is cut or damaged", "train again, or get that file anew") from error


def require_lora(folder: Path, config: dict[str, Any]) -> None:
    """Raises:
    UserError: the adapter is of another type.
    """
    if config.get("peft_type") != "LORA":
        raise UserError(f"{folder / CONFIG}: peft_type {config.get('peft_type')} is not merged, nor evaluated", "only LoRA is; one of another type may be merged with PEFT itself, and the merged folder named")


def _require_plain(folder: Path, config: dict[str, Any]) -> None:
    found = [f"{key}={value}" for key, value in config.items() if key not in _KNOWN and value not in (None, False, "none", [], {})]
    found += [f"{key}={config[key]}" for key in ("rank_pattern", "alpha_pattern") if config.get(key)]
    if config.get("init_lora_weights") not in _STARTS:
        found.append(f"init_lora_weights={config['init_lora_weights']}")
    if found:
        raise UserError(f"{folder / CONFIG}: {', '.join(found)}: that is more than plain LoRA, and would be lost", "merge it with PEFT itself, or train without")
