"""Ask before training what merging and evaluating would refuse after it: from configuration, file names and headers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alt_lite.config import ModelSection, Recipe
from alt_lite.errors import UserError
from alt_lite.model import architecture
from alt_lite.model.load import is_here
from alt_lite.model.merging.adapter import CONFIG, PREFIX, WEIGHTS, read_config, require_lora
from alt_lite.model.merging.fold import open_base, require_unquantized, skeleton
from alt_lite.model.merging.shards import Weights, find_weights, names_in
from alt_lite.net import asking
from alt_lite.tokens.tokenizer import Tokens

ALL_LINEAR = "all-linear"


def require_mergeable(recipe: Recipe, folder: Path, tokens: Tokens, largest: int) -> None:
    """Refuse a base that the adapter could not be trained on or merged into.

    Args:
        folder: the base's; of a hub's model its small files.
        largest: the largest token id of any row.

    Raises:
        UserError: the weights' format or precision, their shapes, the tokenizer's size or `lora.targets` is not one
            that works to the end.
    """
    dequantized = recipe.merge.base == "dequantized"
    if is_here(recipe.model):
        find_weights(folder)
        model = open_base(folder, dequantized).model
    else:
        _require_safetensors(recipe.model)
        require_unquantized(folder, dequantized)
        model = skeleton(folder)
    _require_ids(folder, model.config.get_text_config().vocab_size, tokens, largest)
    _require_targets(recipe.lora.targets, model)


def _require_safetensors(model: ModelSection) -> None:
    """Refuse a hub's repository that holds its weights in other files only; where the hub does not answer, what is
    cached is used."""
    from huggingface_hub import HfApi

    try:
        with asking(f"the hub for {model.name}", "try again later"):
            names = [file.rfilename for file in HfApi().model_info(model.name, revision=model.revision, timeout=20).siblings or ()]
    except UserError:
        return
    if names and not any(name.endswith(".safetensors") and "/" not in name for name in names):
        other = next((name for name in names if name.endswith((".bin", ".pth", ".pt", ".gguf", ".h5", ".msgpack"))), "none of the usual files")
        raise UserError(f"{model.name} holds its weights on the hub as {other}, not as safetensors", "model.name of a repository that holds model.safetensors, or of a folder into which they were converted")


def expanded(targets: tuple[str, ...], folder: Path) -> list[str]:
    """Give the names of the layers that are adapted; `all-linear` stands for those that LoRA adapts by default."""
    return list(targets) if ALL_LINEAR not in targets else sorted(architecture.targets_of(folder)[0])


def unreached(names: list[str], folder: Path) -> str | None:
    """Give the pattern of modules that have one of these names and are not adapted (architecture.unreached)."""
    return architecture.unreached(skeleton(folder), names)


def _require_ids(folder: Path, rows: int, tokens: Tokens, largest: int) -> None:
    own = max(tokens.fast.get_vocab().values())
    if max(own, largest) >= rows:
        token = tokens.fast.convert_ids_to_tokens(max(own, largest))
        raise UserError(
            f"{folder}: the model has {rows} embeddings, the tokenizer ids up to {max(own, largest)} ({token!r}): no such token could be trained or read",
            "the tokenizer that belongs to these weights; or resize the model's embeddings to the tokenizer (resize_token_embeddings), and save both",
        )


def _require_targets(targets: tuple[str, ...], model: Any) -> None:
    """PEFT adapts the modules whose name is a target, or ends with `.` and a target. The output head is none of
    them: the loss is taken in chunks from its own weight (TRL's chunked_nll)."""
    if targets == (ALL_LINEAR,):
        return
    head, beside = _head(model), architecture.unreached(model, list(targets))
    names = [name for name, _ in model.named_modules() if not (beside and re.fullmatch(beside, name))]
    linear = {name.rpartition(".")[2] for name in architecture.linear_of_text(model)} - {head}
    for target in targets:
        found = [name for name in names if name == target or name.endswith(f".{target}")]
        wrong = [name for name in found if name.rpartition(".")[2] not in linear]
        if wrong or not found:
            what = f"{type(model).__name__} has no layer of that name" if not found else f"{wrong[0]} is {'the output head' if target == head else 'no linear layer'}"
            raise UserError(f"lora.targets: {target}: {what}; linear layers inside the model are trained and merged", f"lora.targets of {','.join(sorted(linear))}; or {ALL_LINEAR} alone, for all of them")


def _head(model: Any) -> str:
    head = model.get_output_embeddings()
    return next((name.rpartition(".")[2] for name, module in model.named_modules() if module is head), "")


def require_fitting(adapter: Path, base: Path) -> None:
    """Refuse an adapter that cannot be put on its base, by both their shapes, before any weights are loaded.

    Raises:
        UserError: it is damaged, pickled, no LoRA, or made for another base.
    """
    config = read_config(adapter)
    require_lora(adapter, config)
    rank = None if config.get("rank_pattern") else config.get("r")
    model = skeleton(base)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    headers = Weights(adapter, dict.fromkeys(names_in(adapter / WEIGHTS), WEIGHTS)).headers
    if not headers:
        raise UserError(f"{adapter / WEIGHTS} holds no matrices", "train again, or name a complete adapter's folder")
    for name, (_, shape) in headers.items():
        module, _, part = name.removeprefix(PREFIX).rpartition(".lora_")
        own = module + ".weight" if module else name.removeprefix(PREFIX).replace(".base_layer.", ".").replace(".modules_to_save.", ".")
        if ".token_adapter." in name or (module and "bias" in part):
            continue
        if own not in shapes:
            raise UserError(f"{adapter} was trained on another model than its base {base}, which has no {own.removesuffix('.weight')}", f"base_model_name_or_path in {CONFIG}: the model that it was trained on")
        if rank and part in ("A.weight", "B.weight") and module and len(shape) == 2 and shape[0 if part == "A.weight" else 1] != rank:
            raise UserError(f"{adapter}: {name.removeprefix(PREFIX)} is {shape}, not of rank {rank} as {CONFIG} says", "get both files from one training")
        if not _fits(part if module else "", shape, shapes[own]):
            raise UserError(
                f"{adapter} does not fit its base {base}: {name.removeprefix(PREFIX)} is {shape}, for a weight of {shapes[own]}",
                f"base_model_name_or_path in {CONFIG}: the model that it was trained on, of the same size of vocabulary; or merge it where it was trained, and name the merged folder",
            )


def _fits(part: str, shape: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Whether a tensor of an adapter, by what follows `lora_` in its name, goes with a weight (outputs, inputs)."""
    if not part:
        return shape == weight
    if part.startswith("embedding_"):
        return len(shape) == 2 and shape[1 if part == "embedding_A" else 0] == weight[0 if part == "embedding_A" else 1]
    if part.startswith("magnitude_vector"):
        return weight[0] in shape or weight[1] in shape
    return len(shape) == 2 and shape[1 if part == "A.weight" else 0] == weight[1 if part == "A.weight" else 0]
