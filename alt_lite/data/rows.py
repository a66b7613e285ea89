"""The schemas that stages exchange: training rows, evaluation prompts, tasks; with their JSONL reader."""

from __future__ import annotations

import hashlib
import json
import lzma
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_serializer, model_validator

from alt_lite.config.peek import encoding, opened
from alt_lite.console import say
from alt_lite.data import languages
from alt_lite.data.texts import BECAME, HALVES, clean_all, may_hold_halves
from alt_lite.errors import UserError

Label = Literal["harmful", "benign"]


def content_id(*parts: object) -> str:
    """Give a 16-digit id that depends on nothing but `parts` (JSON-serialisable)."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Turn(BaseModel):
    """One earlier message of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["user", "assistant"]
    content: str


class TrainingRow(BaseModel):
    """One example, independent of the safety target: its steps and its source's trace and answer.

    `understanding`, `assessment`, `reasoning` are AltTrain's three steps (arXiv 2604.18946) without
    any tag around them; `answer` stands after the trace. `source_trace` and `source_answer` are what
    the untuned source model wrote. `history` holds earlier turns, of which nothing is trained;
    `generated` holds texts that a target needs from a generator. Both are left out of the file where
    they are empty. null is a key's absence.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    system: str | None = None
    prompt: str
    label: Label
    category: str | None = None
    language: str = "en"
    source: str = ""
    understanding: str = ""
    assessment: str = ""
    reasoning: str = ""
    answer: str
    source_trace: str = ""
    source_answer: str = ""
    history: list[Turn] = []
    generated: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = {key: item for key, item in value.items() if item is not None}
        if isinstance(value.get("generated"), dict):
            value["generated"] = {key: item for key, item in value["generated"].items() if item is not None}
        return value

    @field_validator("language")
    @classmethod
    def _code(cls, language: str) -> str:
        return languages.code(language) or language

    @field_validator("id", "prompt", "answer")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be empty")
        return text

    @model_serializer(mode="wrap")
    def _without_empty_extras(self, handler: Any) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value or key not in ("history", "generated")}


@dataclass(frozen=True)
class EvalPrompt:
    """One prompt of a task. `cluster` groups prompts that are not independent (same object); `prefill` is
    put into the model's mouth; with `raw` the text is sent without the template; `goal` is the plain
    request behind an attack, which judges are shown."""

    task: str
    prompt_id: str
    messages: tuple[dict[str, str], ...]
    label: Label
    language: str
    reference: str | None
    cluster: str
    attack: str | None = None
    prefill: str | None = None
    raw: bool = False
    goal: str | None = None


@dataclass(frozen=True)
class Task:
    """A named set of prompts and how it is scored.

    `kind` decides the metrics (DESIGN section 5); `judges` are the names of the judges that apply,
    the first of each family being the primary one; `max_new_tokens` is what its responses need.
    """

    name: str
    kind: Literal["harm", "over_refusal", "skill"]
    prompts: tuple[EvalPrompt, ...]
    judges: tuple[str, ...]
    clustered: bool = False
    title: str = ""
    max_new_tokens: int = 1024


def read_jsonl(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read (line number, object) pairs; blank lines are skipped, halves of a character replaced, which is said.

    Raises:
        UserError: the file is missing, empty, or has a line that is not a JSON object.
    """
    rows, bad = _lines(path)
    if bad:
        raise UserError(f"{path}: {summarise(bad)}", "write one JSON object per line")
    return rows


def _lines(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """Read the lines that hold an object, and say what is wrong with the others."""
    if not path.is_file():
        raise UserError(f"no such file: {path}", "give the path of a JSONL file")
    rows: list[tuple[int, dict[str, Any]]] = []
    bad: list[str] = []
    halved: list[int] = []
    try:
        with opened(path) as file:
            raw = file.read()
        text = raw.decode("utf-8-sig" if (kind := encoding(raw[:4])) == "utf-8" else kind)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}, line {raw.count(10, 0, error.start) + 1})", "save it as UTF-8") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}", "get the file anew, and see that it may be read") from error
    suspicious = may_hold_halves(raw) or "\\ud" in text
    # Not splitlines(): it also cuts at characters that may stand raw inside JSON strings.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=lambda _: None)  # NaN, which pandas writes for what is not there
        except (json.JSONDecodeError, RecursionError) as error:
            bad.append(f"line {number}: not JSON ({getattr(error, 'msg', 'nested too deeply')})")
            continue
        if suspicious:
            value, found = clean_all(value, halves_only=True)
            halved += [number] if found else []
        if isinstance(value, dict):
            rows.append((number, value))
        else:
            bad.append(f"line {number}: a JSON {type(value).__name__}, not an object")
    if not rows and not bad:
        raise UserError(f"{path} holds no rows", "give a JSONL file with at least one row")
    tell(path, {HALVES: halved})
    return rows, bad


def tell(path: Path, changed: dict[str, list[int]]) -> None:
    """Say which lines' texts were mended."""
    for kind, numbers in changed.items():
        if numbers:
            places = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
            say(f"data: {path}: {kind} became {BECAME[kind]} in line {places}")


def read_training_rows(path: Path) -> list[TrainingRow]:
    """Read and validate TrainingRows; every bad row is named at once. Carriage returns become line breaks, which is said.

    Raises:
        UserError: a row breaks the schema, or two rows share an id.
    """
    rows: list[TrainingRow] = []
    lines, bad = _lines(path)
    seen: dict[str, int] = {}
    labels: dict[str, tuple[int, Label]] = {}
    changed: dict[str, list[int]] = {}
    for number, value in lines:
        value, found = clean_all(value)
        for kind in sorted(found):
            changed.setdefault(kind, []).append(number)
        try:
            row = TrainingRow.model_validate(value)
        except ValidationError as error:
            bad += [f"line {number}: {_explain(item)}" for item in error.errors()]
            continue
        if row.id in seen:
            bad.append(f"line {number}: id {row.id!r} stands already in line {seen[row.id]}")
        seen[row.id] = number
        asked = json.dumps([row.prompt, [turn.content for turn in row.history]])
        line, label = labels.setdefault(asked, (number, row.label))
        if label != row.label:
            bad.append(f"line {number}: {row.label}, but the same prompt is {label} in line {line}")
        rows.append(row)
    if bad:
        raise UserError(
            f"{path}: {summarise(bad)}",
            f"each row needs {', '.join(_required())}; allowed besides: {', '.join(_optional())}",
        )
    tell(path, changed)
    return rows


def _explain(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"no {where!r}"
    return f"{where!r}: {error['msg'].removeprefix('Value error, ')}"


def _required() -> list[str]:
    return [name for name, field in TrainingRow.model_fields.items() if field.is_required()]


def _optional() -> list[str]:
    return [name for name, field in TrainingRow.model_fields.items() if not field.is_required()]


def summarise(problems: Sequence[str], most: int = 5) -> str:
    """Join problems into one line, naming at most `most` of them and counting the rest."""
    shown = "; ".join(problems[:most])
    return shown if len(problems) <= most else f"{shown}; and {len(problems) - most} more"


def dump_rows(rows: Iterable[TrainingRow]) -> str:
    """Render rows as JSONL."""
    return "".join(row.model_dump_json() + "\n" for row in rows)
