"""Judges of utility tasks, by rule: is an answer the reference? Mathematics, numbers, choices, short facts, summaries.

Each takes a response row: `answer` is the text after the trace (None without one), `reference` a text, or several
accepted ones as a JSON list of texts, `finish` how generation ended. (None, None) where the response is not finished
or nothing can be compared with; a finished answer in which no result can be read is `wrong`. Numbers and choices are
read in English, Spanish and Chinese; numbers written as words (`eighteen`, `十八`) are not read. The judges of mathematics
and of summaries raise UserError where their package is not installed.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib.util
import json
import os
import re
import string
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

Judgement = tuple[str | None, float | None]
MATH_REQUIREMENT, ROUGE_REQUIREMENT = "math-verify[antlr4_13_2]>=0.9,<0.10", "rouge-score>=0.1.2,<0.2"
MATH_SECONDS = 10.0  # for one comparison; simple ones take milliseconds
MATH_MEMORY = 4 << 30  # bytes of addresses, where the system can limit them
MATH_CHARACTERS, QA_WORDS = 4000, 60  # of an answer's end that is searched for a result; of an answer that may contain a fact

# Full-width forms as ASCII ones; a full-width comma parts clauses, never digits. Typographic signs as plain ones.
_ASCII = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | str.maketrans("−–⁄‘’“”", "--/''\"\"")
_ASCII |= str.maketrans({"，": ", ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4"})
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|mbox|operatorname)\s*\{([^{}]*)\}")


def strip_answer(text: str) -> str:
    """Take the marks of Markdown and LaTeX that carry no meaning from a text: emphasis, code quotes, `\\text{…}`,
    delimiters of formulas (a `$` stays, it may be money); full-width forms become ASCII."""
    text = text.translate(_ASCII)
    while (inner := _WRAPPER.sub(r"\1", text)) != text:
        text = inner
    return re.sub(r"\*\*|__|`|\\[()\[\]]", " ", text).strip()


def boxes(text: str) -> list[str]:
    """The contents of every closed `\\boxed{…}`, in order; of nested ones the outer."""
    found: list[str] = []
    start, depth = 0, 0
    # An escaped brace is a character of the formula.
    for mark in re.finditer(r"\\f?boxed\s*\{|\\.|[{}]", text):
        if not depth and "boxed" in mark[0]:
            start, depth = mark.end(), 1
        elif depth and mark[0] != r"\{":
            depth += mark[0].endswith("{") - (mark[0] == "}")
            if not depth:
                found.append(text[start : mark.start()].strip())
    return found


def _references(row: Mapping[str, Any]) -> list[str]:
    reference = row["reference"] or ""
    # `[0, 1]` is an interval, `["0", "1"]` are two references.
    with contextlib.suppress(json.JSONDecodeError):
        if reference.lstrip().startswith("[") and all(isinstance(one, str) for one in json.loads(reference)):
            return [one for one in json.loads(reference) if one.strip()]
    return [reference] if reference.strip() else []


def _judged(row: Mapping[str, Any], compare: Callable[[str, list[str]], bool]) -> Judgement:
    references = _references(row)
    if row["finish"] != "stop" or not references:
        return None, None
    correct = row["answer"] is not None and compare(row["answer"], references)
    return ("correct", 1.0) if correct else ("wrong", 0.0)


def _needs(module: str, requirement: str) -> None:
    if importlib.util.find_spec(module) is None:
        from alt_lite.errors import UserError

        raise UserError(f"this judge needs {module}, which is not installed", f'pip install "{requirement}"')


def judge_math(row: Mapping[str, Any]) -> Judgement:
    """Compare the last `\\boxed{…}` (without one, what math-verify finds in the answer's end) with the reference.

    The same LaTeX but for spaces, units, degrees, percent signs, currency and `\\text` is correct at once (after
    `is_equiv` of Hendrycks et al. 2021, MATH); the rest is decided by math-verify (Kydlíček, Hugging Face). A comparison
    that takes more than `MATH_SECONDS`, or `MATH_MEMORY`, is `wrong`. Where a line holds several boxes, they are also
    taken as one list of results.
    """
    return _judged(row, _same_mathematics)


def _same_mathematics(answer: str, references: list[str]) -> bool:
    if found := boxes(answer):
        last = next(line for line in reversed(answer.splitlines()) if "boxed" in line)
        results = [found[-1], re.split(r"\\approx|≈", found[-1])[0], ", ".join(boxes(last))]
        texts = [rf"\boxed{{{result}}}" for result in dict.fromkeys(results) if result.strip()]
    else:
        results = [cue["rest"] for cue in _ANSWER_IS.finditer(strip_answer(answer))][-1:] or [answer]
        texts = [answer[-MATH_CHARACTERS:]]
    golds = {tidy_latex(reference) for reference in references}
    if any(tidy_latex(result) in golds for result in results):
        return True
    # math-verify drops a number's base: 40 in base 8 would be 40 in base 9.
    if all(re.fullmatch(r"-?\w+_(\d+|\{\d+\})", text) for text in (*golds, tidy_latex(results[0]))):
        return False
    return bool(texts) and _MATH.same(references, texts)


_LATEX = (  # what has no meaning or several spellings, and what stands for it, in this order
    (r"\\(?:left|right|displaystyle|[bB]igg?[lr]?|q?quad)(?![A-Za-z])|(?<!\\)\\[!,;: ]|~", ""),
    (r"\^\{?\\circ\}?|°|\\?%|\\?\$", ""),
    (r"(?<=[\d}])\s*\\(?:text|mathrm|mbox)\s*\{[^{}]*\}(?:\^\{?\d\}?)?\s*$", ""),
    (_WRAPPER, r"\1"), (r"\s+", ""), (r"\\[dt]frac", r"\\frac"), (r"([_^])\{(\w)\}", r"\1\2"),
    (r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2"), (r"^(-?)0+(?=\d+$)", r"\1"), (r"^\(([A-Za-z])\)$", r"\1"),
)


def tidy_latex(latex: str) -> str:
    """Write a result in LaTeX as one of its many equal spellings: without spaces, units, percent and degree signs,
    currency, separators of thousands, leading zeros, braces around one character."""
    text = latex.lstrip(" \n$").rstrip(" \n.$")
    for pattern, plain in _LATEX:
        text = re.sub(pattern, plain, text)
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    return text.lower() if text.isalpha() and len(text) > 1 else text


class _MathProcess:
    """math-verify in a process of its own, started at the first question and again after one it did not survive.

    The package's own time limits are of no use: SIGALRM exists in the main thread of a Unix process only and does not
    interrupt one long operation on integers, as 10^(10^10). A process can end anywhere, and so it does by itself.
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.Lock(), None
        atexit.register(self.close)

    def same(self, references: list[str], answers: list[str]) -> bool:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
            reply = ""
            try:
                with contextlib.suppress(OSError):
                    print(json.dumps([MATH_SECONDS, references, answers]), file=self._process.stdin, flush=True)
                    reply = self._process.stdout.readline()
            finally:
                # After Ctrl-C, the reply to this question must not answer the next one.
                if not reply:
                    self.close()
            return reply == "true\n"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        _needs("math_verify", MATH_REQUIREMENT)
        # A fixed seed: the order of sympy's sets may decide what it can simplify.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(
            [sys.executable, "-P", __file__], text=True, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("math-verify does not start; `import math_verify` in Python says why")
        return process


_MATH = _MathProcess()


def _serve_math() -> None:
    """Answer questions, a line of JSON each, until standard input ends or one takes too long."""
    from math_verify import parse, verify

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MATH_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    out, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        seconds, references, answers = json.loads(line)
        # A watchdog that needs no turn of the interpreter.
        faulthandler.dump_traceback_later(seconds, exit=True)
        # None turns the package's own time limits off.
        golds = [parse(rf"\boxed{{{reference}}}", parsing_timeout=None) for reference in references]
        found = [parse(answer, parsing_timeout=None) for answer in answers]
        same = any(verify(gold, one, timeout_seconds=None) for gold in golds for one in found)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(same), file=out, flush=True)


_ANSWER_IS = re.compile(
    r"(?i:\banswer\b[^.\n\d:=]{0,60}?(?:\bis\b|\bequals\b|:|=)|\bfinal answer\s*\n"
    r"|\brespuesta\b[^.\n\d:=]{0,60}?(?:\bes\b|:|=)|答案[^。\n\d:=]{0,20}?(?:是|为|為|:|=|\s))"
    r"(?=\s*:?\s*(?P<rest>[^\n]{0,1000}))"  # of its line, or the next line with text
)
_NUMBER = re.compile(
    # A minus sign only where it cannot be a difference; no digit of a name (x1, H2O) or of an ordinal (5th).
    r"(?P<sign>(?<![A-Za-z0-9_)%.])-)?(?<![A-Za-z_^\d])(?:(?<!\d)(?P<whole>\d++)\s+(?=\d++\s*/))?"
    r"(?P<body>\d++(?:[.,]\d++)*+|(?<![.\d])\.\d++)(?!(?:st|nd|rd|th)\b)"
    r"(?:\s*/\s*(?P<below>\d++)(?![.,]?\d))?(?P<percent>\s*%|\s*percent\b)?"
    r"(?:\s*(?P<unit>万|萬|亿|億|千(?![克米瓦卡])|thousand\b|million\b|billion\b|mil\b|millones\b|millón\b|(?<=\d)[kK]\b))?"
)
_UNITS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "千": 1000, "thousand": 1000, "million": 10**6, "billion": 10**9}
_UNITS |= {"k": 1000, "K": 1000, "mil": 1000, "millones": 10**6, "millón": 10**6}
_POINT_LANGUAGES = ("en", "zh")  # where a comma is never a decimal sign, and a point or a space never parts thousands


def judge_number(row: Mapping[str, Any]) -> Judgement:
    """Compare the answer's number with the reference (GSM8K, MGSM); the part of a reference after `####` counts.

    The number is that of the last box, else of the last `#### N`, else of the last `The answer is N`, else the last one.
    Numbers are compared exactly (3.0 is 3, 1/2 is 0.5). Of two readings either may be right: `50%` is 50 and 0.5,
    `5 thousand` 5 and 5,000, and in Spanish `1.500` is 1,500 and 1.5, as writers there follow both customs.
    """
    if not any(map(_read_reference, _references(row))):
        return None, None
    language = row.get("language") or "en"
    return _judged(row, lambda answer, several: any(find_number(answer, language) & _read_reference(one) for one in several))


def find_number(answer: str, language: str = "en") -> frozenset[Fraction]:
    """The readings of the number that an answer gives as its result; none where it gives none."""
    text = _plain_numbers(answer, language)
    in_boxes = [_plain_numbers(box, language).rpartition("=")[2] for box in boxes(answer)[-1:]]
    marked = [line.split("\n")[0] for line in text.split("####")[1:]]
    stated = [re.split(r"[.!?](?=\s|$)|。", cue["rest"])[0] for cue in _ANSWER_IS.finditer(text)]
    for segment in (*in_boxes, *marked[::-1], *stated[::-1]):
        # The result of `16 - 3 = 13`, or of `x = 13`, stands behind the sign.
        segment = re.sub(r"^(?:[\s\d.,+*/×÷x()%-]+=|\s*[A-Za-z]\s*=)+", " ", segment)
        if numbers := list(_numbers(segment, language)):
            return numbers[0]
    return (list(_numbers(text, language)) or [frozenset()])[-1]


def _read_reference(reference: str) -> frozenset[Fraction]:
    numbers = list(_numbers(_plain_numbers(reference.rpartition("####")[2], "en"), "en"))
    return numbers[0] if len(numbers) == 1 else frozenset()


def _plain_numbers(text: str, language: str) -> str:
    """Write every number of a text with digits, signs, points and commas only."""
    text = re.sub(r"(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,!; ]\s?)(?=\d{3}(?!\d))|(?<=,)\\!\s*(?=\d)", "", text.replace("{,}", ","))
    text = re.sub(r"(?<=\d)\s*(?=\\[dt]?frac)", " ", text)
    text = re.sub(r"\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))", r"\1\2/\3\4", text)
    text = re.sub(r"\\(?:times|cdot|div)(?![A-Za-z])", " * ", text.replace("\\%", "%").replace("\\$", "$"))
    text = re.sub(r"(?<=[A-Za-z])\$", " ", strip_answer(text))
    text = re.sub(r"[$€£¥₹]\s?", "", re.sub(r"\\[,!;: ]", " ", text))
    if language not in _POINT_LANGUAGES:
        text = re.sub(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)", lambda match: match[0].replace(" ", ""), text)
    return text


def _numbers(text: str, language: str) -> Iterator[frozenset[Fraction]]:
    for match in _NUMBER.finditer(text):
        if len(match[0]) > 1000:  # Python reads no more than 4,300 digits
            continue
        values = _readings(match["body"], language)
        if not values:  # `3,5` where a comma is no decimal sign: a list
            yield from (frozenset({Fraction(part)}) for part in re.findall(r"\d+", match["body"]))
            continue
        if match["below"] and int(match["below"]):
            values = {value / int(match["below"]) + int(match["whole"] or 0) for value in values}
        if match["percent"]:
            values |= {value / 100 for value in values}
        sign = -1 if match["sign"] else 1
        yield frozenset(sign * value * scale for value in values for scale in (1, _UNITS.get(match["unit"] or "", 1)))


def _readings(digits: str, language: str) -> set[Fraction]:
    """Every value that digits with points and commas may have in a language."""
    values = set()
    for thousands, decimal in ((",", "."), (".", ",")):
        # Both signs, or one of them twice, leave no doubt in any language.
        clear = (thousands in digits and decimal in digits) or digits.count(thousands) > 1
        if (clear or decimal == "." or language not in _POINT_LANGUAGES) and re.fullmatch(
            rf"(?:\d{{1,3}}(?:\{thousands}\d{{3}})+|\d*)(?:\{decimal}\d+)?", digits
        ):
            values.add(Fraction(digits.replace(thousands, "").replace(decimal, ".")))
    return values


# The labels, as letters and as digits. `A` before a word is an article, but for the words that go on after a label.
_LETTERS, _DIGITS = r"(?:[B-E]|A(?!\s+(?!(?:is|as|because|since|for|and|due|which|with|from|es|porque|ya|pues|y)\b)[a-záéíóúñ]))", "[1-5]"
# `L` stands for the labels. Between a cue and its label there is no negation, no end of a sentence.
_GAP = r"(?:(?!(?i:\bnot\b|n't\b|\bno\b|cannot|\bnunca\b)|不|[并绝]非)[^\n.;。])"
_LABEL = r"[^\w\n\\]{0,4}(?P<label>L)(?![A-Za-z0-9]|'[a-z])"
_CHOICES = (
    r"\\f?boxed\s*\{[^A-Za-z0-9}]*(?P<label>L)(?![A-Za-z0-9])",
    rf"(?i:\banswer|\b(?:correct|right|best)\s+(?:option|choice|one)){_GAP}{{0,60}}?(?i:\bis\b|\bwould be\b|:|=)"
    rf"[:\s]*(?i:(?:the|most|likely|clearly|therefore|definitely|option|choice|letter|answer|number)\s+)*{_LABEL}",
    rf"(?i:\b(?:I|we|you)(?:'ll|'d| will| would| should| must)? (?:choose|pick|select|go with))"
    rf"\s+(?i:(?:option|choice|answer)\s+)?{_LABEL}",
    r"(?<![\w'])[(\[]?(?P<label>L)[)\].:]?\s+(?i:is|must be|seems)\s+(?i:the\s+|clearly\s+|therefore\s+)*(?i:correct|right|best)\b",
    rf"(?i:\brespuesta|\b(?:opci[oó]n|alternativa)\s+(?:correcta|adecuada)){_GAP}{{0,60}}?(?i:\bes\b|\bser[ií]a\b|:|=)"
    rf"[:\s]*(?i:(?:la|el|opci[oó]n|alternativa|letra|n[uú]mero)\s+)*{_LABEL}",
    r"(?<![\w'])[(\[]?(?P<label>L)[)\].:]?\s+(?i:es)\s+(?i:la\s+|el\s+)?(?i:opci[oó]n\s+|respuesta\s+|alternativa\s+)?(?i:correct[ao])\b",
    rf"答案(?:{_GAP}{{0,12}}?(?:是|为|為|:|选|選))?\s*(?:选项|選項)?{_LABEL}",
    rf"(?<![不勿])(?<!不[应能该可会])(?:选择|選擇|选|選)(?:的是|:)?\s*(?:选项|選項)?{_LABEL}",
    r"(?<![A-Za-z])(?P<label>L)\s*(?:选项|選項|项|項)?\s*(?:是|为|為)?\s*(?:最|唯一|完全)?正确",
)


def judge_choice(row: Mapping[str, Any]) -> Judgement:
    """Compare the label that the answer chooses with the reference: A to E, or 1 to 5 where the reference is a digit.

    The last explicit statement wins (`Answer: B`, `\\boxed{B}`, `B is correct`, `La respuesta correcta es la B`,
    `答案是B`, `选B`). Without one: a last, then a first line that is a label alone; the only label that stands in
    brackets, in bold or at a line's start; the only capital among the labels. Small letters count in brackets only,
    and the text of an option never does.
    """
    labels = {re.sub(r"\W", "", reference).upper() for reference in _references(row)}
    return _judged(row, lambda answer, _: find_choice(answer, all(map(str.isdigit, labels))) in labels)


def find_choice(answer: str, digits: bool = False) -> str | None:
    """The label that an answer chooses, by the rules of `judge_choice`."""
    text = re.sub(r"(?<![A-Za-z(])\(?([a-e])\)(?!\w)", lambda match: f"({match[1].upper()})", answer.translate(_ASCII))
    plain = re.sub(r"[ \t]+", " ", strip_answer(text).replace("$", " "))
    label = _DIGITS if digits else _LETTERS
    if stated := [match for pattern in _CHOICES for match in re.finditer(pattern.replace("<label>L", f"<label>{label}"), plain)]:
        return max(stated, key=lambda match: match.start("label"))["label"]
    lines = [line for line in plain.splitlines() if line.strip()]
    for line in (*lines[-1:], *lines[:1]):
        if alone := re.fullmatch(rf"\W*({label})\W*", line):
            return alone[1]
    marked = re.findall(rf"(?m)\(({label})\)|\*\*\W?({label})(?![A-Za-z0-9])|^[ \t]*({label})[).:](?!\d)", text)
    found = {"".join(groups) for groups in marked}  # one of the three in each
    if not found and not digits:
        found = set(re.findall(rf"(?<![A-Za-z0-9_'])({label})(?![A-Za-z0-9_'])", plain))
    return found.pop() if len(found) == 1 else None


def judge_qa(row: Mapping[str, Any]) -> Judgement:
    """Find a reference in the answer to a question of fact (NQ-open); the score is the best F1 of words.

    Texts are normalised as by SQuAD (Rajpurkar et al. 2016: small letters, no punctuation, no English articles, single
    spaces). `correct` is the wider of two rules: a normalised reference is the answer (or its first line, its last box,
    or what follows its last `Answer:`), or it is contained, as whole words, in one of these, but the first line, of at
    most 60 words. Exact match alone would count how tersely a model writes, which fine-tuning changes; without the limit,
    a list of guesses would be correct. A name that the sentence denies is credited all the same. Languages without
    spaces between words are judged by exact match only.
    """
    references = [words for words in map(normal_words, _references(row)) if words]
    if row["finish"] != "stop" or not references:
        return None, None
    text = strip_answer(row["answer"] or "")
    stated = [text, re.split(r"(?i)\banswer\s*:", text)[-1], *map(strip_answer, boxes(row["answer"] or "")[-1:])]
    # The first line alone may be a list of guesses or the question once more: it counts as a whole only.
    short = [words for words in map(normal_words, stated) if words.count(" ") < QA_WORDS]
    statements = [*map(normal_words, stated), normal_words(text.partition("\n")[0])]
    correct = any(one in statements or any(f" {one} " in f" {words} " for words in short) for one in references)
    pairs = [(Counter(words.split()), Counter(one.split())) for words in statements for one in references]
    score = max(2 * (words & wanted).total() / (words.total() + wanted.total()) for words, wanted in pairs)
    return "correct" if correct else "wrong", score


def normal_words(text: str) -> str:
    """A text by SQuAD's rule: small letters, single spaces, no punctuation, no articles."""
    text = "".join(character for character in text.translate(_ASCII).lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", text).split())


def judge_rouge(row: Mapping[str, Any]) -> Judgement:
    """Give the F measure of ROUGE-L (Lin 2004) with the best reference (CNN/DailyMail), words stemmed by Porter.

    The metric `rouge_l` is the mean of the scores: the verdict of an answer is always `correct` and says nothing, but
    for a finished response without an answer, `wrong` with 0. Line ends are white space (`rougeL`, not `rougeLsum`), and
    words of other letters than a to z are dropped, so a summary in Chinese gets 0.
    """
    if (judged := _judged(row, lambda *_: True))[0] != "correct":
        return judged
    _needs("rouge_score", ROUGE_REQUIREMENT)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return "correct", float(scorer.score_multi(_references(row), strip_answer(row["answer"]))["rougeL"].fmeasure)


# judge name with its version: function
JUDGES: dict[str, Callable[[Mapping[str, Any]], Judgement]] = {
    "math@1": judge_math, "number@1": judge_number, "choice@1": judge_choice, "qa@1": judge_qa, "rouge@1": judge_rouge,
}

if __name__ == "__main__":
    _serve_math()
