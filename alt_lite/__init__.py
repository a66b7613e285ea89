"""alt_lite: safer small reasoning models at home.

>>> import alt_lite
>>> recipe = alt_lite.load_recipe("tiny", ["train.seed=1"])
>>> folder = alt_lite.run(recipe)
>>> alt_lite.evaluate(folder / "merged")
>>> alt_lite.compare("runs/tiny:base", "runs/tiny")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_API = {"load_recipe": "config", "run": "recipe", "evaluate": "evaluation", "compare": "evaluation"}
__all__ = ["compare", "evaluate", "load_recipe", "run"]


def __getattr__(name: str) -> Any:
    """Import the API's functions when they are first used (PEP 562), so that `import alt_lite` is quick."""
    if name not in _API:
        raise AttributeError(f"module 'alt_lite' has no attribute {name!r}")
    function = getattr(import_module(f"alt_lite.{_API[name]}"), name)
    globals()[name] = function
    return function
