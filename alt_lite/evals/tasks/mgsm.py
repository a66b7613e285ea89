"""MGSM (arXiv 2210.03057): 250 problems of GSM8K in other languages; English, Spanish, Chinese."""

from collections.abc import Callable, Mapping
from typing import Any

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import REASONING_TOKENS, Benchmark, Item, first_of

_ASK = {
    "en": "Reason step by step, and put your final answer within \\boxed{}.",
    "es": "Razona paso a paso y pon la respuesta final dentro de \\boxed{}.",
    "zh": "请逐步推理，并把最终答案放在 \\boxed{} 中。",
}


def _item(language: str) -> Callable[[Mapping[str, Any]], Item]:
    return lambda row: Item(f"{row['question']}\n\n{_ASK[language]}", str(first_of(row, "answer_number", "answer")))


def _source(language: str) -> Source:
    places = (
        Hub("juletxara/mgsm", config=language, split="test", revision="refs/convert/parquet"),
        File("NJUNLP/SkipLayerCD", "72df5e5d6e5095c6db6e0aaad25c1fead84e8995", f"data/mgsm/mgsm_{language}.tsv"),
    )
    return Source(f"mgsm_{language}", places, header=("question", "answer_number"))


BENCHMARKS = tuple(
    Benchmark(
        f"mgsm_{language}", f"MGSM, {name}", "skill",
        _source(language), _item(language),
        ("number@1",), language=language, max_new_tokens=REASONING_TOKENS, size=250,
    )
    for language, name in {"en": "English", "es": "Spanish", "zh": "Chinese"}.items()
)
