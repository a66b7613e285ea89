"""Llama 3 in general: turns between headers, think tags in plain text."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

FAMILIES = (
    Family(
        name="llama3",
        models="Llama 3, 3.1, 3.2, 3.3 and others in their format whose vocabulary has no think tags",
        source="trl/chat_templates/llama3.jinja, llama3_1.jinja, llama3_2.jinja (trl 1.14.2)",
        tried="the real tokenizer (Llama 3.1)",
        bos="<|begin_of_text|>",
        end="<|eot_id|>",
        ends=("<|end_of_text|>", "<|eom_id|>"),
        controls=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        assistant="<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
        system_cut="both",
        user_cut="both",
        assistant_cut="both",
        earlier="kept",
        sampling=Sampling(0.6, 0.9),
        parser=None,
    ),
)
