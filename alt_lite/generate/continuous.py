"""transformers' continuous batching: a prompt that is finished makes room for the next at once, so that one long
trace does not hold up its batch. Greedy only: it knows no noise of each prompt's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from alt_lite.generate import ties
from alt_lite.generate.fit import cache_bytes, free_bytes

# What is asked both ways before it is trusted: prompts, and tokens of each.
_CHECKED, _CHECKED_TOKENS = 4, 32
_WAIT_SECONDS = 1.0
# Tokens of cache to a page; tokens computed in one pass, of prompts and of responses.
_PAGE, _BATCH_TOKENS = 256, 2048


def run(model: Any, prompts: Sequence[list[int]], config: Any) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of the prompt, ids made) as prompts finish.

    Raises:
        RuntimeError: the library's own thread ended, or gave a prompt up.
    """
    # It writes tracebacks of what is caught here.
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)
    with model.continuous_batching_context_manager(
        generation_config=config, continuous_batching_config=_pages(model, prompts, config.max_new_tokens), timeout=5, warmup=False,
    ) as manager:
        numbers = {
            manager.add_request(list(ids), request_id=f"prompt-{number}", max_new_tokens=config.max_new_tokens): number
            for number, ids in enumerate(prompts)
        }
        try:
            while numbers:
                result = manager.get_result(timeout=_WAIT_SECONDS)
                if result is None:
                    if not manager.is_running():
                        raise RuntimeError("continuous batching ended by itself")
                    continue
                if not result.is_finished():
                    continue
                if result.error:
                    raise RuntimeError(f"continuous batching gave a prompt up: {result.error}")
                yield numbers.pop(result.request_id), list(result.generated_tokens)
        except BaseException:  # a caller that leaves; else the library's thread goes on with all prompts for a while
            manager.stop(hard_stop=True)
            raise


def _pages(model: Any, prompts: Sequence[list[int]], new: int) -> Any:
    """Reserve the pages of cache that all prompts need, within half of the free memory: left to itself the
    library takes most of what is free, which on a CPU is the machine's memory."""
    from transformers import ContinuousBatchingConfig

    needed = sum(-(-(len(ids) + new) // _PAGE) for ids in prompts) + 1
    page = cache_bytes(model.config, model.dtype.itemsize) * _PAGE
    return ContinuousBatchingConfig(block_size=_PAGE, num_blocks=min(needed, max(2, free_bytes(model.device) // 2 // page)), max_batch_tokens=_BATCH_TOKENS)


def distrust(model: Any, prompts: Sequence[list[int]], config: Any, usual: Callable[[list[int], Any], list[int]]) -> str | None:
    """Say why continuous batching must not be used for this model here; None where the beginnings of the first
    answers are the same as the `usual` way makes them one by one, rounding apart."""
    from copy import copy

    few = list(prompts[:_CHECKED])
    short = copy(config)
    short.max_new_tokens = min(_CHECKED_TOKENS, config.max_new_tokens)
    try:
        made = dict(run(model, few, short))
    except Exception as error:  # whatever its attention, its graphs or the memory do not allow here: the usual way works
        return f"{type(error).__name__} {str(error).partition(chr(10))[0]}"
    found = ties.compare(model, few, [made[number] for number in range(len(few))], [usual(ids, short) for ids in few])
    return f"{found.differing - found.explained} of {found.n} answers begin otherwise" if found.explained < found.differing else None
