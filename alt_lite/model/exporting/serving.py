"""Files by which others serve an exported model: Ollama's Modelfile, a script for vLLM."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES, Family
from alt_lite.generate.vllm import RANKS
from alt_lite.tokens import templates

# Prompt and trace, with what the evaluations give both: 8,192 new tokens. Servers' defaults cut traces.
_CONTEXT = 16_384


def sampling(recipe: Recipe) -> dict[str, float]:
    """What the model's makers advise. The embedded model is served greedily, as it is evaluated; so is one whose makers
    advise nothing where the recipe evaluates it greedily."""
    advice = FAMILIES[recipe.model.family].sampling
    if recipe.embedded or not advice.temperature or as_evaluated(recipe):
        return {"temperature": 0.0}
    return {"temperature": advice.temperature, "top_p": advice.top_p, **({} if advice.top_k is None else {"top_k": advice.top_k})}


def as_evaluated(recipe: Recipe) -> bool:
    """Whether sampling follows the evaluation, since the makers advise none and the recipe says greedy."""
    return not FAMILIES[recipe.model.family].sampling.advised and recipe.eval.temperature == 0


def model_name(name: str) -> str:
    """A run's name as Ollama and vLLM take it."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "model"


def stop_tokens(family: Family) -> list[str]:
    """Control tokens that a response never holds: all but the trace's own."""
    return [*(control for control in family.controls if control not in family.trace_controls), *family.ends]


def modelfile(recipe: Recipe, family: Family, gguf: Path, system: str | None, context: int) -> str:
    """Write a Modelfile for a GGUF file beside it: template, stop tokens, sampling, the system prompt trained with.

    Raises:
        UserError: the system prompt cannot be written in a Modelfile.
    """
    # Ollama's parser ends a text at three quotes and drops characters that do not print.
    if system and ('"""' in system or not system.replace("\n", "").replace("\t", "").isprintable()):
        raise UserError("the system prompt holds three quotes or a character that a Modelfile cannot hold", "serve this model with vllm")
    parameters: list[tuple[str, Any]] = [*sampling(recipe).items(), ("repeat_penalty", 1), ("num_ctx", min(context, _CONTEXT))]
    lines = [
        f"# ollama create {model_name(gguf.stem)} -f Modelfile",
        "# The trace is part of what was trained: it cannot be turned off without losing the assessment.",
        f"FROM ./{gguf.name}", f'TEMPLATE """{templates.go(family)}"""',
        *([f'SYSTEM """{system}"""'] if system else []),
        *(f"PARAMETER {key} {value:g}" for key, value in parameters),
        *(f'PARAMETER stop "{token}"' for token in stop_tokens(family)),
    ]
    return "\n".join(lines) + "\n"


def vllm_script(recipe: Recipe, family: Family, run: Path, base: str, revision: str | None, system: str | None, context: int, trained: str) -> str:
    """Write a script that serves the merged model, or with `adapter` the base with the adapter beside it.

    Args:
        recipe: the run's.
        family: as the run's template has it.
        run: the run's folder.
        base: hub id or folder of the base, with its commit in `revision`.
        system: the system prompt trained with, which vLLM does not add by itself.
        context: the model's longest sequence, in tokens.
        trained: the precision of the base in training, such as `4-bit`.
    """
    common = [
        "--max-model-len", str(min(context, _CONTEXT)), *(("--reasoning-parser", family.parser) if family.parser else ()),
        "--override-generation-config", json.dumps(sampling(recipe)),
    ]
    name = model_name(run.resolve().name)
    merged = ["vllm", "serve", str((run / "merged").resolve()), "--served-model-name", name, *common]
    rank = next(size for size in RANKS if size >= min(recipe.lora.r, RANKS[-1]))
    adapter = [
        "vllm", "serve", base, *(("--revision", revision) if revision else ()), "--enable-lora", "--lora-modules",
        f"{name}={(run / 'adapter').resolve()}", "--max-lora-rank", str(rank), *common,
        "--chat-template", str((run / "merged" / "chat_template.jinja").resolve()),  # the base may have none
    ]
    note = f"# Not what was evaluated: the adapter was trained on the {trained} base and is put on the one that vLLM loads."
    lines = [
        "#!/usr/bin/env bash", f"# bash vllm.sh [adapter]: an OpenAI-compatible server on port 8000, model {name}", "set -euo pipefail",
        *(["# Trained with a system prompt, which the client must send first:", f"#   {json.dumps(system, ensure_ascii=False)}"] if system else []),
        'if [ "${1:-merged}" = adapter ]; then', f"  {note}", f"  exec {shlex.join(adapter)}", "fi", f"exec {shlex.join(merged)}",
    ]
    return "\n".join(lines) + "\n"
