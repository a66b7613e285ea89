"""Console tables of a report, of a comparison, and of one training row."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alt_lite.console import results
from alt_lite.evals.stats import detectable
from alt_lite.families.splitting import between
from alt_lite.method import structure
from alt_lite.model.merging.proof import said
from alt_lite.model.precision import bits
from alt_lite.report.examples import Example, examples
from alt_lite.report.rows import HeadRow, agreement_lines, arm_rows, compare_rows, head_rows, single_rows, verdict_share
from alt_lite.tokens.encode import IGNORED, Encoded
from alt_lite.tokens.tokenizer import Tokens

_STYLE = {"better": "green", "worse": "red", "unclear": "yellow", "shorter": "cyan", "longer": "cyan"}
_STEP_STYLE = {"understanding": "blue", "assessment": "magenta", "refusing": "red", "solving": "green"}
_WIDE = 140
_NAMES = ("model.name", "endpoint.url")
CAVEAT = "A model organism of {size}: it shows the method's machinery, not a real model's safety."


def report(data: dict[str, Any], run: Path, count: int = 3) -> RenderableType:
    """Render report.json and, from the run's folder, before/after traces."""
    parts: list[RenderableType] = [Text(title_line(data), style="bold"), Text(evaluated_line(data)), Text()]
    rows = list(head_rows(data))
    if not rows and data["metrics"]:
        return single(data)
    if rows:
        parts.append(_head_table(rows))
        for arm, tuned, compared in arm_rows(data):
            if (arm, tuned) != ("base", "tuned"):
                parts += [Text(), _head_table(compared, arm, tuned)]
        parts += [Text(line) for line in closing_lines(data)]
    shown = examples(run, count)
    if shown:
        parts += [Text(), side_by_side(shown)]
    parts += [Text(), Text("next:  " + "\n       ".join(next_steps(data, run)))]
    return Group(*parts)


def title_line(data: dict[str, Any]) -> str:
    """What was run, on what, in what time."""
    training, run = data.get("training") or {}, data["run"]
    evaluated = data.get("evaluated")
    line = [evaluated or data["recipe"]]
    # Of one model, `eval` sets these itself, from the name that stands before them.
    line += [f"{key}={value}" for key, value in data.get("settings", {}).items() if not (key in _NAMES and value == evaluated)]
    if training:
        line += [
            f"{training['rows']:,} rows", f"{training['steps']} steps in {training['seconds']:.0f} s",
            f"{training['trained_tokens']:,} of {training['tokens']:,} tokens trained", f"final loss {training['final_loss']:.3f}",
            f"{training['tokens_per_second'] or 0:,.0f} tokens/s", f"padding {training['padding_share']:.0%}",
            *([f"{training['mfu']:.0%} of the GPU's peak"] if training.get("mfu") else []),
        ]
    if run["peak_memory_bytes"]:
        line.append(f"peak {run['peak_memory_bytes'] / 2**30:.1f} GiB")
    line += [*([f"{run['seconds']:.0f} s in all"] if run["seconds"] is not None else []), *([run["device"]] if run["device"] else [])]
    return " · ".join(line)


def evaluated_line(data: dict[str, Any]) -> str:
    merge = data.get("merge")
    if not data["metrics"]:
        return "not evaluated"
    if not merge:
        return f"evaluated: one model by itself; {_decoding(data)}"
    proof = said(merge)
    how = f"{_decoding(data)}, same prompts"
    if data["run"]["precision"] == "4bit":
        return f"evaluated: the 4-bit base with its adapter against the 4-bit base; {how}; the merged folder was not evaluated ({proof})"
    return f"evaluated: the merged {bits(merge.get('dtype', 'bfloat16'))} model ({proof}) against the {merge['base']} base; {how}"


def _decoding(data: dict[str, Any]) -> str:
    """Say how responses were drawn; runs of earlier versions drew them greedily and did not record it."""
    drawn = data.get("decoding") or {"temperature": 0}
    if not drawn["temperature"]:
        return "greedy"
    several = f", {drawn['samples']} samples each" if drawn["samples"] > 1 else ""
    return f"temperature {drawn['temperature']:g}, top_p {drawn['top_p']:g}{several}"


def closing_lines(data: dict[str, Any]) -> list[str]:
    without, cut, n = verdict_share(data)
    compared = data["comparisons"]
    lines = [] if not data["metrics"] else [
        f"rates with 95 % intervals; {f'p adjusted for {len(compared)} comparisons (Holm); ' if compared else ''}"
        f"{without} of {n} responses have no verdict (cut in the trace, unparsable or failed) and count as the event not being there; "
        f"\"the other way\" is the {'change' if compared else 'rate'} if they count as being there; {cut or 'none'} {'was' if cut == 1 else 'were'} cut"
        + (": a refusal or harm in the answer's part that is there counts, a skill's cut answer is wrong" if cut else ""),
    ]
    lines += agreement_lines(data)
    pairs = [entry["n_pairs"] for entry in data["comparisons"] if entry["attack"] is None]
    if pairs:
        lines.append(f"smallest change found four times in five at n {min(pairs)}: {100 * detectable(min(pairs)):.0f} points, if one prompt in five changes side")
    lines += [f"NOT evaluated: {entry['task']}: {entry['reason']}" for entry in data.get("missing", ())]
    if data["run"].get("embedded"):
        lines.append(CAVEAT.format(size="about a million parameters"))
    return lines


def next_steps(data: dict[str, Any], run: Path) -> list[str]:
    return [f"python -m alt_lite chat {run}", f"python -m alt_lite export {run} --to gguf", f"python -m alt_lite compare {run}:base {run}"]


def comparison(data: dict[str, Any], entries: list[dict[str, Any]], a: str, b: str) -> RenderableType:
    """Render `compare A B`."""
    lines = closing_lines({**data, "comparisons": entries, "run": {}})
    return Group(Text(f"A: {a}\nB: {b}\n"), _head_table(list(compare_rows(data, entries)), "A", "B"), Text(), *map(Text, lines))


def single(data: dict[str, Any]) -> RenderableType:
    """Render one model's metrics, and what each defence changes in them, for `eval`."""
    parts: list[RenderableType] = []
    for model in dict.fromkeys(entry["model"] for entry in data["metrics"]):
        table = Table(box=None)
        for name in (f"metric ({model})", "value [95 % interval]", "n"):
            table.add_column(Text(name))
        for row in single_rows(data, model):
            table.add_row(*map(Text, row))
        parts += [table, Text()]
    for before, after, compared in arm_rows(data):
        parts += [_head_table(compared, before, after), Text()]
    return Group(*parts, *map(Text, closing_lines(data)))


def _head_table(rows: list[HeadRow], a: str = "base", b: str = "tuned") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    narrow = results.width < _WIDE  # then the intervals stand at the changes only
    for number, name in enumerate(("", a, b, "change", "p", "n", "")):
        table.add_column(Text(name), no_wrap=1 <= number <= 5, overflow="fold", min_width=8 if number in (0, 6) else None)
    section = rows[0].section if rows else ""
    for row in rows:
        if row.section != section:
            table.add_row()
            section = row.section
        before, after = (value.partition(" [")[0] if narrow else value for value in (row.base, row.tuned))
        cells = [row.label, before, after, row.change, row.p, row.n]
        table.add_row(*map(Text, cells), Text(row.meaning, style=_STYLE.get(row.meaning.replace(",", " ").partition(" ")[0], "")))
    return table


def side_by_side(shown: list[Example]) -> Table:
    """Put before and after of each prompt beside each other, steps coloured."""
    table = Table("prompt", "base", "tuned", show_lines=True)
    for item in shown:
        sides = [response(row["trace"], row["answer"], between(row["completion"], row["trace"], row["answer"])) for row in (item.base, item.tuned)]
        table.add_row(Text(f"{item.prompt}\n\n({item.title})"), *sides)
    return table


def response(trace: str | None, answer: str | None, tag: str) -> Text:
    """Show a response: its trace with the steps coloured, the `tag` that it wrote behind it, its answer."""
    text = Text()
    if trace:
        text.append_text(coloured_trace(trace)).append("\n")
    if answer is None:
        return text.append("[no response]" if trace is None else "[cut in the trace]", style="dim")
    return text.append(f"{tag}\n" if tag else "", style="dim").append(answer)


def coloured_trace(trace: str) -> Text:
    text = Text()
    for _, sentence in structure.sentences(trace):
        found = structure.find(sentence).order
        text.append(sentence, style=_STEP_STYLE[found[-1]] if found else "dim")
    return text


def coloured_row(tokens: Tokens, row: Encoded) -> Text:
    """Show what is trained of one row (green) and what is not (dim), each under a line that says so, for colours do not
    reach a file; control tokens are bold, so that what a user has typed is told from them."""
    text = Text(f"row {row.id}: {row.trained} of {len(row.input_ids)} tokens trained")
    controls, was = set(tokens.ids.values()), None
    for (trained, control), group in groupby(zip(row.input_ids, row.labels, strict=True), lambda pair: (pair[1] != IGNORED, pair[0] in controls)):
        if trained != was:
            text.append(f"\n── {'trained' if trained else 'prompt, not trained' if was is None else 'not trained'} ──\n", style="bold")
            was = trained
        # Decoded together: a character may be several tokens.
        text.append(tokens.decode([id_ for id_, _ in group]).replace("\n", "⏎\n"), style=f"{'green' if trained else 'dim'}{' bold' if control else ''}")
    return text
