"""Fine-tune an adapter with TRL's SFTTrainer on rows that are already ids and labels.

The order of rows is ours: all epochs laid out in one sequence, `batch_size` rows to an optimiser
step, so that every layout learns from the same rows in the same steps, a fraction of an epoch is
possible, and a resumed run meets the same rows again.
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.decide import Decisions, Device, chosen
from alt_lite.errors import OutOfTime, UserError
from alt_lite.model import load
from alt_lite.model.backend import peak_memory
from alt_lite.rundir import append_jsonl, read_json, read_rows, write_json, write_jsonl, write_text
from alt_lite.tokens.encode import Encoded
from alt_lite.tokens.tokenizer import Tokens

_COMPLETE = "complete"  # written last into a checkpoint: without it the checkpoint was cut by a kill
_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
# The settings that are printed before training.
SHOWN = (
    "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type",
    "warmup_steps", "optim", "adam_beta1", "adam_beta2", "weight_decay", "max_grad_norm", "seed", "bf16", "fp16",
    "padding_free", "packing",
)


@dataclass(frozen=True)
class Places:
    """Where training leaves its files."""

    checkpoints: Path
    adapter: Path
    log: Path


def row_order(n: int, epochs: float, batch_size: int, seed: int) -> list[list[int]]:
    """Lay out all optimiser steps: lists of `batch_size` row numbers (the last may be shorter), from
    epochs that are each shuffled anew and follow one another without a gap."""
    total = max(round(n * epochs), 1)
    order: list[int] = []
    epoch = 0
    while len(order) < total:
        rows = list(range(n))
        random.Random(f"{seed}:{epoch}").shuffle(rows)
        order += rows
        epoch += 1
    return [order[i : min(i + batch_size, total)] for i in range(0, total, batch_size)]


def lay_out(steps: Sequence[Sequence[int]], lengths: Sequence[int], layout: str) -> list[list[int]]:
    """Order the rows within each step: by length where they are cut into micro-batches of like rows."""
    return [sorted(step, key=lambda i: (lengths[i], i)) if layout == "grouped" else list(step) for step in steps]


def padding_share(steps: Sequence[Sequence[int]], lengths: Sequence[int], layout: str, micro: int) -> float:
    """Share of computed token positions that are padding."""
    if layout in ("padding_free", "packed"):
        return 0.0
    real = computed = 0
    for step in steps:
        for start in range(0, len(step), micro):
            group = [lengths[i] for i in step[start : start + micro]]
            real, computed = real + sum(group), computed + max(group) * len(group)
    return 1 - real / computed if computed else 0.0


def effective_settings(recipe: Recipe, decisions: Decisions, device: Device, places: Places, steps: int) -> dict[str, Any]:
    """Give every setting that the trainer is called with; nothing is left to a library's default that
    changes what is learnt (unsloth rewrites SFTConfig's)."""
    train, layout = recipe.train, chosen(decisions, "train.layout")
    micro = train.batch_size if layout == "packed" else chosen(decisions, "train.micro_batch_size")
    return {
        "output_dir": str(places.checkpoints),
        "max_steps": -1 if layout == "packed" else steps,
        "num_train_epochs": train.epochs if layout == "packed" else 1,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": train.batch_size // micro,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": _SCHEDULES[train.schedule],
        "warmup_steps": train.warmup_steps,
        "optim": train.optimizer,
        "adam_beta1": train.beta1,
        "adam_beta2": train.beta2,
        "adam_epsilon": 1e-8,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "seed": train.seed,
        "data_seed": train.seed,
        "bf16": device.kind == "cuda" and device.bf16,
        "fp16": device.kind == "cuda" and not device.bf16,
        "use_cpu": device.kind == "cpu",
        "gradient_checkpointing": train.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "padding_free": layout == "padding_free",
        "packing": layout == "packed",
        "packing_strategy": "bfd",
        # Rows over the length were refused before; the trainer would cut them without a word.
        "max_length": recipe.model.max_length if layout == "packed" else None,
        "loss_type": "chunked_nll",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": train.checkpoint_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "dataset_num_proc": None,
        "log_level": "error",
    }


def train(
    recipe: Recipe, decisions: Decisions, device: Device, tokens: Tokens, rows: Sequence[Encoded], places: Places,
    report: Callable[[int, str], None], stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train the adapter; goes on from the last whole checkpoint. `report` takes steps done and a note;
    `stop` is asked after every step.

    Returns:
        The facts of `report.json`'s `training`.

    Raises:
        OutOfTime: `stop` said so; a checkpoint has been kept.
        UserError: the loss is not a number any more.
    """
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    layout = chosen(decisions, "train.layout")
    steps = row_order(len(rows), recipe.train.epochs, recipe.train.batch_size, recipe.train.seed)
    lengths = [len(row.input_ids) for row in rows]
    order = lay_out(steps, lengths, layout)
    settings = effective_settings(recipe, decisions, device, places, len(steps))
    checkpoint = _last_checkpoint(places.checkpoints)
    done = int(checkpoint.name.partition("-")[2]) if checkpoint else 0
    kept = [row for row in read_rows(places.log) if row["step"] <= done]
    write_jsonl(places.log, kept)

    model = new_adapter(recipe, device)
    sequence = list(range(len(rows))) if layout == "packed" else [i for step in order for i in step]
    dataset = Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in rows]).select(sequence)

    class Trainer(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset or self.train_dataset)

    logger = _logger(places, rows, steps, kept, report, stop, packed=layout == "packed")
    trainer = Trainer(
        model=model, args=SFTConfig(**settings), train_dataset=dataset, processing_class=tokens.fast, callbacks=[logger]
    )
    trainer.remove_callback(PrinterCallback)
    # TRL casts adapters to bf16, which rounds small learning rates away and breaks resuming (trl #4901).
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    began = time.monotonic()
    report(done, "resumed" if checkpoint else "")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if logger.stopped:
        raise OutOfTime
    temporary = places.adapter.with_name(places.adapter.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    trainer.model.save_pretrained(temporary, save_embedding_layers=False)
    # The base by its name, not by a path of this machine.
    config = temporary / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": recipe.model.name})
    shutil.rmtree(places.adapter, ignore_errors=True)
    temporary.rename(places.adapter)
    log = read_rows(places.log)
    total = sum(lengths[i] for step in steps for i in step)
    seconds = sum(row["seconds"] for row in log)
    return {
        "rows": len(rows),
        "steps": log[-1]["step"],
        "epochs": recipe.train.epochs,
        "tokens": total,
        "trained_tokens": sum(rows[i].trained for step in steps for i in step),
        "padding_share": round(padding_share(order, lengths, layout, settings["per_device_train_batch_size"]), 4),
        "seconds": round(seconds, 2),
        "session_seconds": round(time.monotonic() - began, 2),
        "tokens_per_second": round(total / seconds, 1) if seconds else None,
        "peak_memory_bytes": peak_memory(),
        "final_loss": round(sum(row["loss"] for row in log[-10:]) / len(log[-10:]), 5),
    }


def new_adapter(recipe: Recipe, device: Device) -> Any:
    """Load the base as it is trained and put a fresh adapter on it, drawn from `train.seed`."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    folder = load.model_folder(recipe.model)
    if recipe.model.load_in_4bit:
        model = load.load_quantized(folder, device)
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.train.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    else:
        model = load.load_full(folder, device)
    torch.manual_seed(recipe.train.seed)
    lora = LoraConfig(
        r=recipe.lora.r, lora_alpha=recipe.lora.alpha, lora_dropout=recipe.lora.dropout, bias="none",
        target_modules=list(recipe.lora.targets), task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, lora, autocast_adapter_dtype=True)
    except ValueError as error:
        raise UserError(f"lora.targets: {str(error).splitlines()[0]}", "name linear layers of the model, such as q_proj") from error


def _logger(
    places: Places, rows: Sequence[Encoded], steps: Sequence[Sequence[int]], kept: list[dict[str, Any]],
    report: Callable[[int, str], None], stop: Callable[[], bool], packed: bool,
) -> Any:
    """Make the callback that writes train_log.jsonl, marks whole checkpoints and asks `stop`."""
    import psutil
    from transformers import TrainerCallback

    class Logger(TrainerCallback):
        stopped = False

        def __init__(self) -> None:
            self.began = time.monotonic()
            self.tokens = kept[-1]["tokens"] if kept else 0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is not finite at step {state.global_step}; the last checkpoint is kept",
                    "lower train.learning_rate, or train where bf16 is there",
                )
            before = self.tokens
            if packed:  # the trainer lays out the steps
                self.tokens = int(logs["num_tokens"])
            else:
                self.tokens += sum(len(rows[i].input_ids) for i in steps[state.global_step - 1])
            count = self.tokens - before
            seconds = time.monotonic() - self.began
            append_jsonl(places.log, [{
                "step": state.global_step, "loss": round(loss, 5), "learning_rate": logs.get("learning_rate"),
                "tokens": self.tokens, "tokens_per_second": round(count / seconds, 1) if seconds else None,
                "seconds": round(seconds, 4), "memory_bytes": _memory(psutil),
            }])
            report(state.global_step, f"loss {loss:.3f}")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step < state.max_steps and stop():
                self.stopped = True
                control.should_save = control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            write_text(places.checkpoints / f"checkpoint-{state.global_step}" / _COMPLETE, "")

    return Logger()


def _memory(psutil: Any) -> int:
    import torch

    return int(torch.cuda.memory_allocated()) if torch.cuda.is_available() else int(psutil.Process().memory_info().rss)


def _last_checkpoint(folder: Path) -> Path | None:
    """Find the newest whole checkpoint; cut ones are removed."""
    whole: list[Path] = []
    for path in folder.glob("checkpoint-*"):
        if (path / _COMPLETE).is_file():
            whole.append(path)
        else:
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)
