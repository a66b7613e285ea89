"""JailbreakBench (arXiv 2404.01318): 100 harmful behaviours, and 100 benign ones about the same topics."""

from alt_lite.data.places import Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of


def _source(name: str, split: str) -> Source:
    return Source(name, (Hub("JailbreakBench/JBB-Behaviors", config="behaviors", split=split), Hub("dedeswim/JBB-Behaviors", config="behaviors", split=split)))


BENCHMARKS = (
    Benchmark(
        "jbb", "JailbreakBench", "harm", _source("jbb", "harmful"), lambda row: Item(first_of(row, "Goal", "goal") or ""),
        ("guard", "refusal@2"), label="harmful", size=100,
    ),
    Benchmark(
        "jbb_benign", "JailbreakBench, benign", "over_refusal", _source("jbb_benign", "benign"), lambda row: Item(first_of(row, "Goal", "goal") or ""),
        ("refusal@2",), size=100,
    ),
)
