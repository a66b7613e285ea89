"""Prompts and rows to ids and labels, with the invariants that make the mask right.

Prompt and completion are encoded apart and joined; the loss covers exactly the ids that the model
must produce at inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alt_lite.data.rows import TrainingRow, summarise
from alt_lite.errors import UserError
from alt_lite.families import Control, Family, Segment, joined, plain_joined
from alt_lite.method.targets import TARGETS, Answer, Mark, render
from alt_lite.tokens.tokenizer import Tokens

IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """One row as the trainer gets it: `labels` are IGNORED where nothing is trained."""

    id: str
    input_ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def row_messages(row: TrainingRow) -> list[dict[str, str]]:
    system = [{"role": "system", "content": row.system}] if row.system else []
    history = [{"role": turn.role, "content": turn.content} for turn in row.history]
    return [*system, *history, {"role": "user", "content": row.prompt}]


def encode_prompt(tokens: Tokens, messages: Sequence[dict[str, str]], prefill: str = "", raw: bool = False) -> list[int]:
    """Give the ids of a generation prompt.

    Args:
        tokens: the family's tokenizer.
        messages: the conversation, a user's message last.
        prefill: the beginning of the response; its first `</think>`, and only that, closes the trace.
        raw: the last message's text alone, without the template.
    """
    if raw:
        bos: list[Segment] = [Control(tokens.family.bos)] if tokens.family.bos else []
        return tokens.encode([*bos, messages[-1]["content"]])
    ids = tokens.encode(tokens.family.prompt(messages))
    # Encoded apart from the prompt, as a model's own tokens follow it.
    return ids + tokens.encode(plain_joined(tokens.family.prefilled(prefill))) if prefill else ids


def encode_row(tokens: Tokens, row: TrainingRow, kind: str, answer: Answer | None = None) -> Encoded:
    """Encode one row for the target `kind` and assert the target's invariants.

    Raises:
        ValueError: a field that the target needs is empty, a control token stands in a field, or an
            invariant is broken; the message says which.
    """
    pieces = render(row, kind, answer)
    for text, _ in pieces:
        _refuse_control_tokens(tokens, text)
    family = tokens.family
    prompt = encode_prompt(tokens, row_messages(row))
    spelled = spelling(family)
    body = [(segment, trained) for text, trained in pieces for segment in (spelled[text] if isinstance(text, Mark) else [text])]
    ids, labels = list(prompt), [IGNORED] * len(prompt)
    for segment, trained in joined(body):
        new = tokens.encode([segment])
        ids += new
        labels += new if trained else [IGNORED] * len(new)
    encoded = Encoded(row.id, ids, labels)
    _assert_invariants(tokens, encoded, prompt, row, kind)
    return encoded


def encode_rows(
    tokens: Tokens, rows: Sequence[TrainingRow], kind: str, max_length: int | None, answer: Answer | None = None
) -> list[Encoded]:
    """Encode all rows; every bad one is named at once, none is dropped or cut.

    Raises:
        UserError: a row breaks an invariant or is longer than `max_length` tokens.
    """
    encoded: list[Encoded] = []
    bad: list[str] = []
    for row in rows:
        try:
            encoded.append(encode_row(tokens, row, kind, answer))
        except ValueError as error:
            bad.append(f"row {row.id}: {error}")
    if bad:
        fix = "mend or remove these rows of the data; nothing has been trained"
        if TARGETS[kind].needs[:1] == ("generated.short",):
            fix = "python -m alt_lite data generate NAME --method short writes what is missing; then data.source=FILE"
        raise UserError(summarise(bad), fix)
    long = [e for e in encoded if max_length and len(e.input_ids) > max_length]
    if long:
        longest = max(len(e.input_ids) for e in long)
        raise UserError(
            f"{len(long)} row(s) are longer than model.max_length={max_length} tokens: "
            + summarise([f"row {e.id} ({len(e.input_ids)})" for e in long]),
            f"set model.max_length={longest} or remove these rows; rows are never cut",
        )
    return encoded


def _refuse_control_tokens(tokens: Tokens, text: str | Mark) -> None:
    if isinstance(text, Mark):
        return
    found = sorted(control for control in tokens.controls if control in text)
    if found:
        raise ValueError(f"control token {', '.join(found)} stands in the target's text")


def spelling(family: Family) -> dict[Mark, list[Segment]]:
    """Give what a family writes for each mark."""
    return {
        Mark.THINK: family.completion_prefix(), Mark.THINK_END: family.spell(family.think_end), Mark.ANSWER: family.spell(family.after_trace),
        Mark.ALONE: family.spell(family.alone), Mark.END: [Control(family.end)],
    }


def _assert_invariants(tokens: Tokens, encoded: Encoded, prompt: list[int], row: TrainingRow, kind: str) -> None:
    target, family, ids = TARGETS[kind], tokens.family, encoded.input_ids
    trained = [label for label in encoded.labels if label != IGNORED]
    completion, end = ids[len(prompt) :], tokens.end_id
    closes = row.label in target.closes
    # A row that closes no trace opens one only where the prompt does, or where a primer stands in it.
    opens = closes or family.opens_trace or not target.ends
    if not trained:
        raise ValueError("no token is trained")
    if family.bos and (ids[0] != tokens.ids[family.bos] or ids.count(tokens.ids[family.bos]) != 1):
        raise ValueError("the begin-of-text token must stand exactly once, at the start")
    if ids[: len(prompt)] != prompt or any(label != IGNORED for label in encoded.labels[: len(prompt)]):
        raise ValueError("the prompt is not the inference prompt, or it is trained")
    if trained.count(end) != int(target.ends) or (target.ends and trained[-1] != end):
        raise ValueError("the end-of-text token must be the last trained token, once")
    # In a prompt tags may be text that a user has typed, or earlier traces that the family keeps.
    before = prompt if family.earlier.startswith("dropped") and not family.plain_tags else []
    opened = _count(tokens, before + completion, family.open_tag) + int(family.opens_trace and not before)
    if _count(tokens, completion, family.close_tag) != int(closes) or opened != int(opens):
        raise ValueError("the trace must be opened once and closed once, as the target has it")


def _count(tokens: Tokens, ids: list[int], tag: str) -> int:
    """Count a tag: by its ids where it holds a control token, else in the text."""
    segments = tokens.family.spell(tag)
    if not any(isinstance(segment, Control) for segment in segments):
        return tokens.decode(ids).count(tag)
    wanted = tokens.encode(segments)
    return sum(ids[at : at + len(wanted)] == wanted for at in range(len(ids)))
