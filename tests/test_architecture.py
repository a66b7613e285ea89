"""Who may import whom (README, "The house"); kept true by reading the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "alt_lite"
BASE = {"errors", "console", "config", "rundir", "decide", "net"}
MAY = {
    "method": set(),
    "families": {"method"},
    "data": BASE | {"method", "families"},
    "tokens": BASE | {"method", "families", "data"},
    "model": BASE | {"tokens", "families", "method", "data", "generate"},
    "generate": BASE | {"tokens", "families", "method"},
    "evals": BASE | {"generate", "method", "families", "data", "tokens"},
    "tiny": BASE | {"method", "families", "data", "tokens"},
    "report": BASE | {"evals", "method", "families", "tokens", "data", "model"},
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("alt_lite"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("part", sorted(MAY))
def test_imports_go_one_way(part):
    for path in (PACKAGE / part).rglob("*.py"):
        assert imported(path) <= MAY[part] | {part}, path.name


@pytest.mark.parametrize("module", sorted(BASE))
def test_the_base_knows_nothing_of_what_stands_on_it(module):
    for path in (PACKAGE / module).rglob("*.py") if (PACKAGE / module).is_dir() else (PACKAGE / f"{module}.py",):
        assert imported(path) <= BASE, path.name


def test_method_is_pure():
    for path in (PACKAGE / "method").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        assert not names & {"torch", "transformers", "pathlib", "os", "io", "json"}, path.name


def test_no_file_is_past_four_hundred_lines():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.name


@pytest.mark.parametrize("arguments", [["--help"], ["ls"], ["show", "tiny"], ["run", "r1_32b", "--dry-run"]])
def test_light_verbs_do_not_import_torch(arguments, tmp_path):
    code = (
        "import sys\nfrom alt_lite.cli.app import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'scipy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path, timeout=60)
