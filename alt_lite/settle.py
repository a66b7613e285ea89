"""Fill in what a recipe leaves to the model itself: its family, and what its architecture is adapted in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.decide import Decision

KEYS = ("model.family", "lora.targets", "model.load_in_4bit")


def settle(recipe: Recipe, folder: Path | None = None) -> tuple[Recipe, list[Decision]]:
    """Give the recipe with these values filled in, and the decisions that were made; what was asked for stays.

    Args:
        folder: where tokenizer and config.json lie; None: of the recipe's model, of which only small files are fetched.

    Raises:
        UserError: the model cannot be had, or is of no family that is known.
    """
    from alt_lite.families import FAMILIES
    from alt_lite.model import architecture, load
    from alt_lite.tokens import tokenizer

    place = folder or load.model_folder(recipe.model, weights=False)
    tokens = tokenizer.load(place, FAMILIES.get(recipe.model.family), recipe.model.name)
    found: list[tuple[str, Any, str]] = [(KEYS[0], tokens.family.name, tokens.reason)]
    if (place / "config.json").is_file():
        found += [(KEYS[1], *architecture.targets_of(place)), (KEYS[2], *architecture.four_bit_of(place))]
    values, made = recipe.values(), []
    for key, value, reason in found:
        given = values[key] != "auto" if key == "model.family" else recipe.origin[key] != "default"
        if given or _same(values[key], value):
            continue
        section, _, name = key.partition(".")
        recipe = replace(recipe, **{section: getattr(recipe, section).model_copy(update={name: value})})
        made.append(Decision(key, ",".join(value) if isinstance(value, tuple) else value, reason))
    return recipe, made


def settled(recipe: Recipe) -> Recipe:
    """Settle a recipe and say what was decided."""
    from alt_lite.console import say

    recipe, made = settle(recipe)
    for decision in made:
        say(f"  {decision}")
    return recipe


def _same(before: Any, after: Any) -> bool:
    return list(before) == list(after) if isinstance(after, tuple) else before == after
