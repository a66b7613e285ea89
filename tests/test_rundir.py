from __future__ import annotations

import json
import multiprocessing

import pytest

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.rundir import RunDir, append_jsonl, default_folder, fingerprints, read_rows, source_digest, write_text


def begun(path, overrides=(), states=(("data", "done"), ("train", "done"), ("merge", "done"), ("eval", "done"), ("report", "done"))):
    recipe = load_recipe("tiny", overrides)
    folder = RunDir(path)
    path.mkdir(exist_ok=True)
    folder.begin(recipe, {})
    for stage, state in (("check", "done"), *states):
        folder.set_stage(recipe, stage, state, 1.0)
    for product in ("data/train.jsonl", "adapter/adapter_model.safetensors", "merged/config.json", "report.json"):
        write_text(path / product, "")
    return folder


def test_a_last_line_that_is_not_whole_is_left_out_and_left_alone(tmp_path):
    """A reader may look while a run is writing."""
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [{"a": 1}, {"a": "x\u2028y"}])
    with path.open("a") as file:
        file.write('{"a": 3')
    before = path.read_bytes()
    assert read_rows(path) == [{"a": 1}, {"a": "x\u2028y"}] and path.read_bytes() == before


def test_a_stage_whose_product_is_gone_is_not_done(tmp_path):
    folder = begun(tmp_path / "run")
    (tmp_path / "run" / "merged" / "config.json").unlink()
    plan = folder.plan(load_recipe("tiny"))
    assert plan["merge"] == "todo" and plan["train"] == "done"


def test_an_edited_source_is_noticed(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text("1\n")
    folder = begun(tmp_path / "run", [f"data.source={source}"])
    recipe = load_recipe("tiny", [f"data.source={source}"])
    folder.note(source_digest=source_digest(recipe))
    assert folder.plan(recipe)["data"] == "done"
    source.write_text("2\n")
    with pytest.raises(UserError, match="has changed since"):
        folder.plan(recipe)


def test_a_source_that_is_gone_does_not_stop_a_run_which_keeps_its_rows(tmp_path, capsys):
    source, run = tmp_path / "rows.jsonl", tmp_path / "run"
    source.write_text("1\n")
    folder, recipe = begun(run, [f"data.source={source}"]), load_recipe("tiny", [f"data.source={source}"])
    folder.note(source_digest=source_digest(recipe))
    source.rename(tmp_path / "other.jsonl")
    assert all(set(folder.plan(recipe).values()) == {"done"} for _ in range(2))
    assert capsys.readouterr().err.count("is not there any more") == 1
    source.write_text("2\n")
    with pytest.raises(UserError, match="has changed since"):
        folder.plan(recipe)
    source.unlink()
    (run / "data/train.jsonl").unlink()
    assert folder.plan(recipe)["data"] == "todo" and "not there any more" not in capsys.readouterr().err


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"


def test_a_change_of_eval_redoes_only_eval_and_report(tmp_path):
    folder = begun(tmp_path / "run")
    plan = folder.plan(load_recipe("tiny", ["eval.limit=5"]))
    assert [plan[s] for s in ("data", "train", "merge", "eval", "report")] == ["done", "done", "done", "redo", "redo"]
    plan = folder.plan(load_recipe("tiny", ["report.examples=1"]))
    assert plan["eval"] == "done" and plan["report"] == "redo"


def test_a_change_that_would_discard_training_is_refused_with_the_keys(tmp_path):
    folder = begun(tmp_path / "run")
    with pytest.raises(UserError) as error:
        folder.plan(load_recipe("tiny", ["train.seed=7", "data.benign=3"]))
    assert "train.seed=1995 there, 7 here" in error.value.message and "data.benign" in error.value.message
    assert "--fresh" in error.value.fix and "--run-dir" in error.value.fix


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    folder = begun(tmp_path / "run")
    with pytest.raises(UserError, match="of recipe 'tiny'"):
        folder.plan(load_recipe("r1_7b"))


def test_keys_that_change_no_result_change_no_fingerprint():
    same = load_recipe("tiny", ["train.checkpoint_steps=3", "eval.batch_size=7", "eval.base_from=x", "endpoint.timeout=9", "endpoint.concurrency=2"])
    assert fingerprints(same) == fingerprints(load_recipe("tiny"))


def test_a_run_of_an_earlier_version_stays_what_it_is():
    """A key that came later must not discard trainings of before it: this stood in a run.json of before there were model.dtype,
    merge.dtype and further sources. It changes with a value of the recipe `tiny`, too, and then is to be taken anew."""
    assert fingerprints(load_recipe("tiny", ["train.epochs=0.3", "eval.limit=20"]))["report"] == "58960c18c1193509"


def test_before_training_everything_may_change(tmp_path):
    folder = begun(tmp_path / "run", states=(("data", "done"),))
    assert folder.plan(load_recipe("tiny", ["data.seed=3"]))["data"] == "redo"


def test_fresh_deletes_only_what_the_manifest_lists(tmp_path):
    folder = begun(tmp_path / "run")

    (tmp_path / "run" / "notes.txt").write_text("mine")
    folder.fresh()
    left = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert left == ["notes.txt"]


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="not a run's folder"):
        RunDir(tmp_path).require_ours()


def test_a_manifest_that_is_none_is_a_users_error(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="not a manifest"):
        RunDir(tmp_path).plan(load_recipe("tiny"))


def _try_lock(path, queue):
    try:
        with RunDir(path).locked():
            queue.put("locked")
    except UserError as error:
        queue.put(error.message)


def test_two_runs_in_one_folder_exclude_each_other(tmp_path):
    queue = multiprocessing.Queue()
    with RunDir(tmp_path).locked():
        other = multiprocessing.Process(target=_try_lock, args=(tmp_path, queue))
        other.start()
        assert "another run works" in queue.get(timeout=60)
        other.join()
    other = multiprocessing.Process(target=_try_lock, args=(tmp_path, queue))
    other.start()
    assert queue.get(timeout=60) == "locked"
    other.join()


def test_the_folders_name_holds_the_overrides():
    assert str(default_folder(load_recipe("tiny", ["data.benign=0"]))) == "runs/tiny,data.benign=0"
    assert "/" not in default_folder(load_recipe("tiny", ["data.source=a/b.jsonl"])).name


def test_seconds_add_up_over_interruptions(tmp_path):
    folder = begun(tmp_path / "run", states=())
    recipe = load_recipe("tiny")
    folder.set_stage(recipe, "data", "begun", 2.0)
    folder.set_stage(recipe, "data", "done", 3.0)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["stages"]["data"]["seconds"] == 5.0
