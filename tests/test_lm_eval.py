"""lm-evaluation-harness and we agree row by row: on what a model writes to the same prompts, and on whether it is right.

    pip install lm_eval && pytest -m long -k lm_eval -s

The harness's own filters and metric of GSM8K are used, included from its task file.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import real

from alt_lite.config import load_recipe
from alt_lite.evals import runner
from alt_lite.evals.judging.judges import JUDGES
from alt_lite.evals.tasks import TASKS
from alt_lite.evals.tasks.benchmark import Item, load
from alt_lite.generate.engine import here
from alt_lite.model import backend
from alt_lite.model.load import load_full, model_folder
from alt_lite.tokens.encode import encode_prompt

pytestmark = pytest.mark.long
MAX_TOKENS = 112


def harness():
    return pytest.importorskip("lm_eval", reason="pip install lm_eval")


def task_manager(folder: Path, rows: list[dict], prompt: str):
    """GSM8K's task of the harness as it stands, but for local rows, no examples before the question, and the prompt."""
    from lm_eval.tasks import TaskManager

    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    include = Path(harness().__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    # The file is JSON, which YAML reads.
    (folder / "local_gsm8k.yaml").write_text(json.dumps({
        "include": str(include), "task": "local_gsm8k", "tag": [], "dataset_path": "json", "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}, "training_split": None, "fewshot_split": None,
        "test_split": "test", "num_fewshot": 0, "doc_to_text": prompt,
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": MAX_TOKENS},
    }))
    return TaskManager(include_path=str(folder), include_defaults=False)


def sums(count: int) -> list[dict]:
    """Rows of GSM8K's form in the embedded model's words: sums of two digits, which it knows, and of three, which it gets wrong."""
    rng = random.Random(0)
    rows = []
    for number in range(count):
        a, b = (rng.randint(10, 999 if number % 3 == 0 else 99) for _ in range(2))
        rows.append({"question": f"What is {a} + {b}?", "answer": f"{a} + {b} = <<{a}+{b}={a + b}>>{a + b}\n#### {a + b}"})
    return list({row["question"]: row for row in rows}.values())


def test_the_same_model_writes_the_same_and_is_right_on_the_same_rows(tokens, tmp_path):
    lm_eval = harness()
    from lm_eval.models.huggingface import HFLM

    folder, rows = model_folder(load_recipe("tiny").model), sums(60)
    for row in rows:
        row["prompt"] = "".join(tokens.family.prompt([{"role": "user", "content": row["question"]}]))
    model = HFLM(pretrained=str(folder), tokenizer=str(folder), dtype="float32", device="cpu", batch_size=16)
    done = lm_eval.simple_evaluate(
        model=model, tasks=["local_gsm8k"], task_manager=task_manager(tmp_path / "harness", rows, "{{prompt}}"), log_samples=True, bootstrap_iters=0,
    )
    theirs = {sample["doc"]["question"]: sample for sample in done["samples"]["local_gsm8k"] if sample["filter"] == "flexible-extract"}

    # Our prompt but for what the benchmark adds to the question, which the embedded model has never seen.
    bare = replace(TASKS["gsm8k"], item=lambda row: Item(row["question"], row["answer"]), max_new_tokens=MAX_TOKENS)
    task, _ = load(bare, tmp_path / "harness" / "rows.jsonl", None, 0)
    engine = here(tokens, lambda: load_full(folder, backend.device()), 64)
    runner.respond(runner.Subject("m", "d", engine), [task], tmp_path, runner.Settings("16bit"))
    runner.judge([task], tmp_path, JUDGES)
    judgements = {line["id"]: line["verdict"] for line in runner.read_rows(tmp_path / "gsm8k" / runner.JUDGEMENTS) if line["judge"] == "number@1"}
    ours = runner.read_rows(tmp_path / "gsm8k" / runner.RESPONSES)

    assert len(ours) == len(theirs) == len(rows)
    agreed: Counter[str] = Counter()
    for row in ours:
        sample = theirs[row["messages"][-1]["content"]]
        fed, _ = model.tok_batch_encode([sample["arguments"][0][0]])
        assert fed[0].tolist() == encode_prompt(tokens, row["messages"])
        assert sample["resps"] == [[row["completion"]]] and row["finish"] == "stop"
        assert sample["exact_match"] == float(judgements[row["id"]] == "correct"), row["completion"]
        agreed[judgements[row["id"]]] += 1
    print(f"\n{len(ours)} rows, the same prompt ids, text and verdict: {dict(agreed)}")
    assert agreed["correct"] > 20 and agreed["wrong"] > 10


def number_of(answer: str) -> str:
    return answer.rpartition("#### ")[2].strip()


def steps_of(answer: str) -> str:
    return answer.rpartition("\n")[0]


def wrong_number(row: dict, following: dict) -> str:
    return f"{steps_of(row['answer'])}\n#### {int(number_of(row['answer']).replace(',', '')) + 1}"


# What is made of a gold solution: (whether both must say the same of every row, how it is written)
FORMS: dict[str, tuple[bool, Callable[[dict, dict], str]]] = {
    "the gold solution": (True, lambda row, following: row["answer"]),
    "with another number at its end": (True, wrong_number),
    "another question's solution": (True, lambda row, following: following["answer"]),
    "The answer is N.": (True, lambda row, following: f"{steps_of(row['answer'])}\nThe answer is {number_of(row['answer'])}."),
    "So it is $N.": (True, lambda row, following: f"So it is ${number_of(row['answer'])}."),
    "boxed": (True, lambda row, following: f"{steps_of(row['answer'])}\n\\boxed{{{number_of(row['answer'])}}}"),
    "with thousands parted": (True, lambda row, following: f"#### {int(number_of(row['answer']).replace(',', '')):,}"),
    "with a unit": (True, lambda row, following: f"#### {number_of(row['answer'])} apples"),
    "empty": (True, lambda row, following: ""),
    "N.0": (False, lambda row, following: f"#### {number_of(row['answer'])}.0"),
    "with a remark after it": (False, lambda row, following: f"{row['answer']}\nThat took 3 steps."),
    "The answer is N, found in …": (False, lambda row, following: f"The answer is {number_of(row['answer'])}, found in 3 steps."),
    "without its last line": (False, lambda row, following: steps_of(row["answer"])),
}


def test_gold_solutions_and_spoilt_ones_are_judged_alike(tmp_path):
    harness()
    rows = [json.loads(line) for line in real.path("gsm8k/test_half.jsonl").read_text(encoding="utf-8").splitlines()]
    task = task_manager(tmp_path / "harness", rows, "{{question}}").load(["local_gsm8k"])["tasks"]["local_gsm8k"]
    task.build_all_requests()
    assert len(task.instances) == len(rows) == 658
    table: dict[str, Counter[tuple[bool, bool, bool]]] = {}
    for form, (_, write) in FORMS.items():
        for instance, row, following in zip(task.instances, rows, [*rows[1:], rows[0]], strict=True):
            instance.resps, instance.filtered_resps = [write(row, following)], {}
        task.apply_filters()
        table[form] = Counter()
        for instance in task.instances:
            flexible, strict = (task.process_results(instance.doc, [instance.filtered_resps[name]])["exact_match"] for name in ("flexible-extract", "strict-match"))
            response = {"answer": instance.resps[0], "finish": "stop", "reference": instance.doc["answer"], "language": "en"}
            table[form][bool(flexible), bool(strict), JUDGES["number@1"](response)[0] == "correct"] += 1
    print(f"\n{'':32}{'both right':>12}{'both wrong':>12}{'only ours':>12}{'only theirs':>12}{'strict right':>14}")
    for form, counts in table.items():
        sides = Counter({(flexible, ours): 0 for flexible in (True, False) for ours in (True, False)})
        for (flexible, _, ours), count in counts.items():
            sides[flexible, ours] += count
        strict = sum(count for (_, right, _), count in counts.items() if right)
        print(f"{form:32}{sides[True, True]:12}{sides[False, False]:12}{sides[False, True]:12}{sides[True, False]:12}{strict:14}")
        assert not FORMS[form][0] or sides[False, True] == sides[True, False] == 0, form
    assert table["the gold solution"] == {(True, True, True): 658} and table["with another number at its end"] == {(False, False, False): 658}
    # Theirs compares texts, so that 18.0 is not 18, and takes the last number there is; ours compares numbers, and takes the one that is stated.
    assert table["N.0"] == {(False, False, True): 658}
    assert all(strict and ours for _, strict, ours in table["with a remark after it"]) and table["with a remark after it"][False, True, True] > 600
    assert all(ours for _, _, ours in table["The answer is N, found in …"])
    # Steps alone state no result: there both guess, theirs by the last number.
    assert sum(count for (flexible, _, ours), count in table["without its last line"].items() if flexible != ours) <= 20
