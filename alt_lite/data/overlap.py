"""Find prompts that are the same, nearly the same, or stand in an evaluation task; pure, no model.

Words are compared after normalising: Unicode NFKC, lower case, letters and digits only; a Chinese,
Japanese or Korean character is a word of its own. Where prompts of one set are compared with each other, signs
that carry meaning (operators, brackets of code, currencies) are words, too: `12 + 5` is not `12 - 5`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

NGRAM = 8
# Evaluation prompts of fewer words than an n-gram count when they stand whole in a prompt; below this
# many words they would match by chance.
_SHORTEST = 5
_SHINGLE = 4
NEAR = 0.7

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


def words(text: str) -> list[str]:
    """Cut a text into normalised words."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


# Above the line, which the normal form would put on it: x² is not x2.
_RAISED = str.maketrans({char: f"^{plain}" for char, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True)})
# What ends, joins or quotes words; of . , : ! - a sign is what stands within a word or at a digit or sign (1.5, a.b, 5!, !=, -3, ->).
_PUNCTUATION = ".,:;!?\"'`´“”„‘’‚«»‹›…–—‒―·•¿¡。，、；：！？「」『』（）《》〈〉【】．｡､؟،؛۔।"
_SIGN = re.compile(rf"{_WORD.pattern}|(?<=[\d)])!|!(?=[\w=])|(?<=\w)[.,:](?=\w)|:(?=:)|(?<=:):|-(?![^\W\d_])|(?<![^\W_])-|(?![\-{re.escape(_PUNCTUATION)}])[^\w\s]|_")


def key(prompt: str) -> str:
    """Give what two prompts have in common that are the same: normal form, case and white space put aside."""
    return " ".join(unicodedata.normalize("NFKC", prompt.translate(_RAISED)).casefold().split())


def words_and_signs(text: str) -> list[str]:
    """Cut a text into normalised words and the signs that carry meaning; sentence punctuation is neither."""
    return _SIGN.findall(unicodedata.normalize("NFKC", text.translate(_RAISED)).lower())


def _ngrams(tokens: list[str], size: int) -> Iterable[str]:
    return (" ".join(tokens[i : i + size]) for i in range(len(tokens) - size + 1))


class Overlap:
    """The prompts of evaluation tasks, to be looked for in training prompts.

    A prompt overlaps when it equals one of them after normalising, shares eight words in a row with
    one, or holds one of five to seven words whole.
    """

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._grams: dict[str, str] = {}
        self._sizes: set[int] = set()
        self.counts: dict[str, int] = {}

    def add(self, task: str, prompts: Iterable[str]) -> None:
        """Add a task's prompts; `counts` tells how many each task gave."""
        number = 0
        for prompt in prompts:
            tokens = words(prompt)
            number += 1
            self._exact.setdefault(" ".join(tokens), task)
            size = min(NGRAM, len(tokens))
            if size >= _SHORTEST:
                self._sizes.add(size)
                for gram in _ngrams(tokens, size):
                    self._grams.setdefault(gram, task)
        self.counts[task] = self.counts.get(task, 0) + number

    def find(self, prompt: str) -> tuple[str, str] | None:
        """Give (task, `exact` or `8-gram`) of an evaluation prompt that this one overlaps with."""
        tokens = words(prompt)
        if task := self._exact.get(" ".join(tokens)):
            return task, "exact"
        for size in self._sizes:
            for gram in _ngrams(tokens, size):
                if task := self._grams.get(gram):
                    return task, "8-gram"
        return None


class NearDuplicates:
    """Prompts taken so far; tells whether another one is nearly one of them.

    Nearly: the sets of four-word shingles have a Jaccard similarity of 0.7 or more (our choice), or the
    words are the same; signs that carry meaning count as words. Exact, by an inverted index, so that it does not depend on chance.
    """

    def __init__(self) -> None:
        self._owners: dict[str, list[int]] = defaultdict(list)
        self._sizes: list[int] = []

    def seen(self, prompt: str) -> bool:
        """Tell whether the prompt is nearly one that was added."""
        shingles = self._shingles(prompt)
        shared: Counter[int] = Counter()
        for shingle in shingles:
            shared.update(self._owners.get(shingle, ()))
        return any(count / (len(shingles) + self._sizes[owner] - count) >= NEAR for owner, count in shared.items())

    def add(self, prompt: str) -> None:
        shingles = self._shingles(prompt)
        for shingle in shingles:
            self._owners[shingle].append(len(self._sizes))
        self._sizes.append(len(shingles))

    @staticmethod
    def _shingles(prompt: str) -> set[str]:
        tokens = words_and_signs(prompt)
        return set(_ngrams(tokens, min(_SHINGLE, len(tokens)))) if tokens else {""}
