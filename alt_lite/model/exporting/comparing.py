"""Let llama.cpp generate from exported GGUF files, and compare with what our engine generates from the merged folder.

What it covers: prompts as the file's own template and tokenizer write them, the tokens that end a text, greedy texts.
What it does not: how Ollama renders its Modelfile, sampled texts, and texts longer than NEW_TOKENS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from alt_lite.console import progress, say
from alt_lite.data.rows import read_training_rows
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.generate import ties
from alt_lite.generate.local import generate
from alt_lite.model import load
from alt_lite.model.exporting import gguf_file
from alt_lite.model.exporting.export import RECORD, Source, read_record
from alt_lite.rundir import read_rows, write_json
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.encode import encode_prompt, row_messages
from alt_lite.tokens.tokenizer import Tokens

Messages = Sequence[dict[str, str]]
PROMPTS, NEW_TOKENS = 24, 64
_LONGEST = 512  # tokens of a prompt; longer ones take a CPU too long
_TOGETHER = 8
# Weights of 16 bit, and llama.cpp rounds activations to them too: texts may part where two tokens lie this close.
ROUNDED = "float16"


@dataclass(frozen=True)
class Compared:
    """What llama.cpp makes of one file, against our engine in fp32 on the merged folder.

    Of `prompts` prompts the file's template writes `written` as the family does, and its tokenizer gives `tokenised` our
    ids. `ends` tells that a text ends at the token trained with. Of the greedy texts `equal` are the same, and `tied`
    part where our model's two best tokens lie within the rounding of 16 bit; `largest_gap` is the largest such
    distance, as a share of the largest logit (None: a text is only longer).
    """

    quant: str
    prompts: int
    written: int
    tokenised: int
    ends: bool
    equal: int
    tied: int
    largest_gap: float | None
    new_tokens: int
    version: str

    @property
    def wrong(self) -> str | None:
        """What makes the file another model than the one that was evaluated; the rounding of fewer bits than 16 does not."""
        if not self.ends:
            return "llama.cpp does not end a text where the model was trained to"
        if self.written < self.prompts:
            return f"its chat template writes {self.prompts - self.written} of {self.prompts} prompts otherwise"
        if self.quant == "f16" and self.equal + self.tied < self.prompts:
            return f"{self.prompts - self.equal - self.tied} of {self.prompts} greedy texts differ by more than rounding"
        return None

    def __str__(self) -> str:
        rest = self.prompts - self.equal - self.tied
        parts = [
            f"{self.quant}: {self.equal} of {self.prompts} greedy texts equal (up to {self.new_tokens} tokens)",
            *([f"{self.tied} {'parts' if self.tied == 1 else 'part'} at a tie"] if self.tied else []),
            *([f"{rest} {'differs' if rest == 1 else 'differ'} otherwise"] if rest else []),
        ]
        prompts = f"prompts as trained with: {self.written} by its template, {self.tokenised} by its tokenizer"
        return f"{', '.join(parts)}; {prompts}; ends {'as trained' if self.ends else 'NOT as trained'}"


def require(source: Source) -> None:
    """Find out before any work whether files can be compared.

    Raises:
        UserError: llama.cpp is not installed, or memory is too small for the merged model in fp32.
    """
    from importlib.util import find_spec

    import psutil

    if find_spec("llama_cpp") is None:
        raise UserError("--compare runs the files in llama.cpp, and llama-cpp-python is not installed", "pip install llama-cpp-python, or leave --compare out")
    # In fp32, and a file beside it.
    need, free = gguf_file.plan(source.merged, "f16").parameters * 6, psutil.virtual_memory().available
    if need >= free:
        raise UserError(f"--compare needs about {need / 1e9:,.1f} GB of memory; {free / 1e9:,.1f} GB are free", "close other programs, or leave --compare out")


def prompts_of(run: Path, tokens: Tokens, count: int = PROMPTS) -> tuple[list[Messages], str]:
    """Choose prompts of the run's own evaluation, of every task and label in turn, and say where they come from; of its
    training rows where it was not evaluated.

    Raises:
        UserError: there are none that are short enough.
    """
    of: dict[tuple[str, str | None], dict[str, Messages]] = {}
    for path in sorted((run / "eval" / "tuned").glob("*/responses.jsonl")):
        for row in read_rows(path):
            if row["attack"] in (None, "none") and not row.get("prefill"):
                of.setdefault((row["task"], row["label"]), {}).setdefault(row["prompt_id"], row["messages"])
    where = "its evaluation"
    if not of:
        where = "its training rows, since it was not evaluated"
        for trained in read_training_rows(run / "data" / "train.jsonl"):
            of.setdefault(("train", trained.label), {})[trained.id] = row_messages(trained)
    in_turn = (messages for messages in chain.from_iterable(zip_longest(*(group.values() for group in of.values()))) if messages)
    chosen: list[Messages] = []
    for messages in in_turn:
        if len(chosen) < count and len(encode_prompt(tokens, messages)) <= _LONGEST:
            chosen.append(messages)
    if not chosen:
        raise UserError(f"{run} has no prompt of at most {_LONGEST} tokens to compare by", "leave --compare out")
    return chosen, where


def compare(source: Source, run: Path, files: dict[str, Path], new_tokens: int = NEW_TOKENS) -> Iterator[Compared]:
    """Compare each file with the merged folder; what is found is kept in export.json.

    Raises:
        UserError: llama.cpp cannot be loaded, or does not load a file.
    """
    import torch

    tokens = tokenizers_io.load(source.merged, source.family)
    asked, where = prompts_of(run, tokens)
    say(f"export: {len(asked)} prompts of {where} through llama.cpp and our engine, both on the CPU …")
    prompts = [encode_prompt(tokens, messages) for messages in asked]
    model = load.load_full(source.merged, Device("cpu", "CPU", 0), torch.float32)
    ours: list[list[int]] = [[]] * len(prompts)
    with progress("compare merged", len(prompts)) as bar:
        for done, made in enumerate(chain.from_iterable(generate(model, tokens, prompts, new_tokens, _TOGETHER, continuous=False)), 1):
            ours[made.index] = list(made.ids)
            bar(done, "")
    for quant, path in files.items():
        seen, theirs = _through_llama_cpp(quant, path, tokens, asked, prompts, new_tokens)
        found = ties.compare(model, prompts, ours, theirs, ROUNDED)
        largest = None if found.largest_gap == float("inf") else found.largest_gap
        compared = replace(seen, equal=found.n - found.differing, tied=found.explained, largest_gap=largest)
        kept = read_record(path.parent)
        write_json(path.parent / RECORD, {**kept, path.name: {**kept.get(path.name, {}), "llama_cpp": {**asdict(compared), "prompts_of": where}}})
        yield compared


def _through_llama_cpp(
    quant: str, path: Path, tokens: Tokens, asked: Sequence[Messages], prompts: Sequence[list[int]], new_tokens: int
) -> tuple[Compared, list[list[int]]]:
    """Look at a file by llama.cpp's own eyes: prompts, ends, greedy ids with the token that ends them."""
    import torch

    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:  # its library is missing, or built for another processor
        raise UserError(f"llama-cpp-python cannot be loaded: {str(error).splitlines()[0]}", "install it anew, or leave --compare out") from error
    # llama.cpp's threads wait for each other by spinning: more of them than torch was given stand still on a busy machine.
    threads = torch.get_num_threads()
    room = max(map(len, prompts)) + new_tokens + 1
    try:
        model = llama_cpp.Llama(str(path), n_ctx=room, n_gpu_layers=0, n_threads=threads, n_threads_batch=threads, verbose=False)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UserError(f"llama.cpp does not load {path}: {str(error).splitlines()[0] if str(error) else 'it gives no reason'}", "install a newer llama-cpp-python") from error
    try:
        own = llama_cpp.llama_model_get_vocab(model.model)

        def is_end(number: int) -> bool:
            return bool(llama_cpp.llama_vocab_is_eog(own, number))

        rendered = list(_rendered(model, asked))
        right = [text == "".join(tokens.family.prompt(messages)) for text, messages in zip(rendered, asked, strict=True)]
        same = [model.tokenize(text.encode(), add_bos=True, special=True) == ids for text, ids in zip(rendered, prompts, strict=True)]
        ends = model.token_eos() == tokens.end_id and all(map(is_end, tokens.ends))
        made: list[list[int]] = []
        with progress(f"compare {quant}", len(prompts)) as bar:
            for prompt in prompts:
                model.reset()
                ids: list[int] = []
                for number in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
                    ids.append(number)
                    if is_end(number) or len(ids) == new_tokens:
                        break
                made.append(ids)
                bar(len(made), "")
        return Compared(quant, len(prompts), sum(right), sum(same), ends, 0, 0, 0.0, new_tokens, llama_cpp.__version__), made
    finally:
        model.close()


def _rendered(model: Any, asked: Sequence[Messages]) -> Iterator[str]:
    """Write prompts by the template that the file holds."""
    from jinja2 import TemplateError
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    def text(number: int) -> str:
        return model._model.token_get_text(number) if number >= 0 else ""

    formatter = Jinja2ChatFormatter(model.metadata.get("tokenizer.chat_template", ""), text(model.token_eos()), text(model.token_bos()))
    for messages in asked:
        try:
            yield formatter(messages=list(messages)).prompt
        except (TemplateError, ValueError):  # a template refuses a conversation in either way
            yield ""
