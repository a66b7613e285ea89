"""The page about families holds what the program prints."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from alt_lite.config import sections
from alt_lite.families import FAMILIES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "families.md"


def test_the_table_of_families_is_what_the_command_prints(command):
    status, out, _ = command("families", "--markdown")
    between = PAGE.read_text(encoding="utf-8").split("<!-- families -->\n")[1].split("<!-- /families -->")[0]
    assert status == 0 and between == out
    status, out, _ = command("families")
    assert status == 0 and all(name in out for name in FAMILIES)


def test_a_recipe_may_name_every_family():
    assert get_args(sections.Family) == ("auto", *FAMILIES)
