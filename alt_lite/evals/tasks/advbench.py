"""AdvBench (arXiv 2307.15043): 520 harmful behaviours."""

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

_SOURCE = Source("advbench", (
    # No commit of it could be looked up: its content is pinned instead.
    File("llm-attacks/llm-attacks", "main", "data/advbench/harmful_behaviors.csv", "6cd1a5c63c07610d7eb67307772ee5606017ee950b5770ab288a2c487489d3e1"),
    Hub("mlabonne/harmful_behaviors"), Hub("walledai/AdvBench", gated=True),
))

BENCHMARKS = (
    Benchmark(
        "advbench", "AdvBench", "harm", _SOURCE, lambda row: Item(first_of(row, "prompt", "goal", "text") or ""),
        ("guard", "refusal@2"), label="harmful", size=520,
    ),
)
