"""MaliciousInstruct (arXiv 2310.06987): 100 malicious instructions."""

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

_SOURCE = Source("malicious_instruct", (
    File(
        "Princeton-SysML/Jailbreak_LLM", "1e490531c0ef4bc13430178bf1fbc8f813e34b1a", "data/MaliciousInstruct.txt",
        "a64d69dd1004aac4a23aaff3748fb8f17161893f74db36f45b8bc849eb1bcce5",
    ),
    Hub("walledai/MaliciousInstruct"),
))

BENCHMARKS = (
    Benchmark(
        "malicious_instruct", "MaliciousInstruct", "harm", _SOURCE, lambda row: Item(first_of(row, "prompt", "text", "instruction") or ""),
        ("guard", "refusal@2"), label="harmful", size=100,
    ),
)
