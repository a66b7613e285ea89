"""A small `vllm serve` for tests: the flags, paths and fields of vLLM 0.32 that alt_lite uses, the model run for real.

Like vLLM it has a child that outlives its SIGKILL, refuses flags it does not know, and takes nothing but ids
for what they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("folder", type=Path)
    for name in ("--host", "--served-model-name", "--generation-config", "--quantization"):
        parser.add_argument(name)
    parser.add_argument("--dtype", choices=["float32"], required=True)
    for name in ("--port", "--max-model-len", "--max-num-seqs", "--seed", "--max-lora-rank"):
        parser.add_argument(name, type=int)
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--disable-uvicorn-access-log", action="store_true")
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--lora-modules", type=json.loads)
    return parser.parse_args()


def main() -> None:
    given = parse()
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    from alt_lite.decide import Device
    from alt_lite.families import FAMILIES
    from alt_lite.generate import local
    from alt_lite.model.load import load_full, with_adapter
    from alt_lite.tokens import tokenizer

    tokens = tokenizer.load(given.folder, FAMILIES["r1"])
    load = lambda: load_full(given.folder, Device("cpu", "cpu", 0))  # noqa: E731
    models = {given.served_model_name: load()}
    if given.enable_lora:
        models[given.lora_modules["name"]] = with_adapter(load(), given.lora_modules["path"])
    lock, kept, cut = Lock(), [], local._cut

    def keeping(index: int, ids: list[int], tokens_: tokenizer.Tokens) -> local.Generated:
        made = cut(index, ids, tokens_)
        kept[:] = ids[: made.n_tokens]
        return made

    local._cut = keeping

    def complete(body: dict) -> tuple[int, dict]:
        prompt, most = body["prompt"], body.get("max_tokens", 16)
        if body["model"] not in models:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        if not (isinstance(prompt, list) and all(isinstance(id_, int) for id_ in prompt)):
            return 400, {"error": {"message": "this server takes ids"}}
        if len(prompt) + most > given.max_model_len:
            return 400, {"error": {"message": f"This model's maximum context length is {given.max_model_len} tokens."}}
        assert body["stop_token_ids"] == [tokens.end_id] and body["ignore_eos"] and body["skip_special_tokens"] is False
        warm = body.get("temperature", 1.0)
        noise = local.Noise(warm, body.get("top_p", 1.0), body.get("top_k"), [body["seed"]]) if warm else None
        with lock:
            ((made,),) = local.generate(models[body["model"]], tokens, [prompt], most, 1, noise)
            ids = list(kept)
        text = tokens.decode([id_ for id_ in ids if id_ != tokens.end_id])
        choice = {"index": 0, "text": text, "finish_reason": made.finish, "token_ids": ids if body.get("return_token_ids") else None}
        return 200, {"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": len(ids)}}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200 if self.path in ("/health", "/v1/models") else 404, {"data": [{"id": name} for name in models]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*(complete(body) if self.path == "/v1/completions" else (404, {})))

        def _answer(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((given.host, given.port), Handler) as server:
        server.serve_forever()
    engine.wait()


if __name__ == "__main__":
    main()
