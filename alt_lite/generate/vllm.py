"""The engine of a model that vLLM serves on this machine: started when it is first asked, ended by `close`.

vLLM is asked for completions of our own token ids, never for chats, so that prompts are the local engine's to
the id: control tokens that a user types stay text, responses may be prefilled, the template may be left out.
Replies come back as ids and are decoded and split by the local engine's own rules.

What is guaranteed: the same prompts, the same end of text, the same limit, the sampling asked for and nothing
of the model's `generation_config.json`, the seed of each request. What is not: the same responses. vLLM draws
other noise from a seed than the local engine does, and in bf16 and fp16 its kernels round otherwise, in a way
that depends on which requests happen to be in a batch; so greedy responses may differ from the local engine's
in some prompts, and from one vLLM run to the next. vLLM's own remedy, slower and for some GPUs only, is the
environment variable VLLM_BATCH_INVARIANT=1, which is passed on. Compare models by one engine.

Checked with vLLM 0.32; token ids in replies need 0.11 or later.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from alt_lite.console import say
from alt_lite.errors import UserError
from alt_lite.generate import endpoint, keeper, local
from alt_lite.generate.engine import Ask, Decoding, Engine, Response, _response
from alt_lite.tokens.encode import encode_prompt
from alt_lite.tokens.tokenizer import Tokens

START_SECONDS = 1200.0
_TOLD_SECONDS = 10.0
# A reply waits for its turn and is as long as it is; a server that has died is found out by its connections.
_REPLY_SECONDS = 3600.0
_RETRIES = 3
# vLLM's own 0.92 of the whole memory is refused where a desktop or this process holds some of it.
_MEMORY_SHARE = 0.85
_LENGTH_STEP = 1024
_HOTTEST = 2.0
# What --max-lora-rank takes.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_MODEL, _ADAPTER = "model", "adapter"
_LAST_LINES, _LONGEST_LINE, _LAST_BYTES = 8, 300, 1 << 16
_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:(?:ERROR|WARNING|INFO|DEBUG) [\d-]+ [\d:]+ \[[^\]]*\] )?")
_FRAME = re.compile(r'    |\s*(?:File "|[\^~]+\s*$)|\s*$')


def find() -> str | None:
    """Find the `vllm` executable on PATH, or beside this Python."""
    return shutil.which("vllm") or shutil.which("vllm", path=str(Path(sys.executable).parent))


def require() -> str:
    """Find the `vllm` executable.

    Raises:
        UserError: there is none.
    """
    if found := find():
        return found
    raise UserError("eval.engine=vllm: there is no vllm here", "pip install vllm on a Linux machine with a CUDA GPU, or eval.engine=local")


def completions(server: endpoint.Endpoint, tokens: Tokens) -> Engine:
    """The engine of a vLLM server that already runs, best with `--generation-config vllm`: else it takes
    what is not sent, such as a repetition penalty, from the model's own generation_config.json."""

    def ask(asked: Sequence[Ask], decoding: Decoding) -> Iterator[list[Response]]:
        prompts = _prompts(tokens, asked)
        warm = decoding.temperature > 0
        requests = [
            (endpoint.Ids(prompt, tokens.ends),
             endpoint.Sampling(decoding.temperature, decoding.top_p, decoding.top_k, decoding.max_new_tokens, item.seed if warm else None))
            for prompt, item in zip(prompts, asked, strict=True)
        ]
        for reply in endpoint.ask(server, requests):
            if reply.finish == "error":
                yield [Response(reply.index, "", None, None, None, "error", reply.error)]
                continue
            made = local.Generated(reply.index, reply.text, reply.n_tokens, reply.finish)
            if reply.ids is not None:
                made = local._cut(reply.index, list(reply.ids), tokens)
            yield [_response(made, asked[reply.index], tokens.family)]

    return ask


def _prompts(tokens: Tokens, asked: Sequence[Ask]) -> list[list[int]]:
    return [encode_prompt(tokens, item.messages, item.prefill, item.raw) for item in asked]


@dataclass
class Vllm:
    """An engine, to be closed.

    The server starts at the first question, so that an evaluation whose responses are all there starts none,
    and again where a later question needs a longer context. It ends with `close`, with any exception or
    interruption of a question, when the object is dropped, and when this process ends in whatever way (see
    `keeper`).

    Attributes:
        folder: the model's folder; 16-bit weights also for 4 bit.
        tokens: its tokenizer, of which vLLM gets ids only.
        dtype: `bfloat16`, `float16` or `float32`.
        adapter: a LoRA adapter's folder, served on top.
        quantized: weights in NF4 with double quantisation by bitsandbytes, as the local engine has them; from
            vLLM 0.28 on that is a package of its own, `vllm-bnb-plugin`.
        concurrency: requests at a time.
        start_seconds: how long the server may take to be up.
    """

    folder: Path
    tokens: Tokens
    dtype: str
    adapter: Path | None = None
    quantized: bool = False
    concurrency: int = 64
    start_seconds: float = START_SECONDS

    _server: Server | None = field(default=None, init=False, repr=False)

    def __call__(self, asked: Sequence[Ask], decoding: Decoding) -> Iterator[list[Response]]:
        """Ask; an `Engine`.

        Raises:
            UserError: there is no vllm, it does not start, or it dies; what it said last is shown.
        """
        if not asked:
            return
        if decoding.temperature > _HOTTEST:
            raise UserError(f"vllm takes a temperature of at most {_HOTTEST:g}, not {decoding.temperature:g}", f"eval.temperature={_HOTTEST:g}, or eval.engine=local")
        longest = max(len(prompt) for prompt in _prompts(self.tokens, asked)) + decoding.max_new_tokens
        try:
            server = self._up(longest)
            try:
                for made in completions(server.endpoint, self.tokens)(asked, decoding):
                    if made[0].finish == "error" and server.ended():
                        break
                    yield made
                else:
                    return
            except UserError:
                if not server.ended():
                    raise
            raise server.failure("has died")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server, if there is one."""
        server, self._server = self._server, None
        if server:
            server.close()

    def _up(self, longest: int) -> Server:
        if self._server and self._server.length < min(longest, _context(self.folder) or longest):
            say(f"vllm: starting again for a context of {longest} tokens, before {self._server.length}")
            self.close()
        if not self._server:
            length = _length(longest, _context(self.folder))
            self._server = Server(self._command(length), length, _ADAPTER if self.adapter else _MODEL, self.concurrency)
            self._server.wait(self.start_seconds)
        return self._server

    def _command(self, length: int) -> list[str]:
        command = [
            require(), "serve", str(self.folder), "--served-model-name", _MODEL, "--dtype", self.dtype, "--max-model-len", str(length),
            "--max-num-seqs", str(self.concurrency), "--gpu-memory-utilization", str(_MEMORY_SHARE), "--seed", "0",
            "--generation-config", "vllm", "--disable-uvicorn-access-log",  # prompts are logged by no version since 0.10
        ]
        if self.adapter:
            module = json.dumps({"name": _ADAPTER, "path": str(self.adapter)})
            command += ["--enable-lora", "--max-lora-rank", str(_rank(self.adapter)), "--lora-modules", module]
        return [*command, "--quantization", "bitsandbytes"] if self.quantized else command


class Server:
    """A server that this process owns, and its log, which is removed unless the server fails."""

    def __init__(self, command: list[str], length: int, model: str, concurrency: int) -> None:
        port = _free_port()
        self.length = length
        # vLLM itself reads a key to ask for from this variable.
        self.endpoint = endpoint.Endpoint(f"http://127.0.0.1:{port}/v1", model, "VLLM_API_KEY", concurrency, _RETRIES, _REPLY_SECONDS)
        number, name = tempfile.mkstemp(prefix="alt_lite_vllm_", suffix=".log")
        self.log = Path(name)
        say(f"vllm: serving {command[2]} with a context of {length} tokens; its log is {self.log}")
        with os.fdopen(number, "wb") as log:
            # A session of its own: Ctrl-C must reach it through us only.
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", str(Path(keeper.__file__).resolve()), *command, "--host", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
            )
        assert self._keeper.stdin
        self._owned = weakref.finalize(self, self._keeper.stdin.close)

    def wait(self, seconds: float) -> None:
        """Wait until the server answers; tells every 10 s how it stands. Not by `progress`, since the
        evaluation's own bar is on the screen.

        Raises:
            UserError: it ended, or time is up; then it is ended.
        """
        direct = build_opener(ProxyHandler({}))
        health = self.endpoint.url.removesuffix("/v1") + "/health"
        began = told = time.monotonic()
        while not self.ended():
            try:
                with direct.open(health, timeout=5):
                    say(f"vllm: up after {time.monotonic() - began:.0f} s")
                    return
            except (OSError, HTTPException):
                pass
            now = time.monotonic()
            if now - began > seconds:
                failure = self.failure(f"is not up after {seconds:.0f} s")
                self.close(keep_log=True)
                raise failure
            if now - told >= _TOLD_SECONDS:
                told = now
                say(f"vllm: starting since {now - began:.0f} s, at most {seconds:.0f} s; {(self._last_lines() or ['it has said nothing yet'])[-1].strip()}")
            time.sleep(0.2)
        raise self.failure("did not start")

    def ended(self) -> bool:
        return self._keeper.poll() is not None

    def failure(self, what: str) -> UserError:
        """Say what it said last."""
        status = f" (exit status {self._keeper.poll()})" if self.ended() else ""
        said = "".join(f"\n  {line}" for line in self._last_lines()) or " nothing"
        fix = "pip install vllm-bnb-plugin beside vllm, or eval.engine=local" if "Unknown quantization method: bitsandbytes" in said else (
            "mend what it names, or eval.engine=local; the same command goes on from here"
        )
        return UserError(f"vllm {what}{status}; all it said is in {self.log}, the last:{said}", fix)

    def close(self, keep_log: bool = False) -> None:
        """End the server and all that it started. Once the pipe is closed the keeper does so also where
        this waiting is interrupted."""
        failed = self.ended()
        self._owned()
        self._keeper.wait()
        if not (failed or keep_log):
            self.log.unlink(missing_ok=True)

    def _last_lines(self) -> list[str]:
        """The log's last lines, tracebacks' frames left out."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = [_PREFIX.sub("", line).rstrip() for line in log.read().decode(errors="replace").splitlines()]
        return [line[:_LONGEST_LINE] for line in lines if not _FRAME.match(line)][-_LAST_LINES:]


def _length(longest: int, context: int | None) -> int:
    """Round up, so that a somewhat longer task needs no new server, within what the model can do: a prompt
    past that is refused by the server, and is an error of its own."""
    rounded = -(-longest // _LENGTH_STEP) * _LENGTH_STEP
    return min(rounded, context) if context else longest


def _context(folder: Path) -> int | None:
    return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")


def _rank(adapter: Path) -> int:
    """The least of vLLM's ranks that holds the adapter.

    Raises:
        UserError: none does.
    """
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    for allowed in RANKS:
        if rank <= allowed:
            return allowed
    raise UserError(f"vllm serves adapters up to rank {RANKS[-1]}; {adapter} has rank {rank}", "eval.engine=local, or evaluate the merged folder")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
