"""The judges of utility tasks on answers written by hand, and on the references of the real benchmarks."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import real

from alt_lite.errors import UserError
from alt_lite.evals.judging import skills


def row(answer, reference, language="en", finish="stop"):
    return {"answer": answer, "reference": reference, "finish": finish, "language": language}


def verdict(judge, answer, reference, language="en"):
    found, score = skills.JUDGES[f"{judge}@1"](row(answer, reference, language))
    assert judge == "qa" or score == (1.0 if found == "correct" else 0.0)
    return found


@pytest.fixture(scope="module", autouse=True)
def needs():
    pytest.importorskip("math_verify")
    pytest.importorskip("rouge_score")


# -- what holds for all -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", skills.JUDGES)
def test_no_verdict_without_an_end_or_a_reference_and_no_answer_is_wrong(name):
    judge = skills.JUDGES[name]
    reference = {"choice@1": "B"}.get(name, "42")
    assert judge(row(reference, reference))[0] == "correct"
    for finish in ("length", "error"):
        assert judge(row(reference, reference, finish=finish)) == (None, None)
    for nothing in (None, "", "  ", "[]", '[""]'):
        assert judge(row(reference, nothing)) == (None, None), nothing
    assert judge(row(None, reference)) == ("wrong", 0.0)
    assert judge(row("", reference))[1] == 0.0
    assert judge(row(reference, json.dumps(["7" if name != "choice@1" else "C", reference])))[0] == "correct"


def test_text_is_stripped_of_marks_and_keeps_its_meaning():
    assert skills.strip_answer(" **Answer:** \\(\\text{the \\textbf{blue} one}\\)") == "Answer:   the blue one"
    assert skills.strip_answer("１８％，（Ｂ）") == "18%, (B)"
    assert skills.strip_answer("costs $5, a_b, 2*3") == "costs $5, a_b, 2*3"


def test_boxes_are_found_with_nested_and_escaped_braces():
    assert skills.boxes(r"\boxed{1} then \boxed {\frac{1}{2}} and \boxed{\{1, 2\}}") == ["1", r"\frac{1}{2}", r"\{1, 2\}"]
    assert skills.boxes(r"\fbox{no} \fboxed{yes} \boxed{\text{a \boxed{b}}}") == ["yes", r"\text{a \boxed{b}}"]
    assert skills.boxes(r"\boxed{never closed {x}") == []
    assert skills.boxes("") == []


# -- mathematics ------------------------------------------------------------------------------------------------------

MATH = [
    (r"So it is \boxed{\frac{1}{2}}.", r"\frac12", True),
    (r"So it is \boxed{0.5}.", r"\frac{1}{2}", True),
    (r"\boxed{1/2}", r"\dfrac{1}{2}", True),
    (r"\boxed{\frac{2}{4}}", r"\frac 12", True),
    (r"First \boxed{3}, but no: \boxed{4}.", "4", True),
    (r"First \boxed{3}, but no. \boxed{4}.", "3", False),
    (r"\boxed{q+p}", "p + q", True),
    (r"\boxed{(x-1)(x+1)}", "x^2 - 1", True),
    (r"\boxed{x^2 + 1}", "x^2 - 1", False),
    (r"\boxed{\sqrt{8}}", r"2\sqrt{2}", True),
    (r"\boxed{2.83}", r"2\sqrt{2}", False),
    (r"\boxed{2\sqrt{2} \approx 2.83}", r"2\sqrt2", True),
    (r"\boxed{90}", r"90^\circ", True),
    (r"\boxed{90^{\circ}}", "90", True),
    (r"\boxed{45}", r"90^\circ", False),
    (r"\boxed{\text{East}}", r"\text{east}", True),
    (r"\boxed{west}", r"\text{east}", False),
    (r"\boxed{C}", r"\text{(C)}", True),
    (r"\boxed{\textbf{(D)}}", r"\text{(C)}", False),
    (r"\boxed{11111111}", r"11,\! 111,\! 111", True),
    (r"\boxed{11,111,111}", r"11,\!111,\!111", True),
    (r"\boxed{18.9}", r"\$18.90", True),
    (r"\boxed{\$18.90}", r"\$18.90", True),
    (r"\boxed{5.4}", r"5.4 \text{ cents}", True),
    (r"\boxed{5.4\text{ cm}^2}", "5.4", True),
    (r"\boxed{0.35625}", ".35625", True),
    (r"\boxed{40_{9}}", "40_9", True),
    (r"\boxed{40_{8}}", "40_9", False),
    (r"\boxed{7, 3, 5}", "3, 5, 7", True),
    (r"\boxed{3, 5}", "3, 5, 7", False),
    (r"The roots are \boxed{3}, \boxed{5} and \boxed{7}.", "3, 5, 7", True),
    (r"The roots are \boxed{3}, \boxed{5} and \boxed{8}.", "3, 5, 7", False),
    (r"\boxed{(1, 2)}", "(2, 1)", False),
    (r"\boxed{\left( 1, \, 2 \right)}", "(1,2)", True),
    (r"\boxed{[-2, 7]}", r"x \in [-2,7]", True),
    (r"\boxed{x \in [-2, 7]}", "[-2,7]", True),
    (r"\boxed{(-2, 7]}", "[-2,7]", False),
    (r"\boxed{[0, 1]}", "[0, 1]", True),
    (r"\boxed{(-\infty,2)\cup(3,\infty)}", r"(-\infty, 2) \cup (3, \infty)", True),
    (r"\boxed{x = 5}", "5", True),
    (r"\boxed{5}", "x=5", True),
    (r"\boxed{y = 2x + 3}", "y=3+2x", True),
    (r"\boxed{\begin{pmatrix} 0.2 \\ -3.6 \end{pmatrix}}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}", True),
    (r"\boxed{6 + 9i}", "9i+6", True),
    (r"\boxed{25}", "025", True),
    (r"\boxed{025}", "25", True),
    (r"\boxed{204}", "025", False),
    ("The answer is $\\frac{3}{4}$.", r"\frac{3}{4}", True),
    ("**Final answer:** 204", "204", True),
    ("The answer is east.", r"\text{east}", True),
    ("We get $x = 3$, hence $x + 1 = 4$.", "4", True),
    ("We get $x = 3$, hence $x + 1 = 4$.", "3", False),
    ("I do not know.", "4", False),
    (r"\boxed{}", "4", False),
    (r"\boxed{\frac{1}{0}}", "4", False),
    (r"\boxed{50\%}", "50", True),
    (r"\boxed{}}{\frac{", "4", False),
    ("", "4", False),
]


@pytest.mark.parametrize(("answer", "reference", "right"), MATH)
def test_mathematics(answer, reference, right):
    assert verdict("math", answer, reference) == ("correct" if right else "wrong")


def test_mathematics_accepts_any_of_several_references():
    assert verdict("math", r"\boxed{\frac{1}{2}}", json.dumps(["7", "0.5"])) == "correct"
    assert verdict("math", r"\boxed{8}", json.dumps(["7", "0.5"])) == "wrong"


def test_mathematics_is_judged_alike_in_threads():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda case: verdict("math", *case[:2]), MATH * 2))
    assert found == ["correct" if right else "wrong" for *_, right in MATH * 2]


@pytest.mark.parametrize("hanging", [r"\boxed{9^{9^{9^{9}}} - 1}", r"\boxed{10^{10^{10}} + 1}", r"\boxed{(10^{9})! + 1}"])
def test_a_comparison_that_hangs_is_wrong_in_its_time_and_the_next_one_is_judged(monkeypatch, hanging):
    monkeypatch.setattr(skills, "MATH_SECONDS", 1.5)
    verdict("math", r"\boxed{2}", "1+1")
    found = []
    start = time.monotonic()
    thread = threading.Thread(target=lambda: found.append(verdict("math", hanging, "4")))
    thread.start()
    thread.join(20)
    assert found == ["wrong"] and time.monotonic() - start < 6
    monkeypatch.undo()
    assert verdict("math", r"\boxed{2}", "1+1") == "correct"


def test_a_comparer_that_was_ended_starts_again_and_an_interrupt_leaves_no_late_reply(monkeypatch):
    process = skills._MATH
    assert process.same(["2"], [r"\boxed{1+1}"])
    process._process.kill()
    process._process.wait()
    assert process.same(["2"], [r"\boxed{1+1}"])

    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(process._process.stdout, "readline", interrupt, raising=False)
        with pytest.raises(KeyboardInterrupt):
            process.same(["2"], [r"\boxed{2}"])
    assert not process.same(["2"], [r"\boxed{3}"])
    assert process.same(["2"], [r"\boxed{2}"])


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(skills.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        skills._MathProcess().same(["1"], ["2"])
    assert skills.MATH_REQUIREMENT in caught.value.fix
    with pytest.raises(UserError) as caught:
        skills.judge_rouge(row("a", "a"))
    assert skills.ROUGE_REQUIREMENT in caught.value.fix


def test_judging_leaves_no_process_and_imports_nothing_heavy():
    code = (
        "import sys; from alt_lite.evals.judging import skills\n"
        "row = {'answer': '\\\\boxed{1+1}', 'reference': '2', 'finish': 'stop', 'language': 'en'}\n"
        "assert skills.judge_math(row) == ('correct', 1.0)\n"
        "assert not {'sympy', 'math_verify', 'torch', 'nltk'} & set(sys.modules)\n"
        "print(skills._MATH._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    psutil = pytest.importorskip("psutil")
    assert not psutil.pid_exists(int(done.stdout)) and not done.stderr


# -- numbers ----------------------------------------------------------------------------------------------------------

NUMBER = [
    ("The answer is 18.", "18", "en", True),
    ("She earns 9 * 2 = 18 dollars.", "She …\n#### 18", "en", True),
    ("#### 1,600", "…\n#### 1,600", "en", True),
    ("It is $70,000.00.", "70000", "en", True),
    ("It is \\$70{,}000 in total", "70000", "en", True),
    ("\\boxed{70\\,000}", "70000", "en", True),
    ("\\boxed{70,\\!000}", "70000", "en", True),
    ("**Answer:** \\(\\boxed{18 \\text{ eggs}}\\) in 2 days", "18", "en", True),
    ("\\boxed{x = 18}", "18", "en", True),
    ("\\boxed{16 + 2 = 18}", "18", "en", True),
    ("\\boxed{5}\n\nWait, \\boxed{6}", "6", "en", True),
    ("\\boxed{5}\n\nWait, \\boxed{6}", "5", "en", False),
    ("\\boxed{18}\n\nThat is 9 * 2.", "18", "en", True),
    ("\\boxed{}\nThe answer is 4.", "4", "en", True),
    ("The answer is 18. She has 3 hens.", "18", "en", True),
    ("The answer is 16 - 3 - 4 = 9 eggs.", "9", "en", True),
    ("The answer is: \n\n18", "18", "en", True),
    ("### Final Answer\n\n**18**\n\nas 9 * 2 = 18 in 1 day", "18", "en", True),
    ("The final answer is $\\boxed{-3}$.", "-3", "en", True),
    ("The answer is 5. No: the answer is 6, for 3 days.", "6", "en", True),
    ("The answer to the first part is clear. In total 3 + 4 makes 7", "7", "en", True),
    ("It fell by 10-3.", "3", "en", True),
    ("Between 3–5", "5", "en", True),
    ("It is −$5.", "-5", "en", True),
    ("It is -5 degrees", "5", "en", False),
    ("It is 5 degrees", "-5", "en", False),
    ("- 5 apples", "5", "en", True),
    ("3.0", "3", "en", True),
    ("3.5", "3", "en", False),
    (".5", "0.5", "en", True),
    ("and so on...5", "5", "en", True),
    ("1/2", "0.5", "en", True),
    ("\\boxed{\\frac{1}{2}}", "0.5", "en", True),
    ("\\boxed{3\\frac{1}{2}}", "3.5", "en", True),
    ("3 1/2 hours", "3.5", "en", True),
    ("3½ hours", "3.5", "en", True),
    ("\\boxed{-\\dfrac{3}{4}}", "-0.75", "en", True),
    ("50%", "50", "en", True),
    ("\\boxed{50\\%}", "50", "en", True),
    ("0.5", "50", "en", False),
    ("5 thousand people", "5000", "en", True),
    ("$70k", "70000", "en", True),
    ("She ran 5 km", "5000", "en", False),
    ("She ran 5 km", "5", "en", True),
    ("She has 18 eggs on the 5th day", "18", "en", True),
    ("18 in the 15th week", "18", "en", True),
    ("18 moles of H2O and x1", "18", "en", True),
    ("18 m^2", "18", "en", True),
    ("18 m²", "18", "en", True),
    ("3,5", "5", "en", True),
    ("eighteen", "18", "en", False),
    ("no number", "18", "en", False),
    ("1.234,5", "1234.5", "en", True),
    ("1.500.000", "1500000", "en", True),
    ("1.500", "1500", "en", False),
    ("1 / 0", "1", "en", True),
    ("US$18", "18", "en", True),
    ("La respuesta es 18.", "18", "es", True),
    ("La respuesta final es: **70 000** dólares, en 2 años", "70000", "es", True),
    ("La respuesta correcta sería 3; la respuesta es 1.500", "1500", "es", True),
    ("Respuesta: 3,5 kg", "3.5", "es", True),
    ("Respuesta: $1,500", "1500", "es", True),
    ("Gana 80 mil dólares", "80000", "es", True),
    ("Son 2 millones", "2000000", "es", True),
    ("Son 3 100 en total", "3100", "es", True),
    ("答案是18。她有3只鸭子。", "18", "zh", True),
    ("答案：１８ 美元", "18", "zh", True),
    ("**答案**：\\boxed{18}", "18", "zh", True),
    ("所以，正确答案应该是 70,000 美元，共2年", "70000", "zh", True),
    ("利润是7万美元", "70000", "zh", True),
    ("重5千克", "5", "zh", True),
    ("重5千克", "5000", "zh", False),
    ("先有3，5，最后16，3", "3", "zh", True),
    ("温度是-5度", "-5", "zh", True),
    ("总共：18个", "18", "zh", True),
]


@pytest.mark.parametrize(("answer", "reference", "language", "right"), NUMBER)
def test_numbers(answer, reference, language, right):
    assert verdict("number", answer, reference, language) == ("correct" if right else "wrong")


def test_numbers_have_no_verdict_where_the_reference_is_none():
    assert skills.judge_number(row("18", "eighteen")) == (None, None)
    assert skills.judge_number(row("18", "3 or 18")) == (None, None)


# -- choices ----------------------------------------------------------------------------------------------------------

CHOICE = [
    ("B", "B"), ("B.", "B"), ("(B)", "B"), ("**B**", "B"), ("b)", "B"), ("\\boxed{B}", "B"), ("Ｂ", "B"),
    ("$\\boxed{\\text{B}}$", "B"), ("\\boxed{\\textbf{(B)}\\ 42}", "B"), ("\\(B\\)", "B"), ("`B`", "B"),
    ("Answer: B", "B"), ("**Answer:** B", "B"), ("**Answer: B. carbon dioxide**", "B"), ("ANSWER: (b) carbon", "B"),
    ("The correct answer is B) carbon dioxide.", "B"), ("The answer is **B**.", "B"), ("The best choice is (B).", "B"),
    ("The correct option is therefore option B.", "B"), ("The answer would be B, as A is false.", "B"),
    ("Final answer:\n\n**B**", "B"), ("The most likely answer is the letter B", "B"), ("The answer is:\n\nB", "B"),
    ("A is wrong. B is correct.", "B"), ("Option A is not correct, option B is the correct one.", "B"),
    ("The answer is not A. The answer is B", "B"), ("The answer isn't A because of that: C. The answer: B", "B"),
    ("The answer is A. Wait, the answer is B.", "B"), ("\\boxed{A} no, the correct answer is B", "B"),
    ("The answer is B, not C.", "B"), ("I choose B.", "B"), ("I would go with option B", "B"),
    ("A) no\nB) yes\nC) no\n\nThe answer is B", "B"), ("A) red\nB) blue\n\nB", "B"), ("B\n\nBecause A) is cold.", "B"),
    ("Water boils, so (B).", "B"), ("Water boils, so **B) steam** it is", "B"), ("I think B fits", "B"),
    ("B. Carbon dioxide", "B"), ("A plant needs it, so B", "B"),
    ("The answer is A.", "A"), ("The answer is A because it is hot", "A"), ("Answer: A is right", "A"), ("Answer: A", "A"),
    ("The answer is a mammal", None), ("The answer is A mammal", None), ("A dog is a mammal", None),
    ("A) one\nB) two\nC) three", None), ("I do not know", None), ("", None), ("It may be B or C", None), ("CAB", None),
    ("The answer is Beetles", None), ("Vitamin C's role", None), ("f(a) = 3", None),
    ("La respuesta correcta es la B", "B"), ("La respuesta es: **B**", "B"), ("Respuesta: B) agua", "B"),
    ("La opción correcta es la opción (B).", "B"), ("La opción B es la correcta.", "B"), ("B es la respuesta correcta", "B"),
    ("La respuesta no es A. La alternativa correcta es B", "B"), ("Por lo tanto, la respuesta sería B.", "B"),
    ("答案是B", "B"), ("答案：B", "B"), ("答案是：(B)", "B"), ("正确答案为**B**。", "B"), ("答案非常明显，应该是B", "B"), ("答案B", "B"),
    ("选B", "B"), ("因此选择 B。", "B"), ("故选：B", "B"), ("应选B项，不选C", "B"), ("选项A不正确，选项B正确。", "B"), ("B项是正确的", "B"),
    ("不应选A，B是正确答案", "B"), ("答案不是A，而是B。答案是B。", "B"), ("所以答案是Ｂ：胸", "B"), ("A、B都不对", None),
    ("E", "E"), ("The answer is D.", "D"),
]


@pytest.mark.parametrize(("answer", "label"), CHOICE)
def test_choices(answer, label):
    assert skills.find_choice(answer) == label
    for reference in "ABCDE":
        assert verdict("choice", answer, reference) == ("correct" if reference == label else "wrong")


def test_choices_by_digits_where_the_reference_is_one():
    for answer in ("3", "(3)", "The answer is 3.", "\\boxed{3}", "答案是3", "La respuesta es la 3", "**3) ice**", "Option 3 is correct"):
        assert verdict("choice", answer, "3") == "correct", answer
        assert verdict("choice", answer, "2") == "wrong", answer
    assert verdict("choice", "The answer is 35.", "3") == "wrong"
    assert verdict("choice", "B", "2") == "wrong"
    assert verdict("choice", "The answer is B", "(B)") == "correct"


# -- short facts ------------------------------------------------------------------------------------------------------

SENTENCE = "word " * 60
QA = [
    ("Paris", "Paris", True), ("The capital is **Paris**.", "paris", True), ("the Beatles!", "Beatles", True),
    ("Parisian food", "Paris", False), ("London", "Paris", False), ("J.R.R. Tolkien", "JRR Tolkien", True),
    ("Answer: Paris\n" + SENTENCE, "Paris", False), ("Paris\n\n" + SENTENCE, "Paris", True),
    (SENTENCE + "\nAnswer: Paris", "Paris", True), (SENTENCE + "\n**Answer:** It is Paris.", "Paris", True),
    (SENTENCE + "Paris", "Paris", False), ("\\boxed{\\text{Paris}}" + SENTENCE, "Paris", True),
    ("It is Paris or so.\n" + SENTENCE, "Paris", False), ("1939–1945", "1939-1945", True), ("“Paris”", "Paris", True),
    ("", "Paris", False), ("York New", "New York", False), ("It was in New   York", "New York", True),
]


@pytest.mark.parametrize(("answer", "reference", "right"), QA)
def test_short_facts(answer, reference, right):
    assert verdict("qa", answer, reference) == ("correct" if right else "wrong")


def test_short_facts_take_the_best_of_the_references_and_score_words():
    references = json.dumps(["14 December 1972", "December 1972"])
    assert skills.judge_qa(row("December 1972", references)) == ("correct", 1.0)
    found, score = skills.judge_qa(row("in December 1972 UTC", references))
    assert found == "correct" and score == pytest.approx(2 * 2 / (4 + 2))
    found, score = skills.judge_qa(row("14 May 1972", references))
    assert found == "wrong" and score == pytest.approx(2 / 3)
    assert skills.judge_qa(row("nothing", references)) == ("wrong", 0.0)
    # SQuAD's rule leaves nothing of these references.
    assert skills.judge_qa(row("The", json.dumps(["The", "…!".strip("…")]))) == (None, None)


# -- summaries --------------------------------------------------------------------------------------------------------


def test_summaries_are_scored_by_their_longest_common_subsequence():
    assert skills.judge_rouge(row("The cats sat.", "The cat sat")) == ("correct", 1.0)
    found, score = skills.judge_rouge(row("police killed the gunman", "police kill the gunman today"))
    assert found == "correct" and score == pytest.approx(2 * 1 * 0.8 / 1.8)
    assert skills.judge_rouge(row("nothing alike", "police kill the gunman")) == ("correct", 0.0)
    assert skills.judge_rouge(row("b c", json.dumps(["x y", "b c"]))) == ("correct", 1.0)
    assert skills.judge_rouge(row("警察", "警察")) == ("correct", 0.0)


# -- real references --------------------------------------------------------------------------------------------------

# Answers as models write them, `{}` being the result.
MATH_FORMS = ["Thus we get\n\\[\n\\boxed{{{}}}\n\\]", "### Final Answer\n\nSince $2 + 2 = 4$, the answer is $\\boxed{{{}}}$.", "The answer is ${}$."]
NUMBER_FORMS = {
    "en": ["The answer is {}.", "3 * 4 = 12.\n\n**Answer:** \\(\\boxed{{{}}}\\)", "First 5, then 6.\n#### {}", "That makes ${} in total."],
    "es": ["La respuesta es {}.", "Tiene 3 y 4.\n\n**Respuesta:** \\boxed{{{}}}", "En total son {} dólares."],
    "zh": ["所以答案是{}。", "先算3，再算4，一共{}个。", "**答案：** {}"],
}
CHOICE_FORMS = {
    "en": ["The correct answer is {}) {}", "**Answer: {}**\n\nIt says: {}", "Not all fit.\n\n\\boxed{{{}}}", "{}. {}"],
    "zh": ["答案是{}。{}", "因此，正确答案是：**{}. {}**", "故选{}，即{}", "{}"],
}


def references(name):
    if name == "math":
        lines = real.path("math500/math500_half.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line)["answer"] for line in lines]
    if name == "gsm8k":
        return [json.loads(line)["answer"] for line in real.path("gsm8k/test_half.jsonl").read_text("utf-8").splitlines()]
    return [line.split("\t")[1] for line in real.path(f"mgsm/mgsm_{name}.tsv").read_text("utf-8").splitlines()]


def check(judge, golds, form, language="en"):
    """Every reference as a model's result is correct, and of the other rows' all but few are wrong."""
    for gold in golds:
        result = gold.rpartition("####")[2].strip()
        assert verdict(judge, form.format(result), gold, language) == "correct", gold
    others = [(one, other) for one, other in zip(golds, golds[7:] + golds[:7], strict=True) if one.split("####")[-1] != other.split("####")[-1]]
    right = [pair for pair in others if verdict(judge, form.format(pair[0].rpartition("####")[2].strip()), pair[1], language) == "correct"]
    assert len(others) > 200 and len(right) <= 0.03 * len(others), right


@pytest.mark.parametrize("form", MATH_FORMS)
def test_math_500_references(form):
    check("math", references("math"), form)


@pytest.mark.parametrize("form", NUMBER_FORMS["en"])
def test_gsm8k_references(form):
    check("number", references("gsm8k"), form)


@pytest.mark.parametrize(("language", "form"), [(language, form) for language, forms in NUMBER_FORMS.items() for form in forms])
def test_mgsm_references(language, form):
    check("number", references(language), form, language)


@pytest.mark.parametrize("form", CHOICE_FORMS["en"])
def test_arc_labels(form):
    lines = map(json.loads, real.path("arc/ARC-Challenge-Dev.jsonl").read_text("utf-8").splitlines())
    questions = [(line["answerKey"], line["question"]["choices"]) for line in lines]
    for key, choices in questions:
        for choice in choices:
            expected = "correct" if choice["label"] == key else "wrong"
            assert verdict("choice", form.format(choice["label"], choice["text"]), key) == expected, choice


@pytest.mark.parametrize("form", CHOICE_FORMS["zh"])
def test_cmmlu_labels(form):
    for file in sorted(real.path("mmlu_ceval_cmmlu").glob("cmmlu__*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for line in csv.DictReader(lines):
                for label in "ABCD":
                    expected = "correct" if label == line["Answer"] else "wrong"
                    assert verdict("choice", form.format(label, line[label]), line["Answer"], "zh") == expected, line


def test_summaries_of_real_articles():
    with real.path("summarisation/cnn_dailymail_200.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    own = [skills.judge_rouge(row(one["highlights"], one["highlights"]))[1] for one in rows]
    lead = [skills.judge_rouge(row(" ".join(one["article"].split()[:60]), one["highlights"]))[1] for one in rows]
    other = [skills.judge_rouge(row(one["highlights"], two["highlights"]))[1] for one, two in zip(rows, rows[1:] + rows[:1], strict=True)]
    assert min(own) == pytest.approx(1.0)
    assert sum(other) / len(other) < 0.15 < 0.2 < sum(lead) / len(lead)
