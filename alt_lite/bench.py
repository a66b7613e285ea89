"""Speed on this machine, as ratios measured side by side in one run: `python -m alt_lite bench`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import progress
from alt_lite.errors import UserError


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
    device = backend.device()
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
