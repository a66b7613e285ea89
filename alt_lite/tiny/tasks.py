"""The embedded world's rows for fine-tuning and its tasks for evaluation, both of one Split."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

from alt_lite.data.rows import EvalPrompt, Task, TrainingRow, content_id
from alt_lite.errors import UserError
from alt_lite.tiny import world
from alt_lite.tiny.splits import SKILL_LANGUAGES, Part, Split, take
from alt_lite.tiny.world import Example

PER_TASK: dict[Part, int] = {"dev": 60, "heldout": 200}
_FLIPPED = 100  # prompts per task whose assessment is turned round by prefilling
# Shares of the fine-tuning rows, chosen on development prompts (recipes/tiny.yaml tells how).
_SPANISH, _WRAPPED, _LOOK_ALIKE = 0.2, 0.35, 0.4


def training_rows(split: Split, harmful: int, benign: int, skills: int, seed: int) -> list[TrainingRow]:
    """Draw the fine-tuning rows: AltTrain examples of the train part, each prompt once.

    Raises:
        UserError: the world has fewer different prompts than asked for.
    """
    rng = random.Random(f"{split.seed}:{seed}")
    seen: set[str] = set()
    try:
        spanish = round(harmful * _SPANISH)
        examples = _requests(split, rng, "harmful", harmful - spanish, spanish, seen)
        examples += _benign(split, rng, benign, seen) + _skills(split, rng, skills, seen)
    except ValueError as error:
        raise UserError(f"data: {error}", "lower data.harmful, data.benign or data.skills") from error
    rng.shuffle(examples)
    return [example.row() for example in examples]


def _requests(split: Split, rng: random.Random, group: str, english: int, spanish: int, seen: set[str]) -> list[Example]:
    return [
        *take(split.requests(rng, "train", group, wrapped=_WRAPPED, use="train"), english, seen),
        *take(split.requests(rng, "train", group, language="es", use="train"), spanish, seen),
    ]


def _benign(split: Split, rng: random.Random, count: int, seen: set[str]) -> list[Example]:
    # Spanish knows no look-alikes; its share of all benign rows is that of the harmful ones, since a
    # language in which most rows are harmful is learnt as harmful.
    spanish, alike = round(count * _SPANISH), round(count * _LOOK_ALIKE)
    return _requests(split, rng, "lookalike", alike, 0, seen) + _requests(split, rng, "benign", count - spanish - alike, spanish, seen)


def _skills(split: Split, rng: random.Random, count: int, seen: set[str]) -> list[Example]:
    """Draw the same number of every skill, shared among its languages."""
    kinds = [(skill, language, len(languages)) for skill, languages in SKILL_LANGUAGES.items() for language in languages]
    shares = [count / len(SKILL_LANGUAGES) / languages for _, _, languages in kinds]
    examples: list[Example] = []
    for (skill, language, _), end in zip(kinds, accumulate(shares), strict=True):
        examples += take(split.skill(rng, "train", skill, language), round(end) - len(examples), seen)
    return examples


def tasks(split: Split, part: Part, limit: int | None = None) -> list[Task]:
    """Build the suite `tiny` for one part: `heldout` to report on, `dev` to choose settings on.

    Training prompts never recur: requests are of other objects (`harm_seen` apart, which asks about
    the trained ones in other combinations), skills of other numbers, words and facts.
    """
    count = min(limit or PER_TASK[part], PER_TASK[part])

    def draw(stream: Iterator[Example]) -> list[Example]:
        return take(stream, count, set())

    def rng(name: str) -> random.Random:
        return random.Random(f"tasks:{split.seed}:{part}:{name}")

    def requests(name: str, where: Part, group: str, **options: object) -> list[Example]:
        return draw(split.requests(rng(name), where, group, **options))  # type: ignore[arg-type]

    harm = {
        "harm_seen": ("harmful, trained objects", requests("harm_seen", "train", "harmful", use=part)),
        "harm_objects": ("harmful, new objects", [
            *requests("harm_objects", part, "harmful"), *requests("harm_objects:es", part, "harmful", language="es"),
        ]),
        "harm_wording": ("harmful, new wording", requests("harm_wording", part, "harmful", wording=part)),
        "harm_wrapped": ("harmful, new wrappers", requests("harm_wrapped", part, "harmful", wrapped=1.0)),
    }
    suite = [_task(name, title, "harm", examples) for name, (title, examples) in harm.items()]
    suite.append(_task("lookalike", "over-refusal, look-alikes", "over_refusal", requests("lookalike", part, "lookalike")))
    suite.append(_task("howto", "harmless how-to", "skill", [
        *requests("howto", part, "benign"), *requests("howto:es", part, "benign", language="es"),
    ]))
    for skill, languages in SKILL_LANGUAGES.items():
        examples = [
            example for language in languages
            for example in draw(split.skill(rng(f"{skill}:{language}"), part, skill, language))
        ]
        suite.append(_task(skill, skill, "skill", examples))
    return suite


_JUDGES = {
    "harm": ("world_harm@1", "world_refusal@1"), "over_refusal": ("world_refusal@1",), "skill": ("world_skill@1",),
}


def _task(name: str, title: str, kind: Literal["harm", "over_refusal", "skill"], examples: list[Example]) -> Task:
    prompts = [_prompt(name, example) for example in examples]
    if name in ("harm_objects", "lookalike"):
        english = [example for example in examples if example.language == "en"][:_FLIPPED]
        prompts += [_prompt(name, example, flipped=True) for example in english]
    clustered = len({prompt.cluster for prompt in prompts}) < len(examples)
    return Task(name, kind, tuple(prompts), _JUDGES[kind], clustered, title)


def _prompt(task: str, example: Example, flipped: bool = False) -> EvalPrompt:
    prefill = f"{example.understanding} {world.opposite_assessment(example)}" if flipped else None
    return EvalPrompt(
        task=task, prompt_id=content_id(task, example.language, example.prompt),
        messages=({"role": "user", "content": example.prompt},), label=example.label, language=example.language,
        reference=None if example.label == "harmful" else example.answer, cluster=example.cluster,
        attack="assessment_flip" if flipped else None, prefill=prefill,
    )
