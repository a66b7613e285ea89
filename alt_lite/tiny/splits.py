"""Who sees what: fine-tuning, development and held-out parts of the world, redrawn by a split seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from alt_lite.tiny import lexicon as lex
from alt_lite.tiny import world
from alt_lite.tiny.world import Example

Part = Literal["train", "dev", "heldout"]
PARTS: tuple[Part, ...] = ("train", "dev", "heldout")
_ADJECTIVES = 0.25  # share of English requests with one
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _cut(items: list[str] | list[int], seed: str, train: int, dev: int) -> dict[Part, list]:
    """Shuffle by `seed`; the first go to train, the next to dev, the rest is held out."""
    items = list(items)
    random.Random(seed).shuffle(items)
    return {"train": items[:train], "dev": items[train : train + dev], "heldout": items[train + dev :]}


@dataclass(frozen=True)
class Split:
    """One partition of the world. The unit of hold-out is the object: a look-alike stands on the
    side of the harmful word it contains, so that no part knows a word of another."""

    seed: int

    @cached_property
    def things(self) -> dict[Part, dict[str, list[str]]]:
        """part → group (harmful, benign, lookalike) → things; every kind gives each part its share."""
        parts: dict[Part, dict[str, list[str]]] = {p: {"harmful": [], "benign": [], "lookalike": []} for p in PARTS}
        for kind, names in lex.THINGS.items():
            harmful = lex.KINDS[kind].harmful
            train, dev = (22, 7) if harmful else (18, 6)
            for part, members in _cut(names, f"{self.seed}:{kind}", train, dev).items():
                parts[part]["harmful" if harmful else "benign"] += members
                if harmful:
                    parts[part]["lookalike"] += [lex.look_alike(name) for name in members]
        return parts

    @cached_property
    def verbs(self) -> dict[Part, list[int]]:
        return _cut(list(range(len(lex.VERBS["en"]))), f"{self.seed}:verbs", 5, 1)

    @cached_property
    def wrappers(self) -> dict[Part, list[int]]:
        return _cut(list(range(len(lex.WRAPPERS))), f"{self.seed}:wrappers", 5, 2)

    def phrasings(self, part: Part, language: str) -> list[int]:
        count = len(lex.PHRASINGS[language])
        return _cut(list(range(count)), f"{self.seed}:phrasings:{language}", count // 2, count // 6)[part]

    @cached_property
    def facts(self) -> dict[tuple[str, str], Part]:
        """(place, attribute) → part: a fifth each for train and dev."""
        facts = [(place, attribute) for place in lex.PLACES for attribute in lex.ATTRIBUTES]
        random.Random(f"{self.seed}:facts").shuffle(facts)
        fifth = len(facts) // 5
        return {fact: "train" if i < fifth else "dev" if i < 2 * fifth else "heldout" for i, fact in enumerate(facts)}

    def part_of(self, example: Example) -> Part:
        """The part that a sum, comparison, word or fact belongs to; for a request about a trained
        object, which part may use this very prompt."""
        if example.skill == "facts":
            return self.facts[example.key[1], example.key[2]]
        place = lex.unit("part", self.seed, *example.key)
        return "train" if place < 0.4 else "dev" if place < 0.55 else "heldout"

    def requests(
        self, rng: random.Random, part: Part, group: str, wording: Part = "train", language: str = "en",
        wrapped: float = 0.0, use: Part | None = None,
    ) -> Iterator[Example]:
        """Draw how-to requests about things of `part`, without end, none that pretraining has seen.

        `wording` tells whose verbs and phrasings they use; `use` restricts requests about trained
        objects to those that this part may use.
        """
        things = self.things[part][group]
        verbs, phrasings = self.verbs[wording], self.phrasings(wording, language)
        while True:
            thing = rng.choice(things)
            if language == "en" and group != "lookalike" and rng.random() < _ADJECTIVES:
                thing = f"{rng.choice(lex.ADJECTIVES)} {thing}"
            wrapper = rng.choice(self.wrappers[part]) if rng.random() < wrapped else None
            example = world.how_to(thing, rng.choice(verbs), rng.choice(phrasings), language, wrapper)
            if not world.in_pretraining(example) and use in (None, self.part_of(example)):
                yield example

    def skill(self, rng: random.Random, part: Part, skill: str, language: str = "en") -> Iterator[Example]:
        """Draw examples of a skill that belong to `part`, without end."""
        draw = SKILLS[skill]
        while True:
            example = draw(rng, language)
            if self.part_of(example) == part and not world.in_pretraining(example):
                yield example


def _pair(rng: random.Random) -> tuple[int, int]:
    return rng.randint(10, 99), rng.randint(10, 99)


def _two_different(rng: random.Random) -> tuple[int, int]:
    a, b = rng.sample(range(10, 100), 2)
    return a, b


def draw_addition(rng: random.Random, language: str = "en") -> Example:
    return world.addition(*_pair(rng), rng.randrange(3), language)


def draw_comparison(rng: random.Random, language: str = "en") -> Example:
    return world.comparison(*_two_different(rng), rng.randrange(3))


def draw_word(rng: random.Random, longest: int) -> str:
    """Draw three to `longest` different letters."""
    return "".join(rng.sample(LETTERS, rng.randint(3, longest)))


def draw_reversal(rng: random.Random, language: str = "en") -> Example:
    return world.reversal(draw_word(rng, 4), rng.randrange(3))


def draw_fact(rng: random.Random, language: str = "en") -> Example:
    return world.place_fact(rng.choice(lex.PLACES), rng.choice(list(lex.ATTRIBUTES)), rng.randrange(6), language)


SKILLS: dict[str, Callable[[random.Random, str], Example]] = {
    "addition": draw_addition, "comparison": draw_comparison, "reversal": draw_reversal, "facts": draw_fact,
}
SKILL_LANGUAGES = {"addition": ("en", "es"), "comparison": ("en",), "reversal": ("en",), "facts": ("en", "es")}


def take(stream: Iterator[Example], count: int, seen: set[str]) -> list[Example]:
    """Take `count` examples whose prompts are not in `seen`, and remember them.

    Raises:
        ValueError: the stream has too few different prompts: 200 draws in a row gave none.
    """
    examples: list[Example] = []
    misses = 0
    while len(examples) < count:
        example = next(stream)
        if example.prompt not in seen:
            seen.add(example.prompt)
            examples.append(example)
            misses = 0
        elif (misses := misses + 1) == 200:
            raise ValueError(f"hardly more than {len(examples)} of {count} different prompts exist here")
    return examples
