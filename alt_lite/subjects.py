"""The models that an evaluation asks: a run's base and tuned, one by itself, one behind a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.evals.runner import Subject
from alt_lite.rundir import read_json


def base(recipe: Recipe, device: Device, precision: str, batch_size: int | None) -> Subject:
    """The model before training, in the precision of `tuned`; in 16 bit it is what was merged into."""
    from alt_lite.model import load, merge

    source = load.model_folder(recipe.model)
    digest = load.weights_digest(source)
    if precision == "4bit":
        return _here(recipe, "base", f"{digest}:nf4", batch_size, lambda: load.load_quantized(source, device))
    form = "" if recipe.merge.base == "original" else f":{recipe.merge.base}"
    return _here(recipe, "base", digest + form, batch_size, lambda: merge.base_model(recipe, source, device))


def tuned(recipe: Recipe, run: Path, device: Device, precision: str, batch_size: int | None) -> Subject:
    """A run's merged model; in 4 bit the quantised base with the adapter, never a requantised merge."""
    from alt_lite.model import load

    if precision == "4bit":
        source, adapter = load.model_folder(recipe.model), run / "adapter"
        digest = f"{load.weights_digest(source)}:nf4+{load.weights_digest(adapter)}"
        return _here(recipe, "tuned", digest, batch_size, lambda: load.with_adapter(load.load_quantized(source, device), adapter))
    merged = run / "merged"
    return _here(recipe, "tuned", load.weights_digest(merged), batch_size, lambda: load.load_full(merged, device))


def one(recipe: Recipe, path: Path, device: Device, precision: str, batch_size: int | None) -> Subject:
    """One model by itself: an adapter's folder, a model's folder, a hub id.

    Raises:
        UserError: there is no model, or the adapter's base is missing.
    """
    from alt_lite.model import load, merge

    if (path / "adapter_config.json").is_file():
        below = recipe.model.model_copy(update={"name": read_json(path / "adapter_config.json")["base_model_name_or_path"]})
        source = load.model_folder(below)
        form = "nf4" if precision == "4bit" else recipe.merge.base

        def put_together() -> Any:
            model = load.load_quantized(source, device) if precision == "4bit" else merge.base_model(recipe, source, device)
            return load.with_adapter(model, path)

        return _here(recipe, "model", f"{load.weights_digest(source)}:{form}+{load.weights_digest(path)}", batch_size, put_together, source)
    folder = path if path.is_dir() else load.model_folder(recipe.model.model_copy(update={"name": str(path)}))
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model (no config.json)", "name a run's merged/ or adapter/ folder, a hub id, or embedded")
    if precision == "4bit":
        return _here(recipe, "model", f"{load.weights_digest(folder)}:nf4", batch_size, lambda: load.load_quantized(folder, device), folder)
    return _here(recipe, "model", load.weights_digest(folder), batch_size, lambda: load.load_full(folder, device), folder)


def served(recipe: Recipe) -> Subject:
    """The model behind `endpoint.url`; it is known by its name there, not by its weights."""
    from alt_lite.dataset import endpoint_of
    from alt_lite.generate.engine import served as engine
    from alt_lite.tokens.families import FAMILIES

    server = endpoint_of(recipe)
    return Subject("model", f"{server.model}@{server.url}", engine(server, FAMILIES[recipe.model.family].opens_trace))


def reusable(run: Path, digest: str, base_from: str | None) -> list[Path]:
    """Find evaluations of the same model, by its digest: in the run that is named, else in all beside `run`.
    Which of their responses are the same is decided by the responses' ids.

    Raises:
        UserError: the named run has no evaluation.
    """
    from alt_lite.evals.runner import SUBJECT

    if base_from and not (Path(base_from) / "eval").is_dir():
        raise UserError(f"eval.base_from: {base_from} holds no evaluation", "name the folder of a run whose base was evaluated")
    runs = [Path(base_from)] if base_from else sorted(other for other in run.resolve().parent.iterdir() if other != run.resolve())
    found = [path.parent for other in runs for path in sorted(other.glob(f"eval/*/{SUBJECT}"))]
    return [folder for folder in found if read_json(folder / SUBJECT)["digest"] == digest]


def _here(recipe: Recipe, name: str, digest: str, batch_size: int | None, load_model: Callable[[], Any], folder: Path | None = None) -> Subject:
    from alt_lite.generate.engine import here
    from alt_lite.model import load
    from alt_lite.tokens import tokenizer as tokenizers_io
    from alt_lite.tokens.families import FAMILIES

    tokens = tokenizers_io.load(folder, FAMILIES[recipe.model.family]) if folder else load.load_tokens(recipe.model)
    return Subject(name, f"{digest}:{recipe.model.family}", here(tokens, load_model, batch_size))
