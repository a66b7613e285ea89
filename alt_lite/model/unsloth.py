"""Everything that touches Unsloth, which trains in a process of its own.

Unsloth must be imported before transformers, trl and peft, and it replaces methods of their classes
(Qwen2Attention.forward, PeftModelForCausalLM.forward, …) for the whole process: a model that is loaded
plainly afterwards, to be merged or evaluated, would fail or compute something else. So the process that
imports it trains, saves the adapter, and ends; its GPU memory is then free for the rest.

The two talk in lines of JSON: the child reports steps and asks after each whether to stop.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.data import cache
from alt_lite.decide import Decisions, Device
from alt_lite.errors import OUT_OF_MEMORY, OutOfTime, UserError, is_out_of_memory
from alt_lite.tokens.encode import Encoded

if TYPE_CHECKING:
    from alt_lite.model.train import Places

LOG = "unsloth.log"  # in the folder of checkpoints: what Unsloth and its libraries print
_KEYED = ("torch", "transformers", "trl", "peft", "unsloth", "unsloth_zoo")
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from alt_lite.model.unsloth import main; main()"


def is_imported() -> bool:
    return "unsloth" in sys.modules


def compile_folder() -> Path:
    """Where Unsloth writes the code that it then imports: never the working directory, which is its
    default (unsloth #8457), and another folder for every combination of versions."""
    key = "_".join(_version(name) for name in _KEYED)
    return cache.root().resolve() / "unsloth" / key


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def train_apart(
    recipe: Recipe, decisions: Decisions, device: Device, rows: Sequence[Encoded], places: Places,
    report: Callable[[int, str], None], stop: Callable[[], bool],
) -> dict[str, Any]:
    """Do `train.train` in a process that imports Unsloth first; the same facts, the same errors."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    places.checkpoints.mkdir(parents=True, exist_ok=True)
    log = places.checkpoints / LOG
    say(f"train: Unsloth trains in a process of its own; what it prints is in {log}")
    # GiB that its loss may take at once, as much as the estimate counts; by itself it takes half of what is free, up to 4.
    environment = {"UNSLOTH_CE_LOSS_TARGET_GB": "0.5", **os.environ, "UNSLOTH_COMPILE_LOCATION": str(compile_folder()), "UNSLOTH_DISABLE_STATISTICS": "1"}
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, json.dumps(sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, env=environment
        )
    assert child.stdin and child.stdout

    def give(data: bytes) -> None:
        with suppress(BrokenPipeError):  # the child has ended; its lines end too
            child.stdin.write(data)
            child.stdin.flush()

    try:
        give(pickle.dumps((recipe, decisions, device, list(rows), places)))
        for line in child.stdout:
            event = json.loads(line)
            if "step" in event:
                report(event["step"], event["note"])
            elif "say" in event:
                say(event["say"])
            elif "stop" in event:
                give(b"1" if stop() else b"0")
            elif "user_error" in event:
                raise UserError(*event["user_error"])
            elif "out_of_time" in event:
                raise OutOfTime
            else:
                return event["facts"]
    finally:
        child.kill()
        child.wait()
    raise RuntimeError(f"the process that trains with Unsloth ended; {log} ends:\n{_tail(log)}")


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main() -> None:
    """Train, as the child of `train_apart`."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not get among our lines

    def send(**event: Any) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    def stop() -> bool:
        send(stop=True)
        answer = sys.stdin.buffer.read(1)
        if not answer:  # the parent has gone
            os._exit(1)
        return answer == b"1"

    from alt_lite.model.backend import prepare_environment

    prepare_environment()
    early = sorted({"transformers", "trl", "peft"} & set(sys.modules))
    if early:
        raise RuntimeError(f"{', '.join(early)} imported before unsloth")
    import unsloth  # noqa: F401

    from alt_lite.model import train
    from alt_lite.model.load import load_tokens

    recipe, decisions, device, rows, places = pickle.load(sys.stdin.buffer)
    try:
        facts = train.train(
            recipe, decisions, device, load_tokens(recipe.model), rows, places, lambda step, note="": send(step=step, note=note), stop,
            lambda text: send(say=text),
        )
    except UserError as error:
        send(user_error=[error.message, error.fix])
    except OutOfTime:
        send(out_of_time=True)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        send(user_error=OUT_OF_MEMORY)
    else:
        send(facts=facts)


def new_adapter(recipe: Recipe, device: Device, folder: Path, longest: int) -> Any:
    """Load the base through Unsloth and put an adapter on it.

    Unsloth would replace `deepseek-ai/…` by `unsloth/…-bnb-4bit` and ignore a pinned revision. It is
    given the folder of the snapshot that was resolved, which it quantises itself, so that run.json's id,
    commit and digest are those of what is trained; another folder in the loaded model is an error.

    Args:
        longest: tokens of the longest row; Unsloth cuts longer ones without a word.
    """
    from unsloth import FastLanguageModel

    from alt_lite.model.architecture import experts_of
    from alt_lite.model.load import heed_attn_factor, training_dtype
    from alt_lite.model.merging.mergeable import expanded, unreached

    heed_attn_factor()
    checkpointing = "unsloth" if recipe.train.gradient_checkpointing else False
    model, _ = FastLanguageModel.from_pretrained(
        str(folder), max_seq_length=longest, dtype=training_dtype(device), load_in_4bit=recipe.model.load_in_4bit,
        load_in_16bit=not recipe.model.load_in_4bit, use_gradient_checkpointing=checkpointing, use_exact_model_name=True,
        fix_tokenizer=False, random_state=recipe.train.seed,
    )
    loaded = Path(model.config._name_or_path)
    if loaded.resolve() != folder.resolve():
        raise UserError(f"Unsloth loaded {loaded} in place of {folder}", "model.backend=transformers")
    four_bit = sum(type(module).__name__ == "Linear4bit" for module in model.modules())
    if bool(four_bit) != recipe.model.load_in_4bit:
        raise UserError(f"Unsloth loaded {four_bit} layers in 4 bit; model.load_in_4bit={recipe.model.load_in_4bit}", "model.backend=transformers")
    names = expanded(recipe.lora.targets, folder)
    beside, experts = unreached(names, folder), experts_of(model.config)[1] > 1
    # Left to itself it adapts experts too, where an MLP beside them has layers of the same name; they are not merged.
    scope = {**({"exclude_modules": beside} if beside else {}), **({"target_parameters": []} if experts else {})}
    return FastLanguageModel.get_peft_model(
        model, r=recipe.lora.r, lora_alpha=recipe.lora.alpha, lora_dropout=recipe.lora.dropout, bias="none",
        target_modules=names, **scope, use_gradient_checkpointing=checkpointing,
        random_state=recipe.train.seed, max_seq_length=longest,
    )
