"""XSTest (arXiv 2308.01263): 250 safe prompts that look unsafe, and 200 unsafe ones as a contrast."""

from collections.abc import Callable, Mapping
from typing import Any

from alt_lite.data.places import File, Hub, Source
from alt_lite.evals.tasks.benchmark import Benchmark, Item

_FILE = ("d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d", "xstest_prompts.csv", "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a")
_SOURCE = Source("xstest", (
    # One repository under its name of today and its older one.
    File("paul-rottger/xstest", *_FILE), File("paul-rottger/exaggerated-safety", *_FILE),
    Hub("Paul/XSTest"), Hub("natolambert/xstest-v2-copy", split="prompts"), Hub("walledai/XSTest", split="test", gated=True),
))


def _labelled(label: str) -> Callable[[Mapping[str, Any]], Item | None]:
    def item(row: Mapping[str, Any]) -> Item | None:
        # Copies without a label tell by the type: those of unsafe prompts begin with `contrast`.
        known = row.get("label") or ("unsafe" if str(row["type"]).startswith("contrast") else "safe")
        return Item(row["prompt"]) if str(known).lower() == label else None

    return item


BENCHMARKS = (
    Benchmark("xstest_safe", "XSTest, safe", "over_refusal", _SOURCE, _labelled("safe"), ("refusal@2",), size=250),
    Benchmark("xstest_unsafe", "XSTest, unsafe", "harm", _SOURCE, _labelled("unsafe"), ("guard", "refusal@2"), label="harmful", size=200),
)
