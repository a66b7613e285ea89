"""Show estimates of memory and disk as bars of their parts, and what a bug report needs to know of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.requirements import Requirement
from rich.text import Text

from alt_lite.model.memory import Peak

_CELLS = 60
# Part → its cell and colour: cells differ by themselves, so that a bar can be read in a file and without colours.
_LOOKS = {
    "weights": ("█", "blue"), "adapter": ("a", "magenta"), "gradients": ("g", "magenta"), "optimiser": ("o", "magenta"),
    "activations": ("▓", "green"), "one layer": ("▒", "yellow"), "logits": ("▒", "yellow"), "cache": ("▓", "green"),
    "working": ("▒", "yellow"), "process": ("c", "cyan"), "gaps": ("x", "red"), "context": ("c", "cyan"),
}
_FREE = "·"


def size(n: float) -> str:
    """Bytes for people: GB with one digit, MB below a tenth of one."""
    return f"{n / 1e9:.1f} GB" if n >= 1e8 else f"{n / 1e6:.1f} MB" if n < 1e7 else f"{n / 1e6:.0f} MB"


def bar(peak: Peak, free: int) -> Text:
    """Render one estimate: its sum beside what is free, a bar of `free` bytes filled by its parts, and the parts' sizes.

    A part that is too small for a cell stands in the list only. What does not fit goes beyond the bar's end, which `|` marks.
    """
    over = peak.total - free
    state = f"{size(over)} TOO MUCH" if over > 0 else "fits"
    text = Text(f"{peak.what}, estimate: {size(peak.total)} of {size(free)}, {state} ({peak.note})\n")
    cells = _cells(list(peak.parts.values()), max(free, 1))
    line = [(_LOOKS[name][0], _LOOKS[name][1]) for name, count in zip(peak.parts, cells, strict=True) for _ in range(count)]
    line += [(_FREE, "dim")] * (_CELLS - len(line))
    text.append("  ")
    for place, (cell, colour) in enumerate(line):
        if place == _CELLS:
            text.append("|", style="bold red")
        text.append(cell, style=colour)
    if over <= 0:
        text.append("|", style="dim")
    text.append("\n  ")
    for number, (name, part) in enumerate(peak.parts.items()):
        cell, colour = _LOOKS[name]
        text.append(", " if number else "")
        text.append(cell, style=colour)
        text.append(f" {name} {size(part)}")
    return text


def _cells(parts: Sequence[int], whole: int) -> list[int]:
    """Share out cells so that their running sum is never half a cell away from that of the parts."""
    edges, total = [0], 0
    for part in parts:
        total += part
        edges.append(round(total / whole * _CELLS))
    edges = [min(edge, 2 * _CELLS) for edge in edges]
    return [b - a for a, b in zip(edges, edges[1:], strict=False)]


def disk(parts: Mapping[str, int], free: int) -> Text:
    """Render the disk's parts in one line beside what is free."""
    total = sum(parts.values())
    state = f"{size(total - free)} TOO MUCH" if total > free else "fits"
    return Text(f"disk, estimate: {size(total)} of {size(free)}, {state} ({', '.join(f'{name} {size(part)}' for name, part in parts.items())})")


def version_lines(installed: Mapping[str, str], required: Sequence[str]) -> list[str]:
    """Tell for each package that the project's metadata names its version, beside the range it was tested with.

    Args:
        installed: package → version.
        required: the project's requirements, such as `torch<2.14,>=2.8` or with the marker `extra == "gpu"`.
    """
    ranges = {need.name.lower().replace("_", "-"): need for need in map(Requirement, required)}
    lines = []
    for package, number in installed.items():
        need = ranges.get(package.lower().replace("_", "-"))
        if need is None or not need.specifier:
            lines.append(f"{package:14} {number}")
            continue
        tested = ",".join(sorted(map(str, need.specifier), reverse=True))
        inside = need.specifier.contains(number, prereleases=True)
        lines.append(f"{package:14} {number:16} {'inside' if inside else 'OUTSIDE'} the tested range {tested}")
    known = {package.lower().replace("_", "-") for package in installed}
    for name, need in ranges.items():
        if name not in known and need.marker and need.marker.evaluate({"extra": "gpu"}) and not need.marker.evaluate({"extra": ""}):
            lines.append(f"{name:14} {'not installed':16} optional; the tested range is {','.join(sorted(map(str, need.specifier), reverse=True))}")
    return lines
