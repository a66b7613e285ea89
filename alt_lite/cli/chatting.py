"""A run's base and tuned model, loaded together for `chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from alt_lite.dataset import system_prompt
from alt_lite.errors import UserError
from alt_lite.evaluation import recipe_of
from alt_lite.generate.local import generate
from alt_lite.method.structure import split_completion
from alt_lite.model import backend, load
from alt_lite.model.merging import merge
from alt_lite.report.examples import Example
from alt_lite.report.tables import side_by_side
from alt_lite.tokens.encode import encode_prompt


class Chat:
    """Both models of one run.

    Raises:
        UserError: the folder holds no run, or its merged model is not there yet.
    """

    def __init__(self, run: Path) -> None:
        self.recipe = recipe_of(run)
        if not (run / "merged" / "config.json").is_file():
            raise UserError(f"{run} has no merged model yet", f"python -m alt_lite.recipe {self.recipe.name} --run-dir {run}")
        backend.prepare_environment()
        here = backend.device()
        self.tokens = load.load_tokens(self.recipe.model)
        base = merge.base_model(self.recipe, load.model_folder(self.recipe.model), here)
        self.models = {"base": base, "tuned": load.load_full(run / "merged", here)}

    def ask(self, prompt: str) -> dict[str, dict[str, Any]]:
        """Give both responses: trace, answer, n_tokens, finish."""
        system = system_prompt(self.recipe)
        first = [{"role": "system", "content": system}] if system else []
        ids = encode_prompt(self.tokens, [*first, {"role": "user", "content": prompt}])
        rows = {}
        for name, model in self.models.items():
            ((generated,),) = generate(model, self.tokens, [ids], self.recipe.eval.max_new_tokens or 4096, 1)
            trace, answer = split_completion(generated.text, self.tokens.family.opens_trace)
            rows[name] = {"trace": trace, "answer": answer, "n_tokens": generated.n_tokens, "finish": generated.finish}
        return rows

    def table(self, prompt: str, rows: dict[str, dict[str, Any]]) -> Table:
        return side_by_side([Example("chat", prompt, rows["base"], rows["tuned"])])
