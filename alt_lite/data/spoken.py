"""Read anybody's rows as they stand, to be trained on or looked at: no label is needed, nothing is written anew."""

from __future__ import annotations

from collections.abc import Iterator

from alt_lite.data.rows import TrainingRow
from alt_lite.data.table import Table
from alt_lite.families.splitting import split_completion


def rows(table: Table) -> Iterator[tuple[str, TrainingRow | str]]:
    """Yield each row's name with the row, its response's own trace and answer in it, or with why there is none."""
    for index, found in table.rows("prompt", "system", "history", "problem", "response"):
        name, prompt, response = f"row-{index + 1}", found.get("prompt"), found.get("response")
        if found.get("problem"):
            yield name, found["problem"]
        elif not isinstance(prompt, str) or not prompt.strip():
            yield name, "no prompt"
        elif not isinstance(response, str) or not response.strip():
            yield name, "no response"
        else:
            trace, answer = split_completion(response, prompt_opened_trace=False)
            if not answer:
                yield name, "its trace is never closed" if answer is None else "nothing stands behind its trace"
                continue
            # What is neither asked for nor seen here: rows as they stand are not judged.
            yield name, TrainingRow(
                id=name, system=found.get("system"), prompt=prompt, label="benign", source=table.origin, answer=answer,
                source_trace=trace or "", source_answer=answer, history=list(found.get("history") or ()),
            )
