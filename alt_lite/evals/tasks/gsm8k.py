"""GSM8K (arXiv 2110.14168): grade-school word problems, the test split."""

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import REASONING_TOKENS, Benchmark, Item

_SOURCE = Source("gsm8k", (
    File("openai/grade-school-math", "3101c7d5072418e28b9008a6636bde82a006892c", "grade_school_math/data/test.jsonl"),
    Hub("openai/gsm8k", config="main", split="test"),
))

BENCHMARKS = (
    Benchmark(
        "gsm8k", "GSM8K", "skill", _SOURCE,
        lambda row: Item(f"{row['question']}\n\nReason step by step, and put your final answer within \\boxed{{}}.", str(row["answer"])),
        ("number@1",), max_new_tokens=REASONING_TOKENS, size=1319,
    ),
)
