"""s1: Qwen2.5-Instruct, whose reply holds two turns, `think` and `answer` (arXiv 2501.19393)."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

FAMILIES = (
    Family(
        name="s1",
        models="s1-32B, s1.1",
        source="trl/chat_templates/qwen2_5.jinja (trl 1.14.2); the turns from README.md of simplescaling/s1 at 2f5badc5",
        tried="Qwen3's real vocabulary without the tokens that it added to Qwen2.5's; not tried on the model's own files",
        end="<|im_end|>",
        ends=("<|endoftext|>",),
        controls=("<|im_start|>", "<|im_end|>"),
        system="<|im_start|>system\n{}<|im_end|>\n",
        no_system="<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n",
        user="<|im_start|>user\n{}<|im_end|>\n",
        assistant="<|im_start|>assistant\n{}<|im_end|>\n",
        answer="<|im_start|>assistant\n",
        think="<|im_start|>think\n",
        think_end="\n<|im_start|>answer",
        after_trace="\n",
        earlier="kept",
        sampling=Sampling(0.0, 1.0),
        parser=None,
        names=r"^s1(\.\d+)?-\d+(\.\d+)?b",
    ),
)
