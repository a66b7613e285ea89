"""Verbs about evaluations: eval, judge, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alt_lite.cli.run_verbs import Overrides
from alt_lite.console import emit, json_line, results, say
from alt_lite.errors import UserError
from alt_lite.rundir import RunDir, read_json


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)
    for verb in (judge, compare, report, bench):
        app.command()(verb)


def evaluate(
    model: Annotated[str, typer.Argument(help="a merged folder, an adapter's folder, a GGUF file, a hub id, embedded, or a server's URL")],
    overrides: Overrides = None,
    suite: Annotated[str | None, typer.Option(help="which tasks: quick, compact, safety, utility, full, r1act, thinksafe, tiny; default: what fits the model")] = None,
    out: Annotated[Path | None, typer.Option(help="the evaluation's folder; default runs/eval_NAME")] = None,
) -> None:
    """Evaluate one model on a suite; goes on where it stopped."""
    from alt_lite import evaluation
    from alt_lite.report import tables

    folder = evaluation.evaluate(model, suite, out, tuple(overrides or ()))
    results.print(tables.single(read_json(folder / "report.json")))


def judge(
    file: Annotated[Path | None, typer.Argument(help="JSONL with id, prompt and completion, or trace and answer; label and goal where known")] = None,
    judge: Annotated[str, typer.Option("--judge", help="rules or a rubric by name, guard, or a guard's hub id or folder")] = "refusal",
    out: Annotated[Path | None, typer.Option(help="write here instead of standard output; a judge that is a model goes on there")] = None,
    url: Annotated[str | None, typer.Option(help="base URL of the OpenAI-compatible server of a rubric or a guard")] = None,
    model: Annotated[str | None, typer.Option(help="the model's name there; default: the only one")] = None,
    calibrate: Annotated[Path | None, typer.Option(help="CSV or JSONL of responses with human labels: print the judge's agreement with them")] = None,
    response: Annotated[str | None, typer.Option(help="column of the responses; default: completion, response, target_response, answer")] = None,
    label: Annotated[str | None, typer.Option(help="column of the human labels; default: final_label, human_majority, label")] = None,
    prompt: Annotated[str | None, typer.Option(help="column of the requests; default: goal, prompt, request, question")] = None,
) -> None:
    """Judge responses anew: per line id, judge, part, verdict, score."""
    from alt_lite.cli import calibrating, judging

    if calibrate is None and file is None:
        raise UserError("no file is given", "python -m alt_lite judge FILE --judge NAME, or --calibrate CSV")
    chosen = judging.choose(judge, url, model)
    if calibrate:
        calibrating.calibrate(calibrate, chosen, response, label, prompt, out)
    elif file:
        judging.judge_file(file, chosen, out)


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
        emit(json_line(entries))
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


def bench(
    name: Annotated[str, typer.Argument(help="tiny: generation in batches; a real model's recipe: its training and generation")] = "tiny",
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="all figures as one JSON object")] = False,
    merging: Annotated[bool, typer.Option("--merge", help="measure a merge of 1.5B parameters against PEFT's instead: 17 GB of disk, minutes")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="optimiser steps of a real model's training; default 20, with its own weights 12 on each side")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="random weights, cut to so many layers, to try the command")] = None,
    out: Annotated[Path | None, typer.Option(help="random weights; write the figures here, such as recipes/measured")] = None,
) -> None:
    """Measure speed and memory of this machine, as ratios side by side in one run.

    A real model is measured with its own weights on a CPU that has them (a folder, a GGUF file, the hub's snapshot): as the recipe
    decides now, against fp32 with a base in 4 bit, checkpointing and 16 prompts together. On a GPU, without weights, and with
    --layers or --out it has random weights of the published shape, and its memory is measured beside the estimate."""
    from alt_lite import bench as benchmark
    from alt_lite.config import load_recipe

    if merging:
        from alt_lite.model.backend import prepare_environment

        prepare_environment()
        made = benchmark.merging()
        if as_json:
            emit(json_line(made))
        else:
            results.print(benchmark.merging_text(made), markup=False)
        return
    recipe = load_recipe(name, overrides or [])
    if not recipe.embedded:
        from alt_lite import bench_cpu, measure
        from alt_lite.model import backend

        backend.prepare_environment()
        if not layers and not out and bench_cpu.is_for(recipe, backend.device(recipe)):
            made = bench_cpu.measure(recipe, steps or bench_cpu.STEPS)
            if as_json:
                emit(json_line(made))
            else:
                results.print(bench_cpu.text(made), markup=False)
            return
        steps = steps or 20
        say(f"bench: random weights of {recipe.model.name}'s published shape (its own where a CPU has them at hand, without --layers and --out)")
        entries = measure.measure(recipe, " ".join(("python -m alt_lite bench", name, *(overrides or ()), f"--steps {steps}")), steps, layers, out)
        if as_json:
            emit(json_line(entries))
        else:
            results.print(measure.text(entries), markup=False)
        return
    found = benchmark.generation(recipe)
    if as_json:
        emit(json_line(found))
        return
    results.print(
        f"{found['device']}: {found['prompts']} prompts, {found['batch_size']} at a time {1000 * found['seconds_per_prompt_batched']:.1f} ms each, "
        f"one at a time {1000 * found['seconds_per_prompt_single']:.1f} ms: {found['ratio']:.1f} times as fast, "
        f"outputs {'the same' if found['same_outputs'] else 'NOT THE SAME'}", markup=False,
    )
    half = found["bf16"]
    results.print(
        f"in bf16 {half['differing']} of {half['n']} answers differ, {half['explained']} of these where the two best tokens lie within "
        f"{half['tolerance']:.0%} of the largest logit (at most {half['largest_gap']:.2%})", markup=False,
    )
