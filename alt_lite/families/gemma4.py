"""Gemma 4: a channel `thought`, which a token at the beginning of the system turn turns on."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

FAMILIES = (
    Family(
        name="gemma4",
        models="Gemma 4 (E2B, E4B, 31B and others), thinking turned on",
        source="trl/chat_templates/gemma4.jinja (trl 1.14.2)",
        tried="one built for the tests; not tried on the real tokenizer",
        bos="<bos>",
        end="<turn|>",
        ends=("<eos>",),
        controls=("<bos>", "<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>"),
        system="<|turn>system\n<|think|>\n{}<turn|>\n",
        no_system="<|turn>system\n<|think|>\n<turn|>\n",
        user="<|turn>user\n{}<turn|>\n",
        assistant="<|turn>model\n{}<turn|>\n",
        answer="<|turn>model\n",
        think="<|channel>thought\n",
        think_end="\n<channel|>",
        after_trace="",
        system_cut="both",
        user_cut="both",
        assistant_cut="both",
        sampling=Sampling(1.0, 0.95, 64),
        parser="gemma4",
        model_types=("gemma4", "gemma4_text"),
    ),
)
