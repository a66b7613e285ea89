"""Build `report.json` (DESIGN section 4) from a run's files; loads no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alt_lite.errors import UserError
from alt_lite.evals import score
from alt_lite.evals.runner import JUDGEMENTS, RESPONSES, SUITE
from alt_lite.rundir import MANIFEST, RunDir, now, read_json, read_rows

SCHEMA = 1


def build(run: Path) -> dict[str, Any]:
    """Score every subject of a run and compare tuned with base, paired on the same prompts.

    Raises:
        UserError: the folder holds no run.
    """
    manifest = manifest_of(run)
    recipe = manifest["recipe"]
    suite = read_json(run / "eval" / SUITE) if (run / "eval" / SUITE).is_file() else {}
    arms = manifest.get("arms", ("base", "tuned", "model"))
    subjects = [name for name in arms if (run / "eval" / name).is_dir()]
    judged = {name: _judged_rows(run / "eval" / name, suite) for name in subjects}
    tables = {name: _tables(judged[name]) for name in subjects}
    metrics = [entry for name in subjects for entry in subject_metrics(name, tables[name], suite)]
    compared = [entry for a, b in _pairs(subjects) for entry in compare_tables(a, b, tables[a], tables[b], suite)]
    training, merge = manifest.get("training"), manifest.get("merge")
    return {
        "schema": SCHEMA,
        "recipe": recipe["name"],
        "evaluated": manifest.get("evaluated"),
        "created": now(),
        "run": {
            "seconds": round(sum(stage["seconds"] or 0 for stage in manifest["stages"].values()), 1) if manifest["stages"] else manifest.get("seconds"),
            "peak_memory_bytes": manifest.get("peak_memory_bytes"),
            "device": manifest.get("device"),
            "backend": manifest.get("backend"),
            "precision": manifest.get("precision"),
            "embedded": manifest.get("embedded"),
        },
        "metrics": metrics,
        "comparisons": score.adjust(compared),
        "training": training,
        "merge": merge,
        "agreement": [entry for name in subjects for entry in score.agreements(name, judged[name])],
        "titles": {task: facts["title"] for task, facts in suite.items()},
        "decoding": manifest.get("decoding"),
        "sources": manifest.get("sources", []),
        "missing": manifest.get("missing", []),
        "settings": {key: recipe["values"][key] for key in recipe["origin"] if recipe["origin"][key] == "command line"},
        "stage_seconds": {stage: facts["seconds"] for stage, facts in manifest["stages"].items()},
    }


def _pairs(subjects: list[str]) -> list[tuple[str, str]]:
    """Which are compared: base with tuned; each model with itself under a defence; that with tuned."""
    pairs = [("base", "tuned")] if {"base", "tuned"} <= set(subjects) else []
    for arm in subjects:
        model, plus, _ = arm.partition("+")
        if plus:
            pairs += [(model, arm), *([(arm, "tuned")] if "tuned" in subjects else [])]
    return pairs


def manifest_of(run: Path) -> dict[str, Any]:
    """Read a run's manifest, its recipe's values as they were settled."""
    if not (run / MANIFEST).is_file():
        raise UserError(f"{run} is not a run's folder: it has no {MANIFEST}", "name a folder below runs/")
    manifest = RunDir(run).manifest
    if "recipe" in manifest:  # with what the model has settled
        manifest["recipe"]["values"] |= manifest.get("settled", {})
    return manifest


def shared_tables(a: tuple[Path, dict[str, Any]], b: tuple[Path, dict[str, Any]]) -> tuple[dict[str, score.SeriesTable], dict[str, score.SeriesTable], tuple[int, int, int]]:
    """Score two subjects, each (folder, suite), on the prompts that both were asked; gives the tables of each, and
    how many responses are shared and how many each has."""
    judged = [_judged_rows(*side) for side in (a, b)]
    keys = [{(task, *_asked(row)) for task, (_, _, responses, _) in side.items() for row in responses} for side in judged]
    shared = keys[0] & keys[1]
    kept = [
        {task: (kind, judges, [row for row in responses if (task, *_asked(row)) in shared], judgements) for task, (kind, judges, responses, judgements) in side.items()}
        for side in judged
    ]
    first, second = map(_tables, kept)
    return first, second, (len(shared), len(keys[0]), len(keys[1]))


def _asked(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["prompt_id"], row["attack"], row["sample"]


Judged = dict[str, tuple[str, list[str], list[dict[str, Any]], list[dict[str, Any]]]]


def _tables(judged: Judged) -> dict[str, score.SeriesTable]:
    return {task: score.series_of(*rows) for task, rows in judged.items()}


def _judged_rows(folder: Path, suite: dict[str, Any]) -> Judged:
    """Read one subject: task → (kind, judges, responses, judgements), for the tasks that have responses."""
    found = {}
    for task, facts in suite.items():
        # An interrupted evaluation may hold responses of an earlier suite.
        responses = [row for row in read_rows(folder / task / RESPONSES) if row["prompt_id"] in facts["prompts"]]
        if responses:
            found[task] = facts["kind"], facts["judges"], responses, read_rows(folder / task / JUDGEMENTS)
    return found


def subject_metrics(name: str, tables: dict[str, score.SeriesTable], suite: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the `metrics` entries of one subject."""
    return [entry for task, facts in suite.items() if task in tables
            for entry in score.metrics(name, task, tables[task], facts["prompts"], facts["clustered"])]


def compare_tables(
    a: str, b: str, before: dict[str, score.SeriesTable], after: dict[str, score.SeriesTable], suite: dict[str, Any]
) -> list[dict[str, Any]]:
    """Compare two subjects on every task that both have."""
    entries = []
    for task, facts in suite.items():
        if task in before and task in after:
            entries += score.comparisons(a, b, task, before[task], after[task], facts["prompts"], facts["clustered"])
    return entries
