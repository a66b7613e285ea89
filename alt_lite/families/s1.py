"""s1: Qwen2.5-Instruct, whose reply holds two turns, `think` and `answer` (arXiv 2501.19393)."""

from __future__ import annotations

from dataclasses import replace

from alt_lite.families.chatml import CHATML
from alt_lite.families.family import Sampling

FAMILIES = (
    replace(
        CHATML,
        name="s1",
        models="s1-32B, s1.1",
        source="trl/chat_templates/qwen2_5.jinja (trl 1.14.2); the turns from README.md of simplescaling/s1 at 2f5badc5",
        tried="Qwen3's real vocabulary without the tokens that it added to Qwen2.5's; not tried on the model's own files",
        no_system="<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n",
        think="<|im_start|>think\n",
        think_end="\n<|im_start|>answer",
        after_trace="\n",
        sampling=Sampling(0.0, 1.0),
        names=r"^s1(\.\d+)?-\d+(\.\d+)?b",
    ),
)
