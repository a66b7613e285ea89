"""ARC-Challenge (arXiv 1803.05457), MMLU (2009.03300) and its Chinese sister CMMLU (2306.09212)."""

from collections.abc import Mapping
from typing import Any

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import LETTERS, REASONING_TOKENS, Benchmark, Item, choices, first_of

_ASK_ZH = "请思考后作答，最后以“答案：X”结束，X 为正确选项的字母。"


def _arc(row: Mapping[str, Any]) -> Item:
    question, options = row["question"], row.get("choices")
    if isinstance(question, Mapping):  # the original file nests its choices
        options = {key: [choice[key] for choice in question["choices"]] for key in ("text", "label")}
        question = question["stem"]
    # Some questions number their options; letters are asked for throughout.
    place = list(options["label"]).index(row["answerKey"])
    return Item(choices(question, options["text"]), LETTERS[place])


def _mmlu(row: Mapping[str, Any]) -> Item:
    options = row.get("choices") or [row[letter] for letter in "ABCD"]
    answer = str(row["answer"]).strip()
    # The hub's set numbers the options, and a CSV's cells are text.
    return Item(choices(row["question"], options), LETTERS[int(answer)] if answer.isdigit() else answer)


def _cmmlu(row: Mapping[str, Any]) -> Item:
    return Item(choices(first_of(row, "Question", "question"), [str(row[letter]) for letter in "ABCD"], ask=_ASK_ZH), first_of(row, "Answer", "answer"))


_ARC = Source("arc", (
    Hub("allenai/ai2_arc", config="ARC-Challenge", split="test"),
    File("FormulaMonks/llm-benchmarker-suite", "5d3c8009ab8f5adab4899c34dd203cbf7afcb372", "data/ARC/ARC-c/ARC-Challenge-Test.jsonl"),
))
_MMLU = Source("mmlu", (Hub("cais/mmlu", config="all", split="test"),), header=("question", "A", "B", "C", "D", "answer"))
_CMMLU = Source("cmmlu", (Hub("haonan-li/cmmlu", split="test", revision="refs/convert/parquet", parquet="*/test/*.parquet"),))

BENCHMARKS = (
    Benchmark("arc", "ARC-Challenge", "skill", _ARC, _arc, ("choice@1",), max_new_tokens=REASONING_TOKENS, size=1172),
    Benchmark(
        "mmlu", "MMLU", "skill", _MMLU, _mmlu, ("choice@1",), max_new_tokens=REASONING_TOKENS, size=14042,
    ),
    Benchmark(
        "cmmlu", "CMMLU", "skill", _CMMLU, _cmmlu, ("choice@1",), language="zh", max_new_tokens=REASONING_TOKENS, size=11582,
    ),
)
