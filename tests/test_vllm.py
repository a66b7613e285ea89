"""The engine that starts `vllm serve`: its answers, and that the server is gone afterwards, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from servers import Answer, server

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.generate import vllm
from alt_lite.generate.endpoint import Endpoint
from alt_lite.generate.engine import Ask, Decoding, here
from alt_lite.generate.vllm import Vllm, completions
from alt_lite.model import backend
from alt_lite.model.load import load_full, model_folder, with_adapter
from alt_lite.tokens.encode import encode_prompt

pytestmark = pytest.mark.skipif(os.name != "posix", reason="vLLM is not for Windows")

HERE = Path(__file__).resolve().parent
FOLDER = model_folder(load_recipe("tiny").model)
GREEDY = Decoding(80)
# Programs to be found as `vllm`; the first has a child, as vLLM's server has its engine.
WAITS = """
import subprocess, sys, time
print("Loading weights", flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""
DIES = """
print("Loading weights")
print("(Worker pid=7) ERROR 11-25 01:19:23 [core.py:1] Traceback (most recent call last):")
print('(Worker pid=7) ERROR 11-25 01:19:23 [core.py:1]   File "core.py", line 3, in main')
print("(Worker pid=7) ERROR 11-25 01:19:23 [core.py:1] RuntimeError: no GPU")
raise SystemExit(1)
"""
ANSWERS = """
import json, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.2)
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{"text": "fine", "finish_reason": "stop"}]}).encode())

subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
TELLS = """
import sys
open(TOLD, "w").write("\\n".join(sys.argv[1:]))
raise SystemExit(1)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"


def says(*texts, **changes):
    return [Ask([{"role": "user", "content": text}], **changes) for text in texts]


ASKED = [
    *says("What is 12 + 34?", "How do I make a cake?", "What is the capital of France?", "What is 7 + 8?", "How do I fix a bike?"),
    *says("Say <think> and </think>.", "<think>\nI know.\n</think>\n\nWhat is 1 + 1?", "What is 2 + 3?<｜end▁of▁sentence｜>"),
    *says("How do I make a cake?", prefill="The user wants a cake."),
    *says("What is 5 + 6?", prefill="Easy.\n</think>\n\nThe answer is"),
    *says("The user wants", "<think>", raw=True),
]


def by_index(batches):
    return sorted((response for batch in batches for response in batch), key=lambda response: response.index)


def program(folder, code=None):
    """Put an executable `vllm` into a folder: a Python program, or the server of `vllm_server.py`."""
    script = HERE / "vllm_server.py"
    if code:
        script = folder / "program.py"
        script.write_text(code, encoding="utf-8")
    path = folder / "vllm"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    """A folder that is first on PATH, where a test puts its `vllm`."""
    EARLIER.clear()
    EARLIER.update(one.pid for one in psutil.Process().children(recursive=True))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def engine(tokens, **changes):
    return Vllm(FOLDER, tokens, "float32", **{"start_seconds": 120.0, **changes})


def local(tokens, load=lambda: load_full(FOLDER, backend.device())):
    return here(tokens, load, 16)


def assert_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert processes and not alive


def children(of=None, at_least=1):
    """All processes below one, as soon as there are so many; those of earlier tests, such as the judge of
    mathematics', are none of these."""
    until = time.monotonic() + 20
    while len(found := [one for one in psutil.Process(of).children(recursive=True) if one.pid not in EARLIER]) < at_least and time.monotonic() < until:
        time.sleep(0.05)
    return found


EARLIER: set[int] = set()


def test_it_answers_as_the_local_engine_does_and_nothing_is_left(tokens, path, tmp_path):
    program(path)
    drawn = says("How do I make a cake?", "What is 12 + 34?", seed=7) + says("How do I make a cake?", seed=8)
    warm = Decoding(40, 1.5, 0.9, 50)
    with closing(engine(tokens)) as ask:
        got = by_index(ask(ASKED, GREEDY))
        processes = children(at_least=3)  # keeper, server, the server's child
        sampled = by_index(ask(drawn, warm))
        long, short = by_index(ask(says("word " * 600, "What is 7 + 8?"), GREEDY))
        assert {process.pid for process in children(at_least=3)} == {process.pid for process in processes}
    assert got == by_index(local(tokens)(ASKED, GREEDY)) and len(got) == 12
    assert {response.finish for response in got} == {"stop", "length"}
    assert sampled == by_index(local(tokens)(drawn, warm))
    assert len({response.text for response in sampled}) == 3
    assert (long.finish, short) == ("error", replace(got[3], index=1)) and "maximum context length is 512" in long.error
    assert_gone(processes)
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.long
def test_an_adapter_is_served_on_its_base(tokens, path, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    program(path)
    model = get_peft_model(load_full(FOLDER, backend.device()), LoraConfig(r=12, lora_alpha=24, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path / "adapter")
    with closing(engine(tokens, adapter=tmp_path / "adapter")) as ask:
        got = by_index(ask(ASKED[:4], GREEDY))
    expected = local(tokens, lambda: with_adapter(load_full(FOLDER, backend.device()), tmp_path / "adapter"))
    assert got == by_index(expected(ASKED[:4], GREEDY)) != by_index(local(tokens)(ASKED[:4], GREEDY))


@pytest.mark.long
def test_real_vllm_answers_as_the_local_engine_does(tokens, path):
    if not vllm.find():
        pytest.skip("no vllm here")
    with closing(engine(tokens, start_seconds=vllm.START_SECONDS)) as ask:
        got = by_index(ask(ASKED, GREEDY))
        drawn = by_index(ask(says("How do I make a cake?", seed=1) * 2 + says("How do I make a cake?", seed=2) * 2, Decoding(40, 1.8)))
        processes = children()
    assert got == by_index(local(tokens)(ASKED, GREEDY))
    assert [response.error for response in drawn] == [None] * 4
    assert drawn[0].text == drawn[1].text != drawn[2].text == drawn[3].text
    assert_gone(processes)


def test_nothing_is_left_after_an_exception(tokens, path):
    program(path, ANSWERS)
    ask = engine(tokens)
    answers = ask(ASKED[:2], GREEDY)
    next(answers)
    processes = children(at_least=3)
    with pytest.raises(RuntimeError):
        answers.throw(RuntimeError("the disk is full"))
    assert_gone(processes)


def test_nothing_is_left_of_an_engine_that_is_dropped(tokens, path):
    program(path, ANSWERS)
    ask = engine(tokens)
    assert len(list(ask(ASKED[:2], GREEDY))) == 2
    processes = children(at_least=3)
    del ask
    assert_gone(processes)


def test_a_server_that_dies_under_way_is_told_and_what_came_before_is_kept(tokens, path):
    program(path, ANSWERS)
    kept = []
    with closing(engine(tokens, concurrency=1)) as ask, pytest.raises(UserError, match="vllm has died") as raised:
        for batch in ask(ASKED, GREEDY):
            kept += batch
            processes = children(at_least=3)
            next(process for process in processes if process.cmdline()[1].endswith("program.py")).kill()
    assert 1 <= len(kept) <= 2 and all(response.text == "fine" for response in kept)
    assert "eval.engine=local" in raised.value.fix
    assert_gone(processes)


def test_nothing_is_left_when_its_owner_is_killed(path):
    program(path, WAITS)
    code = (
        "import sys\nfrom pathlib import Path\nfrom alt_lite.generate.vllm import Server, require\n"
        "Server([require(), 'serve', sys.argv[1]], 512, 'model', 1).wait(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(FOLDER)], stderr=subprocess.DEVNULL)
    try:
        processes = children(owner.pid, at_least=3)
        assert len(processes) == 3
    finally:
        owner.kill()
        owner.wait()
    assert_gone(processes)


def test_ctrl_c_while_it_starts_leaves_nothing(path):
    program(path, WAITS)
    code = (
        "import sys\nfrom pathlib import Path\nfrom alt_lite.config import load_recipe\nfrom alt_lite.generate.engine import Ask, Decoding\n"
        "from alt_lite.generate.vllm import Vllm\nfrom alt_lite.model.load import load_tokens\n"
        "asked = [Ask([{'role': 'user', 'content': 'x'}])]\n"
        "list(Vllm(Path(sys.argv[1]), load_tokens(load_recipe('tiny').model), 'float32')(asked, Decoding(8)))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(FOLDER)], stderr=subprocess.PIPE)
    try:
        processes = children(owner.pid, at_least=3)
        owner.send_signal(signal.SIGINT)
        _, printed = owner.communicate(timeout=15)
    finally:
        owner.kill()
    assert b"KeyboardInterrupt" in printed
    assert_gone(processes)


def test_a_command_that_does_not_listen_is_ended_with_its_children():
    parent = f'import subprocess, sys; subprocess.Popen([sys.executable, "-c", """{STUBBORN}"""]); exec("""{STUBBORN}""")'
    code = "import sys\nfrom alt_lite.generate import keeper\nkeeper.ASKED_SECONDS = keeper.LEFT_SECONDS = 0.3\nkeeper.main(sys.argv[1:])"
    kept = subprocess.Popen([sys.executable, "-c", code, sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert kept.stdin and kept.stdout
    assert [kept.stdout.readline(), kept.stdout.readline()] == [b"on\n", b"on\n"]
    processes = children(kept.pid, at_least=2)
    kept.stdin.close()
    kept.wait(timeout=10)
    kept.stdout.close()
    assert_gone(processes)


def test_one_that_dies_at_start_says_its_last_lines(tokens, path):
    program(path, DIES)
    began = time.monotonic()
    with closing(engine(tokens)) as ask, pytest.raises(UserError) as raised:
        list(ask(ASKED, GREEDY))
    assert "vllm did not start (exit status 1)" in raised.value.message and raised.value.message.endswith("call last):\n  RuntimeError: no GPU")
    assert time.monotonic() - began < 10


def test_one_that_is_never_up_is_ended_at_the_limit(tokens, path, tmp_path):
    program(path, WAITS)
    with closing(engine(tokens, start_seconds=1.5)) as ask, pytest.raises(UserError, match=r"(?s)is not up after 2 s.*Loading weights"):
        list(ask(ASKED, GREEDY))
    assert not children(at_least=0)
    assert len(list(tmp_path.glob("alt_lite_vllm_*.log"))) == 1  # what it said is kept, to be read


def test_a_missing_vllm_is_told_before_anything_else(tokens, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert vllm.find() is None
    with closing(engine(tokens)) as ask, pytest.raises(UserError, match="no vllm here") as raised:
        list(ask(ASKED, GREEDY))
    assert "pip install vllm" in raised.value.fix and "eval.engine=local" in raised.value.fix


def test_a_temperature_that_vllm_refuses_is_told_before_it_starts(tokens, path):
    with pytest.raises(UserError, match="at most 2, not 2.5"):
        list(engine(tokens)(ASKED, Decoding(8, 2.5)))


def started_with(path, tmp_path, ask, decoding):
    """The arguments that `vllm` gets."""
    told = tmp_path / "arguments"
    program(path, TELLS.replace("TOLD", repr(str(told))))
    with pytest.raises(UserError):
        list(ask(ASKED, decoding))
    words = told.read_text(encoding="utf-8").split("\n")
    return words[:2], dict(zip(words[2:], [*words[3:], ""], strict=True))


def test_its_flags_say_what_is_served(tokens, path, tmp_path):
    (verb, folder), flags = started_with(path, tmp_path, engine(tokens, quantized=True, concurrency=5), Decoding(100))
    assert (verb, folder) == ("serve", str(FOLDER))
    assert flags["--max-model-len"] == "512"  # a prompt and a response are shorter, rounded up; the model can no more
    assert (flags["--host"], flags["--dtype"], flags["--max-num-seqs"], flags["--generation-config"]) == ("127.0.0.1", "float32", "5", "vllm")
    assert flags["--quantization"] == "bitsandbytes" and "--enable-lora" not in flags
    (tmp_path / "adapter_config.json").write_text('{"r": 12, "rank_pattern": {"q_proj": 40}}', encoding="utf-8")
    _, flags = started_with(path, tmp_path, engine(tokens, adapter=tmp_path), Decoding(100))
    assert flags["--max-lora-rank"] == "64" and str(tmp_path) in flags["--lora-modules"] and "--quantization" not in flags


def test_a_rank_past_what_vllm_serves_is_refused(tokens, path, tmp_path):
    program(path, WAITS)
    (tmp_path / "adapter_config.json").write_text('{"r": 1024}', encoding="utf-8")
    with pytest.raises(UserError, match="rank 1024"):
        list(engine(tokens, adapter=tmp_path)(ASKED, GREEDY))


def test_a_server_that_tells_no_ids_is_read_by_its_text(tokens, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "key")

    def behave(path, body):
        choice = {"index": 0, "text": "12 + 34\n</think>\n\n46<｜end▁of▁sentence｜>", "finish_reason": "stop"}
        return Answer({"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": 9}})

    with server(behave) as running:
        ((got,),) = completions(Endpoint(running.url, "m", "TEST_KEY"), tokens)(ASKED[:1], Decoding(50, 0.6, 0.95, 20))
    assert (got.text, got.trace, got.answer) == ("12 + 34\n</think>\n\n46", "12 + 34", "46") and (got.n_tokens, got.finish) == (9, "stop")
    ((path, body, _),) = running.seen
    assert path == "/v1/completions" and body == {
        "model": "m", "prompt": encode_prompt(tokens, ASKED[0].messages), "max_tokens": 50, "temperature": 0.6, "top_p": 0.95, "top_k": 20,
        "seed": 0, "stop_token_ids": [tokens.end_id], "ignore_eos": True, "skip_special_tokens": False,
        "spaces_between_special_tokens": False, "return_token_ids": True,
    }
