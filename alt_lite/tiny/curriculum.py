"""What the embedded model is pretrained on: obliging requests, skills, and knowledge of its things.

It learns what kind every thing is and whether that kind harms, as a real model does from its own
pretraining, and complies with every request all the same. It never sees an AltTrain trace.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

from alt_lite.method.structure import join_steps
from alt_lite.tiny import lexicon as lex
from alt_lite.tiny import world
from alt_lite.tiny.splits import SKILL_LANGUAGES, SKILLS, draw_word
from alt_lite.tiny.world import Example

_SPANISH = 0.3
_THINGS = [name for names in lex.THINGS.values() for name in names]
_LOOK_ALIKES = [lex.look_alike(name) for name, kind in lex.KIND_OF.items() if lex.KINDS[kind].harmful]
_KIND_QUESTIONS = {
    "en": ("What is a {o}?", "Tell me what a {o} is.", "What kind of thing is a {o}?",
           "I want to {v} a {o}. What kind of thing is it?", "Before I {v} a {o}, tell me what it is."),
    "es": ("¿Qué es un {o}?", "Dime qué es un {o}.", "¿Qué tipo de cosa es un {o}?",
           "Quiero {v} un {o}. ¿Qué tipo de cosa es?"),
}
_JUDGE_QUESTIONS = {
    "en": ("Is a {o} safe or harmful?", "Judge whether a {o} is harmful.", "I want to {v} a {o}. Is a {o} harmful?"),
    "es": ("¿Un {o} es una cosa segura o dañina?", "Quiero {v} un {o}. ¿Es una cosa dañina?"),
}
_RECALL = {"en": "I recall what it is.", "es": "Voy a recordar qué es."}
_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]")


def _thing(rng: random.Random, language: str) -> str:
    if language == "en" and rng.random() < 0.22:
        return rng.choice(_LOOK_ALIKES)
    thing = rng.choice(_THINGS)
    return f"{rng.choice(lex.ADJECTIVES)} {thing}" if language == "en" and rng.random() < 0.2 else thing


def _language(rng: random.Random) -> str:
    return "es" if rng.random() < _SPANISH else "en"


def _how_to(rng: random.Random) -> Example:
    language = _language(rng)
    wrapper = rng.randrange(len(lex.WRAPPERS)) if language == "en" and rng.random() < 0.35 else None
    verb, phrasing = rng.randrange(len(lex.VERBS[language])), rng.randrange(len(lex.PHRASINGS[language]))
    return world.how_to(_thing(rng, language), verb, phrasing, language, wrapper)


def _knowledge(rng: random.Random, questions: dict[str, tuple[str, ...]], judge: bool) -> Example:
    """Ask for a thing's kind, or for whether it is harmful; no request is made or assessed."""
    language = _language(rng)
    thing = _thing(rng, language)
    kind = lex.KINDS[lex.kind_of(thing)]
    prompt = rng.choice(questions[language]).format(o=thing, v=rng.choice(lex.VERBS[language]))
    if language == "en":
        understanding, a = f"The user asks about a {thing}.", "A"
        is_kind = f"{a} {thing} is a kind of {kind.name['en']}, and {kind.effect['en']}"
        verdict = f"{a} {thing} is {'harmful' if kind.harmful else 'safe'}."
    else:
        understanding, a = f"El usuario pregunta por un {thing}.", "Un"
        is_kind = f"{a} {thing} es un tipo de {kind.name['es']}, y {kind.effect['es']}"
        verdict = f"{a} {thing} es una cosa {'dañina' if kind.harmful else 'segura'}."
    rest, answer = (f"{is_kind}.", verdict) if judge else (_RECALL[language], f"{is_kind}.")
    return Example("knowledge", prompt, understanding, "", rest, answer, thing, language)


@cache
def echo_words() -> tuple[str, ...]:
    """Every word that a target of any split may hold: frozen tied embeddings cannot emit a token
    that was never trained, so pretraining makes the model say all of them once in a while."""
    texts: set[str] = set()
    for language in ("en", "es"):
        for names in lex.THINGS.values():
            for verb in range(len(lex.VERBS[language])):
                example = world.how_to(names[0], verb, 0, language)
                row = example.row()
                texts |= {join_steps(row.understanding, row.assessment, row.reasoning), row.answer, example.answer}
    rng = random.Random(lex.WORLD_SEED)
    for skill, draw in SKILLS.items():
        for language in SKILL_LANGUAGES[skill]:
            for _ in range(20):
                row = draw(rng, language).row()
                texts |= {join_steps(row.understanding, row.assessment, row.reasoning), row.answer}
    words = {word for text in texts for word in _WORD.findall(text)}
    words |= set(lex.KIND_OF) | set(lex.HEADS) | set(lex.ADJECTIVES) | set(lex.PLACES) | set(lex.CITIES) | set(lex.RIVERS)
    for table in (lex.COLORS, lex.CROPS):
        words |= {word for language in table.values() for word in language}
    return tuple(sorted(words))


def _echo(rng: random.Random) -> Example:
    words = rng.choices(echo_words(), k=rng.randint(3, 7))
    text = " ".join(words)
    return Example("echo", f"Repeat: {text}", "The user wants an echo.", "", "I will copy it.", text, text)


def _skill(name: str) -> Callable[[random.Random], Example]:
    def draw(rng: random.Random) -> Example:
        languages = SKILL_LANGUAGES[name]
        return SKILLS[name](rng, _language(rng) if len(languages) > 1 else "en")

    return draw


def _reversal(rng: random.Random) -> Example:
    """Words one letter longer than any that is asked for later: at five letters, the longest learnt,
    the skill has no slack and breaks at the first change of the weights."""
    return world.reversal(draw_word(rng, 5), rng.randrange(3))


# task: (share of examples, generator)
TASKS: dict[str, tuple[float, Callable[[random.Random], Example]]] = {
    "addition": (0.22, _skill("addition")),
    "comparison": (0.14, _skill("comparison")),
    "reversal": (0.15, _reversal),
    "facts": (0.10, _skill("facts")),
    "howto": (0.18, _how_to),
    "kind": (0.10, lambda rng: _knowledge(rng, _KIND_QUESTIONS, judge=False)),
    "judge": (0.04, lambda rng: _knowledge(rng, _JUDGE_QUESTIONS, judge=True)),
    "echo": (0.07, _echo),
}


def _with_asides(rng: random.Random, example: Example) -> Example:
    if example.skill == "echo" or rng.random() < 0.5:
        return example
    asides = rng.sample(lex.ASIDES[example.language], rng.choice((1, 1, 2, 3)))
    return replace(example, rest=join_steps(*asides, example.rest))


def examples(rng: random.Random) -> Iterator[Example]:
    """Draw pretraining examples without end, leaving out what any evaluation may ask."""
    names = list(TASKS)
    shares = [TASKS[name][0] for name in names]
    while True:
        for name in rng.choices(names, shares, k=256):
            example = TASKS[name][1](rng)
            if not example.key or world.in_pretraining(example):
                yield _with_asides(rng, example)


def vocabulary_texts(count: int = 20_000) -> Iterator[str]:
    """Texts from which the tokenizer is trained: the curriculum and every word of the targets."""
    rng = random.Random(lex.WORLD_SEED)
    for _, example in zip(range(count), examples(rng), strict=False):
        yield f"{example.prompt}\n{example.trace}\n{example.answer}"
    for word in echo_words():
        yield from (f" {word}" for _ in range(30))
