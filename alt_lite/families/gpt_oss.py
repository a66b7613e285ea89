"""gpt-oss: harmony, whose reply is two messages of the assistant, in the channels `analysis` and `final`."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

FAMILIES = (
    Family(
        name="gpt_oss",
        models="gpt-oss-20b, gpt-oss-120b",
        source="trl/chat_templates/gptoss.jinja (trl 1.14.2)",
        tried="one built for the tests; not tried on the real tokenizer",
        end="<|return|>",
        ends=("<|endoftext|>", "<|call|>"),
        controls=("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"),
        system="<|start|>system<|message|>Reasoning: medium<|end|><|start|>developer<|message|># Instructions\n\n{}\n\n<|end|>",
        user="<|start|>user<|message|>{}<|end|>",
        assistant="<|start|>assistant<|channel|>final<|message|>{}<|end|>",
        answer="<|start|>assistant",
        think="<|channel|>analysis<|message|>",
        think_end="<|end|>",
        after_trace="<|start|>assistant<|channel|>final<|message|>",
        alone="<|channel|>final<|message|>",
        trace_field="thinking",
        sampling=Sampling(1.0, 1.0),
        parser="openai_gptoss",
        fixed="Reasoning: ",
        model_types=("gpt_oss",),
    ),
)
