"""JailbreakBench (arXiv 2404.01318): 100 harmful behaviours, and 100 benign ones about the same topics."""

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of


def _source(split: str) -> Preset:
    return Preset("JailbreakBench/JBB-Behaviors", {}, config="behaviors", split=split)


BENCHMARKS = (
    Benchmark(
        "jbb", "JailbreakBench", "harm", _source("harmful"), lambda row: Item(first_of(row, "Goal", "goal") or ""),
        ("guard", "refusal@2"), label="harmful",
    ),
    Benchmark(
        "jbb_benign", "JailbreakBench, benign", "over_refusal", _source("benign"), lambda row: Item(first_of(row, "Goal", "goal") or ""),
        ("refusal@2",),
    ),
)
