"""Verbs about the embedded model: tiny build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alt_lite.console import progress, say

app = typer.Typer(help="The embedded model.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _tiny() -> None:
    """The embedded model."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="where the weights go")] = Path("runs/tiny_weights"),
    seed: Annotated[int, typer.Option(min=0, help="weights and data")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="fewer than the shipped weights' for a trial")] = None,
) -> None:
    """Pretrain the embedded model from its seed; goes on where it stopped."""
    from alt_lite.model.backend import prepare_environment
    from alt_lite.tiny.build import BuildSettings
    from alt_lite.tiny.build import build as pretrain

    prepare_environment()
    default = BuildSettings()
    settings = BuildSettings(seed=seed, steps=steps or default.steps)
    with progress("tiny build", settings.steps) as bar:
        pretrain(out, settings, lambda step, loss: bar(step, f"loss {loss:.3f}" if loss else ""))
    say(f"wrote {out}; try it with: python -m alt_lite eval {out}")
