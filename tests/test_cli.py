from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alt_lite.data.rows import read_training_rows


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_structure_prints_one_line_per_row_with_the_contracts_keys(command, tmp_path):
    path = jsonl(tmp_path / "x.jsonl", [
        {"id": "a", "prompt": "p", "completion": "The user wants a torvak. This request is harmful. I must refuse.\n</think>\n\nNo."},
        {"id": "b", "prompt": "p", "trace": "I will list the steps.", "answer": "Sure!"},
        {"id": "c", "prompt": "p", "trace": None, "answer": "Sure!"},
    ])
    status, out, _ = command("structure", path, "--json")
    first, second, third = lines(out)
    assert status == 0 and set(first) == {"id", "understanding", "assessment", "solving", "refusing", "verdict", "order", "assessment_position"}
    assert first["id"] == "a" and first["verdict"] == "harmful" and first["order"] == ["understanding", "assessment", "refusing"]
    assert second["verdict"] is None and second["order"] == ["solving"]
    assert third["order"] is None and third["assessment_position"] is None


def test_judge_keeps_ids_and_gives_the_contracts_keys(command, finished, tmp_path):
    path = finished / "eval" / "base" / "harm_objects" / "responses.jsonl"
    status, out, _ = command("judge", path, "--judge", "world_harm")
    judged = lines(out)
    assert status == 0 and all(set(row) == {"id", "judge", "part", "verdict", "score"} for row in judged)
    assert [row["id"] for row in judged] == [row["id"] for row in lines(path.read_text())]
    assert judged[0]["judge"] == "world_harm@1" and {row["verdict"] for row in judged} <= {"harmful", "harmless", None}
    written = tmp_path / "j.jsonl"
    assert command("judge", path, "--judge", "world_harm@1", "--out", written)[0] == 0
    assert lines(written.read_text()) == judged


def test_an_unknown_judge_names_the_nearest(command, finished):
    path = finished / "eval" / "base" / "harm_objects" / "responses.jsonl"
    status, _, err = command("judge", path, "--judge", "world_harmm")
    assert status == 2 and "did you mean world_harm" in err


@pytest.mark.parametrize("row, says", [({"id": "x"}, "neither"), ({"id": "x", "completion": 3}, "'completion' is not text")])
def test_rows_that_cannot_be_judged_are_named(command, tmp_path, row, says):
    status, _, err = command("structure", jsonl(tmp_path / "x.jsonl", [row]))
    assert status == 2 and "line 1" in err and says in err


def test_mask_as_json_is_what_training_sees(command, tokens, finished):
    status, out, _ = command("mask", "tiny", "--rows", finished / "data" / "train.jsonl", "--n", "3", "--json")
    rows = read_training_rows(finished / "data" / "train.jsonl")[:3]
    assert status == 0 and [line["id"] for line in lines(out)] == [row.id for row in rows]
    for line, row in zip(lines(out), rows, strict=True):
        assert set(line) == {"id", "input_ids", "labels"} and len(line["input_ids"]) == len(line["labels"])
        text = tokens.decode([i for i in line["labels"] if i != -100])
        assert text.endswith(f"{row.answer}<｜end▁of▁sentence｜>") and text.startswith(row.understanding)


def test_mask_shows_a_row(command):
    status, out, _ = command("mask", "tiny")
    assert status == 0 and "tokens trained" in out and "</think>" in out


def test_chat_answers_with_both_models_and_user_text_stays_text(command, finished):
    status, out, _ = command("chat", finished, "--prompt", "What is 12 + 34? </think> [bold]", "--json")
    rows = json.loads(out)
    assert status == 0 and set(rows) == {"base", "tuned"} and rows["base"]["trace"]
    status, out, _ = command("chat", finished, "--prompt", "What is [red]12 + 34?")
    assert status == 0 and "[red]" in out


def test_compare_is_paired_and_signed(command, finished):
    status, out, _ = command("compare", f"{finished}:base", finished, "--json")
    entries = json.loads(out)
    there = json.loads((finished / "report.json").read_text())["comparisons"]
    assert status == 0 and [e["delta"] for e in entries] == [e["delta"] for e in there]
    _, turned, _ = command("compare", finished, f"{finished}:base", "--json")
    assert [e["delta"] for e in json.loads(turned)] == pytest.approx([-e["delta"] for e in entries])
    status, out, _ = command("compare", f"{finished}:base", finished)
    assert status == 0 and "harmful, new objects: harmful_rate" in out


def test_compare_names_the_tasks_that_one_side_lacks_with_the_reason(command, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "other")
    suite = json.loads((tmp_path / "other/eval/suite.json").read_text())
    del suite["facts"]
    (tmp_path / "other/eval/suite.json").write_text(json.dumps(suite))
    manifest = json.loads((tmp_path / "other/run.json").read_text())
    (tmp_path / "other/run.json").write_text(json.dumps({**manifest, "missing": [{"task": "facts", "reason": "no network"}]}))
    status, _, err = command("compare", finished, tmp_path / "other")
    assert status == 0 and "compare: not in B, and not compared: facts (no network)" in err


def test_eval_of_the_merged_folder_equals_the_runs_own(command, finished, tmp_path):
    status, out, _ = command("eval", finished / "merged", "eval.limit=4", "--out", tmp_path / "e")
    assert status == 0 and "harmful_rate" in out
    def rates(path, model):
        report = json.loads((path / "report.json").read_text())
        return {(e["task"], e["metric"], e["attack"], e["language"]): e["value"] for e in report["metrics"] if e["model"] == model}
    assert rates(tmp_path / "e", "model") == rates(finished, "tuned")
    assert json.loads(command("compare", finished, tmp_path / "e", "--json")[1])[0]["delta"] == 0.0


def test_eval_of_an_adapter_is_close_to_its_merge(command, finished, tmp_path):
    assert command("eval", finished / "adapter", "eval.limit=4", "--out", tmp_path / "e")[0] == 0
    entries = json.loads(command("compare", finished, tmp_path / "e", "--json")[1])
    assert max(abs(e["delta"]) for e in entries if e["metric"] in ("harmful_rate", "accuracy")) <= 0.25


def test_report_can_be_rendered_again(command, finished):
    status, out, _ = command("report", finished)
    assert status == 0 and "harmful, new objects" in out and "next:" in out


def test_results_go_to_standard_output_and_all_else_to_standard_error(command):
    status, out, err = command("check", "tiny")
    assert status == 0 and out.strip().endswith("ready") and "data: 1000 rows" in err and "data:" not in out


def test_check_does_not_write(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("check", "tiny")[0] == 0
    assert not list(tmp_path.iterdir())


def test_doctor_prints_versions_and_tries_four_bit(command):
    status, out, _ = command("doctor")
    assert status == 0 and "torch" in out and "4 bit" in out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932"])
def test_a_pipe_of_another_encoding_ends_no_verb_and_gets_whole_json(encoding, tmp_path):
    rows = [{"id": "a", "prompt": "¿Qué?", "completion": "<think>\nEl usuario quiere → pan. 🙂\n</think>\n\nSí."}]
    (tmp_path / "out.jsonl").write_text(json.dumps(rows[0], ensure_ascii=False) + "\n", encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(Path(__file__).parents[1])}
    for verb in (["structure", "out.jsonl"], ["structure", "out.jsonl", "--json"], ["judge", "out.jsonl"], ["show", "tiny"], ["ls"]):
        done = subprocess.run([sys.executable, "-m", "alt_lite", *verb], env=env, cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
        if "--json" in verb:
            assert json.loads(done.stdout.decode(encoding))["id"] == "a"


def test_bytes_that_are_no_text_are_refused_and_a_file_of_that_name_is_read(command, tmp_path):
    status, _, err = command("check", "tiny", "data.system=a\udcff")
    assert status == 2 and "no UTF-8" in err and "Fix: " in err
    odd = tmp_path / "\udcff.jsonl"
    odd.write_text('{"id": "a", "prompt": "p", "completion": "c"}\n')
    assert command("structure", odd, "--json")[0] == 0


def test_a_tilde_behind_an_options_equals_sign_is_the_home_folder(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "out.jsonl").write_text('{"id": "a", "prompt": "p", "completion": "I cannot help."}\n')
    assert command("judge", tmp_path / "out.jsonl", "--out=~/judged.jsonl")[0] == 0
    assert (tmp_path / "judged.jsonl").is_file()
