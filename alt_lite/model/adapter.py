"""The adapter: put on a base as it is trained, drawn from the seed, saved the same by both backends."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.model import load, unsloth
from alt_lite.model.merging.adapter import PREFIX
from alt_lite.model.merging.fold import skeleton
from alt_lite.model.merging.mergeable import expanded, unreached
from alt_lite.rundir import read_json, write_json


def new(recipe: Recipe, device: Device, backend: str = "transformers", longest: int = 0) -> Any:
    """Load the base as it is trained and put a fresh adapter on it, drawn from `train.seed`.

    Raises:
        UserError: no layer of the model has such a name.
    """
    folder = load.model_folder(recipe.model)
    try:
        model = unsloth.new_adapter(recipe, device, folder, longest) if backend == "unsloth" else _plain(recipe, device, folder)
    except ValueError as error:
        if "target modules" not in str(error).lower():
            raise
        raise UserError(f"lora.targets: {str(error).splitlines()[0]}", "name linear layers of the model, such as q_proj") from error
    draw(model, recipe.train.seed)
    return model


def _plain(recipe: Recipe, device: Device, folder: Path) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if recipe.model.load_in_4bit:
        model = load.load_quantized(folder, device)
        if load.training_dtype(device) == torch.float16:
            # Embeddings, norms and head in fp32, and so what flows between the layers: fp16 would overflow there.
            model = prepare_model_for_kbit_training(
                model, use_gradient_checkpointing=recipe.train.gradient_checkpointing,
                gradient_checkpointing_kwargs={"use_reentrant": False},
            )
        else:  # in bf16 the same would cost half the memory again, and gain nothing
            model.requires_grad_(False)
    else:
        model = load.load_full(folder, device)
    names = expanded(recipe.lora.targets, folder)
    lora = LoraConfig(
        r=recipe.lora.r, lora_alpha=recipe.lora.alpha, lora_dropout=recipe.lora.dropout, bias="none",
        target_modules=names, exclude_modules=unreached(names, folder), task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, lora, autocast_adapter_dtype=True)
    if load.training_dtype(device) != torch.float32:
        # Autocast casts what goes into the adapter, which is trained in fp32; PEFT would cast each layer's input to fp32 before.
        for module in adapted.modules():
            if hasattr(module, "cast_input_dtype_enabled"):
                module.cast_input_dtype_enabled = False
    return adapted


def draw(model: Any, seed: int) -> None:
    """Draw an adapter's first weights: A as PEFT does (uniform, Kaiming with a = √5; Hu et al. 2021 leave
    B at zero), from one stream over the model's layers on the CPU, so that backends and devices begin
    with the same."""
    import torch

    torch.manual_seed(seed)
    for module in model.modules():
        if not hasattr(module, "lora_A"):
            continue
        down, up = module.lora_A["default"].weight, module.lora_B["default"].weight
        # PEFT's stream: it makes both layers, which draws, before it draws A.
        torch.nn.Linear(down.shape[1], down.shape[0], bias=False), torch.nn.Linear(up.shape[1], up.shape[0], bias=False)
        fresh = torch.nn.init.kaiming_uniform_(torch.empty(down.shape), a=math.sqrt(5))
        # Rounded as TRL's trainer rounds it before training in 4 bit, and Unsloth's does not (trl #4901).
        down.data = fresh.to(torch.bfloat16).to(down.device, torch.float32)
        up.data = torch.zeros(up.shape, device=up.device)


def to_fp32(model: Any) -> None:
    """Train the adapter in fp32: TRL casts it to bf16, which rounds small learning rates away, breaks
    resuming, and has no GradScaler for fp16 (trl #4901)."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def save(model: Any, recipe: Recipe, folder: Path) -> None:
    """Write the adapter so that it is whole or not there, and the same whichever backend made it: the
    base by its name, not by a path of this machine; no class to load it with but PEFT's own."""
    from peft import PeftModel

    temporary = folder.with_name(folder.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    PeftModel.save_pretrained(model, str(temporary), save_embedding_layers=False)
    _as_text(temporary / "adapter_model.safetensors", recipe)
    config = read_json(temporary / "adapter_config.json")
    ours = {"base_model_name_or_path": recipe.model.name, "auto_mapping": None, "target_modules": sorted(config["target_modules"])}
    write_json(temporary / "adapter_config.json", {**config, **ours})
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _as_text(path: Path, recipe: Recipe) -> None:
    """Name an adapter's matrices as the text model has them that is merged and evaluated, where it was trained in a larger one, as
    Unsloth loads Qwen3.5 to see."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    if not any(".language_model." in name for name in tensors):
        return
    own = {name for name, _ in skeleton(load.model_folder(recipe.model)).named_modules()}

    def named(name: str) -> str:
        module = name.removeprefix(PREFIX).partition(".lora_")[0]
        shorter = module.replace("language_model.", "", 1)
        return name.replace("language_model.", "", 1) if module not in own and shorter in own else name

    save_file({named(name): tensor for name, tensor in tensors.items()}, path, {"format": "pt"})
