from __future__ import annotations

from typing import get_args

import pytest

from alt_lite import config
from alt_lite.data.rows import TrainingRow
from alt_lite.dataset import rows_for
from alt_lite.errors import UserError
from alt_lite.method import structure, wording
from alt_lite.method.targets import TARGETS, Mark, naturally_empty, needs, render
from alt_lite.tokens.encode import encode_rows

HARMFUL = TrainingRow(
    id="h", prompt="Do the forbidden thing.", label="harmful", category="privacy", understanding="U harm.",
    assessment="This request is harmful because it hurts people.", reasoning="I must refuse.", answer="I'm sorry.",
    source_trace="U harm. Let me do it.", source_answer="I will not.", generated={"short": "Brief."},
)
BENIGN = TrainingRow(
    id="b", prompt="Boil an egg.", label="benign", understanding="U egg.", assessment="This request is not harmful at all.", reasoning="Heat water.",
    answer="Boil it.", source_trace="U egg. Heat water.", source_answer="Boil it.", generated={"short": "Egg."},
)


def written(row: TrainingRow, kind: str, answer=None) -> str:
    """The completion as R1 writes it, with what is not trained in brackets."""
    spelled = {Mark.THINK: "", Mark.THINK_END: "\n</think>", Mark.ANSWER: "\n\n", Mark.ALONE: "", Mark.END: "<END>"}
    return "".join(spelled[text] if isinstance(text, Mark) else text for text, _ in render(row, kind, answer))


REFUSED, ANSWERED = "\n</think>\n\nI'm sorry.<END>", "\n</think>\n\nBoil it.<END>"
HARM = "This request is harmful because it hurts people."
SAFE = "This request is not harmful at all."


@pytest.mark.parametrize("kind, harmful, benign", [
    ("alttrain", f"U harm. {HARM} I must refuse.{REFUSED}", f"U egg. {SAFE} Heat water.{ANSWERED}"),
    ("alttrain_no_understanding", f"{HARM} I must refuse.{REFUSED}", f"{SAFE} Heat water.{ANSWERED}"),
    ("alttrain_no_assessment", f"U harm. I must refuse.{REFUSED}", f"U egg. Heat water.{ANSWERED}"),
    ("alttrain_no_conditional", f"U harm. {HARM}{REFUSED}", f"U egg. {SAFE}{ANSWERED}"),
    ("alttrain_permuted", f"U harm. I must refuse. {HARM}{REFUSED}", f"U egg. Heat water. {SAFE}{ANSWERED}"),
    ("alttrain_assessment_in_answer", f"U harm. I must refuse.\n</think>\n\n{HARM} I'm sorry.<END>", f"U egg. Heat water.\n</think>\n\n{SAFE} Boil it.<END>"),
    ("r1act", f"U harm. {HARM} I must refuse.\n</think><END>", "Boil it.<END>"),
    ("r1act_empty_trace", f"U harm. {HARM} I must refuse.\n</think><END>", ANSWERED),
    ("direct_refusal", f"I should not answer this question!{REFUSED}", f"U egg. Heat water.{ANSWERED}"),
    ("no_cot", REFUSED, ANSWERED),
    ("answer_only", REFUSED, f"U egg. Heat water.{ANSWERED}"),
    ("natural", "U harm. Let me do it.\n</think>\n\nI will not.<END>", f"U egg. Heat water.{ANSWERED}"),
    ("short", f"Brief.{REFUSED}", f"Egg.{ANSWERED}"),
    ("safepath", "Let's think about safety first", "Let's think about safety first"),
])
def test_a_target_is_written_as_published(kind, harmful, benign):
    assert written(HARMFUL, kind) == harmful
    assert written(BENIGN, kind) == benign


def test_rephrased_changes_refusals_only_and_always_alike():
    assert written(BENIGN, "alttrain_rephrased") == written(BENIGN, "alttrain")
    text = written(HARMFUL, "alttrain_rephrased")
    assert text != written(HARMFUL, "alttrain") and text == written(HARMFUL, "alttrain_rephrased")
    assert any(sentence in text for sentence in wording.REFUSE_REPHRASED["en"])


@pytest.mark.parametrize("language, assessment", [("en", HARM), ("es", "Esta petición es dañina porque hiere."), ("zh", "这个请求是有害的，因为会伤害他人。")])
def test_filler_is_as_long_and_says_nothing(language, assessment):
    filler = wording.filler(assessment, language)
    assert len(filler) == len(assessment) if language == "zh" else len(filler.split()) == len(assessment.split())
    assert structure.assess(filler) is None
    row = HARMFUL.model_copy(update={"assessment": assessment, "language": language})
    assert filler in written(row, "alttrain_filler") and assessment not in written(row, "alttrain_filler")


def test_template_goes_through_every_kind_and_ends_in_the_verdict():
    text = written(HARMFUL, "template")
    for name, kind in wording.CATEGORIES.items():
        assert f"- {kind}: {'yes' if name == 'privacy' else 'no'}\n" in text
    assert structure.find(text.partition("\n</think>")[0]).verdict == "harmful"
    assert "yes" not in written(BENIGN, "template") and "This request is not harmful." in written(BENIGN, "template")
    own = HARMFUL.model_copy(update={"category": "weapon"})
    assert "- weapon: yes" in written(own, "template")


@pytest.mark.parametrize("answer, harmful, benign", [
    ("none", "\n</think><END>", ANSWERED), ("template", REFUSED, ANSWERED), ("original", "\n</think>\n\nI will not.<END>", ANSWERED),
])
def test_the_answer_after_the_trace_can_be_switched(answer, harmful, benign):
    assert written(HARMFUL, "alttrain", answer).endswith(harmful)
    assert written(BENIGN, "alttrain", answer).endswith(benign)


def test_only_the_primer_of_safepath_is_trained():
    assert [text for text, trained in render(HARMFUL, "safepath") if trained] == [wording.SAFETY_PRIMER]


def test_every_target_says_where_it_comes_from_and_is_a_choice_of_the_recipe():
    assert set(get_args(config.Target)) == set(TARGETS)
    assert all(target.source for target in TARGETS.values())


@pytest.mark.parametrize("kind, missing, label", [
    ("alttrain", "assessment", "harmful"), ("natural", "source_trace", "harmful"), ("answer_only", "answer", "benign"),
    ("short", "generated", "benign"), ("template", "category", "harmful"), ("natural", "source_answer", "harmful"),
])
def test_a_missing_need_is_named_with_the_row(tokens, kind, missing, label):
    whole = HARMFUL if label == "harmful" else BENIGN
    empty: dict[str, object] = {"generated": {}, "category": None}
    bad = whole.model_copy(update={missing: empty.get(missing, "")})
    assert not needs(whole, kind) and needs(bad, kind)
    with pytest.raises(UserError, match=f"row {bad.id}: target '{kind}' needs .*{missing}"):
        encode_rows(tokens, [bad], kind, None)


@pytest.mark.parametrize("kind", ["direct_refusal", "answer_only", "natural"])
def test_a_benign_row_without_a_trace_is_an_empty_trace_and_its_own_answer(tokens, kind):
    bare = BENIGN.model_copy(update={"source_trace": ""})
    assert written(bare, kind) == ANSWERED and not needs(bare, kind) and written(bare, kind) == written(bare, "no_cot")
    assert naturally_empty(bare, kind) and not naturally_empty(BENIGN, kind) and not naturally_empty(bare, "alttrain")
    # Encoding asserts that the trace is closed once and the text ends.
    assert len(encode_rows(tokens, [bare, BENIGN, HARMFUL], kind, None)) == 3
    assert not naturally_empty(HARMFUL.model_copy(update={"source_trace": ""}), "answer_only")


def test_what_a_target_does_not_need_may_be_missing():
    bare = HARMFUL.model_copy(update=dict.fromkeys(("understanding", "assessment", "reasoning", "source_trace", "source_answer"), ""))
    for kind in ("direct_refusal", "no_cot", "answer_only", "template", "safepath", "short"):
        assert not needs(bare, kind)


def test_missing_short_traces_point_to_the_generator(tokens):
    with pytest.raises(UserError) as error:
        encode_rows(tokens, [HARMFUL.model_copy(update={"generated": {}})], "short", None)
    assert "data generate" in error.value.fix


def test_template_assessments_pass_their_labels_verdict():
    for label in ("harmful", "benign"):
        for language in ("en", "es", "zh"):
            for number in range(60):
                for category in (*wording.CATEGORIES, None, "Illicit / Criminal Behavior"):
                    text = wording.template_assessment(label, category, language, str(number))
                    assert structure.assess(text) == label, text


def test_refusing_sentences_refuse():
    for table in (wording.REFUSE, wording.REFUSAL, *({k: s for k in "x"} for group in wording.REFUSE_REPHRASED.values() for s in group)):
        for sentence in table.values():
            assert structure.find(sentence).has("refusing"), sentence


@pytest.mark.long
def test_the_embedded_model_trains_on_every_target(tokens, tmp_path):
    """Two optimiser steps each, through the real trainer; the loss is a number and falls under none."""
    from alt_lite.decide import decide
    from alt_lite.model import backend, train

    few = ("data.harmful=6", "data.benign=6", "data.skills=4", "train.batch_size=8", "train.epochs=1")
    here = backend.device()
    for kind in TARGETS:
        recipe = config.load_recipe("tiny", [*few, f"data.target={kind}"])
        rows = [row.model_copy(update={"generated": {"short": row.understanding}}) for row in rows_for(recipe)]
        encoded = encode_rows(tokens, rows, kind, recipe.model.max_length)
        places = train.Places(tmp_path / kind / "checkpoints", tmp_path / kind / "adapter", tmp_path / kind / "train_log.jsonl")
        facts = train.train(recipe, decide(recipe, here), here, tokens, encoded, places, lambda done, note="": None)
        assert facts["steps"] == 2 and 0 < facts["final_loss"] < 20, kind
        assert (places.adapter / "adapter_model.safetensors").is_file()
