"""HarmBench (arXiv 2402.04249): its 200 standard behaviours; contextual ones and those about copyright need
texts beside the prompt, so they are left out."""

from collections.abc import Mapping
from typing import Any

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

_SOURCE = Source("harmbench", (
    File(
        "centerforaisafety/HarmBench", "c0423b9", "data/behavior_datasets/harmbench_behaviors_text_all.csv",
        "2745611872be3b2eab141e39bb328b8c1140dc3cd8d0a49da6174260d9ccbfb9",
    ),
    Hub("swiss-ai/harmbench", config="DirectRequest", split="test"), Hub("walledai/HarmBench", config="standard", gated=True),
))


def _item(row: Mapping[str, Any]) -> Item | None:
    if first_of(row, "FunctionalCategory", "functional_category") not in (None, "standard"):
        return None
    return Item(first_of(row, "prompt", "Behavior", "behavior", "goal", "text") or "")


BENCHMARKS = (Benchmark("harmbench", "HarmBench", "harm", _SOURCE, _item, ("guard", "refusal@2"), label="harmful", size=200),)
