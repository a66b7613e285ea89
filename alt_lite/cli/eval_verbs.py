"""Verbs about evaluations: eval, judge, compare, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from alt_lite.cli.data_verbs import with_parts
from alt_lite.cli.run_verbs import Overrides
from alt_lite.console import emit, results, say
from alt_lite.data.rows import read_jsonl
from alt_lite.rundir import RunDir, read_json, write_text


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)
    for verb in (judge, compare, report):
        app.command()(verb)


def evaluate(
    model: Annotated[str, typer.Argument(help="a merged folder, an adapter's folder, a hub id, or embedded")],
    overrides: Overrides = None,
    suite: Annotated[str, typer.Option(help="which tasks")] = "tiny",
    out: Annotated[Path | None, typer.Option(help="the evaluation's folder; default runs/eval_NAME")] = None,
) -> None:
    """Evaluate one model on a suite; goes on where it stopped."""
    from alt_lite import evaluation
    from alt_lite.report import tables

    folder = evaluation.evaluate(model, suite, out, tuple(overrides or ()))
    results.print(tables.single(read_json(folder / "report.json"), "model"))


def judge(
    file: Annotated[Path, typer.Argument(help="JSONL with id, prompt and completion, or trace and answer")],
    judge: Annotated[str, typer.Option("--judge", help="the judge's name")],
    out: Annotated[Path | None, typer.Option(help="write here instead of standard output")] = None,
) -> None:
    """Judge responses anew: per line id, judge, part, verdict, score."""
    from alt_lite.evals.judges import STRUCTURE, find_judge, judge_structure
    from alt_lite.evals.runner import judge_row
    from alt_lite.tiny.judge import JUDGES

    name, function = find_judge(judge, {STRUCTURE: judge_structure, **JUDGES})
    judged = [judge_row(row, name, function) for row in with_parts(file, read_jsonl(file))]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in judged)
    if out:
        write_text(out, text)
        say(f"wrote {len(judged)} judgements to {out}")
    else:
        emit(text.rstrip("\n"))


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a run's folder, RUN:base, or an eval folder")],
    b: Annotated[str, typer.Argument(metavar="B", help="the same")],
    as_json: Annotated[bool, typer.Option("--json", help="print the comparisons as JSON")] = False,
) -> None:
    """Compare two evaluations on the prompts that they share."""
    from alt_lite import evaluation
    from alt_lite.report import tables

    titles, entries = evaluation.compare(a, b)
    if as_json:
        emit(json.dumps(entries))
    else:
        results.print(tables.comparison(titles, entries, a, b))


def report(run: Annotated[Path, typer.Argument(help="a run's folder")]) -> None:
    """Print a run's report again, and write report.json and report.md anew from its files."""
    from alt_lite.evaluation import recipe_of
    from alt_lite.recipe import write_report
    from alt_lite.report import markdown, summary, tables

    recipe = recipe_of(run)
    with RunDir(run).locked():
        data = summary.build(run)
        write_report(run, data, markdown.render)
    results.print(tables.report(data, run, recipe.report.examples))
