"""NQ-open (arXiv 1906.00300): short factual questions, closed book; exact match, and F1 as the score."""

import json

from alt_lite.data.places import Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item

BENCHMARKS = (
    Benchmark(
        "nq_open", "NQ-open", "skill", Source("nq_open", (Hub("google-research-datasets/nq_open", split="validation"),)),
        lambda row: Item(f"{row['question'].rstrip('?')}?\n\nGive a short answer of a few words.", json.dumps(list(row["answer"]), ensure_ascii=False)), ("qa@1",), size=3610,
    ),
)
