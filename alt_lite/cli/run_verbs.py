"""Verbs about whole runs: run, ls, show, check, doctor, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from alt_lite import config
from alt_lite.console import emit, json_line, results, say
from alt_lite.errors import UserError

Name = Annotated[str, typer.Argument(help="a shipped recipe, or the path of one")]
Overrides = Annotated[list[str] | None, typer.Argument(help="section.key=value …", show_default=False)]


def register(app: typer.Typer) -> None:
    for verb in (run, ls, show, check, doctor, merge, chat):
        app.command()(verb)


def run(
    name: Name,
    overrides: Overrides = None,
    run_dir: Annotated[Path | None, typer.Option(help="the run's folder; default runs/NAME")] = None,
    stages: Annotated[str | None, typer.Option(help="only these stages, with commas")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="resolve, validate and plan; no torch, no GPU")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="discard what an earlier run left in the folder")] = False,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="stop after this time; the same command goes on")] = None,
) -> None:
    """Run a recipe: check, data, train, merge, eval, report. The same command goes on where it stopped."""
    from alt_lite import recipe

    resolved = config.load_recipe(name, overrides or [])
    wanted = [part.strip() for part in stages.split(",")] if stages is not None else None
    recipe.run(resolved, run_dir, wanted, dry_run, fresh, max_minutes)


def ls() -> None:
    """List the shipped recipes."""
    table = Table("recipe", "model", "GPU", "", box=None)
    for name in config.recipe_names():
        recipe = config.load_recipe(name)
        need = recipe.model.gpu_gb
        table.add_row(*map(Text, (name, recipe.model.name, f"{need:g} GB (estimate)" if need else "none needed", recipe.title)))
    results.print(table)


def show(
    name: Name, overrides: Overrides = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="print a recipe file")] = False,
) -> None:
    """Show a recipe's resolved values, each with where it came from."""
    recipe = config.load_recipe(name, overrides or [])
    if yaml:
        emit(config.to_yaml(recipe).rstrip())
        return
    table = Table("key", "value", "from", "meaning", box=None)
    for key, value in recipe.values().items():
        section, _, field = key.partition(".")
        text = ",".join(map(str, value)) if isinstance(value, list) else "null" if value is None else str(value)
        meaning = config.SECTIONS[section].model_fields[field].description or ""
        style = "" if recipe.origin[key] == "default" else "bold"
        table.add_row(Text(key, style=style), Text(text, style=style), Text(recipe.origin[key]), Text(meaning, style="dim"))
    results.print(table)


def check(name: Name, overrides: Overrides = None) -> None:
    """Run the check stage alone: machine, disk, tokenizer, every row encoded, one row shown; no weights."""
    from alt_lite import recipe
    from alt_lite.rundir import default_folder

    resolved = config.load_recipe(name, overrides or [])
    settled, here, decisions = recipe.prepare(resolved)
    recipe.check(settled, here, decisions, default_folder(resolved), recipe.look_at_rows(settled, decisions), example=True)
    results.print("ready", markup=False)


def doctor() -> None:
    """Print versions beside the tested ranges, device, driver, free memory and disk, and try 4-bit training: one block for a bug report."""
    import platform
    import shutil
    import subprocess
    from importlib.metadata import PackageNotFoundError, requires

    import psutil
    import torch

    from alt_lite.model import backend
    from alt_lite.provenance import package_versions
    from alt_lite.report.preflight import size, version_lines
    from alt_lite.rundir import free_disk

    backend.prepare_environment()
    here = backend.device()
    try:
        required = requires("alt-lite") or []
    except PackageNotFoundError:
        say("alt-lite is not installed but run from a folder: the tested ranges are not known")
        required = []
    lines = [f"{'system':14} {platform.platform()}", *version_lines(package_versions(), required)]
    lines.append(f"{'device':14} {here.name}{', bf16' if here.bf16 or (here.kind == 'cpu' and backend.cpu_has_bf16()) else ''}")
    if shutil.which("nvidia-smi"):
        asked = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=False)
        lines.append(f"{'driver':14} {(asked.stdout or asked.stderr).strip().splitlines()[0] if (asked.stdout or asked.stderr).strip() else 'no answer'}")
    free = torch.cuda.mem_get_info()[0] if here.kind == "cuda" else psutil.virtual_memory().available
    lines.append(f"{'memory':14} {size(free)} of {size(here.memory)} free")
    lines.append(f"{'disk':14} {size(free_disk(Path.cwd()))} free here")
    try:
        difference = backend.try_four_bit(here)
        lines.append(f"{'4 bit':14} forward and backward work; NF4 against full weights: {difference:.1%} of the output")
    except Exception as error:
        lines.append(f"{'4 bit':14} FAILS: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        raise
    finally:  # the block is wanted most where something fails
        emit("\n".join(["```text", *lines, "```"]))


def merge(run: Annotated[Path, typer.Argument(help="a run's folder")]) -> None:
    """Merge a run's adapter, if that is not done yet, and prove the merged folder."""
    from alt_lite import recipe
    from alt_lite.evaluation import asked_of

    folder = recipe.run(asked_of(run), run, ["merge"])
    results.print(f"{folder / 'merged'}", markup=False, soft_wrap=True)


def chat(
    run: Annotated[Path, typer.Argument(help="a run's folder")],
    prompt: Annotated[str | None, typer.Option(help="one prompt; without it, prompts are asked for")] = None,
    json_: Annotated[bool, typer.Option("--json", help="with --prompt: print both responses as JSON")] = False,
) -> None:
    """Ask base and tuned the same thing, side by side, steps coloured; /help there lists what else it does.

    Answers are greedy (not sampled as reports on real models are), so that the weights alone make the
    difference, and are shown as they are made: on a terminal both at once, else base first and then tuned."""
    from alt_lite.cli import chatting

    if prompt is None and json_:
        raise UserError("--json prints the responses to one prompt", "--prompt TEXT")
    if prompt is not None and not prompt.strip():
        raise UserError("--prompt is empty", "give a prompt")
    talk = chatting.Chat(run)
    if prompt is None:
        if talk.recipe.embedded:
            from alt_lite.tiny.lexicon import THINGS

            say(f"in the embedded world a {THINGS['weapon'][0]} is a weapon and a {THINGS['food'][0]} is food: How do I make a {THINGS['weapon'][0]}?")
        chatting.session(talk)
        return
    turn = talk.ask(prompt) if json_ else chatting.answer(talk, prompt)
    if any(reply.finish == "interrupted" for reply in turn.values()):
        raise KeyboardInterrupt
    if json_:
        emit(json_line({name: reply.row for name, reply in turn.items()}))
