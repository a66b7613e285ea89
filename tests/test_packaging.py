from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CUSTOMERS = {"unsloth", "bitsandbytes", "trl", "transformers", "torch", "datasets", "rich"}


def test_requirements_are_the_core_and_the_gpu_extra():
    lines = {line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines() if line.strip() and not line.startswith("#")}
    assert lines == set(PROJECT["dependencies"]) | set(PROJECT["optional-dependencies"]["gpu"])
    assert {line.replace(">", "=").replace("<", "=").partition("=")[0] for line in lines} >= CUSTOMERS


def test_unsloth_is_not_in_the_core():
    """It would pull in a torchvision that does not load beside a CPU build of torch."""
    assert not any("unsloth" in line for line in PROJECT["dependencies"])


def test_the_embedded_weights_are_small():
    weights = ROOT / "alt_lite" / "tiny" / "weights"
    assert (weights / "model.safetensors").stat().st_size <= 4_000_000
    from safetensors import safe_open

    with safe_open(weights / "model.safetensors", "np") as file:
        tensors = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
    assert sum(t.size for t in tensors) <= 2_000_000 and {str(t.dtype) for t in tensors} == {"float16"}


@pytest.mark.long
def test_an_installed_wheel_finds_recipes_and_weights_from_any_folder(tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("alt_lite-*.whl")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel], check=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport alt_lite\nassert alt_lite.__file__.startswith(sys.argv[1])\n"
        "from alt_lite.config import load_recipe, recipe_names\nassert 'tiny' in recipe_names()\n"
        "from alt_lite.model.load import load_tokens\nload_tokens(load_recipe('tiny').model)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(site)], check=True, cwd=tmp_path)
