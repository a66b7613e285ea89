"""Qwen's reasoning models: ChatML with `<think>` in the vocabulary."""

from __future__ import annotations

from dataclasses import replace

from alt_lite.families.chatml import CHATML
from alt_lite.families.family import Sampling

QWEN3 = replace(
    CHATML,
    name="qwen3",
    models="Qwen3",
    source="trl/chat_templates/qwen3.jinja (trl 1.14.2)",
    tried="the real tokenizer",
    controls=(*CHATML.controls, "<think>", "</think>"),
    earlier="dropped_lines",
    sampling=Sampling(0.6, 0.95, 20),
    parser="qwen3",
    model_types=("qwen3", "qwen3_moe"),
)
FAMILIES = (
    QWEN3,
    # ChatML that opens the trace. Qwen's cards name the parser that needs no opening tag in the response.
    replace(
        QWEN3, name="qwen3_thinking", models="Qwen3-Thinking-2507, QwQ", source="qwen3_thinking_template in unsloth/chat_templates.py (unsloth 2026.10.9)",
        tried="Qwen3's real tokenizer, which these models share",
        opens_trace=True, parser="deepseek_r1",
    ),
    replace(
        QWEN3, name="qwen3_5", models="Qwen3.5, Qwen3.6, Qwen3.8", source="trl/chat_templates/qwen3_5_think.jinja (trl 1.14.2)",
        tried="one built for the tests; not tried on the real tokenizer", opens_trace=True, system_cut="both", user_cut="both", assistant_cut="both", sampling=Sampling(1.0, 0.95, 20), model_types=("qwen3_5", "qwen3_5_text"),
    ),
)
