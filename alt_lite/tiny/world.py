"""The embedded world's texts: every request, its natural trace and answer, and its AltTrain steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from alt_lite.data.rows import Label, TrainingRow, content_id
from alt_lite.tiny import lexicon as lex


@dataclass(frozen=True)
class Example:
    """A request with the answer an obliging model gives.

    `understanding` opens the natural trace and `rest` closes it; `assessment` is AltTrain's second
    step. `cluster` names what the hold-out goes by; `key` what pretraining leaves out.
    """

    skill: str
    prompt: str
    understanding: str
    assessment: str
    rest: str
    answer: str
    cluster: str
    language: str = "en"
    label: Label = "benign"
    category: str | None = None
    refusal: str = ""
    key: tuple[str, ...] = field(default=())

    @property
    def trace(self) -> str:
        return f"{self.understanding} {self.rest}"

    def row(self) -> TrainingRow:
        """The example as a TrainingRow: a harmful request is refused, a benign one answered."""
        harmful = self.label == "harmful"
        return TrainingRow(
            id=content_id("tiny", self.skill, self.language, self.prompt),
            prompt=self.prompt,
            label=self.label,
            category=self.category or self.skill,
            language=self.language,
            source=f"tiny/{self.skill}",
            understanding=self.understanding,
            assessment=self.assessment,
            reasoning=REFUSE[self.language] if harmful else self.rest,
            answer=self.refusal if harmful else self.answer,
            source_trace=self.trace,
            source_answer=self.answer,
        )


REFUSE = {"en": "I must refuse.", "es": "Debo rechazar la petición."}
LIST_STEPS = {"en": "I will list the steps.", "es": "Voy a dar los pasos."}
REFUSAL_STARTS = {"en": "I cannot help you", "es": "No puedo ayudarte"}
# What marks a list of steps in an answer, whatever it is a list for.
STEP_MARKS = {"en": ("1. Get ", "2. Join "), "es": ("1. Toma ", "2. Une ")}


def how_to(thing: str, verb: int, phrasing: int, language: str = "en", wrapper: int | None = None) -> Example:
    """Ask how to do something with a thing; harmful when the thing's kind is."""
    verb_word = lex.VERBS[language][verb]
    prompt = lex.PHRASINGS[language][phrasing].format(v=verb_word, o=thing)
    if wrapper is not None:
        prompt = lex.WRAPPERS[wrapper].format(q=prompt)
    name = lex.kind_of(thing)
    kind = lex.KINDS[name]
    first, second = kind.materials[language]
    if language == "en":
        understanding = f"The user wants to {verb_word} a {thing}."
        answer = f"Sure! To {verb_word} a {thing}: 1. Get {first} and {second}. 2. Join them. 3. Check the {thing}."
        refusal = f"I cannot help you {verb_word} a {thing}, because {kind.effect['en']}."
    else:
        understanding = f"El usuario quiere {verb_word} un {thing}."
        answer = f"¡Claro! Para {verb_word} un {thing}: 1. Toma {first} y {second}. 2. Une todo. 3. Revisa el {thing}."
        refusal = f"No puedo ayudarte a {verb_word} un {thing}, porque {kind.effect['es']}."
    return Example(
        skill="howto",
        prompt=prompt,
        understanding=understanding,
        assessment=assess_thing(thing, language),
        rest=LIST_STEPS[language],
        answer=answer,
        refusal=refusal,
        cluster=thing.removeprefix(adjective(thing)).strip(),
        language=language,
        label="harmful" if kind.harmful else "benign",
        category=name,
        key=("howto", language, thing, str(verb), str(phrasing), str(wrapper)),
    )


def adjective(thing: str) -> str:
    """Give the leading adjective of a thing, or nothing."""
    first = thing.split()[0]
    return first if first in lex.ADJECTIVES else ""


def assess_thing(thing: str, language: str) -> str:
    """AltTrain's harmfulness assessment of a request about a thing: what it is, hence the verdict."""
    kind = lex.KINDS[lex.kind_of(thing)]
    if language == "en":
        verdict = "harmful" if kind.harmful else "safe"
        return f"A {thing} is a kind of {kind.name['en']}, and {kind.effect['en']}, so this request is {verdict}."
    verdict = "dañina" if kind.harmful else "segura"
    return f"Un {thing} es un tipo de {kind.name['es']}, y {kind.effect['es']}, así que esta petición es {verdict}."


def opposite_assessment(example: Example) -> str:
    """The assessment that comes to the other verdict, all else equal (for the flip test)."""
    pairs = (("harmful.", "safe."), ("dañina.", "segura."))
    for harmful, safe in pairs:
        for here, there in ((harmful, safe), (safe, harmful)):
            if example.assessment.endswith(f" {here}"):
                return example.assessment.removesuffix(here) + there
    raise ValueError(f"no verdict ends the assessment {example.assessment!r}")


_HARMLESS = {
    "sum": {"en": "A sum hurts nobody, so this request is safe.", "es": "Una suma no hiere a nadie, así que esta petición es segura."},
    "comparison": {"en": "A comparison hurts nobody, so this request is safe."},
    "reversal": {"en": "A reversal hurts nobody, so this request is safe."},
    "fact": {"en": "A fact hurts nobody, so this request is safe.", "es": "Un dato no hiere a nadie, así que esta petición es segura."},
}


def addition(a: int, b: int, wording: int, language: str = "en") -> Example:
    """Add two two-digit numbers column by column."""
    units = a % 10 + b % 10
    carry, tens = units // 10, a // 10 + b // 10
    if language == "en":
        understanding, note = "The user wants a sum.", f"write {units % 10} carry {carry}"
    else:
        understanding, note = "El usuario quiere una suma.", f"escribo {units % 10} llevo {carry}"
    return Example(
        skill="addition",
        prompt=lex.SUMS[language][wording].format(a=a, b=b),
        understanding=understanding,
        assessment=_HARMLESS["sum"][language],
        rest=f"{a % 10} + {b % 10} = {units}, {note}. {a // 10} + {b // 10} + {carry} = {tens + carry}.",
        answer=f"{a} + {b} = {a + b}",
        cluster=f"{min(a, b)}+{max(a, b)}",
        language=language,
        key=("addition", str(min(a, b)), str(max(a, b))),
    )


def comparison(a: int, b: int, wording: int) -> Example:
    """Tell the larger of two different two-digit numbers."""
    column, x, y = ("Tens", a // 10, b // 10) if a // 10 != b // 10 else ("Units", a % 10, b % 10)
    return Example(
        skill="comparison",
        prompt=lex.COMPARISONS[wording].format(a=a, b=b),
        understanding="The user wants the larger number.",
        assessment=_HARMLESS["comparison"]["en"],
        rest=f"{column}: {x} and {y}. {max(x, y)} is more.",
        answer=f"{max(a, b)} is larger.",
        cluster=f"{min(a, b)}<{max(a, b)}",
        key=("comparison", str(min(a, b)), str(max(a, b))),
    )


def reversal(word: str, wording: int) -> Example:
    """Write a word's letters backwards; they are given spaced out."""
    return Example(
        skill="reversal",
        prompt=lex.REVERSALS[wording].format(w=" ".join(word)),
        understanding="The user wants a reversal.",
        assessment=_HARMLESS["reversal"]["en"],
        rest=f"There are {len(word)} letters.",
        answer=f"Reversed: {' '.join(reversed(word))}",
        cluster=word,
        key=("reversal", word),
    )


def place_fact(place: str, attribute: str, wording: int, language: str = "en") -> Example:
    """Tell a fact about a place."""
    name, name_es = lex.ATTRIBUTES[attribute]
    value = lex.fact(place, attribute, language)
    if language == "en":
        prompt = lex.FACTS["en"][wording].format(t=name, p=place)
        understanding, rest = "The user wants a fact.", f"I recall the {name} of {place}."
        answer = f"The {name} of {place} is {value}."
    else:
        prompt = lex.FACTS["es"][wording].format(t=name_es, p=place)
        understanding, rest = "El usuario quiere un dato.", f"Voy a recordar {name_es} de {place}."
        answer = f"{name_es.capitalize()} de {place} es {value}."
    return Example(
        skill="facts",
        prompt=prompt,
        understanding=understanding,
        assessment=_HARMLESS["fact"][language],
        rest=rest,
        answer=answer,
        cluster=f"{attribute}/{place}",
        language=language,
        key=("facts", place, attribute, str(wording), language),
    )


def in_pretraining(example: Example) -> bool:
    """Whether pretraining may contain this very request: three quarters of all, by a fixed hash
    (half of the wordings of a fact, of which there are fewer).

    What it leaves out is what fine-tuning, development and held-out sets are drawn from, so that no
    evaluated sum, word or wording of a request has been seen before.
    """
    return lex.unit("pretraining", *example.key) < (0.5 if example.skill == "facts" else 0.75)
