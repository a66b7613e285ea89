"""StrongREJECT (arXiv 2402.10260): 313 forbidden prompts."""

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

BENCHMARKS = (
    Benchmark(
        "strongreject", "StrongREJECT", "harm", Preset("walledai/StrongREJECT", {}),
        lambda row: Item(first_of(row, "prompt", "forbidden_prompt", "text") or ""), ("guard", "refusal@2"), label="harmful",
    ),
)
