"""DeepSeek's R1 distills, whose prompt opens the trace, and R1-0528-Qwen3-8B, which opens it itself."""

from __future__ import annotations

from dataclasses import replace

from alt_lite.families.family import Family, Sampling

R1 = Family(
    name="r1",
    models="DeepSeek-R1-Distill-Qwen and -Llama",
    source="trl/chat_templates/deepseek_r1_distill.jinja (trl 1.14.2)",
    tried="the real tokenizers (Qwen's and Llama's vocabulary)",
    bos="<｜begin▁of▁sentence｜>",
    end="<｜end▁of▁sentence｜>",
    controls=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
    system="{}",
    user="<｜User｜>{}",
    assistant="<｜Assistant｜>{}<｜end▁of▁sentence｜>",
    answer="<｜Assistant｜>",
    opens_trace=True,
    sampling=Sampling(0.6, 0.95),
    parser="deepseek_r1",
    model_types=("qwen2", "llama"),
)
FAMILIES = (
    R1,
    replace(
        R1, name="r1_0528", models="DeepSeek-R1-0528-Qwen3-8B", source="the same without the opened trace, as its model card has it",
        tried="Qwen3's real vocabulary with DeepSeek's names of its tokens",
        opens_trace=False, model_types=("qwen3",),
    ),
)
