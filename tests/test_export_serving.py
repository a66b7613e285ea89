"""What others serve an export by: prompt templates rendered, Modelfile, vLLM's script; the model card; a push to a hub that stands in."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.model.exporting import hub, serving
from alt_lite.report import card
from alt_lite.report.rows import head_rows
from alt_lite.rundir import read_json
from alt_lite.tokens import templates
from alt_lite.tokens.rendering import conversations

R1 = FAMILIES["r1"]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    """A run of this module's own."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("serving") / "small"))


@pytest.fixture(scope="module")
def exported(run) -> Path:
    """The run's export for Ollama and vLLM."""
    from alt_lite.cli.app import main

    pytest.importorskip("gguf")
    with pytest.raises(SystemExit) as left:
        main(["export", str(run), "--to", "ollama,vllm"])
    assert not left.value.code
    return run / "export"


# Prompt templates


def go_rendered(template: str, values: dict) -> str:
    """Render the part of Go's template language that the templates use; anything else is a KeyError."""
    conditions = {
        "and $last .Thinking": lambda scope: scope["last"] and scope["dot"].get("Thinking"),
        "not $last": lambda scope: not scope["last"],
        'and $last (ne .Role "assistant")': lambda scope: scope["last"] and scope["dot"]["Role"] != "assistant",
        'eq .Role "user"': lambda scope: scope["dot"]["Role"] == "user",
        'eq .Role "assistant"': lambda scope: scope["dot"]["Role"] == "assistant",
        ".System": lambda scope: scope["dot"].get("System"),
        "else": lambda scope: True,
    }
    parts = re.split(r"\{\{ (.*?) \}\}", template, flags=re.DOTALL)

    def block(at: int, scope: dict, live: bool) -> tuple[str, int]:
        """Render from part `at` to the end of its block; gives the text and where that end stands."""
        text = parts[at] if live else ""
        at += 1
        while at < len(parts):
            action = parts[at]
            if action == "end" or action.startswith("else"):
                return text, at
            if action.startswith("if "):
                taken, action = False, action.removeprefix("if ")
                while True:
                    holds = live and not taken and bool(conditions[action](scope))
                    inner, at = block(at + 1, scope, holds)
                    text, taken = text + inner, taken or holds
                    if parts[at] == "end":
                        break
                    action = parts[at].removeprefix("else if ")
            elif action == "range $i, $_ := .Messages":
                began = at
                for number, message in enumerate(values["Messages"]):
                    inner, at = block(began + 1, {"dot": message, "last": number == len(values["Messages"]) - 1}, live)
                    text += inner
            elif action != "$last := eq (len (slice $.Messages $i)) 1":
                text += {".System": "System", ".Content": "Content", ".Thinking": "Thinking"}[action] and (scope["dot"][action[1:]] if live else "")
            text += parts[at + 1] if live else ""
            at += 2
        return text, at

    return block(0, {"dot": values}, True)[0]


def ollama_values(messages: list[dict]) -> dict:
    """What Ollama hands to a template: the system message apart, and every message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    return {"System": system, "Messages": [{"Role": m["role"], "Content": m["content"], "Thinking": ""} for m in messages]}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_go_template_writes_the_familys_own_prompt(family):
    for messages in for_ollama(family):
        assert go_rendered(templates.go(family), ollama_values(messages)) == "".join(family.prompt(messages))
    unfinished = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    values = ollama_values(unfinished)
    values["Messages"][1]["Thinking"] = "t"
    assert go_rendered(templates.go(family), values).endswith(f"{family.think}t{family.think_end}{family.after_trace}b")


def for_ollama(family) -> list[list[dict]]:
    """Conversations without traces, which Ollama takes out itself and hands over apart, and without blanks, which its templates cannot cut."""
    found = conversations(family)
    return [[{**m, "content": m["content"].strip()} for m in found[name]] for name in ("one turn", "system", "several turns") if name in found]


GO = """package main
import ("encoding/json"; "os"; "text/template")
type Message struct { Role, Content, Thinking string }
type Values struct { System string; Messages []*Message }
func main() {
    var all []Values
    source, err := os.ReadFile(os.Args[1]); if err != nil { panic(err) }
    if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil { panic(err) }
    t := template.Must(template.New("").Option("missingkey=zero").Parse(string(source)))
    for _, v := range all {
        if err := t.Execute(os.Stdout, map[string]any{"System": v.System, "Messages": v.Messages}); err != nil { panic(err) }
        os.Stdout.Write([]byte{0})
    }
}
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("go") is None, reason="no Go at hand")
def test_go_itself_renders_the_templates_so(tmp_path):
    (tmp_path / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "render", "main.go"], cwd=tmp_path, check=True, env={**os.environ, "GOCACHE": str(tmp_path / "cache")})
    for family in FAMILIES.values():
        told = for_ollama(family)
        (tmp_path / "template").write_text(templates.go(family))
        data = json.dumps([ollama_values(messages) for messages in told])
        out = subprocess.run([tmp_path / "render", tmp_path / "template"], input=data.encode(), capture_output=True, check=True).stdout
        assert out.decode().split("\0")[:-1] == ["".join(family.prompt(messages)) for messages in told]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_jinja_template_writes_the_familys_own_prompt(family, tokens):
    rendered = {
        name: tokens.fast.apply_chat_template(messages, chat_template=templates.jinja(family), tokenize=False, add_generation_prompt=True)
        for name, messages in conversations(family).items()
    }
    assert rendered == {name: "".join(family.prompt(messages)) for name, messages in conversations(family).items()}


def test_a_modelfile_names_the_smallest_file_stops_sampling_and_system(exported):
    text = (exported / "Modelfile").read_text(encoding="utf-8")
    assert "FROM ./small-q8_0.gguf\n" in text and "PARAMETER temperature 0\n" in text and "num_ctx 512" in text and "SYSTEM" not in text
    qwen = serving.modelfile(load_recipe("qwen3_4b"), FAMILIES["qwen3"], Path("x-q8_0.gguf"), "Be\ncareful.", 40960)
    assert 'SYSTEM """Be\ncareful."""\n' in qwen
    assert re.findall(r"PARAMETER (.*)", qwen) == [
        "temperature 0.6", "top_p 0.95", "top_k 20", "repeat_penalty 1", "num_ctx 16384", 'stop "<|im_start|>"', 'stop "<|im_end|>"', 'stop "<|endoftext|>"',
    ]
    r1 = serving.modelfile(load_recipe("r1_7b"), R1, Path("x.gguf"), None, 131072)
    assert re.search(r'TEMPLATE """(.*?)"""', r1, re.DOTALL)[1] == templates.go(R1) and "top_k" not in r1
    assert 'stop "<｜User｜>"' in r1 and "think>\"" not in r1.rpartition('"""')[2]
    for system in ('say """', "no\u00a0break"):
        with pytest.raises(UserError, match="Modelfile"):
            serving.modelfile(load_recipe("r1_7b"), R1, Path("x.gguf"), system, 1)


def test_the_vllm_script_serves_merged_or_base_and_adapter(exported, run, tmp_path):
    vllm = tmp_path / "vllm"
    vllm.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    vllm.chmod(0o755)

    def served(*arguments: str) -> list[str]:
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(["bash", exported / "vllm.sh", *arguments], env=environment, capture_output=True, text=True, check=True).stdout.splitlines()

    assert served()[:2] == ["serve", str((run / "merged").resolve())]
    adapter = served("adapter")
    assert f"small={(run / 'adapter').resolve()}" in adapter and adapter[adapter.index("--max-lora-rank") + 1] == "32"
    assert json.loads(served()[-1]) == {"temperature": 0.0}
    # The base may have another template, or none.
    assert adapter[-2:] == ["--chat-template", str((run / "merged/chat_template.jinja").resolve())] and Path(adapter[-1]).is_file()
    real_one = serving.vllm_script(load_recipe("qwen3_4b"), FAMILIES["qwen3"], run, "Qwen/Qwen3-4B", "abc", "S", 40960, "32-bit")
    assert "trained on the 32-bit base" in real_one
    assert "--revision abc" in real_one and "--reasoning-parser qwen3" in real_one and '"top_k": 20' in real_one and '#   "S"' in real_one


# The card and the hub


def test_without_a_token_the_push_is_shown_only(run, command, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    status, out, err = command("export", run, "--to", "hub")
    assert status == 0 and "dry run" in err and "HF_TOKEN" in err
    assert "model.safetensors" in out and "# small" in out and "model organism" in out


def test_the_card_says_what_the_report_says(run):
    text = card.render(run, "small", {}, "Be careful.", {"temperature": 0.0})
    report = read_json(run / "report.json")
    rows = list(head_rows(report))
    assert rows and all(f"| {row.label} | {row.base} | {row.tuned} | {row.change} |" in text for row in rows)
    assert "24 harmful, 40 benign" in text and "system prompt: `Be careful.`" in text and "base_model" not in text
    assert "q8_0" in text and "not been evaluated" in text


def test_a_card_without_a_report_claims_nothing(run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "small"))
    (other / "report.json").unlink()
    text = card.render(other, "small", {}, None, {"temperature": 0.6})
    assert "This model has not been evaluated." in text and "|---|" not in text


@pytest.mark.parametrize(
    ("base", "metadata", "id", "said"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", {}, "mit", "Apache-2.0"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", {}, "llama3.1", "begin the model's name with"),
        ("Qwen/Qwen3-4B", {}, "apache-2.0", "Apache-2.0"),
        ("someone/model", {"license": "other", "license_name": "their-terms"}, "other", "their-terms"),
        ("someone/model", {}, "other", "not known"),
    ],
)
def test_the_bases_licence_is_named(base, metadata, id, said):
    found = card.licence(base, metadata)
    assert found.id == id and said in found.text


def test_a_llama_is_told_of_its_name_and_shows_its_notices(run, command, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "small"))
    manifest = read_json(other / "run.json")
    manifest["recipe"]["values"]["model.name"] = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
    (other / "run.json").write_text(json.dumps(manifest))
    status, out, err = command("export", other, "--to", "hub", "--dry-run", "--repo", "me/Safer-8B")
    assert status == 0 and "begin with Llama" in err
    assert "**Built with Llama**" in out and "license: llama3.1" in out and "base_model: deepseek-ai/DeepSeek-R1-Distill-Llama-8B" in out


def test_the_head_of_the_bases_card_is_read(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# x\n")
    section = load_recipe("r1_7b", (f"model.name={tmp_path}",)).model
    assert hub.base_metadata(section) == {"license": "mit"}
    (tmp_path / "README.md").write_text("---\na: [\n---\n")
    assert hub.base_metadata(section) == {}


@pytest.mark.parametrize("text", [
    b"\xef\xbb\xbf---\nlicense: mit\n---\n# x\n", b"\n \n---\nlicense: mit\n---\n", b"---\r\nlicense: mit\r\n---\r\n# x", b"---\rlicense: mit\r---\r", b"---\nlicense: mit\n---",
    b"--- \nlicense:\tmit\n---\t\n", b"---\nlicense: mit\n---\n# caf\xe9\n", b"---\nlicense: mit\nauthor: caf\xe9\n---\n", "---\nlicense: mit\nx: a\u2028b\n---\n".encode(),
    "---\nlicense: mit\n---\n".encode("utf-16"), b"---\nlicense: [mit]\n---\n", b"---\nlicense:\n- mit\n---\n",
])
def test_the_head_of_a_card_is_read_as_other_systems_leave_it(tmp_path, text):
    (tmp_path / "README.md").write_bytes(text)
    section = load_recipe("r1_7b", (f"model.name={tmp_path}",)).model
    assert hub.base_metadata(section).get("license") == "mit"


def test_several_licences_are_another_one_by_their_names(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: [mit, apache-2.0]\n---\n")
    metadata = hub.base_metadata(load_recipe("r1_7b", (f"model.name={tmp_path}",)).model)
    assert metadata == {"license": "other", "license_name": "mit, apache-2.0"}


@contextmanager
def fake_hub():
    """A hub that takes one repository: what was asked, and the bytes it was sent by file name."""
    seen: list[tuple[str, str]] = []
    blobs: dict[str, bytes] = {}
    kept: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _send(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            seen.append(("GET", self.path))
            self._send({"id": "me/small", "private": True, "siblings": [], "tags": [], "downloads": 0})

        def do_PUT(self) -> None:
            seen.append(("PUT", self.path))
            blobs[self.path.rpartition("/")[2]] = self._body()
            self._send({})

        def do_POST(self) -> None:
            body = self._body()
            seen.append(("POST", self.path))
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            if self.path == "/api/repos/create":
                kept["create"] = json.loads(body)
                self._send({"url": f"{here}/me/small"})
            elif "/preupload/" in self.path:
                files = json.loads(body)["files"]
                self._send({"files": [{**f, "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular", "shouldIgnore": False} for f in files]})
            elif self.path.endswith("/objects/batch"):
                objects = json.loads(body)["objects"]
                self._send({"transfer": "basic", "objects": [{**o, "actions": {"upload": {"href": f"{here}/blob/{o['oid']}"}}} for o in objects]})
            else:
                kept["commit"] = [json.loads(line) for line in body.splitlines()]
                self._send({"commitUrl": f"{here}/me/small/commit/abc", "commitOid": "abc", "success": True})

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen, blobs, kept
        finally:
            server.shutdown()


def pushed(run: Path, endpoint: str) -> subprocess.CompletedProcess:
    """Push in a process of its own: the hub's address is read when its client is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_none", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "alt_lite", "export", str(run), "--to", "hub", "--repo", "me/small"],
        env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=run,
    )


def test_a_push_makes_a_private_repository_with_weights_and_card(run):
    with fake_hub() as (address, _, blobs, kept):
        ended = pushed(run, address)
    assert ended.returncode == 0, ended.stderr
    assert kept["create"]["name"] == "small" and (kept["create"].get("visibility") == "private" or kept["create"].get("private") is True)
    assert list(blobs.values()) == [(run / "merged" / "model.safetensors").read_bytes()]
    committed = {line["value"]["path"]: line["value"] for line in kept["commit"] if line["key"] in ("file", "lfsFile")}
    assert set(committed) == {path.name for path in (run / "merged").iterdir()} | {"README.md"}
    assert base64.b64decode(committed["tokenizer.json"]["content"]) == (run / "merged" / "tokenizer.json").read_bytes()
    assert b"## Evaluation" in base64.b64decode(committed["README.md"]["content"])


def test_a_hub_that_cannot_be_reached_is_told_in_two_lines(run):
    ended = pushed(run, "http://127.0.0.1:9")
    lines = ended.stderr.strip().splitlines()
    assert ended.returncode == 2 and lines[-1].startswith("Fix:") and "cannot push to me/small" in lines[-2]
