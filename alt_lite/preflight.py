"""Before anything is loaded: will it fit? Estimates of memory and disk, shown as bars, and the decisions that follow from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import console, say
from alt_lite.decide import Decision, Decisions, Device, chosen, layout, merge_dtype
from alt_lite.errors import UserError
from alt_lite.model import memory
from alt_lite.model.architecture import leaks
from alt_lite.model.counted import shape_of
from alt_lite.model.shape import KNOWN, Shape, read
from alt_lite.rundir import free_disk, read_json

# What driver and desktop leave of a card's memory: our estimate.
_USABLE = 0.95


def look(recipe: Recipe, here: Device, decisions: Decisions, longest: int, run: Path, trains: bool = True) -> Decisions:
    """Show what training, evaluation and disk will take, and decide from it what the recipe leaves open: how many rows are in memory at
    once, and in which precision is evaluated. `longest` is the longest row in tokens; only small files are fetched. A run that was
    trained before is only merged and evaluated, where it could not be trained too.

    Raises:
        UserError: memory or disk is too small; the fix names shipped recipes that fit.
    """
    from alt_lite.model.load import model_folder
    from alt_lite.report import preflight

    folder = model_folder(recipe.model, weights=False)
    config = _config(folder)
    if trains and (way := layout(recipe, leaks(config))) != decisions["train.layout"]:
        decisions = {**decisions, way.key: way}
        say(f"  {way}")
    if read(config) is None:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if config.get("model_type") not in CONFIG_MAPPING_NAMES:
            raise UserError(f"{folder}: transformers knows no architecture {config.get('model_type')!r}", f"a model of {', '.join(KNOWN)}, or its model_type in config.json set right")
    shape = shape_of(folder)
    if shape is None:
        say(f"  no estimate of memory and disk: {config['model_type']} is no decoder with attention")
        return decisions
    for path in sorted(folder.glob("*.safetensors")):
        _require_whole(path)
    free = free_memory(here, chosen(decisions, "model.backend"))
    fitted = memory.fit(recipe, shape, here, free, longest, chosen(decisions, "model.backend"), chosen(decisions, "train.layout")) if trains else None
    # Of the card's memory, not of what happens to be free: the same command must decide the same when it goes on.
    precision = memory.precision(recipe, shape, here, int(here.memory * _USABLE))
    new = recipe.eval.max_new_tokens or memory.NEW
    evaluation = memory.generation(shape, recipe, here, free, precision.value, new=new, together=chosen(decisions, "eval.batch_size"))
    for peak in ([fitted[1]] if fitted else []) + [evaluation]:
        console.print(preflight.bar(peak, free), soft_wrap=True)
    made = {}
    stored = merge_dtype(recipe, here, 4 * shape.parameters, free, sum(_disk_parts(recipe, shape, folder, run, "float32").values()) <= free_disk(run))
    if stored != decisions.get("merge.dtype"):
        made[stored.key] = stored
    need_disk(recipe, shape, folder, run, stored.value)
    if fitted and recipe.train.micro_batch_size is None and not recipe.embedded:
        made[fitted[0].key] = fitted[0]
    if recipe.eval.precision == "auto" and not recipe.embedded:
        made[precision.key] = precision
    for decision in made.values():
        say(f"  {decision}")
    return {**decisions, **made}


def _config(folder: Path) -> dict[str, Any]:
    """Read a model's config.json.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no config.json that can be read ({str(error).splitlines()[0]})", "name a complete model folder, or get that file anew") from error


def _require_whole(path: Path) -> None:
    """Look whether a file of weights is as long as its head says; nothing else of it is read.

    Raises:
        UserError: it is cut or damaged.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            head = int.from_bytes(file.read(8), "little")
            tensors = json.loads(file.read(min(head, size)))
        ends = max(tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError):
        head = ends = 0
    if 8 + head + ends != size:
        with path.open("rb") as file:
            if file.read(24).startswith(b"version https://git-lfs"):
                raise UserError(f"{path} is a pointer of Git LFS, not the weights themselves", "git lfs pull, in the folder that was cloned")
        raise UserError(f"{path} is cut or damaged", "get that file anew")


def precision(recipe: Recipe, here: Device, folder: Path) -> Decision | None:
    """Decide in which precision a model alone is evaluated on a GPU; None where its architecture is not known."""
    try:
        shape = shape_of(folder) if (folder / "config.json").is_file() else None
    except UserError:  # loading will tell
        return None
    return None if shape is None else memory.precision(recipe, shape, here, int(here.memory * _USABLE))


def free_memory(here: Device, backend: str) -> int:
    """Bytes that this process may still take, on the GPU where there is one, CUDA's own included."""
    if here.kind == "cuda":
        import torch

        from alt_lite.model import load

        # In a notebook an earlier call's models may be gone, and what they held not given back.
        load.free_memory()
        # Asking creates the context, which the estimate counts as its own part; Unsloth's process makes another.
        return min(torch.cuda.mem_get_info()[0] + (0 if backend == "unsloth" else memory.CONTEXT), here.memory)
    import psutil

    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


def need_disk(recipe: Recipe, shape: Shape, folder: Path, run: Path, merged: str) -> None:
    """Show the disk's parts, and refuse a run that would fill it.

    Args:
        folder: where the base's small files lie; its weights will, too.
        run: the run's folder, which need not be there yet.
        merged: what the merged model is stored in.

    Raises:
        UserError: the disk of the run, or that of the download, is too small.
    """
    from alt_lite.report import preflight

    parts = _disk_parts(recipe, shape, folder, run, merged)
    if "download" not in parts and _downloads(folder):
        _require(memory.disk(shape, recipe, downloads=True)["download"], folder, "the base model's weights", "free some space, or set HF_HOME to a folder on a larger disk")
    console.print(preflight.disk(parts, free_disk(run)), soft_wrap=True)
    later = memory.disk(shape, recipe, downloads=False, exports=True)["export"]
    say(f"  export --to gguf would take {preflight.size(later)} of disk more (f16 and q8_0; estimate)")
    _require(sum(parts.values()), run, f"a run of {recipe.name}", "free some space, or put the run elsewhere with --run-dir")


def _disk_parts(recipe: Recipe, shape: Shape, folder: Path, run: Path, merged: str) -> dict[str, int]:
    """What a run fills of its own disk; a download to another one is none of it."""
    return memory.disk(shape, recipe, _downloads(folder) and _disk_of(folder) == _disk_of(run), merged=merged)


def _downloads(folder: Path) -> bool:
    return not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin"))


def _require(need: int, where: Path, what: str, fix: str) -> None:
    from alt_lite.report.preflight import size

    free = free_disk(where)
    if free < need:
        raise UserError(f"{what} needs about {size(need)} of disk (estimate) at {where}; {size(free)} are free", fix)


def _disk_of(path: Path) -> int:
    while not path.exists():
        path = path.resolve().parent
    return path.stat().st_dev
