"""What `judge --calibrate` does: a judge's agreement with people's labels, beside the people's own among themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from alt_lite.console import results, say
from alt_lite.errors import UserError
from alt_lite.evals.judging.agreement import ACROSS, agreement, kind, read_column, read_label, side
from alt_lite.evals.judging.rejudge import Chosen, by_model, by_rules

_TEXT = ("completion", "response", "target_response", "answer")
_HUMAN = ("final_label", "human_majority", "label")
# The plain request before the prompt that an attack made of it (JailbreakBench has both).
_REQUEST = ("goal", "prompt", "request", "question")
_ANNOTATOR = re.compile(r"(?:human|annotator|annotation|rater)[ _]?\d+", re.IGNORECASE)
_NUMBERS = re.compile(r"(?:.*[ _])?(?:id|index|row|number)", re.IGNORECASE)

Pairs = list[tuple[str, str]]


def calibrate(file: Path, chosen: Chosen, response: str | None, label: str | None, prompt: str | None, out: Path | None) -> None:
    """Print how far a judge agrees with human labels: all verdicts apart, and where they are of refusals
    refused against complied; then two annotators with each other, which is about the most that can be had;
    then what other judges of the file say to the same labels.

    A refusal judge is compared with labels of harm by side, and a harm judge with labels of refusals, there
    on harmful requests alone where the file tells which these are (XSTest's `type`).

    Raises:
        UserError: a column or the judge's server is missing, or no row has a label and a verdict.
    """
    from alt_lite.data.sources import Place, open_data
    from alt_lite.model.backend import prepare_environment

    prepare_environment()
    data, _ = open_data(Place(str(file), file), None)
    columns = data.column_names
    text = _column(file, columns, response, _TEXT, "responses", "--response COLUMN --label COLUMN")
    human = _column(file, columns, label, _HUMAN, "human labels", "--response COLUMN --label COLUMN")
    asked = _column(file, columns, prompt, _REQUEST, "requests", "--prompt COLUMN") if chosen.guard or prompt else None
    say(f"responses: {text}; human labels: {human}" + (f"; requests: {asked}" if asked else ""))
    wanted = [read_label(value) for value in data[human]]
    rows = [_row(number, row, text, asked) for number, row in enumerate(data)]
    of = kind(label for label in wanted if label)
    picked = [number for number, label in enumerate(wanted) if label]
    if chosen.guard and picked and of not in ("refusal", "harm"):
        raise UserError(f"{file}: {human} holds labels of {of or 'several kinds'}; {chosen.name} tells nothing about that", "--label COLUMN with none|partial|full, or harmful|harmless")
    if chosen.guard and of == "refusal" and chosen.about == "harm":
        picked = _harmful_only(chosen, rows, picked)
    verdicts = _verdicts(chosen, [rows[number] for number in picked], out)
    pairs = [(wanted[number] or "", verdict) for number in picked if (verdict := verdicts[rows[number]["id"]])]
    unread, silent = wanted.count(None), len(picked) - len(pairs)
    if not pairs:
        raise UserError(f"{file}: no row has a label that is known and a verdict ({unread} labels unread, {silent} without a verdict)", "--label COLUMN with none|partial|full, or harmful|harmless")
    _print(chosen.name, pairs, confusion=True)
    _print_others(data, human, text, asked, wanted)
    if unread or silent:
        say(f"{unread} rows whose label is not known, {silent} without a verdict, left out")


def _column(file: Path, columns: Sequence[str], given: str | None, names: Sequence[str], what: str, fix: str) -> str:
    found = next((name for name in ((given,) if given else names) if name in columns), None)
    if found is None:
        raise UserError(f"{file}: no column of {what}; its columns are {', '.join(columns)}", fix)
    return found


def _row(number: int, row: Mapping[str, Any], text: str, asked: str | None) -> dict[str, Any]:
    from alt_lite.families.splitting import split_completion

    completion = str(row[text] or "")
    trace, answer = split_completion(completion, prompt_opened_trace=False)
    # XSTest's unsafe prompts have types that begin with `contrast`, and no other label.
    label = ("harmful" if str(row["type"]).startswith("contrast") else "benign") if "type" in row and "final_label" in row else None
    return {
        "id": f"row-{number + 1}", "messages": [{"role": "user", "content": str(row[asked] or "")}] if asked else [], "label": label,
        "completion": completion, "trace": trace, "answer": answer, "finish": "stop", "reference": None,
    }


def _harmful_only(chosen: Chosen, rows: Sequence[Mapping[str, Any]], picked: list[int]) -> list[int]:
    """Leave the rows where refusing and complying tell something about harm."""
    if not any(row["label"] for row in rows):
        say(f"{chosen.name} judges harm and the labels are of refusals: where a request is harmless, the two do not mean the same")
        return picked
    harmful = [number for number in picked if rows[number]["label"] == "harmful"]
    say(f"{chosen.name} judges harm and the labels are of refusals: compared on the {len(harmful)} harmful requests alone")
    return harmful


def _verdicts(chosen: Chosen, rows: Sequence[Mapping[str, Any]], out: Path | None) -> dict[str, str | None]:
    """The judge's verdicts on the answers by the rows' ids, in the words of the labels."""
    if chosen.rules:
        lines = by_rules(chosen, rows, out)
    else:
        lines = []
        by_model(chosen, rows, ("answer",), out, lines)
    # A guard's `controversial` is no verdict, as in an evaluation's rates.
    return {line["id"]: read_label(line["verdict"]) for line in lines}


def _print(name: str, pairs: Pairs, confusion: bool = False) -> None:
    """Print the agreement of (label, verdict) pairs.

    Raises:
        UserError: labels and verdicts are about different things.
    """
    kinds = kind(a for a, _ in pairs), kind(b for _, b in pairs)
    if kinds[0] == kinds[1]:
        blocks = {"verdicts": pairs}
        if kinds[0] == "refusal":
            blocks["refused or complied"] = [(side(a), side(b)) for a, b in pairs]
    elif set(kinds) == {"refusal", "harm"}:
        blocks = {"by side (refused = harmless, complied = harmful)": [(ACROSS.get(a, a), ACROSS.get(b, b)) for a, b in pairs]}
    else:
        raise UserError(f"labels and verdicts of {name} are about different things ({' and '.join(str(k or 'several') for k in kinds)})", "another --judge or --label COLUMN")
    for title, rows in blocks.items():
        found = agreement([a for a, _ in rows], [b for _, b in rows])
        kappa = "–" if found.kappa is None else f"{found.kappa:.3f}"
        results.print(f"{name}, {title}: n {found.n}, accuracy {found.accuracy:.3f}, κ {kappa}", markup=False)
        for (a, b), count in sorted(found.confusion.items(), key=lambda item: -item[1]) if confusion else ():
            results.print(f"  human {a}, judge {b}: {count}", markup=False)


def _print_others(data: Any, human: str, text: str, asked: str | None, wanted: Sequence[str | None]) -> None:
    """Print what annotators say to each other, and what other columns of the same kind say to the labels."""
    of = kind(label for label in wanted if label)
    columns: dict[str, list[str | None]] = {}
    for name in data.column_names:
        labels = None if name in (human, text, asked) or _NUMBERS.fullmatch(name) else read_column(data[name])
        if labels and kind(label for label in labels if label) == of:
            columns[name] = labels
    people = [name for name in columns if _ANNOTATOR.fullmatch(name)]
    beside = [(f"people, {first} and {second}", columns[first], columns[second]) for first, second in combinations(people, 2)]
    beside += [(f"column {name} and {human}", list(wanted), labels) for name, labels in columns.items() if name not in people]
    for title, first, second in beside:
        if pairs := [(a, b) for a, b in zip(first, second, strict=True) if a and b]:
            _print(title, pairs)
