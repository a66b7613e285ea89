"""Fill in what a recipe leaves to the model itself: its family, and what its architecture is adapted in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.decide import Decision, Device
from alt_lite.errors import UserError

KEYS = ("model.family", "lora.targets", "model.load_in_4bit")
# Share of a machine's memory that a base in 16 bit may take while it is trained without a GPU.
_ROOMY = 0.25


def settle(recipe: Recipe, folder: Path | None = None, trained_on: Device | None = None) -> tuple[Recipe, list[Decision]]:
    """Give the recipe with these values filled in, and the decisions that were made; what was asked for stays.

    Args:
        folder: where tokenizer and config.json lie; None: of the recipe's model, of which only small files are fetched.
        trained_on: the device that trains, where that is what is about to be done.

    Raises:
        UserError: the model cannot be had, is of no family that is known, or is trained in another precision than merged.
    """
    from alt_lite.model import architecture, load

    place = folder or load.model_folder(recipe.model, weights=False)
    tokens = load.load_tokens(recipe.model, place)
    found: list[tuple[str, Any, str]] = [(KEYS[0], tokens.family.name, tokens.reason)]
    if (place / "config.json").is_file():
        found += [(KEYS[1], *architecture.targets_of(place)), (KEYS[2], *architecture.four_bit_of(place))]
        if found[-1][1] and trained_on and (why := _room_for_16_bit(recipe, place, trained_on)):
            found[-1] = KEYS[2], False, why
    values, made = recipe.values(), []
    for key, value, reason in found:
        given = values[key] != "auto" if key == KEYS[0] else recipe.origin[key] != "default"
        if _same(values[key], value):
            continue
        if given:
            if key == KEYS[2] and values[key]:
                made.append(Decision(key, values[key], f"asked for, though {reason}"))
            continue
        section, _, name = key.partition(".")
        changed: dict[str, Any] = {section: getattr(recipe, section).model_copy(update={name: value}), "origin": {**recipe.origin, key: "decided"}}
        recipe = replace(recipe, **changed)
        made.append(Decision(key, ",".join(value) if isinstance(value, tuple) else value, reason))
    if recipe.merge.base == "dequantized" and not recipe.model.load_in_4bit:
        why = next((decision.reason for decision in made if decision.key == KEYS[2]), "as asked")
        raise UserError(f"merge.base=dequantized, but the base is trained in 16 bit ({why})", "merge.base=original; or model.load_in_4bit=true all the same")
    return recipe, made


def _room_for_16_bit(recipe: Recipe, place: Path, device: Device) -> str | None:
    """Tell why a base is trained in 16 bit though 4 would do: unpacking costs a CPU time at every step, and memory is what 4 bit
    saves. None where that does not hold."""
    from alt_lite.model.counted import shape_of
    from alt_lite.model.memory import weight_bytes, width_of

    if device.kind != "cpu" or recipe.embedded or recipe.merge.base == "dequantized" or (shape := shape_of(place)) is None:
        return None
    needed = weight_bytes(shape, False, width_of(device))
    return f"the base takes {needed / 1e9:.2g} GB unquantised, for which this machine has room" if needed <= _ROOMY * device.memory else None


def settled(recipe: Recipe) -> Recipe:
    """Settle a recipe and say what was decided."""
    from alt_lite.console import say

    recipe, made = settle(recipe)
    for decision in made:
        say(f"  {decision}")
    return recipe


def _same(before: Any, after: Any) -> bool:
    return list(before) == list(after) if isinstance(after, tuple) else before == after
