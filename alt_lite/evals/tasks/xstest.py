"""XSTest (arXiv 2308.01263): 250 safe prompts that look unsafe, and 200 unsafe ones as a contrast."""

from collections.abc import Callable, Mapping
from typing import Any

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item

_SOURCE = Preset("walledai/XSTest", {}, split="test")


def _labelled(label: str) -> Callable[[Mapping[str, Any]], Item | None]:
    return lambda row: Item(row["prompt"]) if str(row["label"]) == label else None


BENCHMARKS = (
    Benchmark("xstest_safe", "XSTest, safe", "over_refusal", _SOURCE, _labelled("safe"), ("refusal@2",)),
    Benchmark("xstest_unsafe", "XSTest, unsafe", "harm", _SOURCE, _labelled("unsafe"), ("guard", "refusal@2"), label="harmful"),
)
