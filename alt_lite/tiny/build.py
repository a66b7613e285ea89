"""Pretrain the embedded model from its seed: `python -m alt_lite tiny build --out DIR`.

Muon on the hidden matrices, AdamW on embeddings and norms, linear decay at the end. The
loop is our own because no trainer mixes two optimisers; it goes on where it was stopped.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.rundir import append_jsonl, read_rows, write_jsonl
from alt_lite.tiny import curriculum, world
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import encode_row
from alt_lite.tokens.tokenizer import Tokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Qwen2ForCausalLM

# R1 marks its turn and think tokens as not special; so does this tokenizer.
_SPECIAL = ("<pad>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
_NOT_SPECIAL = ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}"
    "{% else %}{{ '<｜Assistant｜>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)
_POOL = 64  # batches drawn and length-sorted at a time
_KEEP = 500  # steps between states that a stopped build goes on from


@dataclass(frozen=True)
class BuildSettings:
    """How the shipped weights were made."""

    seed: int = 0
    steps: int = 6500
    batch_size: int = 32
    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 384
    vocab_limit: int = 3072
    max_positions: int = 512
    init_std: float = 0.08
    muon_lr: float = 0.02
    adamw_lr: float = 4e-3
    muon_weight_decay: float = 0.05
    warmup_steps: int = 60
    decay_share: float = 0.4
    threads: int = 2


def build_tokenizer(folder: Path, vocab_limit: int) -> Tokens:
    """Train a byte-level BPE in which every word of the world is one token, digits single."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    words = Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_limit,
        min_frequency=2,
        special_tokens=[
            *(AddedToken(text, special=True, normalized=False) for text in _SPECIAL),
            *(AddedToken(text, special=False, normalized=False) for text in _NOT_SPECIAL),
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(curriculum.vocabulary_texts(), trainer)
    spec = json.loads(tokenizer.to_str())
    for token in spec["added_tokens"]:
        token["special"] = token["content"] in _SPECIAL
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        pad_token=_SPECIAL[0], bos_token=_SPECIAL[1], eos_token=_SPECIAL[2],
        clean_up_tokenization_spaces=False, padding_side="left", model_max_length=512,
    )
    fast.chat_template = _TEMPLATE
    fast.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    return tokenizers_io.load(folder, FAMILIES["r1"])


def new_model(tokens: Tokens, settings: BuildSettings) -> Qwen2ForCausalLM:
    """Initialise a Qwen2 of the settings' shape; the vocabulary is padded to a multiple of 64."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(settings.seed)
    config = Qwen2Config(
        vocab_size=(len(tokens.fast) + 63) // 64 * 64,
        hidden_size=settings.hidden_size, intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers, num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads, max_position_embeddings=settings.max_positions,
        tie_word_embeddings=True, initializer_range=settings.init_std,
        bos_token_id=tokens.ids[_SPECIAL[1]], eos_token_id=tokens.end_id, pad_token_id=tokens.pad_id,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = tokens.end_id
    return model


def batches(tokens: Tokens, settings: BuildSettings, first_step: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yield batches of (ids, labels), from `first_step` on; a pool depends on the seed and its number
    alone, so that a stopped build goes on with the same data."""
    size = settings.batch_size
    for pool in range(first_step // _POOL, settings.steps // _POOL + 1):
        rng = random.Random(f"{settings.seed}:{pool}")
        stream = curriculum.examples(rng)
        rows = [encode_row(tokens, next(stream).row(), "natural") for _ in range(size * _POOL)]
        rows.sort(key=lambda row: len(row.input_ids))
        cut = [[(r.input_ids, r.labels) for r in rows[i : i + size]] for i in range(0, len(rows), size)]
        rng.shuffle(cut)
        yield from cut[first_step - pool * _POOL if first_step > pool * _POOL else 0 :]


def tensors(batch: list[tuple[list[int], list[int]]], pad_id: int) -> dict[str, Tensor]:
    """Pad a batch on the right: input_ids, attention_mask, labels, each (rows, longest)."""
    import torch

    longest = max(len(ids) for ids, _ in batch)

    def grid(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])

    return {
        "input_ids": grid([ids for ids, _ in batch], pad_id),
        "attention_mask": grid([[1] * len(ids) for ids, _ in batch], 0),
        "labels": grid([labels for _, labels in batch], -100),
    }


def completion_loss(model: Qwen2ForCausalLM, batch: dict[str, Tensor]) -> Tensor:
    """Mean loss of the completions' tokens; logits are computed for these alone."""
    import torch

    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
    labels = batch["labels"][:, 1:]
    trained = labels != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[trained]), labels[trained])


def probe(model: Qwen2ForCausalLM, tokens: Tokens, count: int = 48) -> dict[str, float]:
    """Share of each task's examples, none of them in pretraining, whose answer is right token by token
    when all before it is given: shows when a skill snaps in."""
    import torch

    shares = {}
    for name, (_, draw) in curriculum.TASKS.items():
        rng = random.Random(f"probe:{name}")
        rows = []
        while len(rows) < count:
            example = draw(rng)
            if not example.key or not world.in_pretraining(example):
                encoded = encode_row(tokens, example.row(), "natural")
                rows.append((encoded.input_ids, encoded.labels))
        batch = tensors(rows, tokens.pad_id)
        with torch.no_grad():
            said = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].argmax(-1)
        labels = batch["labels"][:, 1:]
        # Only what follows the trace, which may hold an aside that nobody can foresee.
        after = (labels == tokens.ids["</think>"]).cumsum(1) > 0
        right = (said == labels) | ~(after & (labels != -100))
        shares[name] = round(float(right.all(1).float().mean()), 3)
    return shares


def build(out: Path, settings: BuildSettings, report: Callable[[int, float], None]) -> Path:
    """Pretrain into `out`: model.safetensors (fp16), config, tokenizer, build.json, build_log.jsonl.

    `report` is called with the step and the mean loss of the last steps. A state is kept now and
    then; the same call goes on from it.

    Raises:
        UserError: this torch has no Muon optimiser.
    """
    import torch

    if not hasattr(torch.optim, "Muon"):
        raise UserError(f"torch {torch.__version__} has no Muon optimiser", "pip install 'torch>=2.9,<2.14'")
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        return _pretrain(out, settings, report)
    finally:  # what this process trains afterwards would have other last bits
        torch.set_num_threads(threads)


def _pretrain(out: Path, settings: BuildSettings, report: Callable[[int, float], None]) -> Path:
    import torch

    out.mkdir(parents=True, exist_ok=True)
    tokens = build_tokenizer(out, settings.vocab_limit)
    model = new_model(tokens, settings)
    optimizers = _optimizers(model, settings)
    log, state = out / "build_log.jsonl", out / "build_state.pt"
    first, seconds = _resume(state, model, optimizers, settings)
    kept = [line for line in read_rows(log) if line["step"] <= first]
    write_jsonl(log, kept)
    report(first, 0.0)
    losses: list[float] = []
    started = time.monotonic()
    for step, batch in zip(range(first, settings.steps), batches(tokens, settings, first), strict=False):
        scale = _schedule(step, settings)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
        loss = completion_loss(model, tensors(batch, tokens.pad_id))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        done = step + 1
        if done % 100 == 0 or done == settings.steps:
            mean = sum(losses[-100:]) / len(losses[-100:])
            elapsed = seconds + time.monotonic() - started
            line = {"step": done, "loss": round(mean, 4), "seconds": round(elapsed, 1)}
            if done % _KEEP == 0 or done == settings.steps:
                line["right"] = probe(model, tokens)
            append_jsonl(log, [line])
            report(done, mean)
        if done % _KEEP == 0 and done < settings.steps:
            _save_state(state, done, seconds + time.monotonic() - started, model, optimizers, settings)
    _save(out, model, settings, seconds + time.monotonic() - started)
    state.unlink(missing_ok=True)
    return out


def _optimizers(model: Qwen2ForCausalLM, settings: BuildSettings) -> list[torch.optim.Optimizer]:  # noqa: F821
    import torch

    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(
            hidden, lr=settings.muon_lr, momentum=0.95, weight_decay=settings.muon_weight_decay, adjust_lr_fn="original"
        ),
        torch.optim.AdamW(others, lr=settings.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _schedule(step: int, settings: BuildSettings) -> float:
    decay = settings.decay_share * settings.steps
    return min(1.0, (step + 1) / settings.warmup_steps) * min(1.0, (settings.steps - step) / decay)


def _save_state(path: Path, step: int, seconds: float, model: Any, optimizers: list[Any], settings: BuildSettings) -> None:
    import torch

    state = {"step": step, "seconds": seconds, "settings": asdict(settings), "model": model.state_dict(),
             "optimizers": [optimizer.state_dict() for optimizer in optimizers]}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _resume(path: Path, model: Any, optimizers: list[Any], settings: BuildSettings) -> tuple[int, float]:
    import torch

    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    if state["settings"] != asdict(settings):
        raise UserError(f"{path} is of a build with other settings", "choose another --out, or delete that file")
    model.load_state_dict(state["model"])
    for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
    return int(state["step"]), float(state["seconds"])


def _save(out: Path, model: Any, settings: BuildSettings, seconds: float) -> None:
    import torch
    import transformers

    model.to(torch.float16).save_pretrained(out)
    facts = {
        "command": "python -m alt_lite tiny build",
        "settings": asdict(settings),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 1),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    (out / "build.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
