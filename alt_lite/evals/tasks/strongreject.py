"""StrongREJECT (arXiv 2402.10260): 313 forbidden prompts."""

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item, first_of

_SOURCE = Source("strongreject", (
    File(
        "alexandrasouly/strongreject", "3432b2d696b428f242bd507df96d80f686571d5e", "strongreject_dataset/strongreject_dataset.csv",
        "4dd70357e4ff8b5d0ba5ebafecab5d6dd5633ce8046e3dd1c8bd93e64de44381",
    ),
    Hub("walledai/StrongREJECT"),
))

BENCHMARKS = (
    Benchmark(
        "strongreject", "StrongREJECT", "harm", _SOURCE, lambda row: Item(first_of(row, "prompt", "forbidden_prompt", "text") or ""),
        ("guard", "refusal@2"), label="harmful", size=313,
    ),
)
