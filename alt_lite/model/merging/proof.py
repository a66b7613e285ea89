"""What a merged folder was held against, and what that shows, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from alt_lite.generate import ties

# Largest difference allowed between the merged folder's and base + adapter's logits of the first generated token, where
# both are written and computed in fp32.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class MergeProof:
    """Merged folder against base + adapter on fixed prompts: the logits after the prompt, those at any position inside it
    (where no model was trained, so they are larger), the greedy continuations; and the shift against the model as it was
    `trained`, in 4 bit the quantisation error where `base` is original.

    Both sides compute in `computed`, in fp32 where memory allows, so that what remains is the rounding of writing. In half
    precision a merged weight rounds otherwise than base and adapter apart. Either way the difference counts as a share of
    the largest logit, `max_logit_share`, and a greedy output may part where two tokens are as good as equal:
    `greedy_explained` is the share that is the same but for that (generate/ties.py).

    The beginning of each of `tensors` tensors was read back: `tensors_right` of them are what they must be,
    `tensors_changed` the adapter's. Where the model does not fit into memory that is all there is, and the rest is None."""

    base: str
    dtype: str
    prompts: int
    computed: str = "float32"
    max_logit_difference: float | None = None
    max_logit_difference_inside: float | None = None
    greedy_agreement: float | None = None
    shift_max_logit_difference: float | None = None
    shift_greedy_agreement: float | None = None
    max_logit_share: float | None = None
    greedy_explained: float | None = None
    tensors: int | None = None
    tensors_right: int | None = None
    tensors_changed: int | None = None
    trained: str | None = None

    @property
    def proved(self) -> bool:
        if self.tensors != self.tensors_right:
            return False
        if self.max_logit_difference is None:
            return bool(self.tensors_changed)
        rounded = rounding(self.computed, self.dtype)
        if rounded == "float32":
            return self.max_logit_difference <= TOLERANCE and self.greedy_agreement == 1.0
        return (self.max_logit_share or 0.0) <= ties.TOLERANCE[rounded] and self.greedy_explained == 1.0

    @property
    def facts(self) -> dict[str, Any]:
        """The proof as run.json and report.json keep it."""
        return {**asdict(self), "proved": self.proved}

    def __str__(self) -> str:
        start = f"into the {self.base} base, stored in {self.dtype}; {said(self.facts)}"
        if self.shift_max_logit_difference is None or self.shift_greedy_agreement is None:
            return start
        return (
            f"{start}; both computed in {self.computed}. Against the model as it was trained ({self.trained} base with its adapter): largest logit "
            f"difference {self.shift_max_logit_difference:.2g}, {self.shift_greedy_agreement:.0%} of greedy texts identical"
        )


def rounding(computed: str, written: str) -> str:
    """The precision whose steps tell apart what is the same but for rounding: the coarser one."""
    return max(computed, written, key=lambda dtype: ties.TOLERANCE[dtype])


def said(facts: Mapping[str, Any]) -> str:
    """Tell what a proof shows: what is identical, and up to which rounding the rest is. Runs of earlier versions kept
    fewer facts."""
    written, n = facts.get("dtype", "16 bit"), facts.get("prompts") or 0
    once = f"base + adapter, {'stored in float32' if written == 'float32' else f'rounded once to {written}'}"
    if facts["max_logit_difference"] is None:
        told = f"{facts['tensors_right']} of {facts['tensors']} tensors read back are {once}" if facts.get("tensors") else once
        return f"only spot-checked: {told}" if facts["proved"] else f"spot-checked, and NOT what it must be: {told}"
    explained = facts.get("greedy_explained")
    same = round(facts["greedy_agreement"] * n)
    tied = max(round(explained * n) - same, 0) if explained is not None else 0
    coarser = rounding(facts.get("computed") or "float32", written) if written in ties.TOLERANCE else written
    texts = [f"all {n} greedy texts are identical"] if same == n else [f"{same} of {n} greedy texts are identical"]
    if tied:
        whose = "the other " if same + tied == n else ""
        texts.append(f"{whose}{tied} {'parts' if tied == 1 else 'part'} at a tie (two tokens within {coarser}'s rounding)")
    if same + tied < n:
        texts.append(f"{n - same - tied} differ otherwise")
    share = facts.get("max_logit_share")
    logits = f"largest logit difference {facts['max_logit_difference']:.2g}" + ("" if share is None else f", {100 * share:.2g} % of the largest logit")
    what = f"proved {'equal to' if same == n else 'to be'} {once}" if facts["proved"] else f"NOT {once}, within the tolerance"
    return f"{what}: {', '.join(texts)}; {logits}"
