"""A folder's own chat template is held against the prompts of its family, whenever its tokenizer is loaded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import small

from alt_lite.errors import UserError
from alt_lite.families import FAMILIES
from alt_lite.tokens import templates, tokenizer

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def laid(folder, family: str, template: str | None = "own", **settings):
    small.lay_tokenizer(folder, FAMILIES[family], template, **settings)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_own_template_is_taken_and_found_to_be_its_own(tmp_path, family):
    folder = laid(tmp_path / family, family)
    assert tokenizer.load(folder, FAMILIES[family]).template == templates.jinja(FAMILIES[family])
    found = tokenizer.load(folder, None, "simplescaling/s1-32B" if family == "s1" else None)
    assert found.family == FAMILIES[family] and ("it is called so" if family == "s1" else "its chat template writes that family's prompts") in found.reason


@pytest.mark.parametrize("family, other", [("qwen3", "qwen3_thinking"), ("qwen3_thinking", "qwen3"), ("qwen3_5", "qwen3"), ("r1", "r1_0528"), ("r1_0528", "r1"), ("qwen3_thinking", "chatml")])
def test_a_family_with_other_turns_or_tags_is_refused_and_the_right_one_named(tmp_path, family, other):
    with pytest.raises(UserError) as refused:
        tokenizer.load(laid(tmp_path, family), FAMILIES[other])
    assert f"of family {other!r}: for the conversation 'one turn' it writes" in refused.value.message
    assert refused.value.fix == f"model.family={family}, whose prompts it writes"


def test_both_texts_are_shown_around_the_first_difference(tmp_path):
    with pytest.raises(UserError) as refused:
        tokenizer.load(laid(tmp_path, "qwen3_thinking"), FAMILIES["qwen3"])
    told, family = refused.value.message.split("it writes ")[1].split(", the family ")
    assert told.endswith(r"<|im_start|>assistant\n<think>\n'") and family.endswith(r"<|im_start|>assistant\n'") and max(len(told), len(family)) < 90


@pytest.mark.parametrize("template, wrong", [
    ("{% for m in", "it fails"),
    (CHATML.replace("<|im_end|>\n{% endfor %}", "<|im_end|>{% endfor %}"), "it writes"),
    (CHATML.replace("{{ m.content }}", "{{ m.content.upper() }}"), "it writes"),
    ("{{ raise_exception('say something') if messages | length > 1 }}" + CHATML, "it fails (say something)"),
])
def test_a_template_that_writes_no_familys_prompts_or_fails_is_refused(tmp_path, template, wrong):
    for family in (FAMILIES["qwen3"], None):
        with pytest.raises(UserError) as refused:
            tokenizer.load(laid(tmp_path / str(family is None), "qwen3", template), family)
        assert wrong in refused.value.message and "\n" not in refused.value.message and "qwen3_thinking" in refused.value.fix


@pytest.mark.parametrize("template, changed", [
    ("{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}" + CHATML, {"no_system": "<|im_start|>system\nYou are kind.<|im_end|>\n", "earlier": "kept"}),
    ("{{ raise_exception('no system') if messages[0].role == 'system' }}" + CHATML, {"system": None, "earlier": "kept"}),
    (CHATML.replace("{{ m.content }}", "{{ m.content.strip() }}"), {"system_cut": "both", "user_cut": "both", "assistant_cut": "both", "earlier": "kept"}),
    (CHATML.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}"), {"earlier": "dropped"}),
    ("<|im_start|>system\n# Date: {{ strftime_now('%d %b %Y') }}\n{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n" + CHATML.replace("<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n", "{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}"),
     {"system": "<|im_start|>system\n# Date: 01 Aug 2025\n{}<|im_end|>\n", "no_system": "<|im_start|>system\n# Date: 01 Aug 2025\n<|im_end|>\n", "earlier": "kept"}),
])
def test_what_differs_between_a_familys_models_is_taken_from_the_template(tmp_path, template, changed):
    found = tokenizer.load(laid(tmp_path, "qwen3", template), FAMILIES["qwen3"])
    assert found.family == replace(FAMILIES["qwen3"], **changed, controls=found.family.controls) and found.template == template
    assert all(f"{name} " in found.reason.partition("as this template has them")[2] for name in changed)
    if found.family.system is None:
        with pytest.raises(ValueError, match="takes no system message"):
            found.family.prompt([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])


def test_a_template_that_reasons_only_when_told_to_is_told_to_and_saved_so(tmp_path, capsys):
    quiet = CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}")
    found = tokenizer.load(laid(tmp_path / "base", "qwen3", quiet), None)
    assert found.family.name == "qwen3_thinking" and "reasons only if it is told to" in capsys.readouterr().err
    tokenizer.save(found, tmp_path / "saved")
    from transformers import AutoTokenizer

    served = AutoTokenizer.from_pretrained(tmp_path / "saved").apply_chat_template([{"role": "user", "content": "a"}], tokenize=False, add_generation_prompt=True)
    assert served == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert tokenizer.load(tmp_path / "saved", None).template == found.template


@pytest.mark.parametrize("family, kind", [("gpt_oss", "gpt_oss"), ("smollm3", "smollm3")])
def test_a_head_of_a_models_own_cannot_be_made_up(tmp_path, family, kind):
    folder = laid(tmp_path, family, None)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    for asked in (FAMILIES[family], None):
        with pytest.raises(UserError, match=f"has no chat template, with which the prompts of family '{family}' begin"):
            tokenizer.load(folder, asked)


DEFAULT = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}" + CHATML


def test_a_head_that_is_not_smollm3s_is_no_smollm3(tmp_path):
    """Whether its architecture is known or not, and though its head is the model's own."""
    folder = laid(tmp_path, "qwen3", DEFAULT)
    assert tokenizer.load(folder, None).family.name == "qwen3"
    with pytest.raises(UserError, match="does not write the prompts of family 'smollm3'"):
        tokenizer.load(folder, FAMILIES["smollm3"])


def test_think_tags_that_are_tokens_outrank_a_template_that_keeps_traces(tmp_path):
    found = tokenizer.load(laid(tmp_path / "a", "qwen3", CHATML), None)
    assert (found.family.name, found.family.parser) == ("qwen3", "qwen3")
    llama = replace(FAMILIES["llama3"], controls=(*FAMILIES["llama3"].controls, "<think>", "</think>"))
    small.lay_tokenizer(tmp_path / "b", llama)
    found = tokenizer.load(tmp_path / "b", None)
    assert (found.family.name, found.family.plain_tags, found.family.parser) == ("llama3", False, "deepseek_r1")


def test_a_name_alone_makes_s1_only_where_it_is_s1s_and_merged_folders_remember_it(tmp_path):
    for name, family in (("s1-32B", "s1"), ("s1.1-7b", "s1"), ("trial_s1", "chatml"), ("qwen2.5-sft-s1-lr1e5", "chatml")):
        folder = laid(tmp_path / name, "s1")
        assert tokenizer.load(folder, None).family.name == family
    tokenizer.save(tokenizer.load(tmp_path / "s1-32B", None), tmp_path / "merged")
    assert tokenizer.load(tmp_path / "merged", None).family.name == "s1"
    # A template that says otherwise is believed, and told.
    (tmp_path / "merged" / "chat_template.jinja").write_text("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\n{% endfor %}")
    with pytest.raises(UserError, match="does not write the prompts"):
        tokenizer.load(tmp_path / "merged", None)


@pytest.mark.parametrize("template", [
    CHATML.replace("{{ m.content }}", "{{ m.content.replace('<think>', '') }}"), CHATML.replace("{{ m.content }}", "{{ m.content.replace('</think>\n\n', '</think>\n') }}"),
])
def test_a_template_that_no_family_fits_is_refused_in_two_lines(tmp_path, template):
    for family in ("chatml", "qwen3"):
        with pytest.raises(UserError, match="for the conversation 'a trace before' it writes"):
            tokenizer.load(laid(tmp_path / family, family, template), None)


def test_one_think_tag_without_the_other_is_told(tmp_path):
    half = replace(FAMILIES["chatml"], controls=(*FAMILIES["chatml"].controls, "<think>"))
    small.lay_tokenizer(tmp_path, half)
    with pytest.raises(UserError, match="its vocabulary has <think> and not the tag that belongs to it"):
        tokenizer.load(tmp_path, None)


def test_a_template_in_a_processors_file_is_read_and_one_that_is_no_text_is_none(tmp_path):
    folder = laid(tmp_path / "a", "qwen3", None)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": templates.jinja(FAMILIES["qwen3_thinking"])}))
    assert tokenizer.load(folder, None).family.name == "qwen3_thinking"
    assert tokenizer.load(laid(tmp_path / "b", "qwen3", None, chat_template=5), None).family.name == "qwen3"


def test_a_tokenizer_for_which_pieces_are_not_the_whole_is_refused(tmp_path):
    folder = laid(tmp_path, "qwen3")
    spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [spec["pre_tokenizer"]]}
    spec["added_tokens"] = [{**token, "lstrip": token["content"] == "<|im_end|>"} for token in spec["added_tokens"]]
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match="has other ids in pieces than as a whole text"):
        tokenizer.load(folder, None)


def test_models_of_one_family_with_other_prompts_are_told_apart(tmp_path):
    plain, kind, kinder = (tokenizer.load(laid(tmp_path / name, "qwen3", text), None) for name, text in (("a", CHATML), ("b", DEFAULT), ("c", DEFAULT.replace("kind", "kinder"))))
    assert len({plain.form, kind.form, kinder.form}) == 3
    assert tokenizer.load(plain.folder, FAMILIES["qwen3"]).form == plain.form


@pytest.mark.parametrize("family, kind", [("r1", "qwen2"), ("r1_0528", "qwen3"), ("qwen3", "qwen3"), ("qwen3_5", "qwen3_5"), ("gemma4", "gemma4"), ("llama3", "llama"), ("chatml", "llama")])
def test_without_a_template_vocabulary_and_architecture_tell_the_family(tmp_path, family, kind):
    folder = laid(tmp_path, family, None)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    assert tokenizer.load(folder, None).family.name == family


def test_without_a_template_the_familys_is_used_and_that_is_said_once(tmp_path, capsys):
    for template in (None, " \n"):
        folder = laid(tmp_path / str(template), "qwen3", template)
        for _ in range(3):
            assert tokenizer.load(folder, FAMILIES["qwen3"]).template == templates.jinja(FAMILIES["qwen3"])
        assert capsys.readouterr().err.count("has no chat template") == 1


def test_earlier_traces_that_a_template_keeps_are_written_with_their_control_tokens(tmp_path):
    tokens = tokenizer.load(laid(tmp_path, "qwen3", CHATML), None)
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nt\n</think>\n\nb"}, {"role": "user", "content": "</think>"}]
    ids = tokens.encode(tokens.family.prompt(messages))
    assert ids.count(tokens.ids["<think>"]) == ids.count(tokens.ids["</think>"]) == 1


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
    assert {name: (family.sampling.temperature, family.sampling.top_p, family.sampling.top_k, family.parser) for name, family in FAMILIES.items()} == {
        "r1": (0.6, 0.95, None, "deepseek_r1"), "r1_0528": (0.6, 0.95, None, "deepseek_r1"), "qwen3": (0.6, 0.95, 20, "qwen3"), "qwen3_thinking": (0.6, 0.95, 20, "deepseek_r1"),
        "qwen3_5": (1.0, 0.95, 20, "qwen3"), "smollm3": (0.6, 0.95, None, "deepseek_r1"), "gpt_oss": (1.0, 1.0, None, "openai_gptoss"), "gemma4": (1.0, 0.95, 64, "gemma4"),
        "phi4_mini_reasoning": (0.8, 0.95, None, None), "s1": (0.0, 1.0, None, None), "chatml": (0.6, 0.95, None, None), "llama3": (0.6, 0.9, None, None),
    }
