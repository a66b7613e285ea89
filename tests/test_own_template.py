"""A folder's own chat template is held against the prompts of its family, whenever its tokenizer is loaded."""

from __future__ import annotations

import pytest
import small

from alt_lite.errors import UserError
from alt_lite.tokens import templates, tokenizer
from alt_lite.tokens.families import FAMILIES

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def laid(folder, family: str, template: str | None = "own", **settings):
    small.lay_tokenizer(folder, FAMILIES[family], template, **settings)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_own_template_is_taken_and_every_other_family_is_refused_by_name(tmp_path, family):
    folder = laid(tmp_path / family, family)
    assert tokenizer.load(folder, FAMILIES[family]).template == templates.jinja(FAMILIES[family])
    others = [other for other in FAMILIES.values() if other.name != family and set(other.controls) <= set(FAMILIES[family].controls)]
    assert others
    for other in others:
        with pytest.raises(UserError) as refused:
            tokenizer.load(folder, other)
        assert f"of family {other.name!r}: for the conversation 'one turn' it writes" in refused.value.message
        assert refused.value.fix == f"model.family={family}, whose prompts it writes"


def test_both_texts_are_shown_around_the_first_difference(tmp_path):
    with pytest.raises(UserError) as refused:
        tokenizer.load(laid(tmp_path, "qwen3_thinking"), FAMILIES["qwen3"])
    told, family = refused.value.message.split("it writes ")[1].split(", the family ")
    assert told.endswith(r"<|im_start|>assistant\n<think>\n'") and family.endswith(r"<|im_start|>assistant\n'") and max(len(told), len(family)) < 90


@pytest.mark.parametrize("template, wrong", [
    ("{{ raise_exception('no system') if messages[0].role == 'system' }}" + CHATML, "'system' it fails (no system)"),
    ("{% for m in", "it fails"),
    (CHATML.replace("{{ m.content }}", "{{ m.content.strip() }}"), "'system' it writes"),
    ("{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}" + CHATML, "You are kind."),
])
def test_a_template_that_writes_no_familys_prompts_or_fails_is_refused(tmp_path, template, wrong):
    with pytest.raises(UserError) as refused:
        tokenizer.load(laid(tmp_path, "qwen3", template), FAMILIES["qwen3"])
    assert wrong in refused.value.message and "\n" not in refused.value.message and "qwen3_thinking" in refused.value.fix


def test_without_a_template_the_familys_is_used_and_that_is_said_once(tmp_path, capsys):
    for template in (None, " \n"):
        folder = laid(tmp_path / str(template), "qwen3", template)
        for _ in range(3):
            assert tokenizer.load(folder, FAMILIES["qwen3"]).template == templates.jinja(FAMILIES["qwen3"])
        assert capsys.readouterr().err.count("has no chat template") == 1


def test_a_template_that_keeps_earlier_traces_is_refused_and_a_copy_without_it_works(tmp_path):
    folder = laid(tmp_path / "base", "qwen3", CHATML)
    for family, where, how in (("qwen3", "a trace before", ": prompts"), ("qwen3_thinking", "one turn", " with model.family=qwen3: prompts")):
        with pytest.raises(UserError, match=f"for the conversation '{where}'") as error:
            tokenizer.load(folder, FAMILIES[family])
        assert error.value.fix.startswith(f"a copy of the folder without its chat template{how} are then those of family qwen3, which drops")
    (folder / "chat_template.jinja").unlink()
    tokenizer.save(tokenizer.load(folder, FAMILIES["qwen3"]), tmp_path / "saved")
    assert tokenizer.load(tmp_path / "saved", FAMILIES["qwen3"]).fast.chat_template == templates.jinja(FAMILIES["qwen3"])


def test_of_several_templates_the_default_is_the_one_compared_and_saved(tmp_path):
    own = templates.jinja(FAMILIES["qwen3"])
    for default, right in ((own, True), ("x", False)):
        named = [{"name": "default", "template": default}, {"name": "rag", "template": "y"}]
        folder = laid(tmp_path / str(right), "qwen3", None, chat_template=named)
        if right:
            tokenizer.save(tokenizer.load(folder, FAMILIES["qwen3"]), tmp_path / "saved")
            assert (tmp_path / "saved/chat_template.jinja").read_text() == own
        else:
            with pytest.raises(UserError, match="does not write the prompts"):
                tokenizer.load(folder, FAMILIES["qwen3"])


def test_what_the_makers_advise_stands_with_the_family():
    assert {name: (family.top_k, family.parser) for name, family in FAMILIES.items()} == {
        "r1": (None, "deepseek_r1"), "r1_0528": (None, "deepseek_r1"), "qwen3": (20, "qwen3"), "qwen3_thinking": (20, "deepseek_r1"),
    }
