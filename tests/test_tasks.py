"""The benchmarks: rows of the hub's form and of the original files, drawn by seed; real files where they are at hand."""

from __future__ import annotations

import json

import pytest
import real

from alt_lite.errors import UserError
from alt_lite.evals.tasks import TASKS
from alt_lite.evals.tasks.benchmark import load

MC = {"question": "Which is a fruit?", "choices": ["stone", "apple", "chair", "cloud"], "answer": 1, "subject": "food"}
# name: (a row as the hub has it, a row as the original repository has it)
FORMS = {
    "strongreject": ({"prompt": "Do it.", "category": "c"}, {"forbidden_prompt": "Do it.", "category": "c"}),
    "harmbench": ({"prompt": "Do it.", "category": "c"}, {"Behavior": "Do it.", "FunctionalCategory": "standard"}),
    "jbb": ({"Goal": "Do it.", "Category": "c"}, {"goal": "Do it."}), "jbb_benign": ({"Goal": "Do it."}, {"goal": "Do it."}),
    "wildjailbreak": ({"prompt": "Do it."}, {"adversarial": "Do it."}), "advbench": ({"prompt": "Do it.", "target": "t"}, {"goal": "Do it.", "target": "t"}),
    "malicious_instruct": ({"prompt": "Do it."}, {"text": "Do it."}),
    "xstest_safe": ({"prompt": "Do it.", "label": "safe"}, {"prompt": "Do it.", "label": "safe", "type": "t"}),
    "xstest_unsafe": ({"prompt": "Do it.", "label": "unsafe"}, {"prompt": "Do it.", "label": "unsafe"}),
    "gsm8k": ({"question": "1 + 1?", "answer": "It is 2.\n#### 2"},) * 2, "math500": ({"problem": "1 + 1?", "answer": "2"}, {"problem": "1 + 1?", "solution": "\\boxed{2}"}),
    "aime24": ({"problem": "1 + 1?", "answer": "2", "solution": "s"},) * 2,
    "arc": (
        {"question": "Which?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"},
        {"question": {"stem": "Which?", "choices": [{"text": "a", "label": "A"}, {"text": "b", "label": "B"}]}, "answerKey": "B"},
    ),
    "mmlu": (MC, {"question": "Which is a fruit?", "A": "stone", "B": "apple", "C": "chair", "D": "cloud", "answer": "B"}),
    "cmmlu": ({"Question": "哪个是水果？", "A": "石头", "B": "苹果", "C": "椅子", "D": "云", "Answer": "B"},) * 2,
    "mgsm_en": ({"question": "1 + 1?", "answer": None, "answer_number": 2},) * 2, "mgsm_es": ({"question": "¿1 + 1?", "answer_number": 2},) * 2,
    "mgsm_zh": ({"question": "1 + 1？", "answer_number": 2},) * 2, "nq_open": ({"question": "who sang it", "answer": ["A", "B"]},) * 2,
    "cnn_dailymail": ({"article": "Long text.", "highlights": "Short.", "id": "1"},) * 2,
}
REFERENCES = {"gsm8k": "It is 2.\n#### 2", "math500": "2", "aime24": "2", "arc": "B", "mmlu": "B", "cmmlu": "B", "mgsm_en": "2", "mgsm_es": "2", "mgsm_zh": "2", "nq_open": '["A", "B"]', "cnn_dailymail": "Short."}


def test_every_benchmark_has_its_forms_here():
    assert set(FORMS) == set(TASKS)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_benchmark_reads_the_hubs_rows_and_the_original_ones(tmp_path, name):
    for form, row in enumerate(FORMS[name]):
        path = tmp_path / f"{form}.jsonl"
        path.write_text(json.dumps(row, ensure_ascii=False) + "\n")
        task, origin = load(TASKS[name], path, None, 0)
        (prompt,) = task.prompts
        assert origin.place == str(path) and prompt.messages[-1]["content"].strip()
        assert prompt.label == ("harmful" if task.kind == "harm" else "benign")
        if task.kind == "skill":
            assert prompt.reference in (REFERENCES[name], "\\boxed{2}")
        else:
            assert prompt.messages == ({"role": "user", "content": "Do it."},) and prompt.reference is None


def test_rows_of_another_part_are_left_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Behavior,FunctionalCategory\na,standard\nb,copyright\nc,contextual\n")
    assert len(load(TASKS["harmbench"], path, None, 0)[0].prompts) == 1
    path.write_text("prompt,label\na,safe\nb,unsafe\n")
    assert [load(TASKS[name], path, None, 0)[0].prompts[0].messages[0]["content"] for name in ("xstest_safe", "xstest_unsafe")] == ["a", "b"]


def test_a_smaller_draw_is_part_of_a_larger_one_and_follows_the_seed(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"p{i}"}) + "\n" for i in range(50)))

    def drawn(limit, seed):
        return [prompt.prompt_id for prompt in load(TASKS["advbench"], path, limit, seed)[0].prompts]

    assert drawn(10, 0) == drawn(20, 0)[:10] and drawn(10, 0) != drawn(10, 1) and len(drawn(None, 0)) == 50


def test_numbers_of_options_become_letters(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(FORMS["arc"][0]) + "\n")
    text = load(TASKS["arc"], path, None, 0)[0].prompts[0].messages[0]["content"]
    assert "A. a\nB. b" in text and "Answer: X" in text


def test_a_copy_of_another_set_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"foo": "bar"}\n')
    with pytest.raises(UserError, match="holds no row of strongreject; its columns are foo"):
        load(TASKS["strongreject"], path, None, 0)


@pytest.mark.parametrize("name, file, rows", [
    ("strongreject", "strongreject/strongreject_dataset.csv", 313), ("harmbench", "harmbench/harmbench_behaviors_text_all.csv", 200),
    ("jbb", "jbb/harmful-behaviors.csv", 100), ("jbb_benign", "jbb/benign-behaviors.csv", 100), ("xstest_safe", "xstest/xstest_prompts.csv", 250),
    ("xstest_unsafe", "xstest/xstest_prompts.csv", 200), ("malicious_instruct", "malicious_instruct/malicious_instruct.txt", 100),
    ("gsm8k", "gsm8k/test_half.jsonl", 658), ("math500", "math500/math500_half.jsonl", 243), ("arc", "arc/ARC-Challenge-Dev.jsonl", 299),
    ("mmlu", "mmlu_ceval_cmmlu/mmlu__data__test__astronomy_test.csv", None), ("cmmlu", "mmlu_ceval_cmmlu/cmmlu__test__agronomy.csv", None),
    ("mgsm_en", "mgsm/mgsm_en.tsv", 250), ("mgsm_es", "mgsm/mgsm_es.tsv", 250), ("mgsm_zh", "mgsm/mgsm_zh.tsv", 250),
    ("cnn_dailymail", "summarisation/cnn_dailymail_200.csv", 200),
])
def test_real_files_load_whole(name, file, rows):
    task, _ = load(TASKS[name], real.path(file), None, 0)
    assert rows is None or len(task.prompts) == rows
    assert len(task.prompts) > 50 and (task.kind != "skill" or all(prompt.reference for prompt in task.prompts))
