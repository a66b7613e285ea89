"""Published sets that are known by a name: where they are, which of their columns are ours, how their rows are read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alt_lite.data.rows import Label

Row = Mapping[str, Any]
_SELF_INSTRUCT = "yizhongw/self-instruct/0b26ccaa415992100fa32df62d41b994cf928e23"
# GSM8K's marks of its calculator, `<<48/2=24>>`, and what stands before its answer.
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_ANSWER = "####"


@dataclass(frozen=True)
class Preset:
    """A published set: its hub id, or the path of a repository's file at a commit, and which of its columns are ours.

    `label` fixes every row's label where the set has no such column; `labelled` reads it off a row.
    `reshape` makes of a row as it is published one with plain columns, before columns are looked for; `revision` is
    where the hub keeps a set in a form that needs no script; `header` names the columns of a local CSV or TSV that has
    none; `parquet` the repository's files, where a set of many configurations is read as one. No commit hash of the
    hub's sets could be had when this was written, so the one that is resolved is recorded; `data.revision` pins it.
    """

    hub: str
    columns: Mapping[str, str]
    config: str | None = None
    split: str = "train"
    label: Label | None = None
    labelled: Callable[[str], Label] | None = None
    files: str | None = None
    revision: str | None = None
    header: tuple[str, ...] | None = None
    parquet: str | None = None
    reshape: Callable[[Row], dict[str, Any]] | None = None


def first_instance(row: Row) -> dict[str, Any]:
    """Self-Instruct's form: an instruction with a list of inputs and outputs, of which the first is taken; a row that
    has plain columns already stays as it is."""
    flat = {key: value for key, value in row.items() if key != "instances"}
    given = row.get("instances")
    try:
        # A table cannot hold lists, so that they are JSON text there.
        given = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return flat
    first = given[0] if isinstance(given, list) and given else given
    return {**flat, "input": first.get("input"), "output": first.get("output")} if isinstance(first, Mapping) else flat


def worked_sum(row: Row) -> dict[str, Any]:
    """GSM8K's form: a solution, a line `#### N`. The solution is the trace, the answer short; a row without that line
    stays as it is."""
    text = row.get("answer")
    if not isinstance(text, str) or _ANSWER not in text:
        return dict(row)
    solution, _, number = text.rpartition(_ANSWER)
    return {**row, "trace": _CALCULATOR.sub("", solution).strip(), "answer": f"The answer is {number.strip().rstrip('.')}."}


PRESETS: dict[str, Preset] = {
    "safechain": Preset("UWNSL/SafeChain", {"prompt": "instruction", "response": "response", "label": "label"}),
    # R1-Act's refusals end at `</think>`, its benign rows hold no think tag (METHOD of arXiv 2508.00324).
    "r1act": Preset(
        "Yeonjun/R1-Act-train", {"prompt": "instruction", "response": "response"},
        labelled=lambda response: "harmful" if "</think>" in response else "benign",
    ),
    "star1": Preset("UCSC-VLAA/STAR-1", {"prompt": "question", "response": "response", "category": "category"}, label="harmful"),
    # Not on the hub: a file of the repository at a commit.
    "lrm_study": Preset(
        "thu-coai/LRM-Safety-Study", {"prompt": "prompt", "response": "response"}, label="harmful",
        files="thu-coai/LRM-Safety-Study/498ef37fca888a9587a34e156b7518f2ac9ce701/dataset/data/sft_train_nocot.json",
    ),
    # Self-Instruct's instructions that people wrote (arXiv 2212.10560), without traces: its seed tasks, and those of its evaluation.
    "self_instruct": Preset(
        "yizhongw/self-instruct", {"prompt": "instruction", "input": "input", "response": "output"}, label="benign",
        files=f"{_SELF_INSTRUCT}/data/seed_tasks.jsonl", reshape=first_instance,
    ),
    "self_instruct_user": Preset(
        "yizhongw/self-instruct", {"prompt": "instruction", "input": "input", "response": "output"}, label="benign",
        files=f"{_SELF_INSTRUCT}/human_eval/user_oriented_instructions.jsonl", reshape=first_instance,
    ),
    # School sums with their solutions (arXiv 2110.14168); evaluations ask those of the split test.
    "gsm8k_train": Preset(
        "openai/gsm8k", {"prompt": "question", "response": "answer", "trace": "trace"}, config="main", label="benign", reshape=worked_sum,
    ),
}
