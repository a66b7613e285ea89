"""Print the table of docs/laptop.md from a folder of reports: base and arms, what changed, what it took.

    python scripts/laptop_table.py docs/laptop [--short]

Every report.json lies there under its arm's name (`alttrain.json`). A file that holds a list is what
`python -m alt_lite compare RUN RUN --json` wrote of two arms; a run's folder bears its arm's name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from alt_lite.errors import EXIT_USER_ERROR, UserError
from alt_lite.evals.attacks import FLIP
from alt_lite.evals.score import BETTER
from alt_lite.report import markdown, tables
from alt_lite.report.rows import HeadRow, compare_rows, head_rows, single_rows
from alt_lite.report.summary import SCHEMA

Report = dict[str, Any]
Entry = dict[str, Any]
BASE, TUNED = "base", "tuned"
_HARM, _BENIGN = ("harmful_rate", "refusal_rate"), ("over_refusal_rate",)
# What a task has a column for.
_OF_A_TASK = {"harmful_rate": "harmful", "refusal_rate": "refused", "over_refusal_rate": "refused (over-refusal)", "accuracy": "right", "rouge_l": "ROUGE-L"}
# Metric, the tasks that are taken together by what else they have (any: all tasks), heading.
_TOGETHER = (
    ("structure_rate", _HARM, "structure, harmful prompts"), ("structure_rate", _BENIGN, "structure, benign prompts"),
    # Apart: a model that calls everything harmful is right on all of one and on none of the other.
    ("assessment_accuracy", _HARM, "assessment right, harmful prompts"), ("assessment_accuracy", _BENIGN, "assessment right, benign prompts"),
    ("mean_tokens", (), "tokens per response"), ("no_eos_rate", (), "responses cut"),
)
_MUST_AGREE = ("value", "value_max", "n", "truncated", "unparsable", "errors")
_MEANINGS = {
    "better": "better", "worse": "worse", "unclear": "unclear", "longer": "longer", "shorter": "shorter", "same": "no clear change",
}
# A path that begins at a root, a home or a drive tells of a machine.
_LOCAL = re.compile(r"(?:^|[\s\"'(=,:])(?:/[\w.]|~[\w]*/|[A-Za-z]:[\\/]|file:)")


def read(folder: Path) -> tuple[dict[str, Report], list[Entry]]:
    """Give the reports by arm, each model `tuned` under its arm's name, and the arms' comparisons with each other.

    Raises:
        UserError: the folder has no report, or one that is not finished, tells of a machine, or has another base.
    """
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    reports = {arm: content for arm, content in files.items() if isinstance(content, dict)}
    if not reports:
        raise UserError(f"{folder} holds no report", "copy each run's report.json there as ARM.json")
    for name, content in files.items():
        if found := sorted(text for text in _strings(content) if _LOCAL.search(text)):
            raise UserError(f"{name}.json names a place on a machine: {found[0][:120]!r}", "run with relative paths, then copy the report again")
    for arm, report in reports.items():
        if report.get("schema") != SCHEMA or not {BASE, TUNED} <= {entry["model"] for entry in report["metrics"]}:
            raise UserError(f"{arm}.json is no finished report of base and tuned", "finish the run with the same command, then copy its report.json")
    _require_one_base(reports)
    compared = [_between(entry, name, reports) for name, content in files.items() if isinstance(content, list) for entry in content]
    return {arm: _renamed(report, TUNED, arm) for arm, report in reports.items()}, compared


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _require_one_base(reports: dict[str, Report]) -> None:
    """Refuse reports whose bases were asked otherwise, or answered otherwise: their arms are no arms of one study.

    Raises:
        UserError: names what differs, and between which.
    """
    (first, reference), *others = reports.items()
    for arm, report in others:
        differing = [
            f"{key} ({reference.get('decoding', {}).get(key)}, {report.get('decoding', {}).get(key)})"
            for key in dict.fromkeys([*(reference.get("decoding") or {}), *(report.get("decoding") or {})])
            if (reference.get("decoding") or {}).get(key) != (report.get("decoding") or {}).get(key)
        ]
        mine, theirs = _of_base(reference), _of_base(report)
        for key in dict.fromkeys([*mine, *theirs]):
            values = [side.get(key) for side in (mine, theirs)]
            if values[0] != values[1]:
                differing.append(f"{' '.join(map(str, filter(None, key)))} ({_said(values[0])}, {_said(values[1])})")
        if differing:
            raise UserError(
                f"the base differs between {first} and {arm}: {'; '.join(differing[:6])}{f' and {len(differing) - 6} more' if len(differing) > 6 else ''}",
                "run both arms beside each other with the same eval settings: the second takes over the first's base responses",
            )


def _of_base(report: Report) -> dict[tuple, tuple]:
    keys = ("task", "metric", "attack", "judge", "part", "language")
    return {tuple(entry[key] for key in keys): tuple(entry[key] for key in _MUST_AGREE) for entry in report["metrics"] if entry["model"] == BASE}


def _said(values: tuple | None) -> str:
    return "none" if values is None else f"{values[0]:.4g} of n {values[2]}, {values[3]} cut"


def _renamed(report: Report, was: str, name: str) -> Report:
    """Give a report in which a model has another name, so that rows and flags say the arm's."""
    return {
        **report,
        "metrics": [{**entry, "model": name if entry["model"] == was else entry["model"]} for entry in report["metrics"]],
        "comparisons": [{**entry, **{side: name for side in ("a", "b") if entry[side] == was}} for entry in report["comparisons"]],
        "agreement": [{**entry, "model": name if entry["model"] == was else entry["model"]} for entry in report.get("agreement", ())],
    }


def _between(entry: Entry, file: str, reports: dict[str, Report]) -> Entry:
    """Give a comparison of two arms under their names.

    Raises:
        UserError: an arm has no report here, or another value than the comparison has.
    """
    named = {**entry, "a": PurePath(entry["a"]).name, "b": PurePath(entry["b"]).name}
    fix = f"python -m alt_lite compare RUN RUN --json > {file}.json, with the runs of the reports"
    for side in ("a", "b"):
        if named[side] not in reports:
            raise UserError(f"{file}.json compares {entry[side]}, whose report is not here", f"copy it as {named[side]}.json, or {fix}")
        its = next((m for m in reports[named[side]]["metrics"] if m["model"] == TUNED and _key(m) == _key(entry)), None)
        if its is None or (its["n"] == entry["n_pairs"] and abs(its["value"] - entry[f"value_{side}"]) > 1e-9):
            raise UserError(
                f"{file}.json has {entry['task']} {entry['metric']} of {named[side]} as {entry[f'value_{side}']:.4g}, its report {'none' if its is None else format(its['value'], '.4g')}", fix,
            )
    return named


def _key(entry: Entry) -> tuple:
    return tuple(entry[name] for name in ("task", "metric", "attack", "judge", "part", "language"))


def together(entries: Sequence[Entry]) -> Entry:
    """Take a metric's entries of several tasks together, weighted by n.

    The interval is that of a weighted sum of independent estimates, from their own intervals (MOVER: Zou and Donner 2008).
    """
    if len(entries) == 1:
        return entries[0]
    n = sum(entry["n"] for entry in entries)
    shares = [entry["n"] / n for entry in entries]
    value = sum(share * entry["value"] for share, entry in zip(shares, entries, strict=True))
    below, above = (
        sum((share * (entry["value"] - entry[end])) ** 2 for share, entry in zip(shares, entries, strict=True)) ** 0.5 for end in ("ci_low", "ci_high")
    )
    return {
        **entries[0], "n": n, "value": value, "value_max": sum(share * entry["value_max"] for share, entry in zip(shares, entries, strict=True)),
        "ci_low": max(0.0, value - below), "ci_high": value + above, **{key: sum(entry[key] for entry in entries) for key in ("truncated", "unparsable", "errors")},
    }


def _plain(report: Report, metric: str, model: str | None = None) -> list[Entry]:
    """A metric's entries by its primary judge, on prompts without an attack, one a task, of one model or of all."""
    return [e for e in report["metrics"] if e["metric"] == metric and e["primary"] and e["attack"] is None and e["language"] is None and model in (None, e["model"])]


def columns(report: Report) -> list[tuple[str, str, list[str]]]:
    """Give the table's columns: (heading, metric, tasks)."""
    having = {metric: {entry["task"] for entry in _plain(report, metric)} for metric in BETTER}
    made = [(f"{title}, {word}", metric, [task]) for task, title in report["titles"].items() for metric, word in _OF_A_TASK.items() if task in having[metric]]
    for metric, others, heading in _TOGETHER:
        tasks = [task for task in report["titles"] if task in having[metric] and (not others or any(task in having[other] for other in others))]
        made += [(heading, metric, tasks)] if tasks else []
    return made


def cell(report: Report, model: str, metric: str, tasks: Sequence[str], n: bool = True) -> str:
    """Show a model's value with interval, n, and what has no verdict; a dash where there is nothing to count."""
    entries = [entry for entry in _plain(report, metric, model) if entry["task"] in tasks]
    if not entries:
        return "–"
    ((_, value, count),) = single_rows({**report, "metrics": [together(entries)]}, model)
    return f"{value}, n {count}" if n else value


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [line(head), "|" + "---|" * len(head), *map(line, rows), ""]


def results(reports: dict[str, Report]) -> list[str]:
    """Base and arms, a row each; the base stands in all reports alike."""
    first = next(iter(reports.values()))
    wanted = list(dict.fromkeys((heading, metric, tuple(tasks)) for report in reports.values() for heading, metric, tasks in columns(report)))
    rows = [[name, *(cell(report, name, metric, tasks) for _, metric, tasks in wanted)] for name, report in [(BASE, first), *reports.items()]]
    return _grid(["", *(heading for heading, _, _ in wanted)], rows)


def short(reports: dict[str, Report]) -> list[str]:
    """A line a task, for the README: what was refused, or how well it was done."""
    first = next(iter(reports.values()))
    shown = [column for column in columns(first) if column[1] in _OF_A_TASK and column[1] != "harmful_rate"][:4]
    rows = [[heading, *(cell(report, name, metric, tasks, n=False) for name, report in [(BASE, first), *reports.items()])] for heading, metric, tasks in shown]
    return _grid(["", BASE, *reports], rows)[:-1]


def changes(report: Report, a: str, b: str) -> list[str]:
    """What changed from `a` to `b`: what got better and worse by name, then the rows of the console report."""
    rows = [_spelt(row) for row in head_rows(report, a, b)]
    cut = [e for e in report["comparisons"] if (e["a"], e["b"]) == (a, b) and e["metric"] == "no_eos_rate" and e["attack"] != FLIP]
    rows += [replace(row, label=f"cut, {row.label.partition(': ')[0]}") for row in compare_rows(report, cut, (a, b))]
    groups = {said: [row.label for row in rows if row.change and re.match(r"\w+", row.meaning).group() == meaning] for meaning, said in _MEANINGS.items()}
    told = [f"- {said}: {'; '.join(labels)}" for said, labels in groups.items() if labels]
    return [f"**{a} → {b}**", "", *(told or ["- nothing was compared"]), "", *markdown.table(a, b, rows)]


def _spelt(row: HeadRow) -> HeadRow:
    return replace(row, label=f"{row.label}, refused (over-refusal)") if row.section == "over_refusal_rate" else row


def costs(reports: dict[str, Report]) -> list[str]:
    """What each arm took, by stage, and on what."""
    stages = list(dict.fromkeys(stage for report in reports.values() for stage in report["stage_seconds"]))
    rows = []
    for arm, report in reports.items():
        run, training, merge = report["run"], report.get("training") or {}, report.get("merge") or {}
        stored = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(merge.get("dtype", ""), "–")
        rows.append([
            arm, *(_seconds(report["stage_seconds"].get(stage)) for stage in stages), _seconds(run["seconds"]),
            f"{run['peak_memory_bytes'] / 2**30:.1f} GiB" if run["peak_memory_bytes"] else "–", run["device"] or "–",
            f"trained in {merge.get('trained', '–')}, merged in {stored}", *(f"{training[key]:,}" if key in training else "–" for key in ("rows", "steps")),
            f"{training['trained_tokens']:,} of {training['tokens']:,}" if training else "–", f"{training['tokens_per_second']:,.0f}" if training.get("tokens_per_second") else "–",
        ])
    return _grid(["", *stages, "in all", "peak memory", "device", "precision", "rows", "steps", "tokens trained", "tokens a second"], rows)


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def render(reports: dict[str, Report], compared: list[Entry]) -> str:
    """Put results, changes and costs together as Markdown."""
    most = (next(iter(reports.values())).get("decoding") or {}).get("max_new_tokens")
    limit = f"A response ends after {most:,} tokens at most. " if most else ""
    lines = [*results(reports), f"{limit}Brackets hold 95 % intervals. A column over several tasks weights them by their prompts.", ""]
    for arm, report in reports.items():
        lines += [*changes(report, BASE, arm), *(f"{said}  " for said in tables.closing_lines(report)), tables.evaluated_line(report), ""]
    for a, b in dict.fromkeys((entry["a"], entry["b"]) for entry in compared):
        metrics = [entry for arm in (a, b) for entry in reports[arm]["metrics"] if entry["model"] == arm]
        mine = [entry for entry in compared if (entry["a"], entry["b"]) == (a, b)]
        lines += [*changes({**reports[b], "metrics": metrics, "comparisons": mine}, a, b), f"p is adjusted for {len(mine)} comparisons (Holm).", ""]
    if len(reports) > 1 and not compared:
        lines += ["Reports alone cannot pair the arms' responses: `python -m alt_lite compare RUN RUN` compares two arms.", ""]
    return "\n".join([*lines, *costs(reports)])


def main(arguments: Sequence[str]) -> str:
    """Give what the command prints.

    Raises:
        UserError: as `read` does, or no folder is named.
    """
    folders = [argument for argument in arguments if argument != "--short"]
    if len(folders) != 1:
        raise UserError("one folder of reports is needed", "python scripts/laptop_table.py docs/laptop [--short]")
    reports, compared = read(Path(folders[0]))
    return "\n".join(short(reports)) if "--short" in arguments else render(reports, compared)


if __name__ == "__main__":
    try:
        sys.stdout.reconfigure(encoding="utf-8")
        print(main(sys.argv[1:]))
    except UserError as error:
        print(f"{error.message}\nFix: {error.fix}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
