"""Precisions in words: in how many bits a model is stored, and in which it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bits(dtype: str) -> str:
    """Give the width of a number of `dtype`: `32-bit`, `16-bit`."""
    return "32-bit" if dtype == "float32" else "16-bit"


def trained_in(four_bit: bool, computes_in: str | None) -> str:
    """Give the precision of the base that an adapter was trained on: `4-bit`, else that of the device's numbers."""
    return "4-bit" if four_bit else bits(computes_in or "bfloat16")


def of_run(manifest: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Give `trained_in` of a run, by its manifest and its settled values; `computes_in` is none of earlier versions' keys."""
    return trained_in(values["model.load_in_4bit"], manifest.get("computes_in"))
