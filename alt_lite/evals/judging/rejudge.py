"""Judge rows of a file by one judge, and keep the judgements in a file that an interrupted run goes on with.

Beside `OUT` stands `OUT.made.json`: per judge that is a model which model it was, and a hash of what it was
shown of each row, so that no verdict is taken over for another response of the same id or from another model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alt_lite.console import progress, say
from alt_lite.data.rows import content_id, summarise
from alt_lite.data.seen import judged, part_of
from alt_lite.errors import UserError
from alt_lite.evals.judging.guards import Guard
from alt_lite.evals.judging.judges import Judge
from alt_lite.evals.runner import judge_row
from alt_lite.rundir import append_jsonl, read_json, read_rows, write_json, write_jsonl

Line = dict[str, Any]
_KEYS = {"id", "judge", "part", "verdict", "score"}


@dataclass(frozen=True)
class Chosen:
    """One judge: rules, or a guard, which is a model, by the name in `model`, and gives verdicts `about` harm
    or refusal."""

    name: str
    rules: Judge | None = None
    guard: Guard | None = None
    model: str | None = None
    about: Literal["harm", "refusal"] = "harm"


def by_rules(chosen: Chosen, rows: Sequence[Mapping[str, Any]], out: Path | None) -> list[Line]:
    """Judge all rows anew. What `out` holds of other judges or rows stays.

    Raises:
        UserError: `out` is there and holds no judgements.
    """
    assert chosen.rules is not None
    lines = [judge_row(row, chosen.name, chosen.rules) for row in rows]
    if out:
        anew = {(line["id"], line["judge"], line["part"]) for line in lines}
        write_jsonl(out, [*(line for line in _there(out) if (line["id"], line["judge"], line["part"]) not in anew), *lines])
    return lines


def by_model(chosen: Chosen, rows: Sequence[Mapping[str, Any]], parts: Sequence[str], out: Path | None, made: list[Line]) -> None:
    """Judge the parts of all rows, and add each judgement to `made` and to `out` as it comes. With `out`,
    what has a verdict there is not asked again; what has none is.

    Raises:
        UserError: two rows have one id; `out` holds no judgements, or this judge's by another model.
    """
    assert chosen.guard is not None
    twice = [str(id_) for id_, count in Counter(str(row["id"]) for row in rows).items() if count > 1]
    if twice:
        raise UserError(f"ids that stand twice: {summarise(twice)}", "give each line an id of its own")
    kept = _kept(chosen, rows, parts, out) if out else []
    made += kept
    have = {(line["id"], line["part"]) for line in kept}
    missing = {part: [row for row in rows if (row["id"], part) not in have] for part in parts}
    with progress(f"judge {chosen.name}", len(rows) * len(parts)) as bar:
        bar(len(kept), "")
        for part, mine in missing.items():
            shown = [part_of(row, part) for row in mine]
            silent = 0
            for number, verdict, score in chosen.guard(shown) if mine else ():
                line = {"id": mine[number]["id"], "judge": chosen.name, "part": part, "verdict": verdict, "score": score}
                if out:
                    append_jsonl(out, [line])
                made.append(line)
                silent += verdict is None and bool(shown[number]["completion"].strip())
                bar(len(made), part)
            if silent:
                say(f"{chosen.name}: no verdict on {silent} of {len(mine)} responses ({part}){'; the same command asks these again' if out else ''}")


def _kept(chosen: Chosen, rows: Sequence[Mapping[str, Any]], parts: Sequence[str], out: Path) -> list[Line]:
    """Leave in `out` what is still right, note beside it what will be asked, and give the judgements to keep."""
    there = _there(out)
    beside = out.with_name(out.name + ".made.json")
    record = read_json(beside) if beside.is_file() else {}
    before = record.get(chosen.name)
    same_model = before is not None and before["model"] == chosen.model
    count = sum(line["judge"] == chosen.name for line in there)
    if count and before and not same_model:
        raise UserError(f"{out} holds {chosen.name}'s judgements by {before['model']}, not by {chosen.model}", "choose another --out, or delete that file")
    if count and not before:
        say(f"{out}: nothing tells which model made the {count} judgements by {chosen.name} there; they are taken as they are")
    wanted = {row["id"]: _shown(row) for row in rows}
    can = {row["id"] for row in rows if judged(row)}
    asked: dict[str, str] = before["rows"] if before and same_model else {}
    others: list[Line] = []
    kept: dict[tuple[Any, str], Line] = {}
    changed = 0
    for line in there:
        if line["judge"] != chosen.name or line["part"] not in parts or line["id"] not in wanted:
            others.append(line)
        elif line["verdict"] is not None and line["id"] in can:
            now = wanted[line["id"]]
            if asked.get(str(line["id"]), now) == now:
                kept[line["id"], line["part"]] = line
            else:
                changed += 1
    if changed:
        say(f"{out}: {changed} judgements are of other responses with the same ids; these are judged anew")
    # First the judgements: killed between the two, none of them is taken for a changed row's.
    write_jsonl(out, [*others, *kept.values()])
    write_json(beside, {**record, chosen.name: {"model": chosen.model, "rows": {**asked, **{str(id_): shown for id_, shown in wanted.items()}}}})
    return list(kept.values())


def _shown(row: Mapping[str, Any]) -> str:
    return content_id(row.get("goal"), row["messages"], row["label"], row["completion"], row["trace"], row["answer"])


def _there(out: Path) -> list[Line]:
    try:
        lines = read_rows(out)
    except ValueError as error:
        raise UserError(f"{out} is there, and is no JSONL", "choose another --out") from error
    if any(not isinstance(line, dict) or set(line) != _KEYS for line in lines):
        raise UserError(f"{out} is there, and holds something else than judgements", "choose another --out")
    return lines
