"""Read recipes: validation of everything at once, overrides, and where each value came from.

Every value arrives as text, from a recipe's YAML as from the command line, and is coerced by its
field's type: YAML itself would read `1e-5` as text and `no` as false.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from alt_lite.config import listed, mixing
from alt_lite.config.sections import SECTIONS, Origin, Recipe
from alt_lite.errors import UserError

# Keys that name files and folders, in which `~` is the home folder: no shell expands it behind `section.key=`.
_PATHS = {"model.name", "data.source", "data.benign_from", "data.path", "data.against", "eval.data", "eval.base_from", "eval.guard"}


def recipe_folder() -> Path:
    """Find the shipped recipes: inside an installed package, or beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parent / "recipes"):
        if (folder / "tiny.yaml").is_file():
            return folder
    raise UserError("the shipped recipes are missing", "install alt_lite again, or give a recipe's path")


def recipe_names() -> list[str]:
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a shipped recipe by name, or one by path, and apply `section.key=value` overrides.

    Raises:
        UserError: the recipe does not exist or does not parse; or, all at once, every unknown key,
            wrong type and value out of range, each with the key's path.
    """
    path = _find(name)
    raw = _parse(path)
    problems: list[str] = []
    title = str(raw.pop("title", path.stem))
    given: dict[str, dict[str, tuple[Any, Origin]]] = {section: {} for section in SECTIONS}
    for section, keys in raw.items():
        if section not in SECTIONS:
            problems.append(f"{section}: no such section{_nearest(section, SECTIONS)}")
        elif not isinstance(keys, Mapping):
            problems.append(f"{section}: must hold keys, not {keys!r}")
        else:
            for key, value in keys.items():
                _accept(given, section, str(key), value, "recipe", problems)
    _override(given, overrides, problems)
    sections, origin = _build(given, problems)
    if not problems:
        problems += _contradictions(sections)
    if problems:
        raise UserError(f"{path.name}: " + "\n  ".join(problems), f"python -m alt_lite show {name} lists every key with its value")
    return Recipe(name=path.stem, title=title, origin=origin, overrides=tuple(overrides), **sections)


def recipe_from_values(kept: Mapping[str, Any]) -> Recipe:
    """Read back a recipe from a manifest's `recipe` entry.

    Raises:
        UserError: another version wrote it, whose keys differ.
    """
    sections: dict[str, Any] = {}
    try:
        for name, cls in SECTIONS.items():
            prefix = f"{name}."
            sections[name] = cls(**{k.removeprefix(prefix): v for k, v in kept["values"].items() if k.startswith(prefix)})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(f"the run's manifest does not fit this version ({where})", "run the recipe again with --fresh") from error
    return Recipe(name=kept["name"], title=kept["title"], origin={**dict.fromkeys(_all_keys(), "default"), **kept["origin"]}, overrides=tuple(kept["overrides"]), **sections)


def with_overrides(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Give a resolved recipe with some values changed.

    Raises:
        UserError: as `load_recipe` does.
    """
    problems: list[str] = []
    given: dict[str, dict[str, tuple[Any, Origin]]] = {
        name: {key: (getattr(getattr(recipe, name), key), recipe.origin[f"{name}.{key}"]) for key in cls.model_fields} for name, cls in SECTIONS.items()
    }
    _override(given, overrides, problems)
    sections, origin = _build(given, problems)
    if problems or (problems := _contradictions(sections)):
        raise UserError(f"{recipe.name}: " + "\n  ".join(problems), "section.key=value; python -m alt_lite show lists every key")
    return Recipe(name=recipe.name, title=recipe.title, origin=origin, overrides=(*recipe.overrides, *overrides), **sections)


def _override(given: dict[str, dict[str, tuple[Any, Origin]]], overrides: Sequence[str], problems: list[str]) -> None:
    for override in overrides:
        key, sign, value = override.partition("=")
        section, dot, name = key.partition(".")
        if not sign or not dot:
            problems.append(f"{override}: not of the form section.key=value")
        elif section not in SECTIONS:
            problems.append(f"{key}: no such section{_nearest(key, _all_keys())}")
        else:
            _accept(given, section, name, value, "command line", problems)


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise UserError(f"no recipe file {name}", f"shipped recipes: {', '.join(recipe_names())}")
    shipped = recipe_folder() / f"{name}.yaml"
    if not name or path.name != name or not shipped.is_file():
        raise UserError(f"no recipe {name!r}{_nearest(name, recipe_names())}", "python -m alt_lite ls lists all recipes; a file is given as PATH.yaml")
    return shipped


def _parse(path: Path) -> dict[str, Any]:
    try:
        # BaseLoader leaves every scalar a string; types are ours to decide.
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{where}: not readable as YAML ({what})", "mend the file; a shipped one shows the form") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: holds no sections", f"sections are {', '.join(SECTIONS)}")
    return raw


def _accept(given: dict[str, dict[str, tuple[Any, Origin]]], section: str, key: str, value: Any, origin: Origin, problems: list[str]) -> None:
    fields = SECTIONS[section].model_fields
    if key not in fields:
        problems.append(f"{section}.{key}: no such key{_nearest(f'{section}.{key}', _all_keys())}")
        return
    try:
        given[section][key] = (_at_home(f"{section}.{key}", coerce(value, fields[key].annotation)), origin)
    except ValueError as error:
        problems.append(f"{section}.{key}: {error}")
        given[section][key] = (_BAD, origin)


def _at_home(key: str, value: Any) -> Any:
    """Expand `~` in what names files."""
    if key not in _PATHS:
        return value
    if isinstance(value, tuple):
        return tuple(_at_home(key, item) for item in value)
    return str(Path(value).expanduser()) if isinstance(value, str) and value[:2] in ("~", "~/", "~\\") else value


_BAD = object()


def _build(given: dict[str, dict[str, tuple[Any, Origin]]], problems: list[str]) -> tuple[dict[str, Any], dict[str, Origin]]:
    sections: dict[str, Any] = {}
    origin: dict[str, Origin] = {}
    for name, cls in SECTIONS.items():
        bad = {key for key, (value, _) in given[name].items() if value is _BAD}
        values = {key: value for key, (value, _) in given[name].items() if value is not _BAD}
        try:
            sections[name] = cls(**values)
        except ValidationError as error:
            for item in error.errors():
                key = str(item["loc"][0])
                if item["type"] == "missing" and key not in bad:
                    problems.append(f"{name}.{key}: must be given")
                elif item["type"] != "missing":
                    message = item["msg"].removeprefix("Input ").removeprefix("Value ")
                    problems.append(f"{name}.{key}: {item['input']!r} {message}")
        for key in cls.model_fields:
            origin[f"{name}.{key}"] = given[name][key][1] if key in given[name] else "default"
    return sections, origin


def _contradictions(sections: dict[str, Any]) -> list[str]:
    """Find values that are each allowed but mean nothing together."""
    found = []
    if sections["merge"].base == "dequantized" and not sections["model"].load_in_4bit:
        found.append("merge.base: dequantized needs model.load_in_4bit=true; what is trained in 16 bit is merged into original")
    if sections["data"].assessor == "endpoint" and not sections["endpoint"].url:
        found.append("data.assessor: endpoint needs endpoint.url, e.g. endpoint.url=http://localhost:8000/v1")
    if sections["train"].layout == "packed" and sections["model"].max_length is None:
        found.append("train.layout: packed needs model.max_length, the length of a pack")
    data = sections["data"]
    found += mixing.problems(data.source, data.benign_from, data.builds_rows)
    return found


def coerce(value: Any, kind: Any) -> Any:
    """Turn raw text (or a YAML list of texts) into the field's type.

    Raises:
        ValueError: the text is not of that type; the message names what is allowed.
    """
    if get_origin(kind) in (Union, types.UnionType):
        if isinstance(value, str) and value.strip().lower() in ("null", "none", ""):
            return None
        (kind,) = (arg for arg in get_args(kind) if arg is not type(None))
    if get_origin(kind) is tuple:
        items = value if isinstance(value, list) else listed.items(str(value))
        return tuple(coerce(str(item).strip(), get_args(kind)[0]) for item in items if str(item).strip())
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be one value")
    text = value.strip()
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}{_nearest(text, choices)}")
        return text
    if kind is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise ValueError(f"{text!r} is not true or false")
    if kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {'a whole number' if kind is int else 'a number'}") from None
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(f"{text!r} is not a finite number")
        return number
    return text


def _all_keys() -> list[str]:
    return [f"{name}.{key}" for name, cls in SECTIONS.items() for key in cls.model_fields]


def _nearest(word: str, known: Any) -> str:
    """Suggest the nearest known words; keys of other sections too (`lora.epochs` → `train.epochs`)."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    if not near and "." in word:
        last = word.rpartition(".")[2]
        near = [key for key in known if key.rpartition(".")[2] == last][:3]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def to_yaml(recipe: Recipe) -> str:
    """Write the resolved recipe as YAML that `load_recipe` reads back."""
    body = {"title": recipe.title, **{section: recipe.section(section) for section in SECTIONS}}
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
