"""Recipes: typed sections, validation of everything at once, overrides, and where each value came from.

Every value arrives as text, from a recipe's YAML as from the command line, and is coerced by its
field's type: YAML itself would read `1e-5` as text and `no` as false.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alt_lite.errors import UserError

EMBEDDED = "embedded"
# The keys of method.targets.TARGETS, which the base may not import; a test holds them together.
Target = Literal[
    "alttrain", "alttrain_no_understanding", "alttrain_no_assessment", "alttrain_no_conditional", "alttrain_rephrased",
    "alttrain_permuted", "alttrain_filler", "alttrain_assessment_in_answer", "r1act", "r1act_empty_trace", "direct_refusal",
    "no_cot", "answer_only", "natural", "short", "template", "safepath",
]
Origin = Literal["default", "recipe", "command line"]
Suite = Literal["tiny", "tiny_dev", "quick", "compact", "safety", "utility", "full", "r1act", "thinksafe", "none"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSection(_Section):
    name: str = Field(description="hub id, folder, or `embedded` for the model in this package")
    family: Literal["r1", "r1_0528", "qwen3", "qwen3_thinking"] = Field(description="prompt format and control tokens")
    revision: str | None = Field(None, description="hub commit; null: the newest, and run.json records it")
    backend: Literal["auto", "unsloth", "transformers"] = Field("auto", description="what loads and trains the model")
    load_in_4bit: bool = Field(True, description="NF4 with double quantisation while training (QLoRA)")
    max_length: int | None = Field(32768, ge=16, description="longest row in tokens; longer rows are an error, never cut")
    gpu_gb: float | None = Field(None, gt=0, description="GPU memory that training needs, GB; null: runs on a CPU")


class LoraSection(_Section):
    r: int = Field(16, ge=1, le=1024, description="rank (R1-Act: 16)")
    alpha: int = Field(16, ge=1, description="scale is alpha / r (R1-Act: 16)")
    dropout: float = Field(0.0, ge=0, lt=1, description="on the adapter's input (R1-Act: 0)")
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1, description="adapted linear layers (R1-Act: all seven)",
    )


class DataSection(_Section):
    source: str = Field("safechain", description="tiny; safechain, r1act, star1, lrm_study; a hub id; a file or saved folder; a JSONL of TrainingRows")
    path: str | None = Field(None, description="local copy of the source, used in place of the hub")
    revision: str | None = Field(None, description="hub commit of the source; null: the newest, and the data card records it")
    columns: tuple[str, ...] = Field((), description="ours=theirs, for own data: prompt, response, label, category, language")
    target: Target = Field("alttrain", description="format of what is trained")
    answer: Literal["none", "template", "original"] | None = Field(None, description="after the trace: nothing after a refusal, the row's answer, the source's; null: as the target is published")
    system: str | None = Field(None, description="system prompt of every row; null: none, as DeepSeek advises; source r1act: R1-Act's")
    harmful: int = Field(900, ge=0, description="harmful rows (AltTrain: about 900)")
    benign: int = Field(100, ge=0, description="benign rows (AltTrain: about 100)")
    skills: int = Field(0, ge=0, description="rows of plain skills (tiny only)")
    adversarial: float | None = Field(None, ge=0, le=1, description="share of adversarial prompts within each label; null: the source's own")
    against: tuple[str, ...] = Field(
        ("strongreject", "harmbench", "jbb", "jbb_benign", "xstest_safe", "xstest_unsafe", "wildjailbreak", "advbench", "malicious_instruct"),
        description="benchmarks, hub ids or files whose prompts must not be trained on",
    )
    assessor: Literal["self", "endpoint", "template"] | None = Field(None, description="writer of assessments; null: self on a GPU, endpoint where one is given, else template")
    seed: int = Field(1995, ge=0, description="which rows are drawn, and their order in the file")
    split_seed: int = Field(0, ge=0, description="tiny: which objects, verbs and phrasings fine-tuning never sees")


class EndpointSection(_Section):
    url: str | None = Field(None, description="base URL of an OpenAI-compatible server")
    model: str | None = Field(None, description="the model's name there; null: the only one it has")
    key_variable: str = Field("OPENAI_API_KEY", description="environment variable that holds the key; local servers need none")
    concurrency: int = Field(8, ge=1, le=256, description="requests in flight")
    timeout: float | None = Field(None, gt=0, description="seconds for one reply; null: 120, and a second for every 10 tokens it may have")


class TrainSection(_Section):
    epochs: float = Field(15, gt=0, description="passes over the rows (R1-Act: 15)")
    batch_size: int = Field(8, ge=1, description="rows per optimiser step (R1-Act: 8; 16 for 1.5B)")
    micro_batch_size: int | None = Field(None, ge=1, description="how many of the longest rows are in memory at once; shorter ones fill the same room; null: decided")
    learning_rate: float = Field(1e-5, gt=0, lt=1, description="peak (R1-Act: 1e-5)")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="after the warm-up")
    warmup_steps: int = Field(5, ge=0, description="optimiser steps (R1-Act: 5)")
    optimizer: Literal["adamw_8bit", "adamw_torch"] = Field("adamw_8bit", description="(R1-Act: adamw_8bit)")
    beta1: float = Field(0.9, ge=0, lt=1, description="(R1-Act: 0.9)")
    beta2: float = Field(0.95, ge=0, lt=1, description="(R1-Act: 0.95)")
    weight_decay: float = Field(1e-4, ge=0, description="(R1-Act: 1e-4)")
    max_grad_norm: float = Field(1.0, gt=0, description="clipping (our choice; R1-Act keeps the trainer's 1.0)")
    gradient_checkpointing: bool = Field(True, description="less memory for a third more time (R1-Act: on)")
    seed: int = Field(1995, ge=0, lt=2**32, description="adapter weights and order of rows (R1-Act: 1995)")
    layout: Literal["auto", "padding_free", "grouped", "padded", "packed"] = Field("auto", description="how a step's rows lie in memory")
    checkpoint_steps: int = Field(50, ge=1, description="optimiser steps between checkpoints")


class MergeSection(_Section):
    base: Literal["original", "dequantized"] = Field("original", description="16-bit weights that the adapter is merged into")


class EvalSection(_Section):
    suite: Suite | None = Field(None, description="which tasks, and how they are asked; tiny_dev: development prompts; null: what fits the model")
    tasks: tuple[str, ...] = Field((), description="these tasks in place of the suite's")
    limit: int | None = Field(None, ge=1, description="prompts per task; null: as the suite has it")
    data: str | None = Field(None, description="folder of local copies of the benchmarks, NAME.jsonl|csv|tsv|txt|parquet; null: from the hub")
    attacks: tuple[str, ...] = Field((), description="published attacks, beside the plain prompts of harm tasks")
    attacker: str | None = Field(None, description="server of the model that writes adaptive attacks and translations")
    attacker_model: str | None = Field(None, description="its name there; null: the only one")
    scorer: str | None = Field(None, description="server of the model that scores attacks and judges by rubrics; null: the attacker")
    scorer_model: str | None = Field(None, description="its name there; null: the only one")
    rounds: int = Field(8, ge=1, le=50, description="of a multi-turn attack")
    defence: tuple[Literal["none", "intention_analysis", "zero_think", "less_think", "system_prompt"], ...] = Field(
        (), description="defences without training: each asks the base once more, to compare training with what is free")
    guard: str | None = Field(None, description="harm judge: a guard's hub id, folder or server URL; none; null: Qwen3Guard-Gen-0.6B on a GPU")
    guard_model: str | None = Field(None, description="the guard's name on its server; null: the only one")
    guard_precision: Literal["auto", "16bit", "4bit"] = Field("auto", description="of a guard on this machine; auto: 4 bit where 16 does not fit")
    rubrics: tuple[Literal["strongreject", "harmfulness", "refusal_rubric"], ...] = Field((), description="judges by the scorer's model, beside the guard")
    engine: Literal["local", "vllm"] = Field("local", description="what generates: this process, or a vllm serve that is started and stopped")
    precision: Literal["auto", "16bit", "4bit"] = Field("auto", description="of base and tuned alike")
    base_from: str | None = Field(None, description="folder of a run whose responses are reused where they are the same; null: any run beside this one")
    max_new_tokens: int | None = Field(None, ge=1, description="generation limit; a cut response is counted as truncated; null: what suite and task need")
    temperature: float | None = Field(None, ge=0, le=5, description="0: greedy; null: as the suite has it (0.6, as DeepSeek advises)")
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus; null: as the suite has it (0.95)")
    top_k: int | None = Field(None, ge=1, description="null: off")
    samples: int | None = Field(None, ge=1, description="responses per prompt; null: 1")
    seed: int = Field(0, ge=0, description="which prompts are drawn, and the noise of each response")
    batch_size: int | None = Field(None, ge=1, description="prompts generated together; null: decided from the device")


class ReportSection(_Section):
    examples: int = Field(3, ge=0, le=20, description="before/after traces shown side by side")


SECTIONS: dict[str, type[_Section]] = {
    "model": ModelSection, "lora": LoraSection, "data": DataSection, "endpoint": EndpointSection, "train": TrainSection,
    "merge": MergeSection, "eval": EvalSection, "report": ReportSection,
}


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe. `origin` tells for each `section.key` where its value came from;
    `overrides` keeps the command line's pairs as they were written."""

    name: str
    title: str
    model: ModelSection
    lora: LoraSection
    data: DataSection
    endpoint: EndpointSection
    train: TrainSection
    merge: MergeSection
    eval: EvalSection
    report: ReportSection
    origin: dict[str, Origin] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """All values as `section.key` → JSON-able value."""
        return {f"{s}.{k}": v for s in SECTIONS for k, v in getattr(self, s).model_dump(mode="json").items()}

    def section(self, name: str) -> dict[str, Any]:
        return getattr(self, name).model_dump(mode="json")

    @property
    def builds_rows(self) -> bool:
        """Whether training rows are built from a set of prompts and responses, so that assessments are to
        be written; `tiny`, R1-Act's set and a JSONL of TrainingRows bring theirs along."""
        data = self.data
        return data.source not in ("tiny", "r1act") and (bool(data.columns or data.path) or not data.source.endswith(".jsonl"))

    @property
    def embedded(self) -> bool:
        return self.model.name == EMBEDDED


def recipe_folder() -> Path:
    """Find the shipped recipes: inside an installed package, or beside it in a clone."""
    here = Path(__file__).resolve().parent
    for folder in (here / "recipes", here.parent / "recipes"):
        if (folder / "tiny.yaml").is_file():
            return folder
    raise UserError("the shipped recipes are missing", "install alt_lite again, or give a recipe's path")


def recipe_names() -> list[str]:
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a shipped recipe by name, or one by path, and apply `section.key=value` overrides.

    Raises:
        UserError: the recipe does not exist or does not parse; or, all at once, every unknown key,
            wrong type and value out of range, each with the key's path.
    """
    path = _find(name)
    raw = _parse(path)
    problems: list[str] = []
    title = str(raw.pop("title", path.stem))
    given: dict[str, dict[str, tuple[Any, Origin]]] = {section: {} for section in SECTIONS}
    for section, keys in raw.items():
        if section not in SECTIONS:
            problems.append(f"{section}: no such section{_nearest(section, SECTIONS)}")
        elif not isinstance(keys, Mapping):
            problems.append(f"{section}: must hold keys, not {keys!r}")
        else:
            for key, value in keys.items():
                _accept(given, section, str(key), value, "recipe", problems)
    _override(given, overrides, problems)
    sections, origin = _build(given, problems)
    if not problems:
        problems += _contradictions(sections)
    if problems:
        raise UserError(f"{path.name}: " + "\n  ".join(problems), f"python -m alt_lite show {name} lists every key with its value")
    return Recipe(name=path.stem, title=title, origin=origin, overrides=tuple(overrides), **sections)


def recipe_from_values(kept: Mapping[str, Any]) -> Recipe:
    """Read back a recipe from a manifest's `recipe` entry.

    Raises:
        UserError: another version wrote it, whose keys differ.
    """
    sections: dict[str, Any] = {}
    try:
        for name, cls in SECTIONS.items():
            prefix = f"{name}."
            sections[name] = cls(**{k.removeprefix(prefix): v for k, v in kept["values"].items() if k.startswith(prefix)})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(f"the run's manifest does not fit this version ({where})", "run the recipe again with --fresh") from error
    return Recipe(name=kept["name"], title=kept["title"], origin={**dict.fromkeys(_all_keys(), "default"), **kept["origin"]}, overrides=tuple(kept["overrides"]), **sections)


def with_overrides(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Give a resolved recipe with some values changed.

    Raises:
        UserError: as `load_recipe` does.
    """
    problems: list[str] = []
    given: dict[str, dict[str, tuple[Any, Origin]]] = {
        name: {key: (getattr(getattr(recipe, name), key), recipe.origin[f"{name}.{key}"]) for key in cls.model_fields} for name, cls in SECTIONS.items()
    }
    _override(given, overrides, problems)
    sections, origin = _build(given, problems)
    if problems or (problems := _contradictions(sections)):
        raise UserError(f"{recipe.name}: " + "\n  ".join(problems), "section.key=value; python -m alt_lite show lists every key")
    return Recipe(name=recipe.name, title=recipe.title, origin=origin, overrides=(*recipe.overrides, *overrides), **sections)


def _override(given: dict[str, dict[str, tuple[Any, Origin]]], overrides: Sequence[str], problems: list[str]) -> None:
    for override in overrides:
        key, sign, value = override.partition("=")
        section, dot, name = key.partition(".")
        if not sign or not dot:
            problems.append(f"{override}: not of the form section.key=value")
        elif section not in SECTIONS:
            problems.append(f"{key}: no such section{_nearest(key, _all_keys())}")
        else:
            _accept(given, section, name, value, "command line", problems)


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise UserError(f"no recipe file {name}", f"shipped recipes: {', '.join(recipe_names())}")
    shipped = recipe_folder() / f"{name}.yaml"
    if not name or path.name != name or not shipped.is_file():
        raise UserError(f"no recipe {name!r}{_nearest(name, recipe_names())}", "python -m alt_lite ls lists all recipes; a file is given as PATH.yaml")
    return shipped


def _parse(path: Path) -> dict[str, Any]:
    try:
        # BaseLoader leaves every scalar a string; types are ours to decide.
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{where}: not readable as YAML ({what})", "mend the file; a shipped one shows the form") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: holds no sections", f"sections are {', '.join(SECTIONS)}")
    return raw


def _accept(given: dict[str, dict[str, tuple[Any, Origin]]], section: str, key: str, value: Any, origin: Origin, problems: list[str]) -> None:
    fields = SECTIONS[section].model_fields
    if key not in fields:
        problems.append(f"{section}.{key}: no such key{_nearest(f'{section}.{key}', _all_keys())}")
        return
    try:
        given[section][key] = (coerce(value, fields[key].annotation), origin)
    except ValueError as error:
        problems.append(f"{section}.{key}: {error}")
        given[section][key] = (_BAD, origin)


_BAD = object()


def _build(given: dict[str, dict[str, tuple[Any, Origin]]], problems: list[str]) -> tuple[dict[str, Any], dict[str, Origin]]:
    sections: dict[str, Any] = {}
    origin: dict[str, Origin] = {}
    for name, cls in SECTIONS.items():
        bad = {key for key, (value, _) in given[name].items() if value is _BAD}
        values = {key: value for key, (value, _) in given[name].items() if value is not _BAD}
        try:
            sections[name] = cls(**values)
        except ValidationError as error:
            for item in error.errors():
                key = str(item["loc"][0])
                if item["type"] == "missing" and key not in bad:
                    problems.append(f"{name}.{key}: must be given")
                elif item["type"] != "missing":
                    message = item["msg"].removeprefix("Input ").removeprefix("Value ")
                    problems.append(f"{name}.{key}: {item['input']!r} {message}")
        for key in cls.model_fields:
            origin[f"{name}.{key}"] = given[name][key][1] if key in given[name] else "default"
    return sections, origin


def _contradictions(sections: dict[str, Any]) -> list[str]:
    """Find values that are each allowed but mean nothing together."""
    found = []
    if sections["merge"].base == "dequantized" and not sections["model"].load_in_4bit:
        found.append("merge.base: dequantized needs model.load_in_4bit=true; what is trained in 16 bit is merged into original")
    if sections["data"].assessor == "endpoint" and not sections["endpoint"].url:
        found.append("data.assessor: endpoint needs endpoint.url, e.g. endpoint.url=http://localhost:8000/v1")
    if sections["train"].layout == "packed" and sections["model"].max_length is None:
        found.append("train.layout: packed needs model.max_length, the length of a pack")
    return found


def coerce(value: Any, kind: Any) -> Any:
    """Turn raw text (or a YAML list of texts) into the field's type.

    Raises:
        ValueError: the text is not of that type; the message names what is allowed.
    """
    if get_origin(kind) in (Union, types.UnionType):
        if isinstance(value, str) and value.strip().lower() in ("null", "none", ""):
            return None
        (kind,) = (arg for arg in get_args(kind) if arg is not type(None))
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list) else str(value).split(",")
        return tuple(coerce(str(item).strip(), get_args(kind)[0]) for item in items if str(item).strip())
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be one value")
    text = value.strip()
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}{_nearest(text, choices)}")
        return text
    if kind is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise ValueError(f"{text!r} is not true or false")
    if kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {'a whole number' if kind is int else 'a number'}") from None
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(f"{text!r} is not a finite number")
        return number
    return text


def _all_keys() -> list[str]:
    return [f"{name}.{key}" for name, cls in SECTIONS.items() for key in cls.model_fields]


def _nearest(word: str, known: Any) -> str:
    """Suggest the nearest known words; keys of other sections too (`lora.epochs` → `train.epochs`)."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    if not near and "." in word:
        last = word.rpartition(".")[2]
        near = [key for key in known if key.rpartition(".")[2] == last][:3]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def to_yaml(recipe: Recipe) -> str:
    """Write the resolved recipe as YAML that `load_recipe` reads back."""
    body = {"title": recipe.title, **{section: recipe.section(section) for section in SECTIONS}}
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
