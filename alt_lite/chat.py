"""A run's base and tuned model, asked the same things: loading, and the conversation with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.dataset import system_prompt
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.evaluation import recipe_of
from alt_lite.families.splitting import split_completion
from alt_lite.generate.fit import free_bytes
from alt_lite.generate.stream import stream
from alt_lite.model import backend, load
from alt_lite.model.merging import merge
from alt_lite.report.summary import manifest_of
from alt_lite.rundir import read_json, write_jsonl
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.tokenizer import Tokens

Message = dict[str, str]
# Kept free beside the weights of both models: caches, activations.
_SPARE = 0.1


@dataclass
class Reply:
    """One model's answer to `messages`, as it grows; `ids` hold the end of the text, `finish` is None until then."""

    tokens: Tokens
    messages: list[Message]
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    _decoded: tuple[int, str] = (0, "")

    @property
    def text(self) -> str:
        if self._decoded[0] != len(self.ids):
            ended = self.ids[-1] in self.tokens.ends
            self._decoded = len(self.ids), self.tokens.decode(self.ids[:-1] if ended else self.ids)
        return self._decoded[1]

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def trace(self) -> str | None:
        return split_completion(self.text, self.tokens.family.opens_trace, self.tokens.family)[0]

    @property
    def answer(self) -> str | None:
        return split_completion(self.text, self.tokens.family.opens_trace, self.tokens.family)[1]

    @property
    def row(self) -> dict[str, Any]:
        return {"trace": self.trace, "answer": self.answer, "n_tokens": self.n_tokens, "finish": self.finish}


Turn = dict[str, Reply]
# Told after each token which reply has grown.
Show = Callable[[str, Turn], None]


@dataclass(frozen=True)
class Shown:
    """Which models are shown: the `merged` folder beside the base, or one 4-bit base whose `adapter` is
    switched off and on."""

    how: str
    reason: str


def choose(run: Path, recipe: Recipe, precision: str | None, here: Device, free: int) -> Shown:
    """Decide which models are shown: those that were evaluated, where `free` bytes hold them.

    Raises:
        UserError: neither can be had: there is no merged folder and no adapter.
    """
    merged = sum(path.stat().st_size for path in (run / "merged").glob("*.safetensors")) if (run / "merged" / "config.json").is_file() else 0
    # Of both models, in the bytes of a number that is computed with.
    stored = 4 if merged and read_json(run / "merged" / "config.json").get("dtype") == "float32" else 2
    need = 2 * merged // stored * (4 if here.dtype == "float32" else 2)
    told = f"both in {'32' if here.dtype == 'float32' else '16'} bit take {need / 1e9:.2g} GB, {free / 1e9:.2g} GB are free"
    if precision == "4bit":
        wanted = Shown("adapter", "the run was evaluated in 4 bit")
    elif not merged:
        wanted = Shown("adapter", "the run has no merged model yet")
    elif need > free * (1 - _SPARE):
        wanted = Shown("adapter", told)
    else:
        return Shown("merged", told)
    if not (run / "adapter" / "adapter_config.json").is_file():
        raise UserError(f"{run} has no adapter to put on a 4-bit base ({wanted.reason})", f"python -m alt_lite.recipe {recipe.name} --run-dir {run}")
    return wanted


class Chat:
    """Both models of one run, and a conversation with each: the same questions, its own answers.

    Answers are greedy, so that two models differ by their weights alone.

    Raises:
        UserError: the folder holds no run, or nothing of it has been trained yet.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.recipe = run, recipe_of(run)
        backend.prepare_environment()
        here = backend.device(self.recipe)
        self.which = choose(run, self.recipe, manifest_of(run).get("precision"), here, _free(here))
        self.tokens = load.load_tokens(self.recipe.model)
        source = load.model_folder(self.recipe.model)
        if self.which.how == "merged":
            self.models = {"base": merge.base_model(self.recipe, source, here), "tuned": load.load_full(run / "merged", here)}
            say(f"chat: the merged model beside the {self.recipe.merge.base} base ({self.which.reason})")
        else:
            self.models = dict.fromkeys(("base", "tuned"), load.with_adapter(load.load_quantized(source, here), run / "adapter"))
            say(f"chat: one 4-bit base, its adapter off for base and on for tuned ({self.which.reason})")
        self.system = system_prompt(self.recipe)
        self.turns: list[Turn] = []
        self._saved: set[Path] = set()

    def ask(self, prompt: str, show: Show | None = None, together: bool = False) -> Turn:
        """Ask both, base first or `together`, token by token in turn; `show` is told of each token.

        Interrupted, it gives what there is until then, and the conversation goes on.

        Raises:
            UserError: the conversation is longer than the model, or the memory, can hold; it stays as it was.
        """
        import torch

        turn = {name: Reply(self.tokens, self._messages(name, prompt)) for name in self.models}
        streams = {name: stream(self.models[name], self.tokens, *self._prompt(turn[name].messages)) for name in turn}
        try:
            while streams:
                for name in list(streams) if together else list(streams)[:1]:
                    reply = turn[name]
                    self._switch(name)
                    id_ = next(streams[name], None)
                    if id_ is not None:
                        reply.ids.append(id_)
                    else:
                        del streams[name]
                        reply.finish = "stop" if reply.ids and reply.ids[-1] in self.tokens.ends else "length"
                    if show:
                        show(name, turn)
        except KeyboardInterrupt:
            for name in streams:
                turn[name].finish = "interrupted"
                if show:
                    show(name, turn)
        except torch.OutOfMemoryError as error:
            raise UserError("the GPU's memory does not hold so long a conversation", "/reset begins a new one") from error
        self.turns.append(turn)
        return turn

    def _switch(self, name: str) -> None:
        """Put the adapter on or off, where one base stands for both models."""
        if self.which.how == "adapter":
            # Not disable_adapter(), which looks at the state of every layer besides, for each token again.
            layers = self.models[name].base_model
            (layers.enable_adapter_layers if name == "tuned" else layers.disable_adapter_layers)()

    def _messages(self, name: str, prompt: str) -> list[Message]:
        """What a model is asked: its own answers go back without their traces, whole where the prompt format itself drops
        them; a reply that ended inside its trace said nothing, and goes back empty."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        drops = self.tokens.family.earlier.startswith("dropped")
        for turn in self.turns:
            said = turn[name]
            messages += [said.messages[-1], {"role": "assistant", "content": (said.text if drops and said.answer is not None else said.answer) or ""}]
        return [*messages, {"role": "user", "content": prompt}]

    def _prompt(self, messages: list[Message]) -> tuple[list[int], int]:
        """Encode a conversation; how many tokens may follow."""
        ids = encode_prompt(self.tokens, messages)
        holds = self.models["base"].config.max_position_embeddings
        if len(ids) >= holds:
            raise UserError(f"the conversation has {len(ids)} tokens, the model reads {holds} at most", "/reset begins a new one")
        return ids, min(self.recipe.eval.max_new_tokens or 4096, holds - len(ids))

    def save(self, path: Path) -> int:
        """Write the conversation, one line a turn and model, as `structure` and `judge` read it; how many lines.

        Raises:
            UserError: nothing was asked; or the file is there already, and not from this session.
        """
        if not self.turns:
            raise UserError("nothing has been asked yet", "ask something first")
        if path.exists() and path.resolve() not in self._saved:
            raise UserError(f"{path} is there already", "name another file")
        rows = [
            {"id": f"{number}-{name}", "model": name, "messages": _spoken(reply), **reply.row}
            for number, turn in enumerate(self.turns, 1) for name, reply in turn.items()
        ]
        write_jsonl(path, rows)
        self._saved.add(path.resolve())
        return len(rows)


def _spoken(reply: Reply) -> list[Message]:
    """The messages as the model saw them, earlier answers without their traces."""
    family = reply.tokens.family

    def strip(message: Message) -> Message:
        if message["role"] != "assistant":
            return message
        _, answer = split_completion(message["content"], False, family)
        return {**message, "content": answer or ""}

    return [strip(message) for message in reply.messages]


def _free(here: Device) -> int:
    import torch

    load.free_memory()  # in a notebook, of a run's earlier stages
    return free_bytes(torch.device(here.kind))
