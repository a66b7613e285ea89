"""WildJailbreak (arXiv 2406.18510) as SafeChain's authors evaluate it: 250 adversarial harmful prompts."""

from alt_lite.data.places import Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

BENCHMARKS = (
    Benchmark(
        "wildjailbreak", "WildJailbreak", "harm", Source("wildjailbreak", (Hub("UWNSL/WildJailbreakEval", config="250"),)),
        lambda row: Item(first_of(row, "prompt", "adversarial", "instruction", "text") or ""), ("guard", "refusal@2"), label="harmful", size=250,
    ),
)
