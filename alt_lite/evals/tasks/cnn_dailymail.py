"""CNN/DailyMail (arXiv 1704.04368): news summaries, scored by ROUGE-L."""

from alt_lite.data.places import Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item

BENCHMARKS = (
    Benchmark(
        "cnn_dailymail", "CNN/DailyMail", "skill", Source("cnn_dailymail", (Hub("abisee/cnn_dailymail", config="3.0.0", split="test"),)),
        lambda row: Item(f"Summarise this article in three sentences.\n\n{row['article']}", row["highlights"]), ("rouge@1",), size=11490,
    ),
)
