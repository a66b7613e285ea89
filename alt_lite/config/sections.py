"""The sections of a recipe: every key with its type, its default, what it means and where its value comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alt_lite.config import peek

EMBEDDED = "embedded"
# The keys of method.targets.TARGETS, which the base may not import; a test holds them together.
Target = Literal[
    "alttrain", "alttrain_no_understanding", "alttrain_no_assessment", "alttrain_no_conditional", "alttrain_rephrased",
    "alttrain_permuted", "alttrain_filler", "alttrain_assessment_in_answer", "r1act", "r1act_empty_trace", "direct_refusal",
    "no_cot", "answer_only", "natural", "short", "template", "safepath",
]
# The keys of families.FAMILIES; the same test.
Family = Literal[
    "auto", "r1", "r1_0528", "qwen3", "qwen3_thinking", "qwen3_5", "smollm3", "gpt_oss", "gemma4", "phi4_mini_reasoning", "s1", "chatml", "llama3",
]
Origin = Literal["default", "recipe", "command line", "decided"]
Suite = Literal["tiny", "tiny_dev", "quick", "compact", "safety", "utility", "full", "r1act", "thinksafe", "none"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSection(_Section):
    name: str = Field(description="hub id, folder, GGUF file (unpacked once into the cache), or `embedded` for the model in this package")
    family: Family = Field("auto", description="prompt format and tags of the trace (python -m alt_lite families); auto: found in tokenizer, chat template and config.json")
    revision: str | None = Field(None, description="hub commit; null: the newest, and run.json records it")
    backend: Literal["auto", "unsloth", "transformers"] = Field("auto", description="what loads and trains the model")
    load_in_4bit: bool = Field(True, description="NF4 with double quantisation while training (QLoRA)")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field("auto", description="what is computed in; auto: bf16 where the processor or the card has it, the embedded model on a CPU in fp32")
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
    source: str = Field("safechain", description="tiny; safechain, r1act, star1, lrm_study, self_instruct, self_instruct_user, gsm8k_train; a hub id; a file or saved folder; a JSONL of TrainingRows")
    benign_from: tuple[str, ...] = Field((), description="further sources, NAME or NAME:WEIGHT, that share data.benign; harmful rows alone then come from data.source")
    path: str | None = Field(None, description="local copy of the source, used in place of the hub; with data.benign_from a folder of copies NAME.jsonl|json|csv|tsv|parquet, too")
    revision: str | None = Field(None, description="hub commit of the source; null: the newest, and the data card records it")
    columns: tuple[str, ...] = Field((), description="ours=theirs, for own data (of data.source alone): prompt, response, label, category, language, input, system, trace, history, messages")
    target: Target = Field("alttrain", description="format of what is trained")
    answer: Literal["none", "template", "original"] | None = Field(None, description="after the trace: nothing after a refusal, the row's answer, the source's; null: as the target is published")
    system: str | None = Field(None, description="system prompt of every row; null: none, as DeepSeek advises for R1, and as Qwen3's template has it; source r1act: R1-Act's")
    harmful: int = Field(900, ge=0, description="harmful rows (AltTrain: about 900)")
    benign: int = Field(100, ge=0, description="benign rows (AltTrain: about 100)")
    skills: int = Field(0, ge=0, description="rows of plain skills (tiny only)")
    untraced: Literal["leave_out", "template"] = Field("leave_out", description="rows without a trace where the target needs one: left out; or their missing steps are written by template")
    longest: int | None = Field(None, ge=1, description="most words of a row, its prompt and what alttrain trains of it (Chinese and Japanese: characters); longer rows are left out; null: any")
    adversarial: float | None = Field(None, ge=0, le=1, description="share of adversarial prompts within each label; null: the source's own")
    against: tuple[str, ...] = Field(
        ("strongreject", "harmbench", "jbb", "jbb_benign", "xstest_safe", "xstest_unsafe", "wildjailbreak", "advbench", "malicious_instruct"),
        description="benchmarks, hub ids or files whose prompts must not be trained on",
    )
    assessor: Literal["self", "endpoint", "template"] | None = Field(None, description="writer of assessments; null: self on a GPU, endpoint where one is given, else template")
    seed: int = Field(1995, ge=0, description="which rows are drawn, and their order in the file")
    split_seed: int = Field(0, ge=0, description="tiny: which objects, verbs and phrasings fine-tuning never sees")


    @property
    def builds_rows(self) -> bool:
        """Whether training rows are built from a set of prompts and responses, so that assessments are to be written;
        `tiny`, R1-Act's set and a JSONL of TrainingRows bring theirs along."""
        return self.source not in ("tiny", "r1act") and (bool(self.columns or self.path) or not peek.are_training_rows(Path(self.source)))


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
    base: Literal["original", "dequantized"] = Field("original", description="weights that the adapter is merged into: as published, or as 4-bit training sees them")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="numbers that merged/ is stored in; auto: bfloat16 or float16 as the GPU computes; on a CPU float32 where memory and disk allow")


class EvalSection(_Section):
    suite: Suite | None = Field(None, description="which tasks, and how they are asked; tiny_dev: development prompts; null: what fits the model")
    tasks: tuple[str, ...] = Field((), description="these tasks in place of the suite's")
    limit: int | None = Field(None, ge=1, description="prompts per task; null: as the suite has it")
    data: str | None = Field(None, description="folder of local copies of some benchmarks, NAME.jsonl|csv|tsv|txt|parquet; null, and what it does not hold: from their public places")
    strict: bool = Field(False, description="a benchmark that cannot be had is an error; false: it is left out, and the report says so")
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
    temperature: float | None = Field(None, ge=0, le=5, description="0: greedy; null: as the suite has it, else as the makers of the model's family advise (R1 and Qwen3: 0.6)")
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus; null: as the suite has it (0.95, as both advise)")
    top_k: int | None = Field(None, ge=1, description="null: what the model's makers advise where responses are sampled (Qwen3: 20), else off")
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
        return self.data.builds_rows

    @property
    def embedded(self) -> bool:
        return self.model.name == EMBEDDED
