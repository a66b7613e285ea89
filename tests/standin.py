"""Local servers in the place of the hub and of the file host, as they are for a person without a token.

`standin` serves repositories: a hub's data sets and models by name, and a file host's files by path. A repository is
a mapping of paths to bytes; `gated` ones give their list of files and refuse the files, as the hub does; `broken` ones
end in the middle of a file. What is not there is 404.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

Files = Mapping[str, bytes]


@dataclass
class Standin:
    """A server that runs: `seen` holds (method, path) of each request."""

    url: str
    seen: list[tuple[str, str]] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        return {"HF_ENDPOINT": self.url, "ALT_LITE_FILES_HOST": f"{self.url}/files", "HF_TOKEN": "", "HF_HUB_DOWNLOAD_TIMEOUT": "5", **more}


def commit_of(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


@contextmanager
def standin(
    datasets: Mapping[str, Files] | None = None, models: Mapping[str, Files] | None = None, files: Files | None = None,
    gated: tuple[str, ...] = (), broken: tuple[str, ...] = (),
) -> Iterator[Standin]:
    """Serve on a free port of this machine; `broken` names repositories or files."""
    repositories = {"datasets": dict(datasets or {}), "models": dict(models or {})}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(self._found())

        do_HEAD = do_GET

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(self._found(body))

        def _found(self, body: bytes = b"") -> tuple[int, Any, dict[str, str], bool]:
            path = unquote(urlparse(self.path).path).strip("/")
            served.seen.append((self.command, path))
            if path.startswith("files/"):
                name = path.removeprefix("files/")
                found = next((data for known, data in (files or {}).items() if name == known or (name.endswith("/" + known))), None)
                return (404, {"error": "Not Found"}, {}, False) if found is None else (200, found, {}, any(part in name for part in broken))
            parts = path.split("/")
            if parts[0] == "api" and len(parts) > 3 and parts[1] in repositories:
                return self._api(parts[1], "/".join(parts[2:4]), parts[4:], body)
            kind = "datasets" if parts[0] == "datasets" else "models"
            parts = parts[1:] if kind == "datasets" else parts
            name, at = "/".join(parts[:2]), parts.index("resolve") if "resolve" in parts else 0
            repository = repositories[kind].get(name)
            if repository is None or not at:
                return 404, {"error": "Repository Not Found"}, {"X-Error-Code": "RepoNotFound"}, False
            if name in gated:
                return 401, {"error": f"Access to dataset {name} is restricted."}, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}, False
            file = repository.get("/".join(parts[at + 2 :]))
            if file is None:
                return 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit_of(name)}, False
            return 200, file, {"X-Repo-Commit": commit_of(name), "ETag": f'"{hashlib.sha1(file).hexdigest()}"'}, name in broken

        def _api(self, kind: str, name: str, rest: list[str], body: bytes) -> tuple[int, Any, dict[str, str], bool]:
            repository = repositories[kind].get(name)
            if repository is None:
                return 401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}, False
            entries = [{"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()} for path, data in repository.items()]
            if rest[:1] == ["tree"]:
                below = "/".join(rest[2:])
                return 200, [entry for entry in entries if entry["path"].startswith(f"{below}/" if below else "")], {}, False
            if rest[:1] == ["paths-info"]:
                asked = json.loads(body)["paths"] if body.startswith(b"{") else [unquote(pair[6:]) for pair in body.decode().split("&") if pair.startswith("paths=")]
                return 200, [entry for entry in entries if entry["path"] in asked], {}, False
            about = {
                "id": name, "sha": commit_of(name), "private": False, "gated": "auto" if name in gated else False, "disabled": False,
                "downloads": 0, "likes": 0, "tags": [], "siblings": [{"rfilename": path} for path in repository],
            }
            return 200, about, {}, False

        def _answer(self, answer: tuple[int, Any, dict[str, str], bool]) -> None:
            status, body, headers, cut = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            if (asked := self.headers.get("Range")) and status == 200 and self.command == "GET":
                start = int(asked.removeprefix("bytes=").partition("-")[0])
                data, status = data[start:], 206
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
                self.close_connection = self.close_connection or cut

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as http:
        served = Standin(f"http://127.0.0.1:{http.server_address[1]}")
        Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield served
        finally:
            http.shutdown()
