"""Decode a batch with transformers' `generate`: keys and values grow in buffers, and rows that are finished leave the batch.

Without either, every token copies all keys and values there are, and a batch costs what its longest response costs times its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import copy
from typing import Any

from alt_lite.errors import UserError

# Rows leave when this share of the batch is finished, and so many rows: what stays is copied then, which costs about one token's
# attention, and a few rows less are no quicker.
_LEAVING, _FEWEST = 0.25, 4
# Tokens by which a buffer grows: each growth copies it once.
_ROOM = 128


def decode(
    model: Any, prompts: Sequence[list[int]], config: Any, pad_id: int, ends: Collection[int], sampler: Callable[[list[int]], Any] | None = None,
) -> list[list[int]]:
    """Generate for prompts together; gives each one's new ids, which hold nothing of use past one of `ends`.

    Padding is on the left, written here: with right padding, or a mask left out, a batch would give other answers than its prompts one by one.

    Args:
        config: transformers' generation settings, greedy.
        sampler: makes, for rows of this batch (their numbers), the processors that turn logits into draws.

    Raises:
        UserError: the model computes no numbers, as fp16 does for some where it overflows.
    """
    import torch
    from transformers import LogitsProcessorList, StoppingCriteriaList

    sound = torch.ones((), dtype=torch.bool, device=model.device)

    def watch(input_ids: Any, scores: Any) -> Any:
        sound.logical_and_(scores.isfinite().all())
        return scores

    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts]).to(model.device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]).to(model.device)
    made: list[list[int]] = [[] for _ in prompts]
    going, cache = list(range(len(prompts))), _buffered(model, longest + config.max_new_tokens)
    while going:
        part = copy(config)
        part.max_new_tokens = config.max_new_tokens - (ids.shape[1] - longest)
        leaving = _enough_finished(ends, len(going))
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids, attention_mask=mask, generation_config=part, logits_processor=LogitsProcessorList([watch, *(sampler(going) if sampler else [])]),
                **({"past_key_values": cache, "stopping_criteria": StoppingCriteriaList([leaving])} if cache is not None else {}),
            )
        if not sound:  # greedily such logits would be a token repeated, and a harmless answer
            dtype = str(model.dtype).removeprefix("torch.")
            raise UserError(f"the model's logits are no finite numbers in {dtype}", "a GPU with bf16 (Ampere or newer); or look whether the weights are whole")
        for row, new in zip(going, output[:, longest:].tolist(), strict=True):
            made[row] = new
        if cache is None or output.shape[1] - longest >= config.max_new_tokens:
            break
        stays = [place for place, row in enumerate(going) if not any(id_ in ends for id_ in made[row])]
        if not stays:
            break
        kept = torch.tensor(stays, device=model.device)
        cache.reorder_cache(kept)
        grown = mask.new_ones(len(stays), output.shape[1] - ids.shape[1])
        ids, mask, going = output[kept], torch.cat([mask[kept], grown], dim=1), [going[place] for place in stays]
    return made


def _enough_finished(ends: Collection[int], rows: int) -> Any:
    """Stop a batch once so many of its rows have ended that the others are quicker without them."""
    import torch
    from transformers import EosTokenCriteria, StoppingCriteria

    at_end = EosTokenCriteria(sorted(ends))

    class Leaving(StoppingCriteria):
        finished: Any = None

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            ended = at_end(input_ids, scores)
            self.finished = ended if self.finished is None else self.finished | ended
            return torch.full_like(ended, bool(self.finished.sum() >= min(rows, max(_FEWEST, rows * _LEAVING))))

    return Leaving()


def _buffered(model: Any, most: int) -> Any:
    """A cache of up to `most` tokens whose layers append in place; None where the model keeps anything but keys and values, which its own code knows best."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if not kinds <= {"full_attention", "sliding_attention"} or getattr(model, "_is_stateful", False) or not model._supports_default_dynamic_cache():
        return None

    class Buffered(DynamicLayer):  # type: ignore[misc]
        """Keys and values are the first tokens of tensors with room for more. What transformers changes otherwise are tensors of their
        own, or shorter views: the next token is written behind what is there, and all copied to new room where it has none."""

        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self._rooms: dict[str, Any] = {}

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
                self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.keys, self.values = self._append("keys", key_states), self._append("values", value_states)
            return self.keys, self.values

        def _append(self, name: str, new: Any) -> Any:
            old, room = getattr(self, name), self._rooms.get(name)
            length = old.shape[-2] if old.numel() else 0
            end = length + new.shape[-2]
            if room is None or old.data_ptr() != room.data_ptr() or len(old) != len(room) or end > room.shape[-2]:
                room = new.new_empty(*new.shape[:-2], max(end, min(end + _ROOM, most)), new.shape[-1])
                if length:
                    room[..., :length, :] = old
                self._rooms[name] = room
            room[..., length:end, :] = new
            return room[..., :end, :]

        def reorder_cache(self, beam_idx: Any) -> None:
            for name, room in self._rooms.items():  # one after the other, so that no second cache is needed
                self._rooms[name] = room[beam_idx]
                setattr(self, name, self._rooms[name][..., : getattr(self, name).shape[-2], :])

    cache = DynamicCache(config=text)
    cache.layers = [Buffered() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
