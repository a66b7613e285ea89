"""Recipes: typed sections, and how they are read."""

from alt_lite.config.loading import (
    coerce,
    load_recipe,
    recipe_folder,
    recipe_from_values,
    recipe_names,
    to_yaml,
    with_overrides,
)
from alt_lite.config.sections import EMBEDDED, SECTIONS, ModelSection, Origin, Recipe, Suite, Target

__all__ = [
    "EMBEDDED", "SECTIONS", "ModelSection", "Origin", "Recipe", "Suite", "Target", "coerce", "load_recipe", "recipe_folder", "recipe_from_values",
    "recipe_names", "to_yaml", "with_overrides",
]
