"""SmolLM3: ChatML behind a head of metadata, which its template writes (with the day's date)."""

from __future__ import annotations

from dataclasses import replace

from alt_lite.families.chatml import CHATML
from alt_lite.families.family import Sampling

FAMILIES = (
    replace(
        CHATML,
        name="smollm3",
        models="SmolLM3-3B",
        source="chat_template in recipes/smollm3/sft/sft.yaml of huggingface/alignment-handbook at 61d7a82a",
        tried="Llama 3.1's real vocabulary with the names that SmolLM3 gives its tokens; not tried on the model's own files",
        ends=("<|end_of_text|>",),
        controls=(*CHATML.controls, "<think>", "</think>"),
        system="<|im_start|>system\n## Metadata\n\nReasoning Mode: /think\n\n## Custom Instructions\n\n{}\n\n<|im_end|>\n",
        after_trace="\n",
        system_cut="right",
        assistant_cut="lines",
        sampling=Sampling(0.6, 0.95),
        parser="deepseek_r1",
        fixed="Reasoning Mode: /think",
        model_types=("smollm3",),
    ),
)
