"""Evaluate one model by itself, and compare any two evaluations on the prompts that they share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alt_lite.config import EMBEDDED, Recipe, load_recipe, recipe_from_values, recipe_names, with_overrides
from alt_lite.console import say
from alt_lite.dataset import system_prompt
from alt_lite.decide import chosen, decide
from alt_lite.errors import UserError
from alt_lite.rundir import MANIFEST, RunDir, read_json
from alt_lite.settle import settle


def recipe_of(run: Path) -> Recipe:
    """Read back the recipe that a run's manifest holds.

    Raises:
        UserError: the folder holds no run, or one of another version.
    """
    from alt_lite.report.summary import manifest_of

    return recipe_from_values(manifest_of(run)["recipe"])


def asked_of(run: Path) -> Recipe:
    """Read back the recipe as it was asked for, without what the model has settled: a run is gone on with by it.

    Raises:
        UserError: as `recipe_of` does.
    """
    from alt_lite.report.summary import manifest_of

    manifest_of(run)
    return recipe_from_values(RunDir(run).manifest["recipe"])


def evaluate(model: str | Path, suite: str | None = None, out: str | Path | None = None, overrides: tuple[str, ...] = ()) -> Path:
    """Evaluate a merged folder, an adapter's folder, a GGUF file, a hub id, `embedded`, or a server's URL on a suite; resumable.

    The model's run, when it lies in one, gives prompt format and split; else a recipe of the same model,
    else the recipe `tiny`. Gives the evaluation's folder, laid out like a run's, with `report.json`.

    Raises:
        UserError: the model or the suite does not exist.
    """
    from alt_lite import pace, preflight, protocol, subjects
    from alt_lite.evals import runner
    from alt_lite.model import backend, load
    from alt_lite.recipe import write_report
    from alt_lite.report import markdown, summary

    name = str(model)
    server, path = "://" in name, Path(name)
    in_run = path.is_dir() and (path.resolve().parent / MANIFEST).is_file()
    if not in_run and path.is_dir() and (path / MANIFEST).is_file() and not (path / "config.json").is_file():
        there = [str(path / kind) for kind in ("merged", "adapter") if (path / kind).is_dir()]
        raise UserError(f"{path} is a run's folder, which holds no model itself", f"name {' or '.join(there)}" if there else "finish the run first")
    recipe = _settings(path.resolve().parent if in_run else None, name, ((f"eval.suite={suite}",) if suite else ()) + tuple(overrides))
    backend.prepare_environment()
    here = backend.device(recipe)
    decisions = decide(recipe, here)
    label = f"{path.resolve().parent.name}_{path.name}" if in_run else recipe.endpoint.model or "server" if server else path.stem if path.is_file() else path.name
    folder = RunDir(Path(out) if out else Path("runs") / f"eval_{label.replace('/', '_')}")
    folder.require_ours()
    evaluated = str(path.resolve()) if path.exists() else name
    _require_same_subject(folder, evaluated)
    if server:
        protocol.require_servable(recipe)
        subject = subjects.served(recipe)
    elif not path.is_dir():
        load.model_folder(recipe.model, weights=False)  # a name that is none is found out before any benchmark is loaded
    if not server:
        source = subjects.source(recipe, path, weights=False)
        recipe, made = settle(recipe, source)
        for decision in made:
            if decision.key == "model.family":
                say(f"  {decision}")
    if not server and here.kind == "cuda" and (decision := preflight.precision(recipe, here, subjects.source(recipe, path, weights=False))):
        decisions["eval.precision"] = decision
        say(f"  {decision}")
    plan = protocol.build(recipe, decisions, here)
    if server:
        plan = protocol.servable(plan)
    else:
        protocol.require_sendable(plan, load.load_tokens(recipe.model, source).family)
    if not plan.tasks:
        raise UserError(f"nothing is evaluated: {decisions['eval.suite'].reason}", "--suite quick, or eval.tasks=NAME,NAME")
    batch_size = chosen(decisions, "eval.batch_size")
    if not server:
        pace.tell(recipe, here, decisions, (), plan.tasks, plan.settings, 1 + len(plan.defences))
        subject = subjects.one(recipe, path, here, plan.settings.precision, batch_size)
    with folder.locked():
        folder.begin(recipe, {
            # What computes behind a server, and in which precision, nobody knows.
            "device": None if server else here.name, "evaluated": evaluated, "precision": None if server else plan.settings.precision,
            "embedded": str(decisions["eval.suite"].value).startswith("tiny"),
            "decoding": {**vars(plan.settings), **({"precision": None} if server else {})}, "sources": plan.sources, "missing": plan.missing,
        })
        with _timed(folder):
            target = folder.path / "eval"
            runner.write_suite(target, plan.tasks, plan.settings.samples)
            with closing(subject):
                # A server's model is known by its name alone, under which another one may have been served.
                reuse = [] if server and not recipe.eval.base_from else subjects.reusable(folder.path, subject.digest, recipe.eval.base_from)
                if server and any(target.glob(f"*/*/{runner.RESPONSES}")):
                    say(f"  goes on with the responses in {folder.path}: the model behind {name} is taken to be the same as before")
                arms = list(plan.arms(subject.name))
                folder.note(arms=[arm for arm, _, _ in arms])
                for arm, tasks, adaptive in arms:
                    with pace.generating(recipe, here, plan.settings, target / arm, tasks) as taken_over:
                        taken_over.append(runner.respond(subject, tasks, target / arm, plan.settings, plan.judges, reuse, adaptive=adaptive))
                        taken_over.append(int(server))  # a server's speed says nothing of this machine's
            del subject
            load.free_memory()  # for a guard
            for arm, tasks, _ in arms:
                runner.tell_errors(tasks, target / arm)
                protocol.judge(plan, tasks, target / arm, reuse)
        write_report(folder.path, summary.build(folder.path), markdown.render)
    say(f"wrote {folder.path}")
    return folder.path


@contextmanager
def _timed(folder: RunDir) -> Iterator[None]:
    """Add what an evaluation takes to the folder's seconds, when it is stopped too: they are summed over its calls."""
    began = time.monotonic()
    try:
        yield
    finally:
        folder.note(seconds=round((folder.manifest.get("seconds") or 0) + time.monotonic() - began, 1))


def _settings(run: Path | None, name: str, overrides: tuple[str, ...]) -> Recipe:
    """Find the recipe whose prompt format and evaluation settings a model gets: its run's, a shipped one of
    the same model, the recipe `tiny` for the embedded one; else R1's with all defaults. What a run was given on
    its command line for its own evaluation (a limit, attacks) holds here too, and is said."""
    if run is not None:
        kept = recipe_of(run)
        recipe = with_overrides(kept, overrides)
        given = {pair.partition("=")[0] for pair in overrides}
        if taken := [pair for pair in kept.overrides if pair.startswith("eval.") and pair.partition("=")[0] not in given]:
            say(f"  as in the run's own evaluation: {' '.join(taken)} (say them otherwise to change them)")
        system = system_prompt(kept)
        return recipe if recipe.data.system or not system else with_overrides(recipe, (f"data.system={system}",))
    if name == EMBEDDED:
        return load_recipe("tiny", overrides)
    if "://" in name:
        return load_recipe("r1_1_5b", ("model.gpu_gb=null", f"model.name={name}", f"endpoint.url={name}", *overrides))
    same = next((recipe for recipe in recipe_names() if load_recipe(recipe).model.name == name), None)
    if same:
        return load_recipe(same, overrides)
    return load_recipe("r1_1_5b", ("model.gpu_gb=null", f"model.name={name}", "model.family=auto", *overrides))


def _require_same_subject(folder: RunDir, evaluated: str) -> None:
    manifest = folder.manifest
    if manifest.get("stages"):
        raise UserError(f"{folder.path} holds a training run, which an evaluation would overwrite", "choose another --out")
    if manifest and manifest.get("evaluated") != evaluated:
        raise UserError(f"{folder.path} holds the evaluation of {manifest.get('evaluated')}", "choose another --out")


def compare(a: str | Path, b: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare two evaluations: each a run's folder (its tuned model), `RUN:base`, or an eval folder.

    Returns:
        (`titles` and `metrics` of both as in report.json, `comparisons` entries), all on the shared prompts.

    Raises:
        UserError: a folder holds no evaluation, or the two share no prompt.
    """
    from alt_lite.evals import score
    from alt_lite.evals.runner import SUITE
    from alt_lite.report import summary

    (folder_a, name_a), (folder_b, name_b) = _evaluation(str(a)), _evaluation(str(b))
    suite_a, suite_b = read_json(folder_a.parent / SUITE), read_json(folder_b.parent / SUITE)
    shared = {task: facts for task, facts in suite_a.items() if task in suite_b}
    before, after, (both, n_a, n_b) = summary.shared_tables((folder_a, suite_a), (folder_b, suite_b))
    entries = score.adjust(summary.compare_tables(name_a, name_b, before, after, shared))
    if not entries:
        raise UserError(f"{a} and {b} share no prompt", "compare evaluations of the same suite and split")
    for name, mine, other, run in (("A", suite_b, suite_a, folder_a), ("B", suite_a, suite_b, folder_b)):
        if lacking := [task for task in mine if task not in other]:
            missing = {entry["task"]: entry["reason"] for entry in RunDir(run.parent.parent).manifest.get("missing") or ()}
            say(f"compare: not in {name}, and not compared: " + ", ".join(f"{task} ({missing[task]})" if task in missing else task for task in lacking))
    if both < max(n_a, n_b):
        say(f"compare: {both} responses are to prompts that both were asked; A has {n_a}, B {n_b}")
    for line in _differences(folder_a.parent.parent, folder_b.parent.parent):
        say(f"compare: {line}")
    metrics = [*summary.subject_metrics(name_a, before, suite_a), *summary.subject_metrics(name_b, after, suite_b)]
    return {"titles": {task: facts["title"] for task, facts in shared.items()}, "metrics": metrics}, entries


def _differences(a: Path, b: Path) -> list[str]:
    """Say in what two evaluations were not asked alike."""
    first, second = ({**(found.get("decoding") or {}), "precision": found.get("precision")} for found in (RunDir(run).manifest for run in (a, b)))
    return [f"{key} was {_said(first, key)} for A and {_said(second, key)} for B" for key in {**first, **second} if first.get(key) != second.get(key)]


def _said(asked: dict[str, Any], key: str) -> Any:
    """Put a setting in words where it is none: runs of earlier versions recorded no decoding."""
    if asked.get(key) is not None:
        return asked[key]
    return {"max_new_tokens": "what each task needs", "top_k": "not set"}.get(key, "not known") if key in asked else "not recorded"


def _evaluation(name: str) -> tuple[Path, str]:
    """Find the responses that NAME stands for: (folder of one subject, its label)."""
    from alt_lite.evals.runner import SUITE

    path, subject = Path(name), None
    if not path.is_dir() and ":" in name:
        run, _, subject = name.rpartition(":")
        path = Path(run)
    if not (path / "eval" / SUITE).is_file():
        raise UserError(f"{name} holds no evaluation", "name a run's folder, RUN:base, or an eval folder below runs/")
    have = [child.name for child in sorted((path / "eval").iterdir()) if child.is_dir()]
    wanted = subject or next((candidate for candidate in ("tuned", "model") if candidate in have), "tuned")
    if wanted not in have:
        raise UserError(f"{path} has no evaluation of {wanted!r}", f"it has {', '.join(have) or 'none yet'}")
    return path / "eval" / wanted, name



