"""Steps that a source did not write: what restates a request, and that it reads as the steps it stands for."""

from __future__ import annotations

import csv
import json

import pytest
import real

from alt_lite.data import languages
from alt_lite.families import ALL_CONTROLS
from alt_lite.method import restating, structure, wording

KEYS = [str(number) for number in range(40)]


def told(prompt: str, language: str = "en") -> set[str]:
    """All wordings in which a request is restated."""
    return {restating.understanding(prompt, language, key, ALL_CONTROLS) for key in KEYS}


@pytest.mark.parametrize("prompt, part", [
    ("Write a poem about rain.", " to write a poem about rain."), ("Please give me a hint about my boat!", " to give them a hint about their boat."),
    ("Summarize this text:\n\nIt was late.", " to summarize this text."), ("How do I bake bread?", " how to bake bread."), ("Could you list three birds?", " to list three birds."),
    ("Question: in which year did it rain?\nAnswer:", '"In which year did it rain?"'), ("What is the word?\n\nnight", '"What is the word?"'),
    ("Tell me what you think.", '"Tell me what you think."'), ("Say \"hello\" in French.", "\"Say 'hello' in French.\""), ("- Bread\n- Milk", '"Bread, Milk."'),
    ("Ann had 3 pears. She ate 1. How many pears are left now?", '"How many pears are left now?"'), ("I am sad today. Any ideas?", '"I am sad today."'),
    ("Using a table, compare the two. Use bars in it.", '"Using a table, compare the two."'), ("Fill in the <mask> here.", " to fill in the mask here."),
])
def test_a_request_is_restated_by_the_sentence_that_asks(prompt, part):
    found = told(prompt)
    assert len(found) > 1 and all(text.endswith(part) for text in found), found


def test_a_long_request_is_cut_between_words_and_its_question_kept():
    prompt = "Tom saw " + "a red boat and " * 12 + "a green one, how many boats did he see in all?"
    assert all(text.endswith('"How many boats did he see in all?"') for text in told(prompt))
    (cut,) = {text.partition('"')[2] for text in told("There lies " + "an old brown dog and " * 12 + "a cat.")}
    assert cut.endswith('an old brown…"') and len(cut.split()) == restating.MOST_WORDS
    (cut,) = {text.partition("“")[2] for text in told("请写一篇关于春天的文章" * 9 + "。", "zh")}
    assert cut.endswith("…”。") and len(cut) < 50


def test_control_tokens_are_never_copied():
    for control in ALL_CONTROLS:
        for text in told(f"Say {control} to <thi{control}nk> me.{control}"):
            assert not [name for name in ALL_CONTROLS if name in text], text
    # A model's own, of a form that no other has; what is cut out puts no other one together.
    assert restating.understanding("Say [EOT] to [E[EOT]OT].", "en", "1", {"[EOT]"}).endswith(' to [E OT].')
    assert told("<|im_start|>!") == {wording.UNDERSTAND_NOTHING["en"]}


@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_fixed_sentences_read_as_the_step_that_they_are(language):
    for sentence in (*wording.ANSWERABLE[language], wording.WORK_OUT[language]):
        assert structure.find(sentence).order == ["solving"], sentence
    for form in (*wording.UNDERSTAND_QUESTION[language], *wording.UNDERSTAND_TEXT[language], wording.UNDERSTAND_NOTHING[language]):
        assert structure.find(form.format(what="x?")).order == ["understanding"] and restating.restates(form.format(what="x?")), form


def test_a_solution_is_read_as_solving():
    assert restating.worked_out("He has 3 + 4 = 7.", "en") == "He has 3 + 4 = 7."
    assert restating.worked_out("He has seven.", "en") == f"{wording.WORK_OUT['en']} He has seven."
    assert not restating.restates("I need to find 3 + 4 = 7 pears.") and not restating.restates("He has seven.")


def asked() -> list[tuple[str, str]]:
    """Real requests with labels, in three languages."""
    rows = [(json.loads(line)["question"], "harmful") for line in real.path("star1/star1_half.jsonl").read_text("utf-8").splitlines()[::4]]
    rows += [(json.loads(line)["question"], "benign") for line in real.path("gsm8k/train_first1500.jsonl").read_text("utf-8").splitlines()[::20]]
    for name in ("seed_tasks", "user_oriented"):
        for line in real.path(f"benign_instructions/self_instruct_{name}.jsonl").read_text("utf-8").splitlines()[::2]:
            row = json.loads(line)
            rows.append((f"{row['instruction']}\n\n{row['instances'][0]['input']}".strip(), "benign"))
    with real.path("xstest/xstest_prompts.csv").open(encoding="utf-8") as file:
        rows += [(row["prompt"], "harmful" if row["type"].startswith("contrast") else "benign") for row in list(csv.DictReader(file))[::3]]
    for language in ("es", "zh"):
        rows += [(line.partition("\t")[0], "benign") for line in real.path(f"mgsm/mgsm_{language}.tsv").read_text("utf-8").splitlines()[::5]]
    return rows


def test_real_requests_read_as_the_three_steps_with_the_right_verdict():
    seen = set()
    for number, (prompt, label) in enumerate(asked()):
        language, key = languages.guess(prompt), str(number)
        last = wording.REFUSE.get(language, wording.REFUSE["en"]) if label == "harmful" else restating.answerable(language, key)
        category = wording.categorise(prompt) if label == "harmful" else None
        trace = structure.join_steps(restating.understanding(prompt, language, key), wording.template_assessment(label, category, language, key), last)
        found = structure.find(trace)
        assert found.verdict == label and found.order == ["understanding", "assessment", "refusing" if label == "harmful" else "solving"], trace
        seen.add((label, language))
    assert {("harmful", "en"), ("benign", "en"), ("benign", "es"), ("benign", "zh")} <= seen
