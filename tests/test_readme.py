"""Every command and every Python line of the README is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
# What would take minutes is tried with fewer steps or prompts; .ci/run runs the main job whole.
SMALL = ("train.epochs=0.3", "eval.limit=10")
SHORTER = {
    "tiny build": ["--steps", "64"], "tiny data.harmful=900 data.benign=100 data.skills=0": ["eval.limit=4", "train.epochs=0.2"],
    "tiny": [*SMALL, "--run-dir", "runs/tiny"],
}


MINUTES = "python -m alt_lite bench"  # tried by itself, with -m long


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shell_lines() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """One folder in which the README's commands follow one another."""
    return tmp_path_factory.mktemp("desk")


def test_the_two_commands_of_the_start_are_what_ci_runs():
    ci = (Path(__file__).resolve().parents[1] / ".ci" / "run").read_text()
    install, test = (block.strip() for block in blocks("")[:2])
    assert test == 'pip install -e ".[test]" && pytest' and test in ci
    assert install == "pip install -e . && python -m alt_lite.recipe tiny" and install in ci


def test_every_command_of_the_readme_runs(desk, command, monkeypatch):
    monkeypatch.chdir(desk)
    lines = shell_lines()
    # The recipe comes first: the others look at its run.
    lines.sort(key=lambda line: line != "python -m alt_lite.recipe tiny")
    assert MINUTES in lines
    for line in (line for line in lines if line != MINUTES):
        words = shlex.split(line)
        assert words[:2] == ["python", "-m"] and words[2] in ("alt_lite", "alt_lite.recipe"), line
        arguments = (["run"] if words[2] == "alt_lite.recipe" else []) + words[3:]
        arguments += SHORTER.get(" ".join(words[3:]), [])
        status, out, err = command(*arguments)
        assert status == 0, f"{line}\n{err}"
        assert out or "wrote" in err, line


@pytest.mark.long
def test_the_readmes_bench_runs(command):
    status, out, _ = command(*shlex.split(MINUTES)[3:])
    assert status == 0 and out


def test_the_readmes_python_runs(desk, monkeypatch):
    monkeypatch.chdir(desk)
    (code,) = blocks("python")
    names: dict = {}
    assert 'load_recipe("tiny")' in code
    exec(code.replace('load_recipe("tiny")', f'load_recipe("tiny", {SMALL!r})'), names)
    assert names["entries"] and (names["evaluated"] / "report.json").is_file()


def test_links_and_files_named_in_the_readme_exist():
    root = Path(__file__).resolve().parents[1]
    for name in re.findall(r"`((?:alt_lite|tests|recipes)/[\w./]+)`", README):
        assert (root / name).exists(), name
