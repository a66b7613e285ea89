"""Speed on this machine, as ratios measured side by side in one run: `python -m alt_lite bench`."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import progress
from alt_lite.errors import UserError
from alt_lite.rundir import free_disk, read_json, write_json

# Shape of DeepSeek-R1-Distill-Qwen-1.5B, with tied embeddings as in Qwen2.5-1.5B: 1.54 billion parameters.
QWEN_1_5B: Mapping[str, Any] = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12,
    "num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True,
}
_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Ways to merge: how PEFT computes (its fp32 is exact), or whether ours goes through the 4-bit weights.
_SIDES = {
    "ours": "ours", "ours_dequantized": "ours, into the dequantized base", "peft_bf16": "PEFT, loaded in bf16", "peft_fp32": "PEFT, loaded in fp32",
}


def generation(recipe: Recipe, prompts: int = 200, singles: int = 60) -> dict[str, Any]:
    """Time generation in batches against one prompt at a time, on the same prompts of the embedded world.

    Both sides answer the first `singles` prompts, interleaved in three rounds, and must agree; the batch
    side is timed on all `prompts`, as an evaluation runs it. Times are per prompt, the best of the rounds.
    In bf16, where a batch rounds otherwise than a single prompt, the answers that differ are counted, and
    those of them whose first differing tokens were as good as equal.

    Raises:
        UserError: the recipe is none of the embedded model.
    """
    import torch

    from alt_lite.decide import chosen, decide
    from alt_lite.generate import ties
    from alt_lite.generate.local import Generated, generate
    from alt_lite.model import backend, load
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import tasks
    from alt_lite.tokens.encode import encode_prompt

    if not recipe.embedded:
        raise UserError(f"{recipe.name}: this version measures the embedded model only", "python -m alt_lite bench tiny")
    backend.prepare_environment()
    device = backend.device(recipe)
    size = chosen(decide(recipe, device), "eval.batch_size")
    tokens = load.load_tokens(recipe.model)
    folder = load.model_folder(recipe.model)
    drawn = [prompt for task in tasks(Split(0), "dev") for prompt in task.prompts if prompt.prefill is None]
    # Every task's prompts, evenly: their lengths are those of an evaluation.
    picked = drawn[:: max(1, len(drawn) // prompts)][:prompts]
    ids = [encode_prompt(tokens, prompt.messages) for prompt in picked]
    limit = recipe.eval.max_new_tokens or 112
    few = list(range(0, len(ids), max(1, len(ids) // singles)))[:singles]

    def answers(model: Any, chosen_ids: list[list[int]], batch_size: int) -> tuple[dict[int, Generated], float]:
        began = time.perf_counter()
        made = {one.index: one for batch in generate(model, tokens, chosen_ids, limit, batch_size) for one in batch}
        return made, (time.perf_counter() - began) / len(chosen_ids)

    full = load.load_full(folder, device)
    answers(full, ids[:8], 8)  # the first forward passes set things up
    batched, single = [], []
    with progress("bench", 4) as bar:
        for done in range(3):
            one, seconds = answers(full, [ids[i] for i in few], 1)
            single.append(seconds)
            many, seconds = answers(full, ids, size)
            batched.append(seconds)
            bar(done + 1, "")
        half = load.load_full(folder, device, torch.bfloat16)
        one_half, many_half = answers(half, [ids[i] for i in few], 1)[0], answers(half, ids, size)[0]
        bar(4, "bf16")
    rounding = ties.compare(half, [ids[i] for i in few], [list(one_half[n].ids) for n in range(len(few))], [list(many_half[i].ids) for i in few])
    return {
        "device": device.name, "prompts": len(ids), "batch_size": size, "seconds_per_prompt_batched": min(batched),
        "seconds_per_prompt_single": min(single), "ratio": min(single) / min(batched), "ratio_of_worst": min(single) / max(batched),
        "same_outputs": all(one[n].text == many[i].text for n, i in enumerate(few)), "bf16": asdict(rounding),
    }


def merging(config: Mapping[str, Any] = QWEN_1_5B, rank: int = 16) -> dict[str, Any]:
    """Time the merge of a random adapter into a random model, and its peak memory, against PEFT's
    `merge_and_unload` and `save_pretrained`; each in a process of its own, one after another, on a CPU.

    Peaks are of the whole process, memory-mapped files included; `bound_bytes` is what ours promises:
    twice the largest tensor, the adapter, and half a gigabyte, which holds the libraries. The results
    are compared tensor by tensor: `share` of values that differ, by `largest`, and by so many `units` of
    bf16's last place.

    Raises:
        UserError: the disk is too small.
    """
    from alt_lite.model.merging.shards import find_weights

    with tempfile.TemporaryDirectory(prefix="alt_lite_bench_") as temporary:
        root = Path(temporary)
        shapes = _shapes(config)
        parameters = sum(math.prod(shape) for shape in shapes.values())
        needed, free = 2 * parameters * (1 + len(_SIDES)) + 1_000_000_000, free_disk(root)
        if free < needed:
            raise UserError(f"{root} needs {needed / 1e9:.0f} GB of disk; {free / 1e9:.0f} GB are free", "set TMPDIR to a larger disk")
        make_random(root / "base", config, root / "adapter", rank)
        sides: dict[str, dict[str, float]] = {}
        with progress("bench: merges", len(_SIDES)) as bar:
            for done, side in enumerate(_SIDES):
                bar(done, _SIDES[side])
                sides[side] = _alone(side, root)
            bar(len(_SIDES), "")
        found = {side: find_weights(root / side) for side in _SIDES}
        largest, adapter = 2 * max(math.prod(shape) for shape in shapes.values()), (root / "adapter" / "adapter_model.safetensors").stat().st_size
        return {
            "parameters": parameters, "largest_tensor_bytes": largest, "adapter_bytes": adapter,
            "bound_bytes": 2 * largest + adapter + 500_000_000, "sides": sides,
            "apart": {side: _apart(found["ours"], found[side]) for side in ("peft_fp32", "peft_bf16")},
        }


def merging_text(found: Mapping[str, Any]) -> str:
    """Tell what `merging` found, in lines."""
    lines = [
        f"a merge of {found['parameters'] / 1e9:.2f} billion parameters, largest tensor {found['largest_tensor_bytes'] / 1e9:.2f} GB; allowed are "
        f"2 × that + adapter {found['adapter_bytes'] / 1e9:.2f} GB + 0.5 GB = {found['bound_bytes'] / 1e9:.2f} GB"
    ]
    for side, title in _SIDES.items():
        took = found["sides"][side]
        lines.append(f"{title}: {took['seconds']:.0f} s ({took['cpu_seconds']:.0f} s of a processor), peak {took['peak_bytes'] / 1e9:.2f} GB, of which {took['libraries_bytes'] / 1e9:.2f} GB are the libraries")
    for side, apart in found["apart"].items():
        lines.append(f"ours against {_SIDES[side]}: {apart['share']:.3%} of values differ, by {apart['largest']:.2g} at most (weights around 0.02)")
    return "\n".join(lines)


def make_random(base: Path, config: Mapping[str, Any], adapter: Path, rank: int) -> None:
    """Write a random bf16 model, block by block, and a random adapter on all its linear layers."""
    import torch
    from safetensors.torch import save_file

    from alt_lite.model.merging.shards import Shape, row_blocks, write_weights

    shapes = _shapes(config)
    torch.manual_seed(0)

    def blocks(shape: Shape) -> Iterator[Any]:
        for where in row_blocks(shape):
            yield torch.randn((where.stop - where.start, *shape[1:])).mul_(0.02).bfloat16()

    base.mkdir(parents=True)
    adapter.mkdir(parents=True)
    write_weights(base, shapes, torch.bfloat16, lambda name: blocks(shapes[name]))
    write_json(base / "config.json", {**config, "dtype": "bfloat16"})
    matrices: dict[str, Any] = {}
    for name, shape in shapes.items():
        if name.endswith(tuple(f"{target}.weight" for target in _TARGETS)):
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            matrices[f"{layer}.lora_A.weight"], matrices[f"{layer}.lora_B.weight"] = torch.randn(rank, shape[1]) * 0.02, torch.randn(shape[0], rank) * 0.02
    save_file(matrices, adapter / "adapter_model.safetensors")
    write_json(adapter / "adapter_config.json", {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "target_modules": list(_TARGETS), "bias": "none",
        "base_model_name_or_path": str(base),
    })


def merge_alone(side: str, root: Path) -> None:
    """Merge `root`/base and `root`/adapter into `root`/SIDE in this process, and write its time and memory
    to `root`/SIDE.json."""
    import torch
    import transformers.models.qwen2.modeling_qwen2  # noqa: F401

    from alt_lite.decide import Device
    from alt_lite.model import backend, load
    from alt_lite.model.merging.fold import open_merging

    if side != "ours":
        import bitsandbytes  # noqa: F401
        import peft  # noqa: F401
    device = Device("cpu", "CPU", 0)
    out = root / side
    out.mkdir()
    libraries, began, worked = backend.peak_memory(), time.perf_counter(), time.process_time()
    if side.startswith("ours"):
        merging = open_merging(root / "base", root / "adapter", torch.bfloat16, device, dequantized=side == "ours_dequantized")
        merging.write(out)
        merging.write_config(out)
    else:
        model = load.load_full(root / "base", device, torch.float32 if side == "peft_fp32" else torch.bfloat16)
        load.with_adapter(model, root / "adapter").merge_and_unload().to(torch.bfloat16).save_pretrained(out)
    write_json(root / f"{side}.json", {
        "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked, "peak_bytes": backend.peak_memory(), "libraries_bytes": libraries,
    })


def _alone(side: str, root: Path) -> dict[str, float]:
    program = "import sys; from pathlib import Path; from alt_lite import bench; bench.merge_alone(sys.argv[1], Path(sys.argv[2]))"
    paths = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program, side, str(root)], check=True, env=environment)
    return read_json(root / f"{side}.json")


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _apart(ours: Any, other: Any) -> dict[str, float]:
    from alt_lite.model.merging.shards import row_blocks

    if set(ours.files) != set(other.files):
        raise ValueError(f"the merges hold other tensors: {sorted(set(ours.files) ^ set(other.files))[:3]}")
    differ = total = units = 0
    largest = 0.0
    for name in ours.files:
        a, b = ours.read(name), other.read(name)
        for where in row_blocks(tuple(a.shape)):
            distance = units_apart(a[where], b[where])
            differ, total, units = differ + int((distance > 0).sum()), total + distance.numel(), max(units, int(distance.max()))
            largest = max(largest, float((a[where].float() - b[where].float()).abs().max()))
    return {"share": differ / total, "largest": largest, "units": units}


def units_apart(a: Any, b: Any) -> Any:
    """Distance of 16-bit numbers in units of the last place, counted along the numbers there are."""
    import torch

    def place(x: Any) -> Any:
        bits = x.view(torch.int16).int()
        return torch.where(bits < 0, -(bits & 0x7FFF), bits)

    return (place(a) - place(b)).abs()
