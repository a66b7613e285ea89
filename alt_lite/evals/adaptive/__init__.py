"""Adaptive attacks, to measure one's own model: an attacker model writes, a scorer model rates, in rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alt_lite.console import say
from alt_lite.data.rows import EvalPrompt, content_id
from alt_lite.errors import OutOfTime
from alt_lite.evals.adaptive import lockstep, methods
from alt_lite.evals.adaptive.lockstep import Finished
from alt_lite.evals.adaptive.wording import TACTICS, TEXTS
from alt_lite.evals.defences import DEFENCES
from alt_lite.generate.endpoint import Endpoint
from alt_lite.generate.engine import Decoding, Engine

__all__ = ["ADAPTIVE", "Adaptive", "Finished", "Method"]

# Raised where the same replies would lead to another outcome.
_VERSION = 1


@dataclass(frozen=True)
class Method:
    """How an attack is played and where it was published; `reads` names the settings that it depends on
    beside the attacker."""

    source: str
    reads: tuple[str, ...]
    play: Callable[[Adaptive, EvalPrompt], methods.Play]


def _undefended(prompt: EvalPrompt) -> EvalPrompt:
    return prompt


def _tactic(name: str, source: str) -> Method:
    return Method(source, ("scorer", "rounds"), lambda plan, prompt: methods.turns(prompt, name, plan.rounds))


ADAPTIVE: dict[str, Method] = {
    "pair": Method("arXiv 2310.08419", ("scorer", "streams", "depth"), lambda plan, prompt: methods.pair(prompt, plan.streams, plan.depth)),
    "crescendo": _tactic("crescendo", "arXiv 2404.01833"),
    "opposite_day": _tactic("opposite_day", "a sister tactic of crescendo"),
    "actor_attack": _tactic("actor_attack", "a sister tactic of crescendo, after arXiv 2410.10700"),
    "acronym": _tactic("acronym", "a sister tactic of crescendo"),
    "translation": Method("arXiv 2310.02446, 2310.06474", ("language",), lambda plan, prompt: methods.translation(prompt, plan.language)),
}


@dataclass(frozen=True)
class Adaptive:
    """Who attacks and scores, and for how long: `rounds` of a conversation; `streams` and `depth` of PAIR (in
    the paper 20 and 3); `max_tokens` of one reply of attacker or scorer, thinking included; `defence`
    changes each conversation as it is sent (evals/defences.py).

    `language` is that of `translation`. Bengali, because it is in the sets of both papers, among the
    low-resource languages of arXiv 2310.06474, while the attackers of today can write it.
    """

    attacker: Endpoint
    scorer: Endpoint
    rounds: int = 8
    streams: int = 3
    depth: int = 3
    language: str = "Bengali"
    max_tokens: int = 4096
    defence: str | None = None

    def digest(self, name: str) -> str:
        """Hash all that determines an attack's outcome beside prompt, model and decoding."""
        servers = {"attacker": self.attacker, "scorer": self.scorer}
        read = {
            key: f"{servers[key].model}@{servers[key].url}" if key in servers else getattr(self, key) for key in ("attacker", *ADAPTIVE[name].reads)
        }
        return content_id(_VERSION, name, read, self.max_tokens, self.defence, methods.MOST_TAKEN_BACK, lockstep.ATTEMPTS, TEXTS, TACTICS)

    def attack(
        self, name: str, engine: Engine, prompts: Sequence[EvalPrompt], seeds: Sequence[int], decoding: Decoding, journal: Path, ids: Sequence[str],
        report: Callable[[int, str], None] = lambda done, note: None, stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Finished]]:
        """Attack the model behind `engine` with the goals that `prompts` end with; yield lists of prompts that
        are finished, in any order. Whatever stands before the goal stays before it.

        Args:
            seeds: one per prompt, for the noise of the model's and the attacker's replies.
            journal: an append-only JSONL file, which several attacks may share, one after the other.
            ids: one per prompt, unique, under which its replies stand in the journal; it must depend on
                the model, the decoding and `digest(name)`.
            report: takes the number of finished prompts and a note.

        Raises:
            OutOfTime: `stop` said so; what was replied is in the journal.
            UserError: what every request to a server would meet; the journal is kept as well.
        """
        kept = lockstep.Journal(journal)
        defend = DEFENCES[self.defence] if self.defence else _undefended
        playing = [
            lockstep.Game(index, id_, seed, prompt, defend, ADAPTIVE[name].play(self, prompt))
            for index, (prompt, seed, id_) in enumerate(zip(prompts, seeds, ids, strict=True))
        ]
        done = malformed = 0
        while playing:
            for game in playing:
                game.advance(kept)
            if over := [game.finished for game in playing if game.finished]:
                playing = [game for game in playing if not game.finished]
                done += len(over)
                malformed += sum(one.facts["malformed"] for one in over)
                yield over
            report(done, f"{name}, turn {max((game.turns for game in playing), default=0) + 1}, {len(playing)} at it")
            if playing and stop():
                raise OutOfTime
            # The model is asked when nobody waits for attacker or scorer any more, so that its batches are full.
            asked = [lockstep.ask_chat(who, server, self.max_tokens, playing, kept, stop) for who, server in (("attacker", self.attacker), ("scorer", self.scorer))]
            if not any(asked):
                lockstep.ask_target(engine, decoding, playing, kept, stop)
        if malformed:
            say(f"{name}: {malformed} replies of attacker or scorer were not the JSON that was asked for, and were asked for again")
