"""Write `report.md`: the console report's content as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alt_lite.report import tables
from alt_lite.report.examples import examples
from alt_lite.report.rows import HeadRow, arm_rows, head_rows, single_rows
from alt_lite.report.summary import manifest_of


def render(data: dict[str, Any], run: Path) -> str:
    """Render report.json and the run's before/after traces as Markdown."""
    values = manifest_of(run)["recipe"]["values"]
    lines = [f"# {data.get('evaluated') or data['recipe']}", "", tables.title_line(data), "", tables.evaluated_line(data), ""]
    rows = list(head_rows(data))
    if rows:
        lines += table("base", "tuned", rows)
        for a, b, compared in arm_rows(data):
            if (a, b) != ("base", "tuned"):
                lines += table(a, b, compared)
        lines += [*tables.closing_lines(data), ""]
    else:
        for model in dict.fromkeys(entry["model"] for entry in data["metrics"]):
            lines += [f"| metric ({model}) | value [95 % interval] | n |", "|---|---|---|", *("| " + " | ".join(map(_cell, row)) + " |" for row in single_rows(data, model)), ""]
        for a, b, compared in arm_rows(data):
            lines += table(a, b, compared)
        lines += [*tables.closing_lines(data), ""]
    for item in examples(run, values["report.examples"]):
        lines += [f"## {item.title}", "", _quote(item.prompt), ""]
        for name, row in (("base", item.base), ("tuned", item.tuned)):
            lines += [f"**{name}**", "", _quote(row["completion"]), ""]
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in data["stage_seconds"].items() if seconds)
    if data["sources"]:
        lines += ["## Benchmarks", "", "| task | from | at |", "|---|---|---|"]
        lines += [f"| {_cell(entry['task'])} | {_cell(entry['place'])} | {_cell(', '.join(filter(None, (entry['commit'], entry.get('note')))))} |" for entry in data["sources"]]
        lines += [f"| {_cell(entry['task'])} | **not evaluated** | {_cell(entry['reason'])} |" for entry in data["missing"]] + [""]
    lines += ["## Run", "", stages, "", "| setting | value |", "|---|---|"]
    lines += [f"| `{key}` | {_cell(str(value))} |" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def table(a: str, b: str, rows: list[HeadRow]) -> list[str]:
    """Put a comparison's rows in a Markdown table."""
    cells = ((r.label, r.base, r.tuned, r.change, r.p, r.n, r.meaning) for r in rows)
    return [f"| | {a} | {b} | change | p | n | |", "|---|---|---|---|---|---|---|", *("| " + " | ".join(map(_cell, row)) + " |" for row in cells), ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _quote(text: str) -> str:
    """Model text in a fenced block, which no text of it can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
