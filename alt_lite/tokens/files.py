"""What stands in a tokenizer's JSON files, so that transformers 4 and 5 and llama.cpp read the same from them."""

from __future__ import annotations

from typing import Any


def tokenizer_settings(config: dict[str, Any], named: dict[str, str], template: str) -> dict[str, Any]:
    """Give tokenizer_config.json as transformers 4 and 5 both read it.

    Args:
        config: the folder's own.
        named: special tokens by their role that are to stand there (`eos_token`, `pad_token`).
        template: the chat template; older readers and llama.cpp look for it here.
    """
    config = special_tokens({**config, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}, named)
    return {key: value for key, value in config.items() if key not in ("backend", "is_local", "local_files_only")}


def special_tokens(config: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
    """Give special tokens by their roles as `named` has them, further ones by the name that transformers 4 knows:
    on a list as `extra_special_tokens` it raises, and transformers 5 takes the other name for the same."""
    config = {key: value for key, value in config.items() if not (key == "extra_special_tokens" and not value)}
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    return {**config, **{role: token for role, token in named.items() if text_of(config.get(role)) != token}}


def text_of(token: Any) -> str | None:
    """A special token's text, which files give alone or with its properties."""
    return token.get("content") if isinstance(token, dict) else token
