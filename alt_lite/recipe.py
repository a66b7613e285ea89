"""The whole run, stage by stage: `python -m alt_lite.recipe NAME [section.key=value …]`.

check → data → train → merge → eval → report. Stages meet in the run folder only; the same command
goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alt_lite import pace, preflight, protocol, provenance, subjects
from alt_lite.config import Recipe, load_recipe
from alt_lite.config.peek import names_gguf
from alt_lite.console import progress, results, say
from alt_lite.data.report import written_otherwise
from alt_lite.data.rows import Task, TrainingRow, dump_rows, read_training_rows
from alt_lite.dataset import rows_for, system_prompt
from alt_lite.decide import Decision, Decisions, Device, chosen, decide
from alt_lite.errors import OutOfTime, UserError
from alt_lite.rundir import STAGES, RunDir, default_folder, read_json, read_rows, source_digest, write_text
from alt_lite.settle import KEYS, settle

Stop = Callable[[], bool]
_MERGE_PROMPTS = 24
_AS_BEGUN = "as this training was begun"


def run(
    recipe: Recipe | str, run_dir: Path | str | None = None, stages: Sequence[str] | None = None, dry_run: bool = False,
    fresh: bool = False, max_minutes: float | None = None,
) -> Path:
    """Run a recipe's stages, going on where an earlier call stopped; gives the run folder.

    Raises:
        UserError: the recipe cannot run here, or the folder holds another run.
        OutOfTime: `max_minutes` are over; the same call goes on.
    """
    began = time.monotonic()
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    folder = RunDir(Path(run_dir) if run_dir else default_folder(recipe))
    wanted = _wanted(stages)
    folder.require_ours()
    if dry_run:
        _print_plan(recipe, folder, wanted, fresh)
        return folder.path
    plan = dict.fromkeys(STAGES, "todo") if fresh else folder.plan(recipe)
    if all(plan[stage] == "done" for stage in wanted):
        say(f"{folder.path} is finished; nothing to do (--fresh runs it anew)")
        _show_report(folder)
        return folder.path
    _require_earlier(plan, wanted, fresh)
    deadline = began + max_minutes * 60 if max_minutes is not None else None
    trains = plan["train"] != "done"
    asked = recipe
    kept = folder.manifest if plan["train"] != "todo" else {}
    recipe, here, decisions = prepare(recipe, trains, {**kept.get("settled", {}), "model.dtype": kept.get("computes_in")})
    rows = read_training_rows(folder.path / "data" / "train.jsonl") if plan["data"] == "done" else look_at_rows(recipe, decisions)
    decisions = check(recipe, here, decisions, folder.path, rows, trains=trains)
    facts = {**provenance.facts(recipe, here, decisions), "settled": {key: recipe.values()[key] for key in KEYS if key in decisions}}
    if plan["train"] != "todo":
        from alt_lite.model import checkpoints

        unfinished = plan["train"] != "done" and checkpoints.can_resume(folder.path / "checkpoints")
        provenance.compare(folder.manifest, facts, unfinished)
    with folder.locked():
        if fresh:
            folder.fresh()
        plan = folder.plan(asked)
        folder.begin(asked, facts)
        folder.set_stage(asked, "check", "done", time.monotonic() - began)
        _run_stages(asked, recipe, folder, plan, wanted, here, decisions, lambda: deadline is not None and time.monotonic() > deadline)
    _show_report(folder)
    return folder.path


def prepare(recipe: Recipe, trains: bool = True, begun: Mapping[str, Any] = MappingProxyType({})) -> tuple[Recipe, Device, Decisions]:
    """Look at the machine and the model, refuse what cannot be trained here, decide what is left to decide. What a training
    that has `begun` was settled with stays, whatever machine goes on with it, where that machine can."""
    from alt_lite.model import architecture, backend, load

    backend.prepare_environment()
    here = backend.device(recipe)
    if trains:
        backend.require_fit(recipe, here)
    kept: dict[str, Decision] = {}
    if (key := "model.dtype") in begun and recipe.model.dtype == "auto" and begun[key] not in (None, here.dtype):
        with suppress(UserError):  # another card may not compute in it: provenance.compare says so
            here = backend.device(replace(recipe, model=recipe.model.model_copy(update={"dtype": begun[key]})))
            kept[key] = Decision(key, begun[key], _AS_BEGUN)
    if (key := "model.load_in_4bit") in begun and recipe.origin[key] == "default":
        recipe = replace(recipe, model=recipe.model.model_copy(update={"load_in_4bit": begun[key]}), origin={**recipe.origin, key: "decided"})
        kept[key] = Decision(key, begun[key], _AS_BEGUN)
    recipe, made = settle(recipe, trained_on=None if key in kept else here)
    config = load.model_folder(recipe.model, weights=False) / "config.json"
    leak = architecture.leaks(read_json(config)) if config.is_file() else None
    return recipe, here, {**decide(recipe, here, leak), **{decision.key: decision for decision in made}, **kept}


def check(
    recipe: Recipe, here: Device, decisions: Decisions, folder: Path, rows: Sequence[TrainingRow], example: bool = False,
    trains: bool = True,
) -> Decisions:
    """Fail in the first seconds: tokenizer, every row encoded, memory, disk, before any weights are loaded; gives
    the decisions, with those that follow from the memory.

    Raises:
        UserError: something is missing or wrong; nothing has been written.
    """
    from alt_lite.model import embeddings, layout
    from alt_lite.model.load import load_tokens, model_folder
    from alt_lite.model.merging.mergeable import require_mergeable
    from alt_lite.tokens.encode import encode_rows

    say(f"{recipe.name} · {recipe.title} · {here.name}")
    for key, value in recipe.values().items():
        if recipe.origin[key] == "command line":
            say(f"  {key} = {value} (command line)")
    for decision in decisions.values():
        if decision.reason != "as asked":
            say(f"  {decision}")
    tokens = load_tokens(recipe.model)
    if tokens.family.system is None and (given := system_prompt(recipe)):
        raise UserError(f"this model's chat template takes no system message, and every row has one: {given[:60]!r}", "data.system=null, or another data.source")
    encoded = encode_rows(tokens, rows, recipe.data.target, recipe.model.max_length, recipe.data.answer)
    lengths = sorted(len(row.input_ids) for row in encoded)
    decisions = preflight.look(recipe, here, decisions, lengths[-1], folder, trains)
    require_mergeable(recipe, model_folder(recipe.model, weights=False), tokens, max(max(row.input_ids) for row in encoded))
    embeddings.notice(model_folder(recipe.model, weights=False), tokens)
    plan = protocol.build(recipe, decisions, here)
    protocol.require_sendable(plan, tokens.family)
    if recipe.data.source != "tiny" and not recipe.builds_rows:
        say(f"  data: all rows of {recipe.data.source}; data.harmful, data.benign and data.skills do not apply to a file")
    labels = {label: sum(row.label == label for row in rows) for label in ("harmful", "benign")}
    say(
        f"  data: {len(rows)} rows ({labels['harmful']} harmful, {labels['benign']} benign), "
        f"{lengths[len(lengths) // 2]} tokens in the median, {lengths[-1]} at most; target {recipe.data.target}"
    )
    for line in written_otherwise(rows, recipe.data.target, recipe.data.builds_rows and recipe.data.untraced == "template"):
        say(f"  data: {line}")
    steps = len(layout.row_order(len(rows), recipe.train.epochs, recipe.train.batch_size, recipe.train.seed))
    if trains and (shorter := layout.warmup(recipe.train.warmup_steps, steps)) != recipe.train.warmup_steps:
        say(f"  train.warmup_steps = {shorter}: training has {steps} steps and would never reach its learning rate in {recipe.train.warmup_steps}")
    pace.tell(recipe, here, decisions, lengths if trains else (), plan.tasks, plan.settings, 2 + len(plan.defences))
    if beside := _beside_alttrain(recipe, rows, sum(row.trained for row in encoded), tokens):
        say(beside)
    if example:
        from alt_lite.report.tables import coloured_row

        results.print(coloured_row(tokens, encoded[0]))
    return decisions


def _beside_alttrain(recipe: Recipe, rows: Sequence[TrainingRow], trained: int, tokens: Any) -> str | None:
    """Tell which epochs train as many tokens as AltTrain's target would: rows are never sampled for that."""
    from alt_lite.method.targets import needs
    from alt_lite.tokens.encode import encode_rows

    if recipe.data.target == "alttrain" or any(needs(row, "alttrain") for row in rows):
        return None
    beside = sum(row.trained for row in encode_rows(tokens, rows, "alttrain", None))
    epochs = recipe.train.epochs
    return (
        f"  target {recipe.data.target}: {trained:,} trained tokens an epoch, alttrain {beside:,} on the same rows; "
        f"train.epochs={epochs * beside / trained:.3g} trains as many as {epochs:g} of alttrain"
    )


def look_at_rows(recipe: Recipe, decisions: Decisions) -> list[TrainingRow]:
    """Give the rows for the check stage, before any weights are loaded."""
    from alt_lite.model.load import load_tokens

    tokens = load_tokens(recipe.model) if recipe.builds_rows else None
    return rows_for(recipe, chosen(decisions, "data.assessor"), tokens, look=True)


def _run_stages(
    asked: Recipe, recipe: Recipe, folder: RunDir, plan: dict[str, str], wanted: Sequence[str], here: Device, decisions: Decisions, stop: Stop
) -> None:
    work = {"data": data_stage, "train": train_stage, "merge": merge_stage, "eval": eval_stage, "report": report_stage}
    redone = False
    for stage in STAGES[1:]:
        # What builds on a stage that is done again is done again too.
        state = "redo" if redone and plan[stage] == "done" else plan[stage]
        if stage not in wanted:
            continue
        if state == "done":
            say(f"{stage}: done before")
            continue
        if state == "redo":
            redone = True
            say(f"{stage}: settings changed, done again")
        folder.set_stage(asked, stage, "begun")
        if state == "redo":
            # Responses are found by what determines them, so those that still fit are kept; a report
            # of other settings must not stand beside them.
            for old in {stage, "report"} - {"eval"}:
                folder.clear_stage(old)
        began = time.monotonic()
        try:
            if stop():
                raise OutOfTime
            work[stage](recipe, folder, here, decisions, stop)
        except BaseException:
            folder.set_stage(asked, stage, "begun", time.monotonic() - began)
            raise
        from alt_lite.model.backend import peak_memory

        folder.note(peak_memory_bytes=max(peak_memory(), folder.manifest.get("peak_memory_bytes", 0)))
        folder.set_stage(asked, stage, "done", time.monotonic() - began)


def data_stage(recipe: Recipe, folder: RunDir, here: Device, decisions: Decisions, stop: Stop) -> None:
    """Write the training rows; a set that is not there yet is built first, and kept for other runs."""
    from alt_lite.model.load import load_tokens

    rows = rows_for(recipe, chosen(decisions, "data.assessor"), load_tokens(recipe.model), stop=stop)
    write_text(folder.path / "data" / "train.jsonl", dump_rows(rows))
    folder.note(source_digest=source_digest(recipe))


def train_stage(recipe: Recipe, folder: RunDir, here: Device, decisions: Decisions, stop: Stop) -> None:
    """Fine-tune the adapter; goes on from the last whole checkpoint."""
    from alt_lite.model import embeddings, layout, train
    from alt_lite.model.load import load_tokens, model_folder
    from alt_lite.tokens.encode import encode_rows

    tokens = load_tokens(recipe.model)
    embeddings.notice(model_folder(recipe.model), tokens)  # at the check a hub's weights were not here yet
    rows = encode_rows(tokens, read_training_rows(folder.path / "data" / "train.jsonl"), recipe.data.target, recipe.model.max_length, recipe.data.answer)
    places = train.Places(folder.path / "checkpoints", folder.path / "adapter", folder.path / "train_log.jsonl")
    steps = layout.row_order(len(rows), recipe.train.epochs, recipe.train.batch_size, recipe.train.seed)
    settings = train.effective_settings(recipe, decisions, here, places, len(steps))
    say(train.describe(recipe, decisions, settings))
    with progress("train", len(steps)) as bar:
        facts = train.train(recipe, decisions, here, tokens, rows, places, bar, stop)
    pace.record(recipe, here, "train", facts["backend"], pace.steady(read_rows(places.log)))
    # The training may have been a process of its own.
    folder.note(training=facts, peak_memory_bytes=max(facts["peak_memory_bytes"], folder.manifest.get("peak_memory_bytes", 0)))


def merge_stage(recipe: Recipe, folder: RunDir, here: Device, decisions: Decisions, stop: Stop) -> None:
    """Merge the adapter into a whole folder and compare it with base + adapter."""
    from alt_lite.model.load import load_tokens
    from alt_lite.model.merging import merge
    from alt_lite.tokens.encode import encode_prompt, row_messages

    tokens = load_tokens(recipe.model)
    rows = read_training_rows(folder.path / "data" / "train.jsonl")[:_MERGE_PROMPTS]
    prompts = [encode_prompt(tokens, row_messages(row)) for row in rows]
    proof = merge.merge(recipe, folder.path / "adapter", folder.path / "merged", tokens, prompts, here, chosen(decisions, "merge.dtype"))
    folder.note(merge=proof.facts)
    say(f"merge: {proof}")


def eval_stage(recipe: Recipe, folder: RunDir, here: Device, decisions: Decisions, stop: Stop) -> None:
    """Evaluate base and tuned on the same prompts, in the same precision, with the same decoding."""
    from alt_lite.evals import runner
    from alt_lite.model import load

    plan = protocol.build(recipe, decisions, here)
    out = folder.path / "eval"
    folder.note(sources=plan.sources, missing=plan.missing)
    if not plan.tasks:
        say(f"eval: skipped; {decisions['eval.suite'].reason}")
        runner.write_suite(out, ())
        folder.note(arms=[])
        return
    runner.write_suite(out, plan.tasks, plan.settings.samples)
    how = here, plan.settings.precision, chosen(decisions, "eval.batch_size")
    arms: dict[str, tuple[list[Task], list[Path]]] = {}
    for make in (lambda: subjects.base(recipe, *how), lambda: subjects.tuned(recipe, folder.path, *how)):
        with closing(make()) as subject:
            reuse = subjects.reusable(folder.path, subject.digest, recipe.eval.base_from)
            # Training is compared with the base under each defence, which is free.
            for name, tasks, adaptive in plan.arms(subject.name, defended=subject.name == "base"):
                arms[name] = tasks, reuse
                with pace.generating(recipe, here, plan.settings, out / name, tasks) as taken_over:
                    taken_over.append(runner.respond(subject, tasks, out / name, plan.settings, plan.judges, reuse, stop, adaptive))
        del subject
    load.free_memory()  # for a guard
    folder.note(decoding=vars(plan.settings), arms=list(arms), precision=plan.settings.precision)
    failed = 0
    for name, (tasks, reuse) in arms.items():
        failed += runner.tell_errors(tasks, out / name)
        protocol.judge(plan, tasks, out / name, reuse, stop)
    if failed:
        raise UserError(f"{failed} requests failed, so that the evaluation is not done; all else is kept", "the same command asks these again; python -m alt_lite report RUN shows what there is")


def report_stage(recipe: Recipe, folder: RunDir, here: Device, decisions: Decisions, stop: Stop) -> None:
    """Write report.json and report.md from the run's files."""
    from alt_lite.report import markdown, summary

    write_report(folder.path, summary.build(folder.path), markdown.render)


def write_report(path: Path, report: dict[str, Any], render: Callable[[dict[str, Any], Path], str]) -> None:
    """Write report.md, then report.json, which is last and so means complete."""
    from alt_lite.rundir import write_json

    write_text(path / "report.md", render(report, path))
    write_json(path / "report.json", report)


def _wanted(stages: Sequence[str] | None) -> tuple[str, ...]:
    unknown = [stage for stage in stages or () if stage not in STAGES]
    if unknown:
        raise UserError(f"no stage {unknown[0]!r}", f"--stages takes some of {','.join(STAGES)}")
    return tuple(stage for stage in STAGES if not stages or stage in stages)


def _require_earlier(plan: dict[str, str], wanted: Sequence[str], fresh: bool) -> None:
    """Refuse stages whose forerunners are neither done with these settings nor asked for."""
    if fresh and "data" not in wanted:
        raise UserError("--fresh discards the whole run, so its stages must begin with data", "leave out --fresh or --stages")
    for stage in wanted:
        for earlier in STAGES[1 : STAGES.index(stage)]:
            if plan[earlier] != "done" and earlier not in wanted:
                why = "was done with other settings" if plan[earlier] == "redo" else "is not done"
                needed = [s for s in STAGES[1:] if s in wanted or (plan[s] != "done" and STAGES.index(s) < STAGES.index(stage))]
                raise UserError(f"stage {stage} needs stage {earlier}, which {why}", f"--stages {','.join(needed)}, or no --stages")


def _print_plan(recipe: Recipe, folder: RunDir, wanted: Sequence[str], fresh: bool) -> None:
    """Say what a run would do, without torch and without a GPU."""
    say(f"{recipe.name} · {recipe.title}")
    for key, value in recipe.values().items():
        if recipe.origin[key] != "default":
            say(f"  {key} = {value} ({recipe.origin[key]})")
    need = recipe.model.gpu_gb
    assumed = Device("cuda" if need else "cpu", "not looked at", 0)
    for decision in decide(recipe, assumed).values():
        if decision.reason != "as asked":
            say(f"  {decision}")
    if need:
        beyond = "; it does not fit a 24 GB card" if need > 24 else ""
        say(f"needs a CUDA GPU with about {need:g} GB (estimate){beyond}; this machine was not looked at")
    if not recipe.embedded and names_gguf(recipe.model.name):
        from alt_lite.model.importing import from_gguf

        from_gguf.require_file(recipe.model.name)
        say(f"{recipe.model.name} is a GGUF file, which the run unpacks once into the cache")
    plan = dict.fromkeys(STAGES, "todo") if fresh else folder.plan(recipe)
    results.print(f"{folder.path}: " + ", ".join(f"{stage} {plan[stage]}" for stage in wanted), markup=False)


def _show_report(folder: RunDir) -> None:
    path = folder.path / "report.json"
    if not path.is_file():
        return
    from alt_lite.report import tables

    values = folder.manifest["recipe"]["values"]
    results.print(tables.report(read_json(path), folder.path, values["report.examples"]))


def main() -> None:
    """Enter at `python -m alt_lite.recipe`."""
    import sys

    from alt_lite.cli.app import main as cli

    cli(["run", *sys.argv[1:]], prog="python -m alt_lite.recipe")


if __name__ == "__main__":
    main()
