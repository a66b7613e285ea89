"""AdvBench (arXiv 2307.15043): 520 harmful behaviours."""

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

BENCHMARKS = (
    Benchmark(
        "advbench", "AdvBench", "harm", Preset("walledai/AdvBench", {}), lambda row: Item(first_of(row, "prompt", "goal", "text") or ""),
        ("guard", "refusal@2"), label="harmful",
    ),
)
