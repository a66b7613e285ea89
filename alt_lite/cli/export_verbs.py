"""The verb export: a run's merged model for llama.cpp, Ollama, vLLM and the hub."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alt_lite.console import emit, results, say
from alt_lite.errors import UserError
from alt_lite.rundir import RunDir, read_json, write_text

if TYPE_CHECKING:
    from alt_lite.config import Recipe
    from alt_lite.model.exporting.export import Source

TARGETS = ("gguf", "ollama", "vllm", "hub")
FOLDER = "export"
_COMPARED_ROWS, _COMPARED_PROMPTS = 64, 4


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="a run's folder")],
    to: Annotated[str, typer.Option(help="some of gguf,ollama,vllm,hub")],
    quant: Annotated[str, typer.Option(help="types of GGUF files: f16, q8_0; others (q4_k_m, …) by llama.cpp's llama-quantize")] = "f16,q8_0",
    repo: Annotated[str | None, typer.Option(help="hub: OWNER/NAME")] = None,
    out: Annotated[Path | None, typer.Option(help="where files go; default RUN/export")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="let llama.cpp generate from the GGUF files and compare with the model that was evaluated; needs llama-cpp-python")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be written and pushed")] = False,
) -> None:
    """Export a run's merged model: GGUF files, an Ollama Modelfile, a script for vLLM, a push to the hub with a model card."""
    from alt_lite.evaluation import recipe_of
    from alt_lite.model import backend
    from alt_lite.model.exporting import comparing, gguf_file, hub
    from alt_lite.model.exporting import export as exporting

    recipe = recipe_of(run)
    targets, quants = _listed(to), _listed(quant)
    _require_targets(targets)
    if not (run / "merged" / "config.json").is_file():
        raise UserError(f"{run} has no merged model", f"python -m alt_lite merge {run}")
    if out and out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file", "choose another --out")
    ggufs = bool({"gguf", "ollama"} & set(targets))
    if ggufs:
        exporting.require_quants(quants)
        if "gguf" not in targets:
            say("export: ollama runs a GGUF file, so those are written too")
    elif compare:
        raise UserError("--compare looks at GGUF files, and none are asked for", "--to gguf --compare")
    pushed = "hub" in targets and not dry_run and hub.has_token()
    if pushed or repo:
        hub.require_repo(repo)
    backend.prepare_environment()
    folder = out or run / FOLDER
    source = _source(run, recipe)
    if compare:
        comparing.require(source)
    if dry_run and ggufs:
        for kind, size in exporting.sizes(source, quants).items():
            results.print(f"{size / 1e6:>12,.1f} MB  {folder / exporting.file_name(source.name, kind)}", markup=False, soft_wrap=True)
    if not dry_run and set(targets) - {"hub"}:
        with _writing(run, listed=out is None):
            paths = exporting.to_gguf(source, folder, quants) if ggufs else {}
            for path in paths.values():
                results.print(str(path), markup=False, soft_wrap=True)
            if "ollama" in targets:
                smallest = min(paths.values(), key=lambda path: path.stat().st_size)
                _ollama(recipe, run, smallest, gguf_file.plan(source.merged, "f16").config["max_position_embeddings"])
            if "vllm" in targets:
                _vllm(recipe, run, folder)
            if compare:
                _compare(source, run, paths)
    if "hub" in targets:
        _hub(recipe, run, repo, push=pushed, asked_dry=dry_run)


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))


def _require_targets(targets: Sequence[str]) -> None:
    for target in targets:
        if target not in TARGETS:
            near = difflib.get_close_matches(target, TARGETS, n=2)
            raise UserError(f"--to: nothing is exported to {target!r}{'; did you mean ' + ' or '.join(near) + '?' if near else ''}", f"--to takes some of {','.join(TARGETS)}")
    if not targets:
        raise UserError("--to names nothing", f"--to takes some of {','.join(TARGETS)}")


@contextmanager
def _writing(run: Path, listed: bool) -> Iterator[None]:
    """Hold the run while its export is written; the default folder is listed, so that --fresh takes it away."""
    place = RunDir(run)
    with place.locked():
        if listed and FOLDER not in place.manifest["files"]:
            place.note(files=sorted({*place.manifest["files"], FOLDER}))
        yield


def _source(run: Path, recipe: Recipe) -> Source:
    """The merged folder, with texts and prompts of its own training rows to compare by."""
    from alt_lite.data.rows import read_training_rows
    from alt_lite.families import FAMILIES
    from alt_lite.model.exporting.export import Source
    from alt_lite.tokens import tokenizer as tokenizers_io
    from alt_lite.tokens.encode import encode_prompt, row_messages

    merged = run / "merged"
    tokens = tokenizers_io.load(merged, FAMILIES[recipe.model.family])
    rows = read_training_rows(run / "data" / "train.jsonl")[:_COMPARED_ROWS]
    texts = [text for row in rows for text in (row.prompt, row.reasoning, row.answer) if text]
    return Source(merged, run.resolve().name, tokens.family, texts, [encode_prompt(tokens, row_messages(row)) for row in rows[:_COMPARED_PROMPTS]])


def _compare(source: Source, run: Path, paths: dict[str, Path]) -> None:
    """Print what llama.cpp makes of each file.

    Raises:
        UserError: a file is another model than the one that was evaluated.
    """
    from alt_lite.model.exporting import comparing

    wrong = {}
    for compared in comparing.compare(source, run, paths):
        results.print(str(compared), markup=False, soft_wrap=True)
        if compared.wrong:
            wrong[compared.quant] = compared.wrong
    for quant, what in wrong.items():
        raise UserError(f"{paths[quant]} is not the model that was evaluated: {what}", "serve RUN/merged with vLLM (--to vllm), and report this")


def _ollama(recipe: Recipe, run: Path, gguf: Path, context: int) -> None:
    from alt_lite.dataset import system_prompt
    from alt_lite.families import FAMILIES
    from alt_lite.model.exporting import serving
    from alt_lite.tokens import tokenizer as tokenizers_io

    path = gguf.parent / "Modelfile"
    family = tokenizers_io.load(run / "merged", FAMILIES[recipe.model.family]).family
    write_text(path, serving.modelfile(recipe, family, gguf, system_prompt(recipe), context))
    say(f"export: {path}, of {gguf.name}, which is the smallest")
    results.print(f"cd {path.parent} && ollama create {serving.model_name(gguf.stem)} -f Modelfile", markup=False, soft_wrap=True)


def _vllm(recipe: Recipe, run: Path, folder: Path) -> None:
    from alt_lite.dataset import system_prompt
    from alt_lite.families import FAMILIES
    from alt_lite.model import load
    from alt_lite.model.architecture import text_facts
    from alt_lite.model.exporting import serving
    from alt_lite.model.precision import of_run
    from alt_lite.tokens import tokenizer as tokenizers_io

    family = tokenizers_io.load(run / "merged", FAMILIES[recipe.model.family]).family  # its template is the one trained with, or this is refused
    manifest = RunDir(run).manifest
    base = str(load.model_folder(recipe.model).resolve()) if load.is_here(recipe.model) else recipe.model.name
    context = text_facts(read_json(run / "merged" / "config.json"))["max_position_embeddings"]
    trained, commit = of_run(manifest, recipe.values()), manifest.get("model", {}).get("commit")
    script = serving.vllm_script(recipe, family, run, base, commit, system_prompt(recipe), context, trained)
    write_text(folder / "vllm.sh", script)
    say(f"export: {folder / 'vllm.sh'}; with `adapter` it serves the base with the adapter beside it")
    emit(script.rstrip("\n"))


def _hub(recipe: Recipe, run: Path, repo: str | None, push: bool, asked_dry: bool) -> None:
    from alt_lite.dataset import system_prompt
    from alt_lite.model.exporting import hub, serving
    from alt_lite.report import card

    name = repo.partition("/")[2] if repo else run.resolve().name
    metadata = hub.base_metadata(recipe.model)
    text = card.render(run, name, metadata, system_prompt(recipe), serving.sampling(recipe))
    begins = card.licence(recipe.model.name, metadata).name_begins
    if begins and not name.startswith(begins):
        say(f"export: the base's licence wants the name of a model that is passed on to begin with {begins}, {name!r} does not")
    if push and repo:
        say(f"export: pushed to {hub.push(run / 'merged', text, repo)}; it is private unless it was there before")
        return
    say(f"export: dry run, nothing is pushed{'' if asked_dry else '; set HF_TOKEN, or log in with hf auth login, to push'}")
    for path in hub.files(run / "merged"):
        results.print(f"{path.stat().st_size / 1e6:>12,.1f} MB  {path.name}", markup=False)
    results.print(f"{len(text.encode()) / 1e6:>12,.1f} MB  {hub.CARD}:", markup=False)
    emit(text)
