"""Evaluate one model by itself, and compare any two evaluations on the prompts that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alt_lite.config import Recipe, load_recipe, recipe_from_values
from alt_lite.console import progress, say
from alt_lite.decide import chosen, decide
from alt_lite.errors import UserError
from alt_lite.rundir import MANIFEST, RunDir, read_json


def recipe_of(run: Path) -> Recipe:
    """Read back the recipe that a run's manifest holds.

    Raises:
        UserError: the folder holds no run, or one of another version.
    """
    from alt_lite.report.summary import manifest_of

    return recipe_from_values(manifest_of(run)["recipe"])


def evaluate(model: str | Path, suite: str = "tiny", out: str | Path | None = None, overrides: tuple[str, ...] = ()) -> Path:
    """Evaluate a merged folder, an adapter's folder, a hub id or `embedded` on a suite; resumable.

    The model's run, when it lies in one, gives prompt format and split; else the recipe `tiny` does.
    Gives the evaluation's folder, laid out like a run's, with `report.json`.

    Raises:
        UserError: the model or the suite does not exist.
    """
    from alt_lite.evals import runner
    from alt_lite.evals.runner import Decoding
    from alt_lite.model import backend
    from alt_lite.recipe import suite_tasks, write_report
    from alt_lite.report import markdown, summary
    from alt_lite.tiny.judge import JUDGES

    name = str(model)
    if "://" in name:
        raise UserError(f"{name}: this version evaluates folders and hub ids, not servers", "give a model's folder")
    path = Path(name)
    in_run = path.is_dir() and (path.resolve().parent / MANIFEST).is_file()
    recipe = _settings(path.resolve().parent if in_run else None, name, (f"eval.suite={suite}", *overrides))
    backend.prepare_environment()
    here = backend.device()
    decisions = decide(recipe, here)
    label = f"{path.resolve().parent.name}_{path.name}" if in_run else path.name
    folder = RunDir(Path(out) if out else Path("runs") / f"eval_{label}")
    folder.require_ours()
    _require_same_subject(folder, str(path.resolve()) if path.is_dir() else name)
    subject = _subject(recipe, path, here, chosen(decisions, "eval.precision"))
    tasks = suite_tasks(recipe, decisions)
    decoding = Decoding(recipe.eval.max_new_tokens, chosen(decisions, "eval.batch_size"), chosen(decisions, "eval.precision"))
    with folder.locked():
        folder.begin(recipe, {
            "device": here.name, "evaluated": str(path.resolve()) if path.is_dir() else name, "precision": decoding.precision,
            "embedded": str(decisions["eval.suite"].value).startswith("tiny"),
        })
        target = folder.path / "eval"
        runner.write_suite(target, tasks)
        with progress(f"eval {label}", sum(len(task.prompts) for task in tasks)) as bar:
            runner.respond(subject, tasks, target / subject.name, decoding, report=bar)
        runner.judge(tasks, target / subject.name, JUDGES)
        write_report(folder.path, summary.build(folder.path), markdown.render)
    say(f"wrote {folder.path}")
    return folder.path


def _settings(run: Path | None, name: str, overrides: tuple[str, ...]) -> Recipe:
    if run is None:
        return load_recipe("tiny", (f"model.name={name}", *overrides))
    kept = recipe_of(run)
    pairs = tuple(f"{key}={value}" for key, value in kept.values().items() if key.startswith(("model.", "data.split_seed", "eval.", "merge.")) and value is not None)
    return load_recipe("tiny", (*pairs, *overrides))


def _require_same_subject(folder: RunDir, evaluated: str) -> None:
    manifest = folder.manifest
    if manifest.get("stages"):
        raise UserError(f"{folder.path} holds a training run, which an evaluation would overwrite", "choose another --out")
    if manifest and manifest.get("evaluated") != evaluated:
        raise UserError(f"{folder.path} holds the evaluation of {manifest.get('evaluated')}", "choose another --out")


def _subject(recipe: Recipe, path: Path, here: Any, precision: str) -> Any:
    from alt_lite.evals.runner import Subject
    from alt_lite.model import load, merge
    from alt_lite.tokens import tokenizer as tokenizers_io
    from alt_lite.tokens.families import FAMILIES

    if (path / "adapter_config.json").is_file():
        base = read_json(path / "adapter_config.json")["base_model_name_or_path"]
        model = recipe.model.model_copy(update={"name": base})
        source = load.model_folder(model)
        form = "nf4" if precision == "4bit" else recipe.merge.base
        digest = f"{load.weights_digest(source)}:{form}+{load.weights_digest(path)}"

        def put_together() -> Any:
            below = load.load_quantized(source, here) if precision == "4bit" else merge.base_model(recipe, source, here)
            return load.with_adapter(below, path)

        return Subject("model", digest, load.load_tokens(model), put_together)
    folder = path if path.is_dir() else load.model_folder(recipe.model.model_copy(update={"name": str(path)}))
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model (no config.json)", "name a run's merged/ or adapter/ folder, a hub id, or embedded")
    tokens = tokenizers_io.load(folder, FAMILIES[recipe.model.family])
    if precision == "4bit":
        return Subject("model", f"{load.weights_digest(folder)}:nf4", tokens, lambda: load.load_quantized(folder, here))
    return Subject("model", load.weights_digest(folder), tokens, lambda: load.load_full(folder, here))


def compare(a: str | Path, b: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare two evaluations: each a run's folder (its tuned model), `RUN:base`, or an eval folder.

    Returns:
        (`titles` and `metrics` of both as in report.json, `comparisons` entries paired on shared prompts).

    Raises:
        UserError: a folder holds no evaluation, or the two share no prompt.
    """
    from alt_lite.evals.runner import SUITE
    from alt_lite.report import summary

    (folder_a, name_a), (folder_b, name_b) = _evaluation(str(a)), _evaluation(str(b))
    suite_a, suite_b = read_json(folder_a.parent / SUITE), read_json(folder_b.parent / SUITE)
    shared = {task: facts for task, facts in suite_a.items() if task in suite_b}
    before, after = summary.subject_tables(folder_a, suite_a), summary.subject_tables(folder_b, suite_b)
    entries = summary.compare_tables(name_a, name_b, before, after, shared)
    if not entries:
        raise UserError(f"{a} and {b} share no prompt", "compare evaluations of the same suite and split")
    metrics = [*summary.subject_metrics(name_a, before, suite_a), *summary.subject_metrics(name_b, after, suite_b)]
    return {"titles": {task: facts["title"] for task, facts in shared.items()}, "metrics": metrics}, entries


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



