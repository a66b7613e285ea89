"""MaliciousInstruct (arXiv 2310.06987): 100 malicious instructions."""

from alt_lite.data.sources import Preset
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

BENCHMARKS = (
    Benchmark(
        "malicious_instruct", "MaliciousInstruct", "harm", Preset("walledai/MaliciousInstruct", {}),
        lambda row: Item(first_of(row, "prompt", "text") or ""), ("guard", "refusal@2"), label="harmful",
    ),
)
