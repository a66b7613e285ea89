"""HarmBench (arXiv 2402.04249): its 200 standard behaviours; contextual ones and those about copyright need
texts beside the prompt, so they are left out."""

from collections.abc import Mapping
from typing import Any

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of


def _item(row: Mapping[str, Any]) -> Item | None:
    if row.get("FunctionalCategory") not in (None, "standard"):
        return None
    return Item(first_of(row, "prompt", "Behavior") or "")


BENCHMARKS = (
    Benchmark("harmbench", "HarmBench", "harm", Preset("walledai/HarmBench", {}, config="standard"), _item, ("guard", "refusal@2"), label="harmful"),
)
