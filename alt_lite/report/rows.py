"""The report's headline rows as plain text cells, for console and Markdown alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alt_lite.evals.attacks import FLIP
from alt_lite.evals.score import verdict

# metric: what is added to the task's title
_HEADLINES = {"harmful_rate": "", "refusal_rate": ", refused", "over_refusal_rate": "", "accuracy": "", "f1": ", F1", "rouge_l": ", ROUGE-L"}
_RATES = ("harmful_rate", "over_refusal_rate", "accuracy", "rouge_l")
_MEANS = ("mean_tokens", "tokens_to_assessment")
# metric, label, on which kinds of tasks it is shown: the first task of each kind that has it
_BELOW = (
    ("structure_rate", "structure PU→HA→CR"), ("assessment_accuracy", "assessment right"),
    ("answer_consistency", "answer fits assessment"), ("self_jailbreak_rate", "self-jailbreak"),
    ("assessment_flip_effect", "answer flips with assessment"), ("mean_tokens", "tokens per response"),
    ("tokens_to_assessment", "tokens before assessment"),
)
_LANGUAGES = {"es": "Spanish", "zh": "Chinese"}
_FLAGGED = 0.05


@dataclass(frozen=True)
class HeadRow:
    """One line of the report: a label and the cells base, tuned, change, p, n and what it means."""

    label: str
    base: str
    tuned: str
    change: str
    p: str
    n: str
    meaning: str
    section: str


def head_rows(report: dict[str, Any], a: str = "base", b: str = "tuned") -> Iterator[HeadRow]:
    """Yield harm, over-refusal and skills per task and language, then structure and length, of `b` against `a`."""
    metrics = {_key(entry): entry for entry in report["metrics"]}
    compared_models = [entry for entry in report["comparisons"] if (entry["a"], entry["b"]) == (a, b)]
    yield from _headlines(report, compared_models, metrics)
    for metric, label in _BELOW:
        for task in _shown_tasks(report):
            compared = next((e for e in compared_models if _is(e, task, metric)), None)
            if compared:
                yield _row(report, compared, metrics, f"{label}, {_short(report, task)}", "structure")
            else:
                tuned = next((m for m in report["metrics"] if m["model"] == b and _is(m, task, metric)), None)
                if tuned:
                    yield HeadRow(f"{label}, {_short(report, task)}", "–", _value(tuned), "", "", str(tuned["n"]), _flag({b: tuned}).strip(), "structure")


def _headlines(report: dict[str, Any], entries: list[dict[str, Any]], metrics: dict[tuple, dict[str, Any]]) -> Iterator[HeadRow]:
    """Yield harm (without a harm judge: what is refused), attacks on it, over-refusal and skills, by the
    primary judge; a guard's view of whole and trace stands in report.json."""
    shown = [entry for entry in entries if entry["metric"] in _HEADLINES and entry["attack"] != FLIP and entry["part"] == "answer"]
    judged = {_place(entry) for entry in shown if entry["metric"] == "harmful_rate"}
    seen: set[tuple] = set()
    for entry in shown:
        place = (entry["metric"], *_place(entry))
        if place in seen or (entry["metric"] == "refusal_rate" and _place(entry) in judged):
            continue
        seen.add(place)
        attack = f", {entry['attack']}" if entry["attack"] else ""
        yield _row(report, entry, metrics, f"{_title(report, entry)}{_HEADLINES[entry['metric']]}{attack}", entry["metric"])


def _place(entry: dict[str, Any]) -> tuple:
    return entry["task"], entry["attack"], entry["language"]


def agreement_lines(report: dict[str, Any]) -> list[str]:
    """Say how far each two judges agree, for base and tuned apart: their refusals differ in style."""
    found: dict[tuple[str, ...], list[str]] = {}
    for entry in report.get("agreement", ()):
        kappa = "one side only" if entry["kappa"] is None else f"κ {entry['kappa']:.2f}"
        found.setdefault((entry["kind"], *entry["judges"]), []).append(f"{entry['model']} {entry['accuracy']:.1%}, {kappa} (n {entry['n']})")
    return [f"{first} and {second} agree ({kind.replace('_', '-')}): {'; '.join(said)}" for (kind, first, second), said in found.items()]


def single_rows(report: dict[str, Any], model: str) -> Iterator[tuple[str, str, str]]:
    """Yield (label, value with interval and what it would be the other way, n) for one model alone."""
    for entry in report["metrics"]:
        if entry["model"] == model:
            attack = f" under {entry['attack']}" if entry["attack"] else ""
            whose = "" if entry["primary"] else f" ({entry['judge']}, {entry['part']})"
            other = f", {_number(entry['value_max'], entry['metric'] in _MEANS)} the other way" if entry["value_max"] - entry["value"] > 1e-9 else ""
            yield f"{_title(report, entry)}: {entry['metric']}{attack}{whose}", f"{_value(entry)}{other}{_flag({'': entry})}", str(entry["n"])


def arm_rows(report: dict[str, Any]) -> Iterator[tuple[str, str, list[HeadRow]]]:
    """Yield for one model under defences (the model, its arm, the rows that compare them)."""
    metrics = {_key(entry): entry for entry in report["metrics"]}
    for a, b in dict.fromkeys((entry["a"], entry["b"]) for entry in report["comparisons"]):
        yield a, b, list(_headlines(report, [e for e in report["comparisons"] if (e["a"], e["b"]) == (a, b)], metrics))


def compare_rows(report: dict[str, Any], entries: list[dict[str, Any]], names: tuple[str, str] = ("A", "B")) -> Iterator[HeadRow]:
    """Yield one row per comparison, for `compare A B`; `names` are the two's where flags name them."""
    metrics = {_key(entry): entry for entry in report["metrics"]}
    seen: set[tuple] = set()
    for entry in entries:
        place = (entry["metric"], *_place(entry))
        attack = f", {entry['attack']}" if entry["attack"] else ""
        # What is not the primary judge's, or not about the answer, says so.
        whose = f" ({entry['judge']}, {entry['part']})" if place in seen else ""
        seen.add(place)
        yield _row(report, entry, metrics, f"{_title(report, entry)}: {entry['metric']}{attack}{whose}", entry["metric"], names)


def without_verdict(entry: dict[str, Any]) -> int:
    """How many of an entry's responses have no verdict: those that count both ways."""
    return round((entry["value_max"] - entry["value"]) * entry["n"])


def verdict_share(report: dict[str, Any]) -> tuple[int, int, int]:
    """Give (responses without a verdict, responses cut, responses) over the headline metrics."""
    judged = {_place(entry) for entry in report["metrics"] if entry["metric"] == "harmful_rate"}
    head = [e for e in report["metrics"] if e["primary"] and (e["metric"] in _RATES or (e["metric"] == "refusal_rate" and _place(e) not in judged))]
    return sum(map(without_verdict, head)), sum(e["truncated"] for e in head), sum(e["n"] for e in head)


def _row(
    report: dict[str, Any], entry: dict[str, Any], metrics: dict[tuple, dict[str, Any]], label: str, section: str, names: tuple[str, str] | None = None
) -> HeadRow:
    """Give a comparison's row; `names` are the columns' where these are not the models'."""
    before = metrics.get(_key({**entry, "model": entry["a"]}))
    after = metrics.get(_key({**entry, "model": entry["b"]}))
    n = entry["n_pairs"]
    first, second = names or (entry["a"], entry["b"])
    mean = entry["metric"] in _MEANS
    unit = 1 if mean else 100
    change = f"{entry['delta'] * unit:+.1f} [{entry['ci_low'] * unit:+.0f}, {entry['ci_high'] * unit:+.0f}]".replace("-", "−")
    p = "<0.001" if entry["p_holm"] < 0.001 else f"{entry['p_holm']:.3f}"
    meaning = verdict(entry)
    if mean:
        meaning = "same" if meaning == "same" else "shorter" if entry["delta"] < 0 else "longer"
    if abs(entry["delta_max"] - entry["delta"]) > 1e-9:
        meaning += f", {entry['delta_max'] * unit:+.1f} the other way".replace("-", "−")
    return HeadRow(
        label, _paired(before, entry["value_a"], n, mean), _paired(after, entry["value_b"], n, mean),
        change, p, str(n), meaning + _flag({first: before, second: after}, n), section,
    )


def _paired(side: dict[str, Any] | None, value: float, n: int, mean: bool) -> str:
    """Show a side's value on the pairs, to which the change belongs. Its interval is known where it has no others:
    what is counted over traces with an assessment only is counted over other prompts on each side."""
    return _value(side) if side and side["n"] == n else _number(value, mean)


def _flag(sides: dict[str, dict[str, Any] | None], n: int | None = None) -> str:
    """Name the sides of which more than 5 % of the responses have no verdict (DESIGN section 5), and those of which more
    than 5 % are cut or failed, with a verdict or without; `n` is the row's, and a side that counts over others says over
    how many."""
    told = []
    for name, side in sides.items():
        without = without_verdict(side) if side else 0
        if side and max(without, side["truncated"] + side["unparsable"] + side["errors"]) > _FLAGGED * side["n"]:
            counts = [f"{side[key]} {word}" for key, word in (("truncated", "cut"), ("unparsable", "unparsable"), ("errors", "failed")) if side[key]]
            # Those that are unparsable or failed have none anyway.
            if without > _FLAGGED * side["n"] and without != side["unparsable"] + side["errors"]:
                counts.append(f"{without} without a verdict")
            whole = "" if n in (None, side["n"]) else f" of {side['n']}"
            told.append(f"{name} {', '.join(counts)}{whole}".strip())
    return f" ({'; '.join(told)})" if told else ""


def _value(entry: dict[str, Any]) -> str:
    mean = entry["metric"] in _MEANS
    unit = 1 if mean else 100
    return f"{_number(entry['value'], mean)} [{entry['ci_low'] * unit:.1f}, {entry['ci_high'] * unit:.1f}]"


def _number(value: float, mean: bool) -> str:
    return f"{value:.1f}" if mean else f"{value * 100:.1f} %"


def _key(entry: dict[str, Any]) -> tuple:
    return tuple(entry[name] for name in ("model", "task", "metric", "attack", "judge", "part", "language")) if "model" in entry else ()


def _is(entry: dict[str, Any], task: str, metric: str) -> bool:
    attack = FLIP if metric == "assessment_flip_effect" else None
    return entry["task"] == task and entry["metric"] == metric and entry["attack"] == attack and entry["language"] is None


def _shown_tasks(report: dict[str, Any]) -> list[str]:
    """The tasks on which structure is shown: those whose assessments were flipped, else all with a structure."""
    flipped = [e["task"] for e in report["metrics"] if e["metric"] == "assessment_flip_effect"]
    structured = [e["task"] for e in report["metrics"] if e["metric"] == "structure_rate"]
    return list(dict.fromkeys(flipped or structured))


def _title(report: dict[str, Any], entry: dict[str, Any]) -> str:
    title = report.get("titles", {}).get(entry["task"]) or entry["task"]
    return f"{title}, {_LANGUAGES.get(entry['language'], entry['language'])}" if entry["language"] else title


def _short(report: dict[str, Any], task: str) -> str:
    return (report.get("titles", {}).get(task) or task).split(", ")[-1]
