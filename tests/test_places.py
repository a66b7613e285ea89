"""Benchmarks for a person without a token: places in order, what is gated, cut, missing or offline, and the cache.

The hub and the file host are local servers in their place (`standin`); every case runs in a process of its own, since
the hub's client reads its address once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from standin import commit_of, standin

from alt_lite.evals.suites import SUITES
from alt_lite.evals.tasks import TASKS

ROOT = Path(__file__).parents[1]
PLAN = """
import json, sys
from alt_lite import protocol
from alt_lite.cli.app import main
from alt_lite.config import load_recipe
from alt_lite.decide import Device, decide
from alt_lite.errors import UserError
from alt_lite.model.backend import prepare_environment
prepare_environment()
recipe, here = load_recipe("tiny", sys.argv[1:]), Device("cpu", "a CPU", 0)
try:
    plan = protocol.build(recipe, decide(recipe, here), here)
    print(json.dumps({"sources": plan.sources, "missing": plan.missing, "prompts": {t.name: [p.messages[-1]["content"] for p in t.prompts] for t in plan.tasks}}))
except UserError as error:
    print(json.dumps({"error": error.message, "fix": error.fix}))
"""


def lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def card(config: str, split: str, path: str) -> bytes:
    return f"---\nconfigs:\n- config_name: '{config}'\n  data_files:\n  - split: {split}\n    path: {path}\n---\n".encode()


def asked(count: int, column: str = "prompt", **more) -> list[dict]:
    return [{column: f"Do thing number {number}.", **more} for number in range(count)]


def repository(config: str, split: str, rows) -> dict[str, bytes]:
    return {"README.md": card(config, split, f"{split}.jsonl"), f"{split}.jsonl": lines(rows)}


QUESTIONS = [{"question": f"{n} + 1?", "choices": ["1", "2", "3", "4"], "answer": 1, "subject": "sums"} for n in range(150)]
HUB = {
    "UWNSL/WildJailbreakEval": repository("250", "train", asked(250, "instruction")),
    "JailbreakBench/JBB-Behaviors": {
        "README.md": b"---\nconfigs:\n- config_name: behaviors\n  data_files:\n  - split: harmful\n    path: harmful.jsonl\n  - split: benign\n    path: benign.jsonl\n---\n",
        "harmful.jsonl": lines(asked(100, "Goal", Index=1)), "benign.jsonl": lines(asked(100, "Goal", Index=2)),
    },
    "openai/gsm8k": repository("main", "test", [{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(150)]),
    "HuggingFaceH4/MATH-500": repository("default", "test", [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(150)]),
    "cais/mmlu": repository("all", "test", QUESTIONS),
    "walledai/XSTest": repository("default", "test", asked(9, label="safe")),
    "walledai/StrongREJECT": repository("default", "train", asked(313)),
}
GATED = ("walledai/XSTest", "walledai/HarmBench", "walledai/AdvBench")
XSTEST = "id,prompt,type,label\n" + "".join(f"{n},Safe or not {n}?,{'contrast_x' if n % 2 else 'homonyms'},{'unsafe' if n % 2 else 'safe'}\n" for n in range(450))
STRONG = "category,source,forbidden_prompt\n" + "".join(f"c,s,Do thing number {n}.\n" for n in range(313))
FILES = {"xstest_prompts.csv": XSTEST.encode(), "strongreject_dataset/strongreject_dataset.csv": STRONG.encode()}


def plan(where: Path, environment: dict[str, str], *overrides: str, code: str = PLAN) -> tuple[dict, str]:
    """Put an evaluation together in a process of its own: (what came of it, standard error)."""
    env = {**os.environ, "HF_HOME": str(where / "hf"), "ALT_LITE_CACHE": str(where / "cache"), "PYTHONPATH": str(ROOT), **environment}
    env.pop("HF_DATASETS_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code, *overrides], env=env, cwd=where, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("suite", ["quick", "compact"])
def test_the_default_suites_load_whole_without_a_token_and_again_without_a_network(tmp_path, suite):
    with standin(HUB, files=FILES, gated=GATED) as served:
        first, err = plan(tmp_path, served.environment(), f"eval.suite={suite}")
        count = len(served.seen)
        again, _ = plan(tmp_path, {**served.environment(), "HF_HUB_OFFLINE": "1", "ALT_LITE_FILES_HOST": "http://127.0.0.1:9"}, f"eval.suite={suite}")
        assert len(served.seen) == count
    assert [entry["task"] for entry in first["sources"]] == list(SUITES[suite].tasks) and first["missing"] == []
    assert again == first
    places = {entry["task"]: (entry["place"], entry["commit"]) for entry in first["sources"]}
    assert places["xstest_safe"] == ("paul-rottger/xstest/xstest_prompts.csv", "d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d")
    assert places["gsm8k"] == ("openai/gsm8k", commit_of("openai/gsm8k"))
    # The stand-in's file is not the authors', which is said wherever it is named.
    assert all(entry.get("note", "").startswith("NOT the published file") == (entry["task"] in ("strongreject", "xstest_safe", "xstest_unsafe")) for entry in first["sources"])
    assert "xstest_safe: " in err and "from paul-rottger/xstest/xstest_prompts.csv@d7bb5bd738c1" in err
    assert not any("walledai/XSTest" in path for _, path in served.seen)


def test_the_next_place_is_asked_where_one_is_missing_gated_or_broken(tmp_path):
    copy = repository("default", "prompts", [{"id": n, "prompt": f"Safe or not {n}?", "type": "contrast_x" if n % 2 else "homonyms"} for n in range(450)])
    files = {**FILES, "grade_school_math/data/test.jsonl": lines([{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(99)])}
    with standin({**HUB, "Paul/XSTest": {}, "natolambert/xstest-v2-copy": copy}, files=files, gated=(*GATED, "Paul/XSTest"), broken=("xstest_prompts", "grade_school_math")) as served:
        made, err = plan(tmp_path, served.environment(), "eval.suite=quick")
    places = {entry["task"]: entry["place"] for entry in made["sources"]}
    assert places["xstest_safe"] == "natolambert/xstest-v2-copy" and places["gsm8k"] == "openai/gsm8k" and made["missing"] == []
    assert all(int(prompt.split()[-1].rstrip("?")) % 2 == 0 for prompt in made["prompts"]["xstest_safe"])
    assert [path for _, path in served.seen if "xstest_prompts" in path] and "Traceback" not in err


def test_a_file_that_ends_inside_a_line_is_not_taken_for_the_set(tmp_path):
    """As a proxy leaves it that closes the answer properly: its length is what it says."""
    with standin(HUB, files={**FILES, "strongreject_dataset/strongreject_dataset.csv": STRONG.encode()[:2000].rstrip(b"\n")}, gated=GATED) as served:
        made, _ = plan(tmp_path, served.environment(), "eval.suite=quick")
    assert {entry["task"]: entry["place"] for entry in made["sources"]}["strongreject"] == "walledai/StrongREJECT"


def test_what_cannot_be_had_is_left_out_with_its_reason_or_an_error_under_strict(tmp_path):
    hub = {name: files for name, files in HUB.items() if name not in ("UWNSL/WildJailbreakEval", "cais/mmlu")}
    broken = {**hub, "HuggingFaceH4/MATH-500": {"README.md": b"", "test.jsonl": b'{"problem": "1 + 1?", "ans'}}
    with standin(broken, files=FILES, gated=GATED) as served:
        made, err = plan(tmp_path, served.environment(), "eval.suite=compact")
        strict, _ = plan(tmp_path, served.environment(), "eval.suite=compact", "eval.strict=true")
        none, _ = plan(tmp_path, served.environment(), "eval.suite=quick", "eval.tasks=mmlu,strongreject,xstest_safe")
    assert [entry["task"] for entry in made["missing"]] == ["wildjailbreak", "math500", "mmlu"]
    assert "UWNSL/WildJailbreakEval" in made["missing"][0]["reason"] and "wildjailbreak: LEFT OUT: " in err
    assert strict["error"].startswith("eval.strict: wildjailbreak, math500, mmlu cannot be had") and "eval.strict=false" in strict["fix"]
    assert none["error"].startswith("no skill task can be had (mmlu): ") and "eval.data=FOLDER with mmlu.jsonl" in none["fix"]


def copies(folder: Path) -> Path:
    folder.mkdir()
    (folder / "strongreject.csv").write_text(STRONG)
    (folder / "xstest_safe.csv").write_text(XSTEST)
    (folder / "gsm8k.jsonl").write_bytes(HUB["openai/gsm8k"]["test.jsonl"])
    return folder


def test_a_run_with_nothing_but_three_copies_ends_and_lists_what_is_missing(tmp_path):
    folder, nothing = copies(tmp_path / "copies"), {"HF_ENDPOINT": "http://127.0.0.1:9", "ALT_LITE_FILES_HOST": "http://127.0.0.1:9"}
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "ALT_LITE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), **nothing}
    command = [sys.executable, "-m", "alt_lite", "eval", "embedded", "--suite", "compact", f"eval.data={folder}", "eval.limit=2", "eval.max_new_tokens=4", "--out", "e"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "e/report.json").read_text())
    assert [entry["task"] for entry in report["missing"]] == ["jbb", "wildjailbreak", "xstest_unsafe", "jbb_benign", "math500", "mmlu"]
    assert all(entry["reason"] for entry in report["missing"])
    assert {entry["task"]: (entry["place"], entry["commit"][:7]) for entry in report["sources"]}["strongreject"] == (str(folder / "strongreject.csv"), "sha256:")
    assert "NOT evaluated: mmlu: " in done.stdout and "| jbb | **not evaluated** |" in (tmp_path / "e/report.md").read_text()
    assert "Traceback" not in done.stderr


def test_a_folder_may_hold_some_sets_and_the_rest_come_from_their_places(tmp_path):
    folder = copies(tmp_path / "copies")
    with standin(HUB, files={}, gated=GATED) as served:
        made, _ = plan(tmp_path, served.environment(), "eval.suite=quick", f"eval.data={folder}")
    assert [Path(entry["place"]).name for entry in made["sources"]] == ["strongreject.csv", "WildJailbreakEval", "xstest_safe.csv", "gsm8k.jsonl"]
    assert made["missing"] == []


def test_the_overlap_check_reads_the_same_places_and_says_once_what_it_could_not_compare(tmp_path):
    code = "import sys, json\nfrom alt_lite.dataset import evaluation_prompts\no, u = evaluation_prompts(sys.argv[2:], sys.argv[1])\nprint(json.dumps([o.counts, u]))"
    folder = copies(tmp_path / "copies")
    with standin(HUB, files={}, gated=GATED) as served:
        (counts, unchecked), err = plan(tmp_path, served.environment(), str(folder), "strongreject", "jbb", "harmbench", "advbench", code=code)
    assert counts == {"strongreject": 313, "jbb": 100} and list(unchecked) == ["harmbench", "advbench"]
    (line,) = [line for line in err.splitlines() if "NOT checked" in line]
    assert "harmbench, advbench" in line


def test_a_damaged_or_foreign_entry_of_the_cache_is_fetched_again(tmp_path):
    with standin(HUB, files=FILES, gated=GATED) as served:
        first, _ = plan(tmp_path, served.environment(), "eval.suite=quick")
        (kept,) = (tmp_path / "cache/benchmarks").glob("strongreject-*.csv")
        kept.write_text("category,source,forbidden_prompt\nc,s,Something else.\n")
        again, _ = plan(tmp_path, served.environment(), "eval.suite=quick")
    assert again == first


def test_every_benchmark_of_the_default_suites_has_a_place_without_a_gate():
    for name in {*SUITES["quick"].tasks, *SUITES["compact"].tasks}:
        assert not TASKS[name].source.places[0].__dict__.get("gated"), name
    for benchmark in TASKS.values():
        gates = [bool(getattr(place, "gated", False)) for place in benchmark.source.places]
        assert gates == sorted(gates), f"{benchmark.name}: a gated place stands before an open one"


def test_a_set_that_is_not_there_is_not_called_gated(tmp_path):
    """The hub answers 401 for what it does not have, and speaks of gates in passing."""
    with standin(HUB, files={}, gated=GATED) as served:
        made, _ = plan(tmp_path, served.environment(), "eval.suite=safety", "eval.tasks=strongreject,advbench")
    (missing,) = made["missing"]
    assert "the hub has no data set 'mlabonne/harmful_behaviors'" in missing["reason"] and "walledai/AdvBench is gated" not in missing["reason"]
    assert "mlabonne/harmful_behaviors is gated" not in missing["reason"]


def test_a_hub_model_whose_weights_are_pickled_or_gated_is_told_by_check(tmp_path):
    weights = ROOT / "alt_lite/tiny/weights"
    small = {path.name: path.read_bytes() for path in weights.iterdir() if path.suffix in (".json", ".jinja")}
    models = {"some/pickled": {**small, "pytorch_model.bin": b"x"}, "some/gated": {**small, "model.safetensors": b"x"}, "some/whole": {**small, "model.safetensors": b"x"}}
    with standin(models=models, gated=("some/gated",)) as served:
        env = {**os.environ, **served.environment(HF_HOME=str(tmp_path / "hf"), PYTHONPATH=str(ROOT))}
        told = {}
        for name in models:
            command = [sys.executable, "-m", "alt_lite", "check", "tiny", f"model.name={name}", "data.harmful=4", "data.benign=4", "data.skills=4", "eval.suite=none"]
            told[name] = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert [told[name].returncode for name in models] == [2, 2, 0], {name: done.stderr[-300:] for name, done in told.items()}
    assert "some/pickled holds its weights on the hub as pytorch_model.bin" in told["some/pickled"].stderr
    assert "some/gated is gated" in told["some/gated"].stderr and "set HF_TOKEN" in told["some/gated"].stderr


@pytest.mark.parametrize("paths, config, split, chosen", [
    (["250/test-0.parquet", "full/test-0.parquet"], "250", "train", ["250/test-0.parquet"]), (["250/dev.csv", "250/test.csv"], "250", "train", []), (["250/train-0.parquet", "full/train-0.parquet"], "250", "train", ["250/train-0.parquet"]),
    (["250/data.jsonl", "full/data.jsonl", "README.md"], "250", "train", ["250/data.jsonl"]), (["data/harmful-behaviors.csv", "data/benign-behaviors.csv"], "behaviors", "harmful", ["data/harmful-behaviors.csv"]),
    (["a.jsonl"], "main", "test", ["a.jsonl"]), (["a.jsonl", "b.jsonl"], "main", "test", []), (["prompts.csv", "completions.csv"], None, "prompts", ["prompts.csv"]), (["dataset_infos.json", "x.csv"], None, "train", ["x.csv"]),
])
def test_files_are_chosen_by_the_parts_that_their_paths_name(paths, config, split, chosen):
    from alt_lite.data.remote import named_files

    assert named_files(paths, config, split) == chosen


def test_a_repository_that_does_not_describe_its_parts_gives_the_part_that_was_meant(tmp_path):
    wild = {"250/train.jsonl": lines(asked(250, "instruction")), "full/train.jsonl": lines(asked(300, "adversarial", other=1))}
    jbb = {"data/harmful-behaviors.csv": b"Goal,Index\n" + b"".join(b"Do %d,1\n" % n for n in range(100)), "data/benign-behaviors.csv": b"Goal,Other\n" + b"".join(b"Ask %d,x\n" % n for n in range(100))}
    with standin({**HUB, "UWNSL/WildJailbreakEval": wild, "JailbreakBench/JBB-Behaviors": jbb}, files=FILES, gated=GATED) as served:
        made, err = plan(tmp_path, served.environment(), "eval.suite=safety", "eval.tasks=wildjailbreak,jbb,jbb_benign")
    assert {task: len(prompts) for task, prompts in made["prompts"].items()} == {"wildjailbreak": 250, "jbb": 100, "jbb_benign": 100}, err
    assert made["prompts"]["jbb_benign"][0].startswith("Ask") and "does not describe its parts; read are 250/train.jsonl" in err


def test_a_set_of_fewer_prompts_than_published_says_so_whatever_is_drawn(tmp_path):
    files = {**FILES, "grade_school_math/data/test.jsonl": lines([{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(40)])}
    with standin(HUB, files=files, gated=GATED) as served:
        made, err = plan(tmp_path, served.environment(), "eval.suite=quick", "eval.limit=5")
    assert {entry["task"]: entry.get("note") for entry in made["sources"]}["gsm8k"] == "40 prompts, 1,319 were published" and "40 prompts, 1,319 were published" in err


def test_one_slow_file_is_no_host_that_does_not_answer(monkeypatch):
    from alt_lite.data import places
    from alt_lite.errors import UserError
    from alt_lite.net import Unreachable

    asked_for: list[str] = []

    def opened(place, source, scratch):
        asked_for.append(str(place))
        raise Unreachable(f"cannot reach the hub for {place.name} (ReadTimeout: timed out)", "check the network, or give a local copy")

    monkeypatch.setattr(places, "_open", opened)
    reach, source = places.Reach(), places.Source("none-such", (places.Hub("a/a"), places.Hub("b/b"), places.Hub("c/c")))
    with pytest.raises(UserError):
        places.fetch(source, lambda data, origin: data, reach)
    assert asked_for == ["a/a", "b/b"] and list(reach.silent) == ["the hub"]


def test_copies_are_told_from_what_lies_beside_them(tmp_path, capsys):
    from alt_lite.evals.tasks.benchmark import load, local_copy

    for name in ("xstest_safe.LICENSE.txt", "xstest_safe.csv", "gsm8k.jsonl.gz", "strongreject.csv", "strongreject.tsv", ".jbb.csv"):
        (tmp_path / name).write_text(XSTEST)
    (tmp_path / "math500").mkdir()
    assert [path and path.name for path in (local_copy(tmp_path, name) for name in ("xstest_safe", "gsm8k", "math500", "jbb", "strongreject"))] == ["xstest_safe.csv", "gsm8k.jsonl.gz", "math500", None, "strongreject.csv"]
    assert "strongreject.csv is read, strongreject.tsv not" in capsys.readouterr().err
    from datasets import Dataset

    Dataset.from_list([{"question": "1 + 1?", "answer": "#### 2"}]).save_to_disk(str(tmp_path / "gsm8k"))
    assert load(TASKS["gsm8k"], tmp_path / "gsm8k", None, 0)[1].commit.startswith("sha256:")


def test_a_hub_that_does_not_answer_is_not_said_to_have_broken_off(tmp_path):
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "alt_lite", "eval", "no-such/model", "--suite", "tiny", "--out", "e"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    error, fix = done.stderr.splitlines()[-2:]
    assert done.returncode == 2 and error.startswith("error: cannot reach the hub for no-such/model (")
    assert fix == "Fix: check the network, or give a folder or a GGUF file: model.name=FOLDER_OR_FILE"
