"""The model card: what a run's files say about its model, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alt_lite.config.peek import names_gguf
from alt_lite.evals.score import FLIP
from alt_lite.families import FAMILIES
from alt_lite.model.merging.proof import said
from alt_lite.model.precision import of_run
from alt_lite.report import tables
from alt_lite.report.rows import head_rows
from alt_lite.report.summary import manifest_of
from alt_lite.rundir import read_json, read_rows


@dataclass(frozen=True)
class Licence:
    """A licence by the hub's name for it, with what is to be said and done because of it."""

    id: str
    text: str
    notices: Sequence[str] = ()
    name_begins: str | None = None


_MIT_ON_APACHE = "The base is published under the MIT licence; it derives from {of}, published under Apache-2.0."
_LLAMA = Licence(
    "llama3.1",
    "The base is published under the MIT licence; it derives from Llama 3.1, so the Llama 3.1 Community License and its acceptable use policy "
    "apply to this model too. Who passes it on must hand over a copy of that licence, show \"Built with Llama\", and begin the model's name with \"Llama\".",
    ("**Built with Llama**", "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."),
    name_begins="Llama",
)
_KNOWN = {
    "deepseek-ai/DeepSeek-R1-Distill-Llama": _LLAMA,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen": Licence("mit", _MIT_ON_APACHE.format(of="Qwen2.5")),
    "deepseek-ai/DeepSeek-R1-0528-Qwen3": Licence("mit", _MIT_ON_APACHE.format(of="Qwen3")),
    "Qwen/Qwen3-": Licence("apache-2.0", "The base is published under Apache-2.0."),
    "embedded": Licence("apache-2.0", "The embedded model is part of alt_lite, published under Apache-2.0."),
}
_METHODS = {
    "alttrain": "AltTrain (arXiv 2604.18946): problem understanding, harmfulness assessment, conditional reasoning",
    "r1act": "R1-Act (arXiv 2508.00324)", "safepath": "SafePath (arXiv 2505.14667)",
}


def licence(base: str, metadata: Mapping[str, Any]) -> Licence:
    """The base's licence: known by its name, else as its own card says, else not known."""
    for name, known in _KNOWN.items():
        if base.startswith(name):
            return known
    if isinstance(said := metadata.get("license"), str):
        link = f" ({metadata['license_link']})" if metadata.get("license_link") else ""
        return Licence(said, f"The base's card gives its licence as {metadata.get('license_name') or said}{link}.")
    return Licence("other", "The base's licence is not known here: see where it is published, before this model is passed on.")


def render(run: Path, name: str, metadata: Mapping[str, Any], system: str | None, sampling: Mapping[str, float]) -> str:
    """Write the card of a run's merged model from run.json, report.json and its training rows.

    Args:
        run: the run's folder.
        name: the model's name, as it will be published.
        metadata: the head of the base's own card, where it is at hand.
        system: the system prompt trained with.
        sampling: the sampling that is advised.
    """
    manifest = manifest_of(run)
    report = read_json(run / "report.json") if (run / "report.json").is_file() else None
    values = manifest["recipe"]["values"]
    base, terms = values["model.name"], licence(values["model.name"], metadata)
    lines = [_head(base, terms, values), f"# {name}", "", *(line for notice in terms.notices for line in (notice, ""))]
    lines += [f"{_of(base, manifest)}, fine-tuned for safety with alt_lite.", ""]
    lines += ["## Training", "", *_training(run, manifest, values, system), ""]
    lines += ["## Evaluation", "", *_evaluation(report), ""]
    for title, paragraphs in (
        ("Precision", _precision(manifest, values)), ("Use", _use(manifest, values, system, sampling)), ("Limits", _limits(manifest, report)),
        ("Licence", [terms.text, "The terms of the training data's source apply to the rows drawn from it."]),
    ):
        lines += [f"## {title}", "", "\n\n".join(paragraphs), ""]
    return "\n".join(lines)


def _head(base: str, terms: Licence, values: Mapping[str, Any]) -> str:
    published = base != "embedded" and not Path(base).is_dir() and not names_gguf(base)
    head: dict[str, Any] = {"license": terms.id, "library_name": "transformers", "pipeline_tag": "text-generation"}
    if published:
        head |= {"base_model": base, "base_model_relation": "finetune"}
    if values["data.source"] == "safechain":
        head["datasets"] = ["UWNSL/SafeChain"]
    head["tags"] = ["alt-lite", values["data.target"], "safety", "reasoning", *(() if published else ("model-organism",) if base == "embedded" else ())]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n"


def _of(base: str, manifest: Mapping[str, Any]) -> str:
    if base == "embedded":
        return "alt_lite's embedded model, a model organism of about a million parameters"
    if file := manifest.get("model", {}).get("gguf"):
        return f"`{file['file']}` (a GGUF file in {file['types'][0]}, unpacked to {file['dtype']})"
    commit = manifest.get("model", {}).get("commit")
    return f"`{base}`" + (f" at commit `{commit}`" if commit else "")


def _training(run: Path, manifest: Mapping[str, Any], values: Mapping[str, Any], system: str | None) -> list[str]:
    rows = read_rows(run / "data" / "train.jsonl")
    labels = {label: sum(row["label"] == label for row in rows) for label in ("harmful", "benign")}
    kept = manifest.get("training") or {}
    target = values["data.target"]
    lines = [
        f"- format of the targets: `{target}`{' — ' + _METHODS[target] if target in _METHODS else ''}",
        f"- data: {len(rows):,} rows of `{values['data.source']}`: {labels['harmful']:,} harmful, {labels['benign']:,} benign",
        f"- {'QLoRA in 4 bit (NF4)' if values['model.load_in_4bit'] else 'LoRA on the ' + of_run(manifest, values) + ' base'}, r {values['lora.r']}, alpha {values['lora.alpha']}, "
        f"dropout {values['lora.dropout']:g}, on {', '.join(values['lora.targets'])}",
        f"- {values['train.epochs']:g} epochs of {values['train.batch_size']} rows a step, learning rate {values['train.learning_rate']:g} "
        f"({values['train.schedule']}), {values['train.optimizer']}, seed {values['train.seed']}",
    ]
    if kept:
        lines.append(f"- {kept['steps']:,} steps, {kept['trained_tokens']:,} trained tokens, final loss {kept['final_loss']:.3f}, on {manifest['device']}")
    return [*lines, f"- system prompt: {'none' if not system else '`' + system.replace('`', chr(39)) + '`'}"]


def _evaluation(report: Mapping[str, Any] | None) -> list[str]:
    rows = list(head_rows(dict(report))) if report else []
    if not report or not rows:
        return ["This model has not been evaluated."]
    lines = ["Base and tuned model on the same prompts, with 95 % intervals.", "", "| | base | tuned | change | p | n | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row.label, row.base, row.tuned, row.change, row.p, row.n, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    judges = sorted({entry["judge"] for entry in report["metrics"] if entry["judge"]})
    told = [*tables.closing_lines(dict(report)), f"judges: {', '.join(judges) or 'none'}", tables.evaluated_line(dict(report))]
    return [*lines, "", *(f"- {line}" for line in told)]


def _precision(manifest: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    proof, trained = manifest["merge"], of_run(manifest, values)
    not_evaluated = "the merged weights of this repository" if manifest.get("precision") == "4bit" else "the adapter without merging"
    shift = (
        "Its tensors were spot-checked; its answers were not compared with those of the model as it was trained." if proof["shift_max_logit_difference"] is None else
        f"Against the model as it was trained ({trained} base with its adapter), on {proof['prompts']} prompts: the logits of the next token "
        f"differ by {proof['shift_max_logit_difference']:.2g} at most, {proof['shift_greedy_agreement']:.0%} of greedy texts are identical."
    )
    return [
        f"The adapter is merged into the {'dequantised' if proof['base'] == 'dequantized' else 'original'} base and stored in {proof['dtype']}: {said(proof)}. {shift}",
        f"The table is not about {not_evaluated}, nor about copies quantised further (GGUF q8_0, q4_k_m, …): those have not been evaluated.",
    ]


def _use(manifest: Mapping[str, Any], values: Mapping[str, Any], system: str | None, sampling: Mapping[str, float]) -> list[str]:
    advice = ", ".join(f"{key} {value:g}" for key, value in sampling.items())
    known = FAMILIES.get(values["model.family"])
    advised = known is None or known.sampling.advised
    evaluated = manifest.get("embedded") or (not advised and not sampling.get("temperature"))
    whose = "as in its evaluation" if evaluated else "as the base's makers advise" if advised else "as is usual for reasoning models"
    lines = [f"Prompt format `{values['model.family']}`; sampling {whose}: {advice}."]
    if system:
        lines.append("Send the system prompt above as the first message: the model was trained with it.")
    return [*lines, "What was trained stands in the trace: a prompt that closes the trace at once leaves it out."]


def _limits(manifest: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[str]:
    lines = []
    if manifest.get("embedded"):
        lines.append(tables.CAVEAT.format(size="about a million parameters") + " It speaks of an invented world only.")
    attacks = sorted({entry["attack"] for entry in report["metrics"] if entry["attack"]} - {FLIP}) if report else []
    lines.append(f"The numbers are about the prompts and judges named above. Attacks tried: {', '.join(attacks) or 'none'}.")
    lines.append("A user's text that holds the format's control tokens is not kept apart from them by common servers.")
    return lines
