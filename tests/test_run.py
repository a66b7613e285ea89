"""Whole runs of the embedded model: files, resume, interruption, bad input; through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alt_lite.config import load_recipe
from alt_lite.dataset import rows_for
from alt_lite.errors import OutOfTime
from alt_lite.recipe import run
from alt_lite.rundir import RunDir, read_json, read_rows
from tests.conftest import SMALL

TASKS = {"harm_seen", "harm_objects", "harm_wording", "harm_wrapped", "lookalike", "howto", "addition", "comparison", "reversal", "facts"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}


def test_a_run_leaves_the_files_of_the_contract(finished):
    manifest = read_json(finished / "run.json")
    assert {"recipe", "versions", "device", "backend", "seed", "git_commit", "model", "stages"} <= set(manifest)
    assert manifest["recipe"]["values"]["train.epochs"] == 1.5 and manifest["recipe"]["origin"]["train.epochs"] == "command line"
    assert all(manifest["stages"][s]["state"] == "done" for s in ("check", "data", "train", "merge", "eval", "report"))
    rows = read_rows(finished / "data" / "train.jsonl")
    assert len(rows) == 64 and set(rows[0]) == {"id", "system", "prompt", "label", "category", "language", "source", "understanding", "assessment", "reasoning", "answer", "source_trace", "source_answer"}
    log = read_rows(finished / "train_log.jsonl")
    assert {"step", "loss", "learning_rate", "tokens", "tokens_per_second", "memory_bytes"} <= set(log[0])
    assert {p.name for p in (finished / "eval" / "base").iterdir()} == TASKS
    for subject in ("base", "tuned"):
        for task in TASKS:
            responses = read_rows(finished / "eval" / subject / task / "responses.jsonl")
            assert {"id", "task", "prompt_id", "attack", "sample", "seed", "messages", "label", "language", "reference", "completion", "trace", "answer", "n_tokens", "finish"} == set(responses[0])
            judged = read_rows(finished / "eval" / subject / task / "judgements.jsonl")
            assert {"id", "judge", "part", "verdict", "score"} == set(judged[0]) and {j["id"] for j in judged} == {r["id"] for r in responses}


def test_the_report_has_the_schema_of_the_contract(finished):
    report = read_json(finished / "report.json")
    assert report["schema"] == 1 and report["recipe"] == "tiny" and report["run"]["embedded"] is True
    assert set(report["run"]) == {"seconds", "peak_memory_bytes", "device", "backend", "precision", "embedded"}
    metric = {"model", "task", "metric", "attack", "judge", "part", "language", "primary", "value", "value_max", "n", "ci_low", "ci_high", "ci_method", "truncated", "unparsable", "errors"}
    assert all(set(entry) == metric for entry in report["metrics"])
    compared = {"task", "metric", "attack", "judge", "part", "language", "a", "b", "value_a", "value_b", "delta", "delta_max", "ci_low", "ci_high", "ci_method", "test", "p", "p_holm", "n_pairs", "better"}
    assert all(set(entry) == compared for entry in report["comparisons"])
    assert {"rows", "tokens", "trained_tokens", "padding_share", "seconds", "tokens_per_second", "peak_memory_bytes", "final_loss"} <= set(report["training"])
    assert {"max_logit_difference", "greedy_agreement", "base"} <= set(report["merge"])
    keys = [tuple(e[k] for k in ("model", "task", "metric", "attack", "judge", "part", "language")) for e in report["metrics"]]
    assert len(keys) == len(set(keys))
    names = {e["metric"] for e in report["metrics"]}
    assert {"harmful_rate", "over_refusal_rate", "refusal_rate", "accuracy", "structure_rate", "no_eos_rate", "mean_tokens", "assessment_flip_effect"} <= names
    assert {e["language"] for e in report["metrics"] if e["task"] == "addition"} == {None, "es"}
    for entry in report["metrics"]:
        assert entry["ci_low"] <= entry["value"] + 1e-9 and entry["value"] <= entry["ci_high"] + 1e-9 and entry["value"] <= entry["value_max"]
    markdown = (finished / "report.md").read_text()
    assert "harmful, new objects" in markdown and "**tuned**" in markdown and "`train.epochs`" in markdown


def test_the_merged_folder_is_proved_and_loads_plainly(finished):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merge = read_json(finished / "report.json")["merge"]
    assert merge["proved"] and merge["max_logit_difference"] <= 1e-2 and merge["greedy_agreement"] == 1.0
    assert merge["base"] == "dequantized"
    model = AutoModelForCausalLM.from_pretrained(finished / "merged")
    assert model.dtype == torch.float16 and not any("lora" in name for name, _ in model.named_parameters())
    assert AutoTokenizer.from_pretrained(finished / "merged").eos_token == "<｜end▁of▁sentence｜>"


def test_merging_into_the_original_base_is_another_model_and_says_so(finished, tmp_path, command):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    status, out, err = command("run", "tiny", *SMALL, "merge.base=original", "--run-dir", copy, "--stages", "merge")
    assert status == 0 and "merge: settings changed" in err
    merge = read_json(copy / "run.json")["merge"]
    assert merge["proved"] and merge["base"] == "original"
    assert merge["shift_max_logit_difference"] > 10 * merge["max_logit_difference"]


def test_a_finished_run_is_not_touched(finished, command):
    before = contents(finished)
    status, out, err = command("run", "tiny", *SMALL, "--run-dir", finished)
    assert status == 0 and "is finished" in err and "harmful, new objects" in out
    assert contents(finished) == before


def test_eval_settings_redo_only_the_evaluation_and_changed_training_is_refused(finished, tmp_path, command):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    adapter = (copy / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    fewer = [pair for pair in SMALL if "limit" not in pair]
    status, _, err = command("run", "tiny", *fewer, "eval.limit=2", "--run-dir", copy)
    assert status == 0 and "eval: settings changed, done again" in err and "train: done before" in err
    assert (copy / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == adapter
    assert all(e["n"] <= 4 for e in read_json(copy / "report.json")["metrics"])
    status, _, err = command("run", "tiny", *SMALL, "train.seed=4", "--run-dir", copy)
    assert status == 2 and "train.seed=1995 there, 4 here" in err and err.strip().splitlines()[-1].startswith("Fix:")


def test_stages_can_be_run_one_by_one(tmp_path, finished):
    recipe = load_recipe("tiny", SMALL)
    for stage in ("data", "train", "merge"):
        run(recipe, tmp_path / "r", stages=["check", stage])
    whole, pieces = ((p / "adapter" / "adapter_model.safetensors").read_bytes() for p in (finished, tmp_path / "r"))
    assert whole == pieces
    assert not (tmp_path / "r" / "report.json").exists()


def test_a_stage_without_its_forerunner_is_refused(tmp_path, command):
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", tmp_path / "r", "--stages", "merge")
    assert status == 2 and "needs stage data, which is not done" in err and "Fix: --stages data,train,merge" in err


def test_out_of_time_keeps_what_is_done(tmp_path, finished):
    recipe = load_recipe("tiny", SMALL)
    with pytest.raises(OutOfTime):
        run(recipe, tmp_path / "r", max_minutes=0)
    assert read_json(tmp_path / "r" / "run.json")["stages"]["data"]["state"] == "begun"
    run(recipe, tmp_path / "r", stages=["data", "train"])
    assert (tmp_path / "r" / "adapter" / "adapter_model.safetensors").read_bytes() == (finished / "adapter" / "adapter_model.safetensors").read_bytes()


def test_out_of_time_leaves_with_status_3(command, tmp_path):
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", tmp_path / "r", "--max-minutes", "0")
    assert status == 3 and "the same command goes on" in err


def test_fresh_discards_the_run_and_nothing_else(command, tmp_path, finished):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "notes.txt").write_text("mine")
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", copy, "--fresh", "--stages", "eval,report")
    assert status == 2 and "must begin with data" in err and (copy / "adapter").exists()
    status, _, err = command("run", "tiny", *SMALL, "train.seed=3", "--run-dir", copy, "--fresh", "--stages", "check,data")
    assert status == 0 and (copy / "notes.txt").exists() and not (copy / "adapter").exists()


def test_a_stage_is_not_built_on_one_of_other_settings(command, tmp_path, finished):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    status, _, err = command("run", "tiny", *SMALL, "merge.base=original", "--run-dir", copy, "--stages", "eval,report")
    assert status == 2 and "needs stage merge, which was done with other settings" in err and "--stages merge,eval,report" in err


def test_changed_base_weights_are_refused(command, tmp_path, finished):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    manifest = read_json(copy / "run.json")
    manifest["model"]["digest"] = "another"
    (copy / "run.json").write_text(json.dumps(manifest))
    (copy / "report.json").unlink()
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", copy)
    assert status == 2 and "weights have changed" in err


def test_an_evaluation_does_not_overwrite_a_run_or_another_evaluation(command, tmp_path, finished):
    before = contents(finished)
    status, _, err = command("eval", finished / "merged", "eval.limit=2", "--out", finished)
    assert status == 2 and "holds a training run" in err and contents(finished) == before
    assert command("eval", finished / "merged", "eval.limit=2", "--out", tmp_path / "e")[0] == 0
    status, _, err = command("eval", finished / "adapter", "eval.limit=2", "--out", tmp_path / "e")
    assert status == 2 and "holds the evaluation of" in err


def test_a_report_in_the_middle_of_a_changed_evaluation_is_still_readable(command, tmp_path, finished):
    import shutil

    from alt_lite.evals.runner import write_suite
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import tasks

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    write_suite(copy / "eval", tasks(Split(0), "heldout", 2))
    assert command("report", copy)[0] == 0
    assert max(e["n"] for e in read_json(copy / "report.json")["metrics"]) <= 2


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "alt_lite.recipe", "tiny", *SMALL, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def test_killed_in_evaluation_and_resumed_gives_the_same_responses(tmp_path, finished):
    process = start("train.epochs=1.5", "--run-dir", tmp_path / "r", "eval.batch_size=2")
    path = tmp_path / "r" / "eval" / "tuned" / "harm_wording" / "responses.jsonl"
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert path.exists() and not (tmp_path / "r" / "report.json").exists()
    run(load_recipe("tiny", SMALL), tmp_path / "r")
    for subject in ("base", "tuned"):
        for task in TASKS:
            name = Path("eval") / subject / task / "responses.jsonl"
            whole, resumed = ({row["id"]: row for row in read_rows(folder / name)} for folder in (finished, tmp_path / "r"))
            assert resumed == whole


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    """Wait until a whole checkpoint of `step` is there; fail when the process ends before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "checkpoints" / f"checkpoint-{step}" / "complete").is_file():
            return
        if process.poll() is not None:
            pytest.fail(f"the run ended before step {step}: {process.stderr.read()}")
        time.sleep(0.02)
    pytest.fail("no checkpoint in two minutes")


def test_killed_in_training_and_resumed_gives_the_same_bytes(tmp_path):
    recipe = load_recipe("tiny", (*SMALL, "train.epochs=3"))
    whole = run(recipe, tmp_path / "whole", stages=["data", "train"])
    process = start("train.epochs=3", "--run-dir", tmp_path / "killed")
    wait_for_step(tmp_path / "killed", 4, process)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed" / "adapter").exists()
    run(recipe, tmp_path / "killed", stages=["data", "train"])
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes()
    assert [r["step"] for r in read_rows(tmp_path / "killed" / "train_log.jsonl")] == list(range(1, 13))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_keeps_its_checkpoint(tmp_path, number, status):
    process = start("train.epochs=3", "--run-dir", tmp_path / "r")
    wait_for_step(tmp_path / "r", 2, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err and "the same command goes on" in err
    assert read_json(tmp_path / "r" / "run.json")["stages"]["train"]["state"] == "begun"


def test_no_run_from_a_held_folder(tmp_path, command):
    with RunDir(tmp_path / "r").locked():
        status, _, err = command("run", "tiny", *SMALL, "--run-dir", tmp_path / "r")
    assert status == 2 and "another run works" in err


def test_rows_of_ones_own_are_trained(tmp_path, tokens):
    path = tmp_path / "rows.jsonl"
    rows = rows_for(load_recipe("tiny", SMALL))[:16]
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    folder = run(load_recipe("tiny", [f"data.source={path}", "train.epochs=1"]), tmp_path / "r", stages=["data", "train"])
    assert read_json(folder / "run.json")["training"]["rows"] == 16


def bad_rows(tmp_path: Path, **changes) -> Path:
    row = {"id": "a", "prompt": "p", "label": "benign", "understanding": "u.", "assessment": "h.", "reasoning": "c.", "answer": "x"}
    row.update(changes)
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({k: v for k, v in row.items() if v is not ...}) + "\n")
    return path


@pytest.mark.parametrize("changes, says", [
    ({"prompt": ...}, "no 'prompt'"), ({"answer": ...}, "no 'answer'"), ({"answer": "  "}, "'answer': must not be empty"),
    ({"label": "evil"}, "'label'"), ({"answer": "a </think> b"}, "row a: control token </think>"), ({"typo": 1}, "'typo'"),
    ({"prompt": 3}, "'prompt'"), ({"assessment": ""}, "needs assessment"),
])
def test_bad_rows_are_users_errors_before_anything_is_written(tmp_path, command, changes, says):
    path = bad_rows(tmp_path, **changes)
    status, out, err = command("run", "tiny", f"data.source={path}", "--run-dir", tmp_path / "r")
    assert status == 2 and says in err and "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("Fix:")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("arguments, says", [
    (["run", "tinny"], "did you mean tiny"), (["run", "tiny", "train.epocs=1"], "did you mean train.epochs"),
    (["run", "tiny", "train.learning_rate=fast"], "not a number"), (["run", "tiny", "lora.r=0"], "lora.r"),
    (["run", "tiny", "--stages", "trian"], "no stage 'trian'"), (["run", "tiny", "--nope"], "--nope"), (["run"], "name"),
    (["run", "tiny", "data.source=nowhere.jsonl"], "no such file"), (["run", "tiny", "data.source=nowhere"], "no data source"),
    (["run", "tiny", "data.harmful=0", "data.benign=0", "data.skills=0"], "all 0"), (["run", "tiny", "data.harmful=999999"], "different prompts"),
    (["run", "tiny", "model.max_length=50"], "longer than model.max_length"), (["run", "tiny", "model.backend=unsloth"], "transformers"),
    (["run", "tiny", "model.family=qwen3"], "im_start"), (["chat", "nowhere"], "not a run"), (["report", "nowhere"], "not a run"),
    (["compare", "nowhere", "nowhere"], "no evaluation"), (["eval", "nowhere"], "hub"), (["eval", "http://localhost:1"], "no server answers"),
    (["judge", "nowhere.jsonl", "--judge", "refusal"], "no"), (["structure", "nowhere.jsonl"], "no such file"), (["bogus"], "bogus"),
])
def test_users_errors_are_short_and_end_with_a_fix(command, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, out, err = command(*arguments)
    lines = err.strip().splitlines()
    assert status == 2 and says in err and lines[-1].startswith("Fix:") and "Traceback" not in err, err
    assert len(lines) <= 12 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["r1_1_5b", "r1_32b", "qwen3_4b"])
def test_without_a_gpu_one_line_says_what_is_missing_and_what_runs_here(command, monkeypatch, tmp_path, name):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    status, _, err = command("run", name)
    assert status == 2 and "needs a CUDA GPU" in err and "recipe tiny" in err and len(err.strip().splitlines()) == 2
    assert not list(tmp_path.iterdir())


def test_32b_says_that_it_does_not_fit_24_gb(command):
    status, out, err = command("run", "r1_32b", "--dry-run")
    assert status == 0 and "does not fit a 24 GB card" in err and "train todo" in out


def test_no_disk_space_is_found_before_any_work(command, monkeypatch, tmp_path):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    status, _, err = command("run", "tiny", "--run-dir", tmp_path / "r")
    assert status == 2 and "1.0 MB are free" in err and "Fix:" in err and not (tmp_path / "r").exists()


def test_a_disk_that_fills_up_is_a_users_error(finished):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    rows = finished / "eval" / "base" / "addition" / "responses.jsonl"
    with open("/dev/full", "w") as full:
        left = subprocess.run(
            [sys.executable, "-m", "alt_lite", "structure", str(rows), "--json"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert left.returncode == 2 and "no space left" in left.stderr and left.stderr.strip().splitlines()[-1].startswith("Fix:")


@pytest.mark.parametrize("where", ["file/run", "x" * 300])
def test_a_run_folder_that_cannot_be_is_a_users_error(command, tmp_path, where):
    (tmp_path / "file").write_text("")
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", tmp_path / where)
    assert status == 2 and err.strip().splitlines()[-1].startswith("Fix:") and "Traceback" not in err


def test_dry_run_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("run", "tiny", "--dry-run")[0] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_an_evaluation_killed_at_twenty_random_moments_gives_the_same_responses(tmp_path):
    """Sampled, so that the noise is seen to be each response's own; `kill -9` anywhere from the start on."""
    import random

    arguments = ["eval", "embedded", "--suite", "tiny", "eval.limit=25", "eval.temperature=0.8", "eval.samples=2", "eval.batch_size=4"]
    command = [sys.executable, "-m", "alt_lite", *arguments]
    # Not beside each other: what one has asked the other would take over.
    whole, killed = tmp_path / "a" / "whole", tmp_path / "b" / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}

    def seconds() -> float:
        began = time.monotonic()
        subprocess.run([*command, "--out", whole], check=True, capture_output=True, env=environment)
        return time.monotonic() - began

    work, start = seconds(), seconds()  # the second finds everything done
    work -= start
    rng = random.Random(0)
    cut = 0
    for _ in range(20):
        process = subprocess.Popen([*command, "--out", killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            process.wait(timeout=rng.uniform(0.5 * start, start + 0.08 * work))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            cut += 1
    subprocess.run([*command, "--out", killed], check=True, capture_output=True, env=environment)
    files = sorted(path.relative_to(whole) for path in whole.rglob("responses.jsonl"))
    assert len(files) > 5 and cut == 20
    for name in files:
        before, after = (sorted((side / name).read_bytes().splitlines()) for side in (whole, killed))
        assert before == after, name
    print(f"\n{cut} of 20 runs killed; {len(files)} files of responses the same")
