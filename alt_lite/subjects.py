"""The models that an evaluation asks: a run's base and tuned, one by itself, one behind a server."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.evals.runner import Subject
from alt_lite.rundir import read_json


@dataclass(frozen=True)
class Weights:
    """What is asked: a folder's weights in a form, with an adapter on them or without."""

    folder: Path
    form: Literal["16bit", "nf4", "dequantized"] = "16bit"
    adapter: Path | None = None

    def digest(self) -> str:
        from alt_lite.model import load

        form = "" if self.form == "16bit" else f":{self.form}"
        return load.weights_digest(self.folder) + form + (f"+{load.weights_digest(self.adapter)}" if self.adapter else "")

    def load(self, device: Device) -> Any:
        from alt_lite.model import load

        make = {"16bit": load.load_full, "nf4": load.load_quantized, "dequantized": load.load_dequantized}[self.form]
        load.free_memory()  # of the model asked before
        model = make(self.folder, device)
        return load.with_adapter(model, self.adapter) if self.adapter else model


def base(recipe: Recipe, device: Device, precision: str, batch_size: int | None) -> Subject:
    """The model before training, in the precision of `tuned`; in 16 bit it is what was merged into."""
    from alt_lite.model import load

    return _here(recipe, "base", Weights(load.model_folder(recipe.model), _base_form(recipe, precision)), device, batch_size)


def tuned(recipe: Recipe, run: Path, device: Device, precision: str, batch_size: int | None) -> Subject:
    """A run's merged model; in 4 bit the quantised base with the adapter, never a requantised merge."""
    from alt_lite.model import load

    weights = Weights(load.model_folder(recipe.model), "nf4", run / "adapter") if precision == "4bit" else Weights(run / "merged")
    return _here(recipe, "tuned", weights, device, batch_size)


def one(recipe: Recipe, path: Path, device: Device, precision: str, batch_size: int | None) -> Subject:
    """One model by itself: an adapter's folder, a model's folder, a hub id. A run's merged folder is asked in
    4 bit as the run's tuned model is: the quantised base with the adapter, never a requantised merge.

    Raises:
        UserError: there is no model, the adapter's base is missing, or it is another than the adapter's.
    """
    from alt_lite.model.merging import mergeable

    folder = source(recipe, path)
    if (path / "adapter_config.json").is_file():
        mergeable.require_fitting(path, folder)
        return _here(recipe, "model", Weights(folder, _base_form(recipe, precision), path), device, batch_size, folder)
    adapter = path.resolve().parent / "adapter"
    if precision == "4bit" and path.name == "merged" and (adapter / "adapter_config.json").is_file():
        say(f"  in 4 bit: the base with {adapter}, since a merge that is quantised again is another model")
        return _here(recipe, "model", Weights(source(recipe, adapter), "nf4", adapter), device, batch_size, folder)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model (no config.json)", "name a run's merged/ or adapter/ folder, a hub id, or embedded")
    return _here(recipe, "model", Weights(folder, "nf4" if precision == "4bit" else "16bit"), device, batch_size, folder)


def source(recipe: Recipe, path: Path, weights: bool = True) -> Path:
    """Find the folder of a model, or of an adapter's base.

    Raises:
        UserError: it cannot be had.
    """
    from alt_lite.model import load

    load.require_one_model(path)
    if not (path / "adapter_config.json").is_file():
        return path if path.is_dir() else load.model_folder(recipe.model.model_copy(update={"name": str(path)}), weights)
    try:
        below = str(read_json(path / "adapter_config.json")["base_model_name_or_path"] or "")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / 'adapter_config.json'} is cut or damaged", "get that file anew") from error
    if not below:
        raise UserError(f"{path / 'adapter_config.json'} names no base model", "write its name or folder there as base_model_name_or_path")
    try:
        return load.model_folder(recipe.model.model_copy(update={"name": below}), weights)
    except UserError as error:
        fix = f"base_model_name_or_path in {path / 'adapter_config.json'}: where the base lies, or its hub id" if "is no folder here" in error.message or "there is no GGUF file" in error.message else error.fix
        raise UserError(f"the adapter {path} needs its base {below}: {error.message}", fix) from error


def _base_form(recipe: Recipe, precision: str) -> Literal["16bit", "nf4", "dequantized"]:
    if precision == "4bit":
        return "nf4"
    return "dequantized" if recipe.merge.base == "dequantized" else "16bit"


def served(recipe: Recipe) -> Subject:
    """The model behind `endpoint.url`; it is known by its name there, not by its weights."""
    from alt_lite.dataset import endpoint_of
    from alt_lite.families import FAMILIES
    from alt_lite.generate.engine import served as engine

    server = endpoint_of(recipe)
    return Subject("model", f"{server.model}@{server.url}", engine(server, FAMILIES.get(recipe.model.family)))


def reusable(run: Path, digest: str, base_from: str | None) -> list[Path]:
    """Find evaluations of the same model, by its digest: in the run that is named, else in all beside `run`.
    Which of their responses are the same is decided by the responses' ids."""
    from alt_lite.evals.runner import SUBJECTS

    runs = [Path(base_from)] if base_from else sorted(other for other in run.resolve().parent.iterdir() if other != run.resolve())
    found: list[Path] = []
    for other in runs:
        with suppress(OSError, ValueError):  # what stands beside a run may be anything, also nobody's but its owner's
            found += [other / "eval" / arm for arm, its in read_json(other / "eval" / SUBJECTS).items() if its == digest]
    return found


def _here(recipe: Recipe, name: str, weights: Weights, device: Device, batch_size: int | None, folder: Path | None = None) -> Subject:
    """A model on this machine, loaded, or served by vLLM, when it is first asked.

    Raises:
        UserError: vLLM is asked for, and is not here, or cannot serve these weights.
    """
    from alt_lite.families import FAMILIES
    from alt_lite.generate import vllm
    from alt_lite.generate.engine import here
    from alt_lite.model import load

    tokens = load.load_tokens(recipe.model, folder)
    dtype = str(load.training_dtype(device)).removeprefix("torch.")
    # One family's name stands for several prompts where a template has its own head.
    prompts = tokens.family.name if tokens.family == FAMILIES[tokens.family.name] else f"{tokens.family.name}-{tokens.form}"
    digest = f"{weights.digest()}:{prompts}:{dtype}"
    if recipe.eval.engine != "vllm":
        return Subject(name, digest, here(tokens, lambda: weights.load(device), batch_size))
    vllm.require()
    if weights.form == "dequantized":
        raise UserError("vllm cannot serve the dequantized base, which is in no folder", "eval.engine=local, or merge.base=original")
    server = vllm.Vllm(weights.folder, tokens, dtype, weights.adapter, weights.form == "nf4", recipe.eval.batch_size or 64)
    # vLLM draws other noise and rounds otherwise, so that its responses are its own.
    return Subject(name, f"{digest}:vllm", server, server.close)
