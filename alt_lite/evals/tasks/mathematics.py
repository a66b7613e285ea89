"""MATH-500 (arXiv 2103.03874, 2305.20050) and AIME 2024, scored by math-verify."""

from collections.abc import Mapping
from typing import Any

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import REASONING_TOKENS, Benchmark, Item, first_of


def _item(row: Mapping[str, Any]) -> Item:
    return Item(f"{row['problem']}\n\nReason step by step, and put your final answer within \\boxed{{}}.", str(first_of(row, "answer", "solution")))


_MATH500 = Source("math500", (
    Hub("HuggingFaceH4/MATH-500", split="test"),
    File("UCSC-VLAA/STAR-1", "b49333598887845f148ed1b4d2576dc2bff7581a", "benchmark/reasoning_benchmark/datasets/MATH/test.jsonl"),
))
_AIME24 = Source("aime24", (Hub("HuggingFaceH4/aime_2024"),))

BENCHMARKS = (
    Benchmark("math500", "MATH-500", "skill", _MATH500, _item, ("math@1",), max_new_tokens=REASONING_TOKENS, size=500),
    Benchmark("aime24", "AIME 2024", "skill", _AIME24, _item, ("math@1",), max_new_tokens=2 * REASONING_TOKENS, size=30),
)
