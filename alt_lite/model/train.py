"""Fine-tune an adapter with TRL's SFTTrainer on rows that are already ids and labels.

The order of rows is ours: all epochs laid out in one sequence, `batch_size` rows to an optimiser step.
What the trainer takes for one batch is one whole step, which is cut into micro-batches here
(layout.py), so that every layout and both backends learn from the same rows in the same steps, a
fraction of an epoch is possible, and a resumed run meets the same rows again.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.decide import Decisions, Device, chosen, without_leak
from alt_lite.errors import OutOfTime, UserError, is_out_of_memory
from alt_lite.generate import turning
from alt_lite.model import adapter, architecture, checkpoints, gradients, layout, load, unsloth
from alt_lite.model.backend import peak_memory, share_of_peak
from alt_lite.model.counted import shape_of
from alt_lite.rundir import append_jsonl, read_rows, write_jsonl
from alt_lite.tokens.encode import Encoded
from alt_lite.tokens.tokenizer import Tokens

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
# The settings that are printed before training, after those of the recipe that lay out a step.
SHOWN = (
    "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "adam_beta1", "adam_beta2", "weight_decay",
    "max_grad_norm", "seed", "bf16", "fp16", "gradient_checkpointing",
)


@dataclass(frozen=True)
class Places:
    """Where training leaves its files."""

    checkpoints: Path
    adapter: Path
    log: Path


def effective_settings(recipe: Recipe, decisions: Decisions, device: Device, places: Places, steps: int) -> dict[str, Any]:
    """Give every setting that the trainer is called with; nothing is left to a library's default that
    changes what is learnt (Unsloth rewrites SFTConfig's)."""
    train, plain = recipe.train, chosen(decisions, "model.backend") == "transformers"
    settings = {
        "output_dir": str(places.checkpoints),
        "max_steps": steps,
        "num_train_epochs": 1,
        # One item of the data set is one optimiser step.
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "remove_unused_columns": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": _SCHEDULES[train.schedule],
        "warmup_steps": layout.warmup(train.warmup_steps, steps),
        "optim": train.optimizer,
        "adam_beta1": train.beta1,
        "adam_beta2": train.beta2,
        "adam_epsilon": 1e-8,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "seed": train.seed,
        "data_seed": train.seed,
        "bf16": device.bf16,
        "fp16": device.kind == "cuda" and not device.bf16,
        "use_cpu": device.kind == "cpu",
        "gradient_checkpointing": train.gradient_checkpointing,
        "padding_free": False,
        "packing": False,
        # Unsloth's own loss, which is fused, comes with "nll" only.
        "loss_type": "chunked_nll" if plain else "nll",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": train.checkpoint_steps,
        "save_total_limit": checkpoints.KEPT,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "log_level": "error",
    }
    # Unsloth's checkpointing is reentrant and refuses the other kind; its trainer puts the model's own
    # longest length in place of none. Neither cuts a row here, for the trainer prepares no data set.
    return {**settings, "gradient_checkpointing_kwargs": {"use_reentrant": False}, "max_length": None} if plain else settings


def describe(recipe: Recipe, decisions: Decisions, settings: dict[str, Any]) -> str:
    """Tell with what values training begins: how a step is laid out, then the trainer's own."""
    ours = {key.partition(".")[2]: chosen(decisions, key) for key in ("model.backend", "train.layout", "train.micro_batch_size")}
    values = {"batch_size": recipe.train.batch_size, **ours, **{key: settings[key] for key in SHOWN}}
    told = "train: " + ", ".join(f"{key} {value}" for key, value in values.items()) + f", LoRA r {recipe.lora.r} alpha {recipe.lora.alpha}"
    if settings["warmup_steps"] == recipe.train.warmup_steps:
        return told
    return f"{told}\ntrain: the warm-up is shortened from {recipe.train.warmup_steps} steps to {settings['warmup_steps']}: training has {settings['max_steps']} and would never reach its learning rate"


def trainer_config(settings: dict[str, Any]) -> Any:
    """Make TRL's configuration and hold it to the settings: what a library has changed on the way is set
    back.

    Raises:
        UserError: a value cannot be set.
    """
    from trl import SFTConfig

    config = SFTConfig(**settings, report_to="none")
    for name in differing(config, settings):
        setattr(config, name, settings[name])
    require_settings(config, settings)
    return config


def differing(config: Any, settings: dict[str, Any]) -> list[str]:
    return [name for name, value in settings.items() if getattr(config, name) != value]


def require_settings(config: Any, settings: dict[str, Any]) -> None:
    """Refuse to train with other values than those that are printed.

    Raises:
        UserError: some are not in force.
    """
    if wrong := differing(config, settings):
        told = ", ".join(f"{name} is {getattr(config, name)}, not {settings[name]}" for name in wrong)
        raise UserError(f"the trainer does not keep its settings: {told}", "model.backend=transformers, or the versions that pyproject.toml names")


def train(
    recipe: Recipe, decisions: Decisions, device: Device, tokens: Tokens, rows: Sequence[Encoded], places: Places,
    report: Callable[[int, str], None], stop: Callable[[], bool] = lambda: False, tell: Callable[[str], None] = say,
) -> dict[str, Any]:
    """Train the adapter; goes on from the last whole checkpoint. `report` takes steps done and a note,
    `stop` is asked after every step, `tell` takes what a person should know.

    Returns:
        The facts of `report.json`'s `training`.

    Raises:
        OutOfTime: `stop` said so; a checkpoint has been kept.
        UserError: the loss is not a number any more, or a row does not fit into memory.
    """
    import torch
    from transformers import PrinterCallback

    if chosen(decisions, "model.backend") == "unsloth" and not unsloth.is_imported():
        return unsloth.train_apart(recipe, decisions, device, rows, places, report, stop)
    steps = layout.row_order(len(rows), recipe.train.epochs, recipe.train.batch_size, recipe.train.seed)
    lengths = [len(row.input_ids) for row in rows]
    settings = effective_settings(recipe, decisions, device, places, len(steps))
    checkpoint = checkpoints.last(places.checkpoints, tell)
    done = checkpoints.step_of(checkpoint) if checkpoint else 0
    kept = [row for row in read_rows(places.log) if row["step"] <= done]
    write_jsonl(places.log, kept)

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # what came before is not training's
    model = adapter.new(recipe, device, chosen(decisions, "model.backend"), max(lengths))
    logger = _logger(places, rows, steps, kept, report, stop)
    trainer = trainer_of(recipe, decisions, model, trainer_config(settings), tokens, rows, steps, tell, logger)
    require_settings(trainer.args, settings)
    trainer.remove_callback(PrinterCallback)
    adapter.to_fp32(trainer.model)
    began = time.monotonic()
    report(done, "resumed" if checkpoint else "")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise _too_small(min(lengths), max(lengths)) from error
        raise
    if logger.stopped:
        raise OutOfTime
    adapter.save(trainer.model, recipe, places.adapter)
    checkpoints.clear(places.checkpoints)
    log = read_rows(places.log)
    total = sum(lengths[i] for step in steps for i in step)
    seconds = sum(row["seconds"] for row in log)
    speed = total / seconds if seconds else None
    shape = shape_of(load.model_folder(recipe.model))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return {
        "rows": len(rows),
        "steps": log[-1]["step"],
        "epochs": recipe.train.epochs,
        "backend": chosen(decisions, "model.backend"),
        "layout": trainer.layout,
        "compared": trainer.comparison,
        "micro_batch_size": trainer.micro,
        "tokens": total,
        "trained_tokens": sum(rows[i].trained for step in steps for i in step),
        "padding_share": round(layout.padding_share(steps, lengths, trainer.layout, trainer.micro, turning.turn(model.config)), 4),
        "seconds": round(seconds, 2),
        "session_seconds": round(time.monotonic() - began, 2),
        "tokens_per_second": round(speed, 1) if speed else None,
        "mfu": share_of_peak(shape.computed + shape.vocab_size * shape.hidden_size, trained, speed, device) if shape else None,
        "peak_memory_bytes": peak_memory(),
        "final_loss": round(sum(row["loss"] for row in log[-10:]) / len(log[-10:]), 5),
    }


def trainer_of(
    recipe: Recipe, decisions: Decisions, model: Any, config: Any, tokens: Tokens, rows: Sequence[Encoded],
    steps: Sequence[Sequence[int]], tell: Callable[[str], None], logger: Any,
) -> Any:
    """Make the trainer whose batch is one optimiser step, which it cuts into micro-batches itself."""
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from trl import SFTTrainer

    lengths = [len(row.input_ids) for row in rows]
    turn, asked = turning.turn(model.config), chosen(decisions, "train.layout")
    # The recipe may have been decided upon before the model's configuration was known.
    way, leak = without_leak(asked, architecture.leaks(model.config))
    if way != asked:
        tell(f"train: rows are padded, not {asked}: {leak}")

    class Trainer(SFTTrainer):
        layout = way
        micro = chosen(decisions, "train.micro_batch_size")
        compared = False
        comparison: dict[str, Any] | None = None

        def room(self) -> int:
            return layout.room(max(lengths), self.micro, self.layout, recipe.model.max_length)

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset or self.train_dataset)

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            step = steps[int(inputs["step"])]
            while True:
                try:
                    if not self.compared:
                        self.compare_with_single_rows(model)
                    return self.backward(model, layout.micro_batches(step, lengths, self.layout, self.micro, recipe.model.max_length, turn))
                except RuntimeError as error:
                    if self.room() <= max(lengths) or not is_out_of_memory(error):
                        raise
                # Here, not in the except block, whose traceback holds the tensors that did not fit.
                model.zero_grad()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                before = self.room()
                while self.micro > 1 and self.room() == before:
                    self.micro //= 2
                tell(f"train: out of memory at step {self.state.global_step + 1}; room for {self.micro} of the longest rows at once from here on, a step keeps its {len(step)} rows")

        def backward(self, model: Any, parts: Sequence[Sequence[int]]) -> Any:
            """Add the gradients of all micro-batches of a step; gives the step's loss, the mean over its trained tokens."""
            count = layout.trained_tokens([rows[i] for part in parts for i in part])
            items = torch.tensor(count, device=self.args.device)
            losses = [
                super(Trainer, self).training_step(model, layout.collate([rows[i] for i in part], self.layout, tokens.pad_id), items)
                for part in parts
            ]
            return torch.stack(losses).sum()

        def compare_with_single_rows(self, model: Any) -> None:
            """Hold one micro-batch's loss and gradients against those of its rows, one by one, as this model, backend
            and these versions compute them; where they differ, rows are padded instead.

            Raises:
                UserError: padded rows differ, too.
            """
            shortest = sorted(range(len(rows)), key=lambda i: (lengths[i], i))[:4]
            few = [i for n, i in enumerate(shortest, 1) if n * lengths[i] <= self.micro * max(lengths)]
            dropouts = {module: module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
            devices = [self.args.device] if self.args.device.type == "cuda" else []
            try:
                for module in dropouts:
                    module.p = 0.0
                with torch.random.fork_rng(devices=devices):
                    one_by_one = float(self.backward(model, [[i] for i in few]))
                    expected = gradients.collected(model)
                    for way in dict.fromkeys((self.layout, "grouped")):
                        self.layout = way
                        if not (wrong := self.differs(model, few, one_by_one, expected)):
                            break
                        tell(f"train: laid out {way}, {len(few)} rows {wrong}; rows are padded instead")
                    else:
                        raise UserError("rows learn something else together than one by one, padded too", "model.backend=transformers, or the versions that pyproject.toml names")
            finally:
                for module, p in dropouts.items():
                    module.p = p
            self.compared = True

        def differs(self, model: Any, few: Sequence[int], one_by_one: float, expected: list[Any]) -> str | None:
            """Say how rows together differ from the same rows one by one, in their loss or in what they teach; None where they do not."""
            try:
                together = float(self.backward(model, [few]))
            except ValueError as error:  # as an older Unsloth's, of positions that begin anew
                model.zero_grad()
                return f"fail together ({str(error).partition(chr(10))[0][:160]})"
            cosine = gradients.cosine(expected, gradients.collected(model))
            off = abs(together - one_by_one) / max(abs(one_by_one), 1e-9)
            self.comparison = {"rows": len(few), "loss_difference": float(f"{off:.3g}"), "gradient_cosine": cosine and round(cosine, 6)}
            if off <= (0.01 if self.args.bf16 or self.args.fp16 else 1e-3) and (cosine is None or cosine >= gradients.LEAST):
                return None
            told = "no gradients to compare" if cosine is None else f"gradients of cosine {cosine:.4f} with theirs"
            return f"have the loss {together:.5f} together and {one_by_one:.5f} one by one, and {told}"

    trainer = Trainer(
        model=model, args=config, train_dataset=Dataset.from_list([{"step": i} for i in range(len(steps))]),
        data_collator=lambda items: {"step": torch.tensor(items[0]["step"])}, processing_class=tokens.fast, callbacks=[logger],
    )
    # Models that also see, such as Gemma 4, do not say that they divide by a step's tokens; their text, and TRL's loss, do.
    trainer.model_accepts_loss_kwargs = True
    # TRL adds a loss that balances experts, though what chooses among them is frozen.
    model.config.get_text_config().output_router_logits = trainer.aux_loss_enabled = False
    return trainer


def _too_small(shortest: int, longest: int) -> UserError:
    return UserError(
        f"memory is too small for one row at a time (rows have {shortest} to {longest} tokens)",
        "train.gradient_checkpointing=true, a lower lora.r, shorter rows, or a smaller model",
    )


def _logger(
    places: Places, rows: Sequence[Encoded], steps: Sequence[Sequence[int]], kept: list[dict[str, Any]],
    report: Callable[[int, str], None], stop: Callable[[], bool],
) -> Any:
    """Make the callback that writes train_log.jsonl, marks whole checkpoints and asks `stop`."""
    import psutil
    import torch
    from transformers import TrainerCallback

    def not_finite(what: str, step: int) -> UserError:
        return UserError(
            f"{what} at step {step}; the last checkpoint before it is kept",
            "lower train.learning_rate, or train where bf16 is there",
        )

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
                raise not_finite("the loss is not finite", state.global_step)
            count = sum(len(rows[i].input_ids) for i in steps[state.global_step - 1])
            self.tokens += count
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

        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            # A finite loss may still have led to weights that are not: they show in the next step's loss.
            made = places.checkpoints / f"checkpoint-{state.global_step}"
            if not all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad):
                shutil.rmtree(made)
                raise not_finite("the adapter is not finite", state.global_step)
            checkpoints.mark(made)

    return Logger()


def _memory(psutil: Any) -> int:
    import torch

    return int(torch.cuda.memory_allocated()) if torch.cuda.is_available() else int(psutil.Process().memory_info().rss)
