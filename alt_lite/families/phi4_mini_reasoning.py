"""Phi-4-mini-reasoning: Phi's turns, a fixed first sentence of the system prompt, think tags in plain text."""

from __future__ import annotations

from alt_lite.families.family import Family, Sampling

_WHO = "Your name is Phi, an AI math expert developed by Microsoft."
FAMILIES = (
    Family(
        name="phi4_mini_reasoning",
        models="Phi-4-mini-reasoning",
        source="the copy of its tokenizer_config.json's template in jobs/fine-tune/tests/conftest.py of btech-software/cosimo at 00411c5a",
        tried="one built for the tests; not tried on the real tokenizer",
        end="<|end|>",
        ends=("<|endoftext|>",),
        controls=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        system=f"<|system|>{_WHO} {{}}<|end|>",
        no_system=f"<|system|>{_WHO}<|end|>",
        user="<|user|>{}<|end|>",
        assistant="<|assistant|>{}<|end|>",
        answer="<|assistant|>",
        earlier="kept",
        sampling=Sampling(0.8, 0.95),
        parser=None,
        model_types=("phi3",),
    ),
)
