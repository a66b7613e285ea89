"""Languages by their names, and by what a prompt looks like."""

from __future__ import annotations

import pytest
import real

from alt_lite.data import languages, local


@pytest.mark.parametrize("name, code", [
    ("English", "en"), ("EN-us", "en"), ("Español", "es"), ("es_MX", "es"), ("中文", "zh"), ("zh-Hant", "zh"), ("Simplified Chinese", "zh"), ("Deutsch", "de"), ("pt-BR", "pt"), ("日本語", "ja"), ("Elvish", None), ("", None),
])
def test_languages_are_known_by_name_and_tag(name, code):
    assert languages.code(name) == code


@pytest.mark.parametrize("text, code", [
    ("How do I knead dough?", "en"), ("Translate “¿dónde está la panadería?” into English for me", "en"), ("Beethoven", "en"), ("def f(x): return x", "en"), ("", "en"), ("¿Dónde está la panadería?", "es"), ("Escribe un cuento sobre la luna", "es"),
    ("Translate \"パンはどうやって焼くの？\" into English.", "en"), ("Was heißt “How do I bake it?” auf Deutsch, bitte?", "de"), ("面包怎么烤？", "zh"), ("用 Python 写一个函数", "zh"), ("パンはどうやって焼くの？", "ja"), ("東京の天気", "ja"), ("빵은 어떻게 구워요?", "ko"), ("Как печь хлеб?", "ru"), ("Де купити хліб і їжу?", "uk"), ("كيف أخبز الخبز؟", "ar"), ("איך אופים לחם?", "he"),
    ("ขนมปังทำอย่างไร", "th"), ("रोटी कैसे बनाते हैं?", "hi"), ("Πώς ψήνω ψωμί;", "el"), ("Wie backe ich ein Brot?", "de"), ("Comment faire du pain ?", "fr"), ("Como eu faço um pão em casa?", "pt"), ("Come posso fare il pane?", "it"),
])
def test_a_language_without_a_column_is_told_by_script_and_words(text, code):
    assert languages.guess(text) == code


@pytest.mark.parametrize("file, column, code", [("xstest/xstest_prompts.csv", "prompt", "en"), ("star1/star1_half.jsonl", "question", "en"), ("gsm8k/test_half.jsonl", "question", "en"), ("mgsm/mgsm_es.tsv", 0, "es"), ("mgsm/mgsm_zh.tsv", 0, "zh")])
def test_languages_of_real_prompts_are_found(file, column, code):
    found = [languages.guess(row[column] if column else row["q"]) for row in local.read_file(real.path(file), None if column else ("q", "a")).table.to_pylist()]
    assert found.count(code) >= 0.995 * len(found)


def test_a_training_rows_language_may_be_a_name():
    from alt_lite.data.rows import TrainingRow

    row = {"id": "a", "prompt": "p", "label": "benign", "answer": "a"}
    assert [TrainingRow(**row, language=name).language for name in ("Spanish", "zh-CN", "en", "Klingon")] == ["es", "zh", "en", "Klingon"]
