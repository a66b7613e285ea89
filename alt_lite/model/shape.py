"""A model's shape, read from its config.json: what every weight is, without the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Counted:
    """What was counted in a model without its weights (model/counted.py), where no formula is known: `maps` are all linear
    maps as (name, outputs, inputs, how many), without a name where LoRA does not reach them; `matrices` and `vectors` the
    weights that are not quantised, experts among the former; `active` of these what one token passes, beside embeddings;
    `cache` the numbers that a token leaves in memory, `state` those that a whole text does. `recurrent` is the width of
    linear attention's values, `scored` the heads whose scores are all kept in training, as without a fused kernel."""

    maps: tuple[tuple[str, int, int, int], ...]
    matrices: int
    vectors: int
    active: int
    cache: int
    state: int
    recurrent: int = 0
    scored: int = 0


@dataclass(frozen=True)
class Shape:
    """What of config.json determines the weights; fields are named as there, so that `generate.fit` reads it too.
    `four_bit` tells that the repository holds bitsandbytes' 4 bit already; `counted` stands in place of what is
    computed from the other fields."""

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    four_bit: bool = False
    counted: Counted | None = None

    @property
    def maps(self) -> tuple[tuple[str, int, int, int], ...]:
        """All layers' linear maps: (name, outputs, inputs, how many)."""
        if self.counted:
            return self.counted.maps
        return tuple((name, out, into, self.num_hidden_layers) for name, (out, into) in self._linears.items())

    @property
    def _linears(self) -> dict[str, tuple[int, int]]:
        """One layer's linear maps: name → (outputs, inputs)."""
        hidden, queries, keys = self.hidden_size, self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden), "o_proj": (hidden, queries),
            "gate_proj": (self.intermediate_size, hidden), "up_proj": (self.intermediate_size, hidden),
            "down_proj": (hidden, self.intermediate_size),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of all layers' linear maps: what is quantised."""
        return sum(out * into * n for _, out, into, n in self.maps)

    @property
    def computed(self) -> int:
        """Weights that one token is multiplied by, the output head apart: experts that it does not pass are not."""
        return self.linear_parameters + (self.counted.active if self.counted else 0)

    @property
    def vectors(self) -> int:
        """Biases and norms, of all layers and the last norm."""
        if self.counted:
            return self.counted.vectors
        biased = {"qwen2": ("q_proj", "k_proj", "v_proj")}.get(self.model_type, ())
        if self.model_type != "qwen2" and self.attention_bias:
            biased = ("q_proj", "k_proj", "v_proj", "o_proj")
        if self.model_type == "llama" and self.mlp_bias:
            biased = (*biased, "gate_proj", "up_proj", "down_proj")
        norms = 2 * self.hidden_size + (2 * self.head_dim if self.model_type == "qwen3" else 0)
        return self.num_hidden_layers * (norms + sum(self._linears[name][0] for name in biased)) + self.hidden_size

    @property
    def embeddings(self) -> int:
        """Weights of the embedding and, where it is another matrix, of the output head; never quantised. So are others that
        are no linear layers, where they were counted."""
        if self.counted:
            return self.counted.matrices
        return self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)

    @property
    def parameters(self) -> int:
        return self.linear_parameters + self.vectors + self.embeddings


KNOWN = ("qwen2", "qwen3", "llama")


def read(config: Mapping[str, Any] | Any) -> Shape | None:
    """Read a config.json, as a dict or as transformers' object; None where the architecture is not one that is known."""
    facts = config if isinstance(config, Mapping) else config.to_dict()
    kind = facts.get("model_type")
    if kind not in KNOWN:
        return None
    heads = facts["num_attention_heads"]
    quantised = facts.get("quantization_config") or {}
    return Shape(
        kind, facts["hidden_size"], facts["num_hidden_layers"], heads, facts.get("num_key_value_heads") or heads,
        facts.get("head_dim") or (128 if kind == "qwen3" else facts["hidden_size"] // heads), facts["intermediate_size"], facts["vocab_size"],
        # The defaults of these three architectures, which config.json may leave out.
        bool(facts.get("tie_word_embeddings", False)), bool(facts.get("attention_bias", False)), bool(facts.get("mlp_bias", False)),
        bool(quantised.get("load_in_4bit")),
    )


def _qwen3(hidden: int, layers: int, heads: int, mlp: int, tied: bool = False) -> Shape:
    return Shape("qwen3", hidden, layers, heads, 8, 128, mlp, 151_936, tied)


# From the published config.json of the shipped recipes' models, for what must be told without a network.
PUBLISHED: dict[str, Shape] = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Shape("qwen2", 1536, 28, 12, 2, 128, 8960, 151_936),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": Shape("qwen2", 3584, 28, 28, 4, 128, 18_944, 152_064),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": Shape("llama", 4096, 32, 32, 8, 128, 14_336, 128_256),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": Shape("qwen2", 5120, 48, 40, 8, 128, 13_824, 152_064),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": Shape("qwen2", 5120, 64, 40, 8, 128, 27_648, 152_064),
    "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B": _qwen3(4096, 36, 32, 12_288),
    "Qwen/Qwen3-0.6B": _qwen3(1024, 28, 16, 3072, tied=True),
    "Qwen/Qwen3-1.7B": _qwen3(2048, 28, 16, 6144, tied=True),
    "Qwen/Qwen3-4B": _qwen3(2560, 36, 32, 9728, tied=True),
    "Qwen/Qwen3-8B": _qwen3(4096, 36, 32, 12_288),
    "Qwen/Qwen3-14B": _qwen3(5120, 40, 40, 17_408),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape("llama", 576, 30, 9, 3, 64, 1536, 49_152, True),
    "embedded": Shape("qwen2", 128, 4, 4, 2, 32, 384, 2624, True),
}
