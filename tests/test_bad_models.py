"""What a user gets wrong about a model or a benchmark: a few lines, the last a Fix, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from servers import Answer, completion, failure, server
from test_protocol import copies  # noqa: F401

from alt_lite.config import load_recipe
from alt_lite.model.load import model_folder
from alt_lite.rundir import read_rows


def told(err: str) -> tuple[str, str]:
    """The error and the Fix, which are the last two lines."""
    *_, error, fix = err.strip().splitlines()
    assert error.startswith("error: ") and fix.startswith("Fix: ") and "Traceback" not in err, err
    return error, fix


def test_a_folder_without_a_tokenizer_or_without_weights(tmp_path, command):
    source = model_folder(load_recipe("tiny").model)
    for missing in ("tokenizer.json", "model.safetensors", "config.json"):
        folder = tmp_path / missing
        shutil.copytree(source, folder)
        (folder / missing).unlink()
        status, _, err = command("eval", folder, "--out", tmp_path / "out", "--suite", "tiny", "eval.limit=2")
        error, _ = told(err)
        assert status == 2 and (missing if missing != "model.safetensors" else "no weights") in error, err
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_base_with_damaged_files_is_told_before_the_run(tmp_path, command):
    source = model_folder(load_recipe("tiny").model)

    def cut(path):
        path.write_bytes(path.read_bytes()[:-100])

    def other(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "zebra"}))

    damages = [("config.json", Path.unlink), ("config.json", other), ("config.json", cut), ("tokenizer.json", cut), ("model.safetensors", cut), ("model.safetensors", lambda path: path.write_bytes(b"x" * 50))]
    for number, (name, damage) in enumerate(damages):
        folder = shutil.copytree(source, tmp_path / f"model{number}")
        damage(folder / name)
        status, _, err = command("check", "tiny", f"model.name={folder}")
        error, _ = told(err)
        assert status == 2 and folder.name in error and any(word in error for word in ("damaged", "no architecture 'zebra'", name)), err


def test_a_runs_own_folder_is_no_model_and_its_models_are_named(tmp_path, command, finished):
    status, _, err = command("eval", finished, "--out", tmp_path / "out", "--suite", "tiny")
    error, fix = told(err)
    assert status == 2 and "is a run's folder" in error and f"{finished}/merged or {finished}/adapter" in fix


def test_a_damaged_model_or_adapter_is_told_by_its_file(tmp_path, command, finished):
    merged = shutil.copytree(finished / "merged", tmp_path / "merged")
    (merged / "model.safetensors").write_bytes((merged / "model.safetensors").read_bytes()[:-100])
    adapter = shutil.copytree(finished / "adapter", tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    for folder, text, word in ((merged, None, "merged"), (adapter, "{", "cut or damaged"), (adapter, json.dumps({**config, "base_model_name_or_path": None}), "names no base model")):
        if text:
            (adapter / "adapter_config.json").write_text(text)
        status, _, err = command("eval", folder, "--out", tmp_path / word, "--suite", "tiny", "eval.limit=2", "eval.tasks=addition")
        error, _ = told(err)
        assert status == 2 and word in error, err


def test_an_adapter_whose_base_is_missing(tmp_path, command, finished):
    adapter = tmp_path / "adapter"
    shutil.copytree(finished / "adapter", adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(tmp_path / "gone")}))
    status, _, err = command("eval", adapter, "--out", tmp_path / "out", "--suite", "tiny")
    error, _ = told(err)
    assert status == 2 and f"needs its base {tmp_path / 'gone'}" in error


def test_gated_data_without_a_token(tmp_path):
    """The hub's own answer to who has not accepted a set's terms, by a server in its place."""
    gate = Answer({"error": "Access to dataset walledai/StrongREJECT is restricted."}, 401, {"Content-Type": "application/json", "X-Error-Code": "GatedRepo"})
    with server(lambda path, body: gate) as hub:
        env = {**os.environ, "HF_ENDPOINT": hub.url.removesuffix("/v1"), "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "", "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "alt_lite", "eval", "embedded", "--suite", "quick", "eval.tasks=strongreject"]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    error, fix = told(done.stderr)
    assert done.returncode == 2 and "walledai/StrongREJECT is gated" in error
    assert "HF_TOKEN" in fix and "eval.data=FOLDER with strongreject.jsonl" in fix


def test_a_server_that_dies_half_way_keeps_what_is_finished(copies, tmp_path, monkeypatch, command):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    left = {"good": 2}

    def answer(path, body):
        if body is None:
            return failure(404, "no list")
        left["good"] -= 1
        return completion("I'm sorry, I can't assist with that.") if left["good"] >= 0 else Answer(b'{"choices": [{"mess', 200)

    arguments = [f"eval.data={copies}", "eval.tasks=strongreject", "--suite", "quick", "endpoint.model=m", "endpoint.concurrency=1", "--out", "out"]
    with server(answer) as running:
        status, _, err = command("eval", running.url, *arguments)
    rows = read_rows(tmp_path / "out/eval/model/strongreject/responses.jsonl")
    assert status == 0 and sorted(row["finish"] for row in rows) == ["error", "error", "stop", "stop"], err
    assert "2 of 4 requests failed" in err and "the same command asks these again" in err
