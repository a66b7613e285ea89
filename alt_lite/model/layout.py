"""How an optimiser step's rows lie in memory: which rows together, padded or end to end.

A step is always the same rows in the same order, and its loss the mean over all its trained tokens, so
that a layout changes speed and memory, never what is learnt. Neither trl nor Unsloth lays out anything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from alt_lite.tokens.encode import IGNORED, Encoded

# The largest share of a `grouped` micro-batch that may be padding.
_PADDING = 0.1
# Rows end to end attend through a mask of tokens × tokens: 8,192 make 64 MB of it. A longer row stands alone.
_END_TO_END = 8192


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


def room(longest: int, micro: int, layout: str, pack: int | None = None) -> int:
    """Tokens that are in memory at once: those of `micro` of the longest rows, end to end no more than a mask allows."""
    tokens = micro * longest
    return tokens if layout in ("padded", "grouped") else min(tokens, _END_TO_END, (layout == "packed" and pack) or _END_TO_END)


def micro_batches(
    step: Sequence[int], lengths: Sequence[int], layout: str, micro: int, pack: int | None = None, turn: int | None = None,
) -> list[list[int]]:
    """Cut a step's rows into what is in memory at once.

    Args:
        step: row numbers.
        lengths: tokens of every row.
        layout: `padded` takes `micro` rows as they come; `grouped` rows of like length, of which less
            than a tenth is padding; `padding_free` rows end to end as they come; `packed` the same, put
            together so that few lines of at most `pack` tokens hold them all.
        micro: how many of the longest rows fit into memory; of shorter ones as many as take the same room.
        pack: the most tokens of a pack.
        turn: rows longer than this lie apart from the others (generate/turning.py).
    """
    if turn and len({lengths[i] > turn for i in step}) == 2:
        short, long = [i for i in step if lengths[i] <= turn], [i for i in step if lengths[i] > turn]
        return micro_batches(short, lengths, layout, micro, pack) + micro_batches(long, lengths, layout, micro, pack)
    if layout == "padded":
        return [list(step[i : i + micro]) for i in range(0, len(step), micro)]
    most = room(max(lengths), micro, layout, pack)
    if layout == "grouped":
        groups: list[list[int]] = []
        for row in sorted(step, key=lambda i: (-lengths[i], i)):
            if groups:
                longest, rows = lengths[groups[-1][0]], len(groups[-1]) + 1
                padding = longest * rows - sum(lengths[i] for i in groups[-1]) - lengths[row]
                if longest * rows <= most and padding < _PADDING * longest * rows:
                    groups[-1].append(row)
                    continue
            groups.append([row])
        return groups
    packed = layout == "packed"
    lines: list[list[int]] = []
    for row in sorted(step, key=lambda i: (-lengths[i], i)) if packed else step:
        open_ = lines if packed else lines[-1:]
        line = next((line for line in open_ if sum(lengths[i] for i in line) + lengths[row] <= most), None)
        if line is None:
            lines.append(line := [])
        line.append(row)
    return lines


def padding_share(steps: Sequence[Sequence[int]], lengths: Sequence[int], layout: str, micro: int, turn: int | None = None) -> float:
    """Share of computed token positions that are padding."""
    if layout in ("padding_free", "packed"):
        return 0.0
    real = computed = 0
    for step in steps:
        for rows in micro_batches(step, lengths, layout, micro, turn=turn):
            here = [lengths[i] for i in rows]
            real, computed = real + sum(here), computed + max(here) * len(here)
    return 1 - real / computed if computed else 0.0


def collate(rows: Sequence[Encoded], layout: str, pad_id: int) -> dict[str, Any]:
    """Make a micro-batch: (rows, longest) with padding on the right and a mask, or (1, tokens) with rows
    end to end, whose positions begin anew and which therefore do not see one another.

    The first token of a row is never trained, so that no row is asked to predict the next one.
    """
    import torch

    labels = [[IGNORED, *row.labels[1:]] for row in rows]
    if layout in ("padding_free", "packed"):
        return {
            "input_ids": torch.tensor([[token for row in rows for token in row.input_ids]]),
            "labels": torch.tensor([[label for row in labels for label in row]]),
            "position_ids": torch.tensor([[place for row in rows for place in range(len(row.input_ids))]]),
        }
    longest = max(len(row.input_ids) for row in rows)
    short = [longest - len(row.input_ids) for row in rows]
    return {
        "input_ids": torch.tensor([row.input_ids + [pad_id] * gap for row, gap in zip(rows, short, strict=True)]),
        "labels": torch.tensor([row + [IGNORED] * gap for row, gap in zip(labels, short, strict=True)]),
        "attention_mask": torch.tensor([[1] * (longest - gap) + [0] * gap for gap in short]),
    }


def trained_tokens(rows: Sequence[Encoded]) -> int:
    """Count what the loss is the mean of."""
    return sum(label != IGNORED for row in rows for label in row.labels[1:])


def warmup(asked: int, steps: int) -> int:
    """Give the warm-up's steps: as asked, or a tenth of all where training would end before its learning rate is reached."""
    return asked if asked < steps else steps // 10
