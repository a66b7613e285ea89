"""Small real objects that many tests share: the embedded tokenizer, one finished run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# The models of the tests are so small that several threads hinder each other, the more so beside a second process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Sets and Arrow files that tests make must not be found by, or come from, the user's own runs.
os.environ["ALT_LITE_CACHE"] = tempfile.mkdtemp(prefix="alt_lite_cache_")
os.environ["HF_DATASETS_CACHE"] = os.environ["ALT_LITE_CACHE"] + "/datasets"

import real

from alt_lite.config import load_recipe
from alt_lite.model import backend

backend.prepare_environment()

# A whole run in seconds: few rows, a fraction of an epoch, few prompts per task.
SMALL = (
    "data.harmful=24", "data.benign=24", "data.skills=16", "train.epochs=1.5", "train.checkpoint_steps=2", "eval.limit=4",
)


def pytest_xdist_auto_num_workers(config) -> int:
    """Several processes for the whole suite only: a part of it is not worth them, and they swallow what `-s` shows."""
    option = config.option
    chosen = option.file_or_dir or option.keyword or option.markexpr != "not long" or option.capture == "no"
    return 0 if chosen else min(os.cpu_count() or 1, 4)


def pytest_collection_modifyitems(items) -> None:
    """The file of the longest test first: it would keep one process busy while the other has nothing left."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def tokens():
    from alt_lite.model.load import load_tokens

    return load_tokens(load_recipe("tiny").model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished small run of the embedded model; tests must not change it."""
    from alt_lite.recipe import run

    return run(load_recipe("tiny", SMALL), tmp_path_factory.mktemp("runs") / "small")


LOADED: dict = {}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long if name in real.LONG else []) for name in sorted(real.MODELS)])
def named(request, tmp_path_factory):
    """A published model's name, with its tokenizer, loaded once for all tests."""
    from alt_lite.families import FAMILIES
    from alt_lite.tokens import tokenizer

    name = request.param
    if name not in LOADED:
        LOADED[name] = tokenizer.load(real.tokenizer_folder(name, tmp_path_factory.mktemp(name)), FAMILIES[real.MODELS[name][0]])
    return name, LOADED[name]


@pytest.fixture
def command(capsys):
    """Call the command line in this process: status, standard output, standard error."""
    from alt_lite.cli.app import main

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call
