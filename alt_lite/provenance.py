"""Where a run's results come from: versions, device, model as loaded, decisions; for run.json."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.decide import Decisions, Device, chosen
from alt_lite.errors import UserError

_UNSLOTH = ("unsloth", "unsloth_zoo")
# Packages that compute a training step, or keep its state.
_TRAINING = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", *_UNSLOTH)
_PACKAGES = (*_TRAINING, "datasets", "alt-lite")


def facts(recipe: Recipe, here: Device, decisions: Decisions) -> dict[str, Any]:
    """What run.json says beside the recipe: versions, device, model as loaded, decisions."""
    from alt_lite.model.importing.from_gguf import record_of
    from alt_lite.model.load import load_tokens, model_folder, training_dtype, weights_digest

    folder = model_folder(recipe.model)
    # A hub snapshot's folder is named by its commit.
    commit = folder.name if folder.parent.name == "snapshots" else recipe.model.revision
    file = record_of(recipe.model)
    return {
        "versions": package_versions(), "device": here.name, "backend": chosen(decisions, "model.backend"),
        "precision": chosen(decisions, "eval.precision"), "seed": recipe.train.seed, "embedded": recipe.embedded,
        "computes_in": str(training_dtype(here)).removeprefix("torch."), "git_commit": _git_commit(),
        "model": {"id": recipe.model.name, "commit": commit, "digest": weights_digest(folder), **({"gguf": file} if file else {})},
        "prompts": load_tokens(recipe.model).form,
        "decisions": {key: {"value": d.value, "reason": d.reason} for key, d in decisions.items()},
    }


def compare(manifest: dict[str, Any], facts: dict[str, Any], unfinished: bool = False) -> None:
    """Hold this session against the one that trained: another base is refused, other versions are told;
    while a training is unfinished, they are refused where they change it, and so is another backend.

    Raises:
        UserError: the base's weights, or its prompts, are not those that the training began with; or a checkpoint would be
            gone on with by other packages or another backend, so that the result would equal no run's.
    """
    before = manifest.get("model", {}).get("digest")
    if before and before != facts["model"]["digest"]:
        raise UserError("the base model's weights have changed since this run was trained", "--fresh, or another --run-dir")
    if manifest.get("prompts") not in (None, facts["prompts"]):
        raise UserError("the model's chat template, or its family, writes other prompts than when this run was trained", "the template as it was; --fresh, or another --run-dir")
    if unfinished and manifest.get("backend") not in (None, facts["backend"]):
        raise UserError(
            f"the training to go on with was begun by the backend {manifest['backend']}; here it would be {facts['backend']}",
            "the same machine and packages, or --fresh to begin again, or another --run-dir",
        )
    if unfinished and manifest.get("computes_in") not in (None, facts["computes_in"]):
        raise UserError(
            f"the training to go on with was begun in {manifest['computes_in']}; here it would compute in {facts['computes_in']}",
            "a machine of the same kind, or --fresh to begin again, or another --run-dir",
        )
    now, changed = facts["versions"], []
    for package, number in manifest.get("versions", {}).items():
        if now.get(package) == number:
            continue
        if unfinished and package in _TRAINING and (package not in _UNSLOTH or facts["backend"] == "unsloth"):
            changed.append((package, number))
        else:
            say(f"  {package} {now.get(package) or 'is missing'}, {number} when this run was trained: results may differ slightly")
    if changed:
        raise UserError(
            "the training to go on with was begun with " + ", ".join(f"{name} {number} (here {now.get(name) or 'none'})" for name, number in changed),
            f"pip install {' '.join(f'{name}=={number}' for name, number in changed)}, or --fresh to begin again",
        )


def package_versions() -> dict[str, str]:
    """Exact versions of what a run depends on, of those that are installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _git_commit() -> str | None:
    """The commit of the clone this code runs from; None when it is installed or git is not there."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists() or which("git") is None:
        return None
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
