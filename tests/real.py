"""Real tokenizers, sets and benchmarks to test with, where a folder of them is at hand; they are no part
of the project. `ALT_LITE_REAL_DATA` names it, else `shared/data` beside the clone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from alt_lite.families import FAMILIES
from alt_lite.tokens import templates

DATA = Path(os.environ.get("ALT_LITE_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
# DeepSeek's names for the special tokens that its copies of these vocabularies renamed.
_LLAMA = {
    "<|begin_of_text|>": BOS, "<|end_of_text|>": EOS, "<|reserved_special_token_3|>": "<｜User｜>",
    "<|reserved_special_token_4|>": "<｜Assistant｜>", "<|reserved_special_token_5|>": "<think>",
    "<|reserved_special_token_6|>": "</think>", "<|reserved_special_token_7|>": "<｜▁pad▁｜>",
}
_QWEN3 = {
    "<|endoftext|>": BOS, "<|im_end|>": EOS, "<|im_start|>": "<｜User｜>", "<|object_ref_start|>": "<｜Assistant｜>",
    "<|object_ref_end|>": "<｜▁pad▁｜>",
}
_SMOLLM3 = {"<|reserved_special_token_0|>": "<think>", "<|reserved_special_token_1|>": "</think>", "<|reserved_special_token_3|>": "<|im_start|>", "<|reserved_special_token_4|>": "<|im_end|>"}
_NOT_SPECIAL = ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>")
# name: (prompt format, model type, folder, new names)
MODELS = {
    "r1_qwen": ("r1", "qwen2", "deepseek-r1-distill-qwen", None),
    "r1_llama": ("r1", "llama", "llama3.1", _LLAMA),
    "r1_0528": ("r1_0528", "qwen3", "qwen3", _QWEN3),
    "qwen3": ("qwen3", "qwen3", "qwen3", None),
    "qwen3_thinking": ("qwen3_thinking", "qwen3", "qwen3", {}),
    "smollm3": ("smollm3", "smollm3", "llama3.1", _SMOLLM3),
    "qwen2_5": ("chatml", "qwen2", "qwen3", {}),
    "s1": ("s1", "qwen2", "qwen3", {}),
    "llama3_1": ("llama3", "llama", "llama3.1", {}),
}
# Vocabularies that the others have too: minutes of loading, for prompts that test_golden.py has on a small one.
LONG = ("qwen3_thinking", "smollm3", "qwen2_5", "s1", "llama3_1")
# What each has in its tokenizer_config.json, where its folder has it not: the special tokens; chat templates are those of test_golden.py.
_SPECIAL = {
    "r1_llama": {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS}, "r1_0528": {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS},
    "smollm3": {"eos_token": "<|im_end|>"}, "llama3_1": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    **dict.fromkeys(("qwen3_thinking", "qwen2_5", "s1"), {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}),
}
_ADDED_IN_QWEN3 = ("<tool_response>", "</tool_response>", "<think>", "</think>")


def path(name: str) -> Path:
    """A file or folder of the real data; the test is skipped where it is missing."""
    if not (DATA / name).exists():
        pytest.skip(f"no real data at hand: {name}")
    return DATA / name


def tokenizer_folder(name: str, out: Path) -> Path:
    """Lay out a model's tokenizer in `out` as its repository has it, with the model's config.json."""
    _, kind, source, names = MODELS[name]
    folder = path(f"tokenizers/{source}")
    out.mkdir(parents=True, exist_ok=True)
    if names is None:
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / file, out)
    else:
        spec = _renamed(json.loads((folder / "tokenizer.json").read_text("utf-8")), names)
        if name in ("qwen2_5", "s1"):
            spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] not in _ADDED_IN_QWEN3]
        (out / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))
        config = {"tokenizer_class": "LlamaTokenizerFast", **_SPECIAL[name], "legacy": True, "add_bos_token": True}
        (out / "tokenizer_config.json").write_text(json.dumps(config))
        if name not in ("r1_llama", "r1_0528"):
            import test_golden

            own = test_golden.template(name)
            text = templates.jinja(FAMILIES[MODELS[name][0]]) if own == "own" else own
            (out / "chat_template.jinja").write_text(text, encoding="utf-8")
    (out / "config.json").write_text(json.dumps({"model_type": kind}))
    return out


def _renamed(spec: dict, names: dict[str, str]) -> dict:
    def rename(value):
        if isinstance(value, dict):
            return {names.get(key, key): rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    for token in spec["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
        token["special"] = token["special"] and token["content"] not in _NOT_SPECIAL
    spec["post_processor"] = rename(spec["post_processor"])
    spec["model"]["vocab"] = {names.get(key, key): value for key, value in spec["model"]["vocab"].items()}
    return spec
