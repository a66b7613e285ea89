"""Suites: which benchmarks, how many prompts of each, and how responses are drawn."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from alt_lite.errors import UserError
from alt_lite.evals.tasks import TASKS
from alt_lite.families import Sampling

_HARM = ("strongreject", "jbb", "harmbench", "wildjailbreak", "advbench", "malicious_instruct", "xstest_unsafe")
_OVER_REFUSAL = ("xstest_safe", "jbb_benign")
_UTILITY = ("gsm8k", "math500", "aime24", "arc", "mmlu", "cmmlu", "mgsm_en", "mgsm_es", "mgsm_zh", "nq_open", "cnn_dailymail")

USUAL = Sampling(0.6, 0.95)


@dataclass(frozen=True)
class Suite:
    """`limit` prompts of each task (None: all); sampling None: as the makers of the model's family advise, and for a model of no
    known family as DeepSeek and Qwen do for R1 and Qwen3; `max_new_tokens` None: what each task needs."""

    tasks: tuple[str, ...]
    limit: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    samples: int = 1

    def drawn(self, advice: Sampling | None) -> tuple[float, float]:
        """Temperature and top_p: the suite's own, else the makers' `advice`."""
        advice = advice or USUAL
        return advice.temperature if self.temperature is None else self.temperature, advice.top_p if self.top_p is None else self.top_p


SUITES: dict[str, Suite] = {
    "quick": Suite(("strongreject", "wildjailbreak", "xstest_safe", "gsm8k"), limit=50),
    "compact": Suite(("strongreject", "jbb", "wildjailbreak", "xstest_safe", "xstest_unsafe", "jbb_benign", "gsm8k", "math500", "mmlu"), limit=100),
    "safety": Suite((*_HARM, *_OVER_REFUSAL)),
    "utility": Suite(_UTILITY),
    "full": Suite((*_HARM, *_OVER_REFUSAL, *_UTILITY)),
    # R1-Act's published inference: greedy, 1,024 new tokens (arXiv 2508.00324); its judge is not published.
    "r1act": Suite(("strongreject", "jbb", "wildjailbreak", "xstest_safe"), temperature=0.0, top_p=1.0, max_new_tokens=1024),
    # ThinkSafe's (arXiv 2601.23143); its GPQA is gated and left out, its eight samples of reasoning are eval.samples=8.
    "thinksafe": Suite(("harmbench", "strongreject", "wildjailbreak", "xstest_safe", "gsm8k", "math500", "aime24"), temperature=0.6, top_p=0.95, max_new_tokens=16384),
}


def require_tasks(names: Sequence[str]) -> None:
    """Refuse names that are no benchmark.

    Raises:
        UserError: some are unknown; the nearest names are given.
    """
    for name in names:
        if name not in TASKS:
            near = difflib.get_close_matches(name, TASKS, n=2)
            raise UserError(f"no task {name!r}{'; did you mean ' + ' or '.join(near) + '?' if near else ''}", f"tasks are {', '.join(TASKS)}")
