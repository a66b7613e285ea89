"""Play methods on many prompts in lockstep, since a model on this machine is only fast in batches.

Each reply goes to the journal as it comes. A process that starts again plays the methods anew with the
replies that stand in the journal, and asks only for what does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from alt_lite.data.rows import EvalPrompt, content_id
from alt_lite.errors import OutOfTime
from alt_lite.evals.adaptive.methods import Play, Step, read
from alt_lite.evals.adaptive.wording import TEXTS
from alt_lite.generate.endpoint import Endpoint, Sampling, ask
from alt_lite.generate.engine import Ask, Decoding, Engine, Response
from alt_lite.rundir import append_jsonl, read_rows, write_jsonl

# How often a step of attacker or scorer is asked for before its prompt ends in an error.
ATTEMPTS = 4
# PAIR's for its attackers (arXiv 2310.08419).
_TOP_P = 0.9


class Finished(NamedTuple):
    """An attack on one of the prompts that is over: the last conversation as it was sent, the response to it,
    and the facts: rounds, score, success, taken_back, malformed (replies that had to be asked for again).

    Where attacker, scorer or model failed for good the response's finish is "error", the conversation the
    prompt's own, and the facts are None but for `malformed`.
    """

    index: int
    messages: tuple[dict[str, str], ...]
    response: Response
    facts: dict[str, Any]


class Journal:
    """The replies of earlier processes and this one, by prompt and step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        rows = read_rows(path)
        if path.is_file():
            write_jsonl(path, rows)  # without a line that a kill has cut, to which the next would be glued
        self._rows = {(row["id"], row["key"]): row for row in rows}

    def get(self, id_: str, key: str) -> Mapping[str, Any] | None:
        return self._rows.get((id_, key))

    def keep(self, rows: Sequence[dict[str, Any]]) -> None:
        append_jsonl(self._path, rows)
        self._rows.update({(row["id"], row["key"]): row for row in rows})


@dataclass
class Game:
    """One prompt's attack: the steps that it waits for, and how many replies to each were malformed."""

    index: int
    id: str
    seed: int
    prompt: EvalPrompt
    defend: Callable[[EvalPrompt], EvalPrompt]
    play: Play
    steps: list[Step] = field(default_factory=list)
    spoiled: list[int] = field(default_factory=list)
    number: int = 0
    turns: int = 0
    malformed: int = 0
    error: str | None = None
    finished: Finished | None = None

    def advance(self, journal: Journal) -> None:
        """Play on as far as the journal has replies; what has failed is over."""
        if self.error and not self.finished:
            facts = {**dict.fromkeys(("rounds", "score", "success", "taken_back")), "malformed": self.malformed + sum(self.spoiled)}
            self.finished = Finished(self.index, self.prompt.messages, Response(self.index, "", None, None, None, "error", self.error), facts)
        while not self.finished:
            rows = [journal.get(self.id, self.key(k)) for k in range(len(self.steps))]
            if any(row is None for row in rows):
                return
            replies = [
                step.form.model_validate(row["reply"]) if step.form else Response(self.index, **row["reply"])
                for step, row in zip(self.steps, rows, strict=True) if row
            ]
            self.malformed += sum(row["malformed"] for row in rows if row)
            self.turns += any(step.who == "target" for step in self.steps)
            try:
                self.steps = self.play.send(replies if self.number else None)
            except StopIteration as end:
                outcome = end.value
                messages = self.sent(outcome.messages).messages
                self.finished = Finished(self.index, messages, outcome.response, {**outcome.facts, "malformed": self.malformed})
            self.number += 1
            self.spoiled = [0] * len(self.steps)

    def key(self, k: int) -> str:
        """Identify a step by all that it asks, so that a journal of another wording is not taken for this one's."""
        step = self.steps[k]
        if step.form:
            return content_id(self.seed, self.number, k, step.who, step.messages, step.form.__name__)
        prompt = self.sent(step.messages)
        return content_id(self.seed, self.number, k, step.who, list(prompt.messages), prompt.prefill, prompt.raw)

    def noise(self, k: int) -> int:
        """The seed of a step's reply: another one for each step, stream and attempt."""
        return int(content_id(self.seed, self.number, k, self.spoiled[k]), 16) % 2**31

    def sent(self, messages: Sequence[dict[str, str]]) -> EvalPrompt:
        return self.defend(replace(self.prompt, messages=tuple(messages)))

    def fail(self, error: str) -> None:
        self.error = self.error or error

    def row(self, k: int, reply: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": self.id, "key": self.key(k), "step": self.number, "who": self.steps[k].who, "malformed": self.spoiled[k], "reply": dict(reply)}


def _waiting(playing: Sequence[Game], journal: Journal, who: str) -> list[tuple[Game, int]]:
    return [
        (game, k) for game in playing if not game.error for k, step in enumerate(game.steps)
        if step.who == who and journal.get(game.id, game.key(k)) is None
    ]


def ask_chat(who: str, server: Endpoint, max_tokens: int, playing: Sequence[Game], journal: Journal, stop: Callable[[], bool]) -> bool:
    """Ask attacker or scorer once for what is missing; False where nothing is. What comes in another form
    stays missing, and is an error after ATTEMPTS; what fails is one at once, the client having tried again."""
    waiting = _waiting(playing, journal, who)
    requests = []
    for game, k in waiting:
        step, attempt = game.steps[k], game.spoiled[k]
        *before, last = step.messages
        if attempt:
            last = {**last, "content": f"{last['content']}\n\n{TEXTS['again'].format(attempt=attempt + 1)}"}
        warm: dict[str, Any] = {"top_p": _TOP_P, "seed": game.noise(k)} if step.temperature else {}
        requests.append(([*before, last], Sampling(step.temperature, max_tokens=max_tokens, **warm)))
    for reply in ask(server, requests, stop) if requests else ():
        game, k = waiting[reply.index]
        form = game.steps[k].form
        if reply.finish == "error":
            game.fail(f"{who}: {reply.error}")
        elif form and (made := read(form, reply.answer or "")):
            journal.keep([game.row(k, made.model_dump())])
        else:
            game.spoiled[k] += 1
            if game.spoiled[k] == ATTEMPTS:
                cut = f", the last one cut at {max_tokens} tokens" if reply.finish == "length" else ""
                game.fail(f"{who}: not the JSON that was asked for, {ATTEMPTS} times{cut}")
    return bool(waiting)


def ask_target(engine: Engine, decoding: Decoding, playing: Sequence[Game], journal: Journal, stop: Callable[[], bool]) -> None:
    """Ask the model for all messages that wait for it. A response that failed is not kept: it is asked again.

    Raises:
        OutOfTime: `stop` said so.
    """
    waiting = _waiting(playing, journal, "target")
    asked = []
    for game, k in waiting:
        prompt = game.sent(game.steps[k].messages)
        asked.append(Ask(prompt.messages, game.noise(k), prompt.prefill or "", prompt.raw))
    for batch in engine(asked, decoding) if asked else ():
        for made in batch:
            game, k = waiting[made.index]
            if made.finish == "error":
                game.fail(made.error or "the model gave no response")
            else:
                journal.keep([game.row(k, {name: value for name, value in vars(made).items() if name != "index"})])
        if stop():
            raise OutOfTime
