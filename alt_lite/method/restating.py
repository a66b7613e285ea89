"""Write the steps of a trace that its source did not write: restate a request, say that it can be answered; pure.

A restatement is built from the sentence of the prompt that asks. An order without words of its speaker ("Write a
poem") is told indirectly; any other text stands between quotation marks, in which our own reader of structure looks
for nothing. So is an order whose words would pass for a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from alt_lite.method import structure, wording
from alt_lite.method.sentences import first_sentence, sentences, words

MOST_WORDS = 25
_MOST_CHARACTERS = 40  # of a script without spaces
_FEWEST = 8  # words that a cut at a comma leaves
_LEAST_ASKED = 4  # words of a sentence that asks, where it is not the first
_LOOKED_AT = 12  # sentences of the prompt's first paragraph
_ORDERS = frozenset(words(
    "act add analyze answer arrange assess assist brainstorm break build calculate categorize change check choose classify"
    " combine come compare complete compose compute consider construct continue convert correct count create criticize"
    " decide define derive describe design detect determine develop devise discuss draft draw edit elaborate estimate evaluate"
    " examine expand explain explore express extract fact-check fill find fix follow form formulate generate give guess help"
    " highlight identify illustrate imagine implement improve infer insert invent judge link list locate make mark match"
    " mention name offer optimize order organize outline paraphrase pick plan point predict prepare present print produce"
    " proofread propose prove provide rank rate read recommend reformat rephrase replace reply report respond return review"
    " revise rewrite say search select separate share shorten show simplify simulate solve sort specify spell split state"
    " suggest summarize take tell think transform translate turn use verify write"
    " analyse categorise criticise optimise organise summarise"
))
# Words by which an order speaks of its speaker or to its hearer; what cannot be told indirectly word by word.
_SPEAKER = re.compile(r"\b(?:i|i'm|i'd|i'll|i've|we|we're|us|our|ours|you|your|yours|you're|yourself|let's|please|thanks)\b", re.IGNORECASE)
_THEIRS = {"me": "them", "my": "their", "mine": "theirs", "myself": "themselves"}
_MINE = re.compile(r"\b(?:me|my|mine|myself)\b", re.IGNORECASE)
_POLITE = re.compile(r"^(?:(?:please|kindly)\s+|(?:can|could|would|will) you (?:please |kindly )?)", re.IGNORECASE)
_HOW = re.compile(r"^how (?:(?:do|can|could|should|would|might) (?:i|you|we|one)|to) (?:best )?(?=\w)", re.IGNORECASE)
_ANY_CONTROL = re.compile(r"<\|[^|<>\n]{0,60}\|>|<｜[^｜<>\n]{0,60}｜>|</?(?:s|bos|eos|pad|unk)>|\[/?INST\]", re.IGNORECASE)
# Tokens that a request may speak of: their names stay, and the sentence whole.
_NAMED_CONTROL = re.compile(r"</?(think|thinking|mask|sep|cls)>", re.IGNORECASE)
# The mark or label at the head of a list's item, of a heading, of a form ("Question:").
_HEAD = re.compile(r"^(?:[\s\-*#>•·+_=~|]+|\(?\d{1,3}[.)]\s+|(?:question|q|prompt|task|instruction|problem|user|human)\s*:\s*)+", re.IGNORECASE)
_CUT = re.compile(r"[,;:—–](?=\s)")
# The question itself, at the end of a long sentence.
_ASKED_LAST = re.compile(
    r"[,，;；] ?(?:then |and )?((?:how|what|which|who|whose|where|when|why|is|are|do|does|did|can|could|will|would|should|in what|at what|by how|for how|¿)\b[^,;?]*\?"
    r"|¿[^¿?]*\?|[^，；？]{6,40}？)$", re.IGNORECASE,
)
_AFTER_COMMA = re.compile(r"(?:[,;:]| [-–—]) (?:please )?([A-Za-z]+)\b")
_SCRIPT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"\w")
_CLOSED = re.compile(r"[.!?。！？…]$")


def understanding(prompt: str, language: str, key: str, controls: Collection[str] = ()) -> str:
    """Restate a request in one sentence, in one of several wordings.

    Args:
        prompt: the request; of its first paragraph the sentence that asks, else the first.
        language: of the request; a language without a wording is quoted in English.
        key: what chooses the wording, apart from that of the other steps: the row's id.
        controls: control tokens, which are never copied.
    """
    text = _asking(_without_controls(prompt, controls))
    tongue = language if language in wording.UNDERSTAND_TEXT else "en"
    key = f"{key} understanding"
    if not _WORD.search(text):
        return wording.UNDERSTAND_NOTHING[tongue]
    if language == "en" and (told := _indirect(text, key)):
        return told
    forms = wording.UNDERSTAND_QUESTION if text.endswith(("?", "？")) else wording.UNDERSTAND_TEXT
    return wording.choose(forms[tongue], key).format(what=_quotable(text, tongue))


def answerable(language: str, key: str) -> str:
    """Say that a benign request can be answered, in one of several wordings."""
    return wording.choose(wording.ANSWERABLE.get(language, wording.ANSWERABLE["en"]), f"{key} answerable")


def worked_out(trace: str, language: str) -> str:
    """Let a trace that only solves be read as one: it says what it does where its own words do not."""
    if structure.find(trace).has("solving"):
        return trace
    return structure.join_steps(wording.WORK_OUT.get(language, wording.WORK_OUT["en"]), trace)


def restates(sentence: str) -> bool:
    """Tell whether a trace's first sentence restates the request, and does not begin to solve."""
    found = structure.find(sentence)
    return found.has("understanding") and not found.has("solving")


def _without_controls(prompt: str, controls: Collection[str]) -> str:
    prompt = _NAMED_CONTROL.sub(r" \1 ", prompt)
    for control in sorted(controls, key=len, reverse=True):
        if control.strip():
            prompt = prompt.replace(control, " ")
    return _ANY_CONTROL.sub(" ", prompt)


def _asking(prompt: str) -> str:
    """Pick the sentence that asks: the first, else the last, else any that does; else the first, whatever it is."""
    paragraphs = [part for part in re.split(r"\n\s*\n", prompt) if _WORD.search(part)]
    if not paragraphs:
        return ""
    lines = [_plain(sentence) for _, sentence in sentences(paragraphs[0])[:_LOOKED_AT]]
    lines = [line for line in lines if _WORD.search(line)]
    asks = [line for line in lines if line.endswith(("?", "？")) or _order(line) or _orders_later(line)]
    # "Any ideas?" says less than what stands before it.
    asks = [line for line in asks if line == lines[0] or _SCRIPT.search(line) or "¿" in line or len(line.split()) >= _LEAST_ASKED]
    if lines and lines[0] not in asks and asks:
        return asks[-1] if asks[-1] == lines[-1] else asks[0]
    return asks[0] if asks else _plain(first_sentence(paragraphs[0])[0])


def _plain(sentence: str) -> str:
    """A sentence in one line, without the marks of a heading or emphasis; a list's items with commas."""
    line = ""
    for part in filter(None, (" ".join(part.split()) for part in sentence.splitlines())):
        said = _HEAD.sub("", part)
        line += (", " if said != part else " ") + said if line and said else said
    return re.sub(r"\*\*|__|`", "", line).strip()


def _order(line: str) -> str:
    """What an order asks to do, from its verb on; empty where the line is none."""
    said = _POLITE.sub("", line)
    first = re.match(r"[A-Za-z\-]+", said)
    return said if first and first.group().lower() in _ORDERS else ""


def _orders_later(line: str) -> bool:
    """Tell whether an order follows on what it is given: "Using a table, compare …"."""
    return any(match[1].lower() in _ORDERS for match in _AFTER_COMMA.finditer(line))


def _indirect(text: str, key: str) -> str:
    """Tell an order, or a question that begins with "how to", without quotation marks; empty where that cannot be done."""
    how = _HOW.match(text)
    what, forms = (text[how.end() :].rstrip("?.! "), wording.UNDERSTAND_HOW) if how else (_order(text), wording.UNDERSTAND_ORDER)
    polite = _POLITE.match(text) is not None
    if not how and what.endswith("?") and not polite:
        return ""
    what = what.rstrip(".!?: ")
    if not what or _SPEAKER.search(what) or '"' in what or "“" in what or sentences(what)[1:] or len(what.split()) > MOST_WORDS:
        return ""
    what = _MINE.sub(lambda match: _THEIRS[match.group().lower()], what[0].lower() + what[1:])
    told = wording.choose(forms, key).format(what=what)
    return told if _is_plain(told) else ""


def _is_plain(sentence: str) -> bool:
    """Tell whether our reader finds the understanding in a sentence, one sentence, and nothing else."""
    return structure.find(sentence).order == ["understanding"] and len(sentences(sentence)) == 1


def _quotable(text: str, language: str) -> str:
    """Cut a text to what a quotation holds, at a comma if there is one in its later part."""
    text = re.sub(r"[\"“”]", "'", text) if language == "en" else re.sub("[«»]", "'", text) if language == "es" else re.sub("[“”\"]", "’", text)
    cut = _clip_characters(text) if _SCRIPT.search(text) and len(_SCRIPT.findall(text)) * 3 > len(text) else _clip(text.split())
    if cut != text and (asked := _ASKED_LAST.search(text)) and len(asked[1].split()) <= MOST_WORDS and len(asked[1]) >= _FEWEST:
        return re.sub(r"^(¿?)(\w)", lambda match: match[1] + match[2].upper(), asked[1])  # "If it rains for a day, …, how wet is it?"
    if cut != text:
        return f"{cut.rstrip(' ,;:.—–，、；：')}…"
    if language == "en":
        text = text[0].upper() + text[1:]  # what stood behind "Question:"
    # The sentence's own full stop is the one that ends ours.
    return text if language == "en" and _CLOSED.search(text) else text.rstrip(".:：。; ") + ("." if language == "en" else "")


def _clip(all_words: Sequence[str]) -> str:
    if len(all_words) <= MOST_WORDS:
        return " ".join(all_words)
    text = " ".join(all_words[:MOST_WORDS])
    places = [match.start() for match in _CUT.finditer(text) if len(text[: match.start()].split()) >= _FEWEST]
    return text[: places[-1]] if places else text


def _clip_characters(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    text = text[:_MOST_CHARACTERS]
    place = max(text.rfind("，"), text.rfind("；"))
    return text[:place] if place >= _MOST_CHARACTERS // 2 else text
