"""The README's hardware table: what was measured, by `recipes/measured/*.json`, and estimates where nothing was.

`python -m alt_lite.report.hardware` prints it; a test holds the README to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alt_lite.config import Recipe, load_recipe, recipe_folder, recipe_names, with_overrides
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.model import memory
from alt_lite.model.shape import PUBLISHED
from alt_lite.rundir import read_json

BEGIN, END = "<!-- hardware: made by alt_lite/report/hardware.py -->", "<!-- end of hardware -->"
# Field of a measurement → its type; README.md in the folder tells what each means.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "recipe": str, "stage": str, "gpu": str, "gpu_memory_bytes": int, "date": str, "versions": dict, "command": str, "random_weights": bool,
    "backend": str, "layout": str, "longest_row": int, "micro_batch_size": int, "peak_memory_bytes": int,
    "tokens_per_second": (int, float, type(None)), "seconds": (int, float, type(None)),
}
# AltTrain-1K: 900 rows of about 70 tokens, 100 of about 1,050 (the prompt included).
ALTTRAIN_TOKENS = 900 * 70 + 100 * 1050
_NAMED = ("unsloth", "torch", "transformers")
_CARD = Device("cuda", "a card of compute capability 8.0 or newer", 0, bf16=True)
# What a recipe that asks for no card is made for.
_CPU = Device("cpu", "2 CPU cores", 0, bf16=True)


def measurements(folder: Path | None = None) -> list[dict[str, Any]]:
    """Read all measurements, the newest of each recipe, stage and card last.

    Raises:
        UserError: a file lacks a field, or holds another type.
    """
    found = []
    for path in sorted((folder or recipe_folder() / "measured").glob("*.json")):
        entry = read_json(path)
        wrong = [name for name, kind in FIELDS.items() if name not in entry or not isinstance(entry[name], kind)]
        if wrong:
            raise UserError(f"{path.name}: {', '.join(wrong)} missing or of another type", f"see {path.parent / 'README.md'}")
        found.append(entry)
    return sorted(found, key=lambda entry: entry["date"])


def table(folder: Path | None = None) -> str:
    """Render the table: a line per recipe, its memory and time each *measured* or *estimate*."""
    measured = [entry for entry in measurements(folder) if entry["stage"] == "train"]
    lines = ["| recipe | model | training memory | time for AltTrain-1K | evaluation in 16 bit, in 4 bit |", "|---|---|---|---|---|"]
    for name in sorted(recipe_names(), key=_order):
        recipe = load_recipe(name)
        if not recipe.embedded:
            mine = [entry for entry in measured if entry["recipe"] == name]
            lines.append(f"| `{name}` | {recipe.model.name.partition('/')[2]} | {_memory(recipe, mine)} | {_time(recipe, mine)} | {_evaluation(recipe)} |")
    return "\n".join(lines) + "\n\n" + _legend()


def _order(name: str) -> tuple[int, str]:
    shape = PUBLISHED.get(load_recipe(name).model.name)
    return (shape.parameters if shape else 0, name)


def _memory(recipe: Recipe, measured: list[dict[str, Any]]) -> str:
    if measured:
        return f"{measured[-1]['peak_memory_bytes'] / 1e9:.1f} GB *{_source(measured[-1])}*"
    shape = PUBLISHED.get(recipe.model.name)
    if shape is None:
        return f"{recipe.model.gpu_gb:g} GB *estimate*" if recipe.model.gpu_gb else "not measured"
    if recipe.model.gpu_gb is None:
        whole = with_overrides(recipe, ("model.load_in_4bit=false",))  # as it is trained there (settle.py)
        return f"{_CPU.name}, {memory.training(shape, whole, _CPU, 1, memory.ROW).total / 1e9:.1f} GB *estimate*"
    few, many = (memory.training(shape, recipe, _CARD, rows, memory.ROW).total / 1e9 for rows in (1, 4))
    return f"{few:.1f} GB, {many:.1f} with 4 rows *estimate*"


def _time(recipe: Recipe, measured: list[dict[str, Any]]) -> str:
    """A whole run's seconds where one was measured; else rows' tokens × epochs / measured tokens per second."""
    whole = [entry for entry in measured if entry["seconds"] and not entry["random_weights"]]
    if whole:
        return f"{_minutes(whole[-1]['seconds'])} *{_source(whole[-1])}*"
    speeds = [entry for entry in measured if entry["tokens_per_second"]]
    if speeds:
        speed = speeds[-1]["tokens_per_second"]
        return f"{_minutes(ALTTRAIN_TOKENS * recipe.train.epochs / speed)} *estimate from {speed:,.0f} tokens/s {_source(speeds[-1])}*"
    return "not measured"


def _evaluation(recipe: Recipe) -> str:
    shape = PUBLISHED.get(recipe.model.name)
    if shape is None:
        return "not measured"
    here = _CPU if recipe.model.gpu_gb is None else _CARD
    full, four = (memory.generation(shape, recipe, here, 0, bits, together=1).total / 1e9 for bits in ("16bit", "4bit"))
    return f"{full:.1f} GB, {four:.1f} GB *estimate*"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _source(entry: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {entry['versions'][name]}" for name in _NAMED if name in entry["versions"])
    return f"measured ({entry['gpu']}, {entry['date']}, {versions}{', random weights' if entry['random_weights'] else ''})"


def _legend() -> str:
    return (
        f"Estimates: backend transformers, one row of {memory.ROW:,} tokens in memory at once, on a card with bf16, {memory.CONTEXT / 1e9:.1f} GB of them for CUDA's own; "
        f"evaluation of one prompt of {memory.PROMPT} tokens and {memory.NEW:,} new ones; on CPU cores in bf16, unquantised. An estimate of time is {ALTTRAIN_TOKENS:,} tokens × epochs / "
        "measured tokens per second."
    )


if __name__ == "__main__":
    print(table())
