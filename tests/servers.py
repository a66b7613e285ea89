"""Servers to test a client against: one whose every answer the test chooses, and `transformers serve`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import Any
from urllib.request import ProxyHandler, build_opener

SERVE_NEEDS = ("fastapi", "uvicorn")
_START_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What a server sends back; bytes are sent as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class Running:
    """A server that runs: `seen` holds (path, body, headers by lower-case name) of each request."""

    url: str
    seen: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)


def completion(content: str | None, finish: str = "stop", n_tokens: int = 7, **message: Any) -> Answer:
    return Answer({
        "id": "x", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": n_tokens, "total_tokens": 3 + n_tokens},
    })


def failure(status: int, message: str, **headers: str) -> Answer:
    return Answer({"error": {"message": message}}, status, {"Content-Type": "application/json", **headers})


@contextmanager
def server(behave: Callable[[str, Any], Answer | None]) -> Iterator[Running]:
    """Serve on a free port; `behave` gets the path and the JSON body (None for GET) and gives the
    answer, or None to drop the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            running.seen.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
            answer = behave(self.path, body)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # a handler that hangs must not hold up the end of a test
        request_queue_size = 64

        def handle_error(self, request: Any, address: Any) -> None:
            pass  # a client that has left is what some tests are about

    with Server(("127.0.0.1", 0), Handler) as http:
        running = Running(f"http://127.0.0.1:{http.server_address[1]}/v1")
        Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield running
        finally:
            http.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing_for_serve() -> list[str]:
    return [name for name in SERVE_NEEDS if find_spec(name) is None]


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """Serve a model folder in fp32 on the CPU by transformers' own server; gives the base URL. The model
    to name in requests is the folder as it is given here.

    Raises:
        RuntimeError: it ended or did not answer in time; the message holds what it printed.
    """
    port = free_port()
    command = [
        sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder),
        "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port),
    ]
    # What it prints goes to a file: a pipe that nobody reads would stop it when full.
    with TemporaryFile() as log:
        process = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _answers(f"http://127.0.0.1:{port}/health", process):
                log.seek(0)
                raise RuntimeError(f"transformers serve did not start:\n{log.read().decode(errors='replace')[-2000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server at `url` answers; False when its process ends first or time is up."""
    direct = build_opener(ProxyHandler({}))
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with direct.open(url, timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False
