"""How models are evaluated: which prompts, drawn how, judged by whom; decided once for base and tuned alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alt_lite.config import Recipe
from alt_lite.console import progress, say
from alt_lite.data.local import is_copy
from alt_lite.data.rows import Task
from alt_lite.decide import Decisions, Device, chosen
from alt_lite.errors import UserError
from alt_lite.evals import attacks, defences
from alt_lite.evals.adaptive import ADAPTIVE, Adaptive
from alt_lite.evals.attacks import FLIP
from alt_lite.evals.judging.guards import PARTS, Guard
from alt_lite.evals.judging.judges import ATTACK_SCORER, Judge
from alt_lite.evals.runner import Settings
from alt_lite.evals.tasks.benchmark import Benchmark
from alt_lite.families import FAMILIES, Family
from alt_lite.generate.endpoint import Endpoint


@dataclass(frozen=True)
class Protocol:
    """`judges` read a response by rules, `guards` are models; `adaptive` makes the attacks that are written
    while they run; `defences` are arms beside the plain model. `sources` and `missing` are report.json's: where each
    benchmark came from, and which cannot be had."""

    tasks: list[Task]
    settings: Settings
    judges: Mapping[str, Judge]
    guards: Mapping[str, Guard]
    adaptive: Adaptive | None = None
    defences: tuple[str, ...] = ()
    sources: tuple[dict[str, Any], ...] = ()
    missing: tuple[dict[str, str], ...] = ()

    def arms(self, model: str, defended: bool = True) -> Iterator[tuple[str, list[Task], Adaptive | None]]:
        """Yield (name, tasks, who attacks): the model as it is, then under each defence without training, on
        which the assessment is not flipped. An adaptive attack's turns are defended as they are sent."""
        yield model, self.tasks, self.adaptive
        for name in self.defences if defended else ():
            tasks = [replace(task, prompts=tuple(prompt for prompt in task.prompts if prompt.attack != FLIP)) for task in self.tasks]
            yield f"{model}+{name}", [defences.defended(task, name, ADAPTIVE) for task in tasks], self.adaptive and replace(self.adaptive, defence=name)


def build(recipe: Recipe, decisions: Decisions, device: Device) -> Protocol:
    """Put the recipe's evaluation together; without tasks where nothing is evaluated.

    Raises:
        UserError: a task is unknown or its prompts cannot be had, or an attack cannot be asked of a server.
    """
    from alt_lite.evals.judging import judges
    from alt_lite.tiny.judge import JUDGES as WORLD

    _require_usable(recipe)
    suite = chosen(decisions, "eval.suite")
    precision = chosen(decisions, "eval.precision")
    sources: list[dict[str, Any]] = []
    missing: list[dict[str, str]] = []
    if suite in ("tiny", "tiny_dev"):
        tasks, settings = _tiny(recipe, suite, precision)
    else:
        tasks, settings = _benchmarks(recipe, suite, precision, sources, missing)
    tasks = _changed(recipe, tasks)
    guards = _guards(recipe, decisions, device, tasks)
    adaptive = _adaptive(recipe)
    named = [replace(task, judges=_judges_of(task, guards, adaptive is not None)) for task in tasks]
    return Protocol(
        [task for task in named if task.prompts], settings, {**judges.JUDGES, **WORLD}, guards, adaptive,
        tuple(dict.fromkeys(name for name in recipe.eval.defence if name != "none")), tuple(sources), tuple(missing),
    )


def require_sendable(plan: Protocol, family: Family) -> None:
    """Refuse system messages that a model's chat template does not take, before anything is trained or loaded.

    Raises:
        UserError: a defence, or a benchmark's prompt, sends one.
    """
    if family.system is not None:
        return
    for arm, tasks, _ in plan.arms("base"):
        for task in tasks:
            if any(message["role"] == "system" for prompt in task.prompts for message in prompt.messages):
                what = f"eval.defence={arm.partition('+')[2]}" if "+" in arm else f"task {task.name}"
                raise UserError(f"{what} sends a system message, which this model's chat template does not take", "leave it out: eval.defence=none, or eval.tasks=NAME,NAME of others")


def judge(plan: Protocol, tasks: Sequence[Task], folder: Path, reuse: Sequence[Path] = (), stop: Callable[[], bool] = lambda: False) -> None:
    """Judge one arm's responses; guards, which are models, show how far they are.

    Raises:
        OutOfTime: `stop` said so; what is judged is kept.
    """
    from alt_lite.evals import runner

    guarded = sum(len(task.prompts) * len(set(task.judges) & set(plan.guards)) for task in tasks) * plan.settings.samples
    if not guarded:
        runner.judge(tasks, folder, plan.judges)
        return
    with progress(f"judge {folder.name}", guarded * len(PARTS)) as bar:
        runner.judge(tasks, folder, plan.judges, plan.guards, bar, reuse, stop)


def _judges_of(task: Task, guards: Mapping[str, Guard], adaptive: bool) -> tuple[str, ...]:
    """Name a task's judges: the first harm judge is the primary one. On harm tasks every model that
    judges, on over-refusal tasks only who reads refusals: a harm judge calls helpful answers harmful."""
    if task.kind == "skill" or task.judges[0].startswith("world_"):
        return task.judges
    harm = [name for name in guards if "refusal" not in name] if task.kind == "harm" else []
    harm += [ATTACK_SCORER] if task.kind == "harm" and adaptive else []
    return (*harm, *(name for name in task.judges if name != "guard"), *(name for name in guards if "refusal" in name))


def _adaptive(recipe: Recipe) -> Adaptive | None:
    """Who makes adaptive attacks.

    Raises:
        UserError: one is asked for, and nobody is named.
    """
    wanted = [name for name in recipe.eval.attacks if name in ADAPTIVE]
    if not wanted:
        return None
    if not recipe.eval.attacker:
        raise UserError(f"{', '.join(wanted)}: who writes the attack?", "eval.attacker=URL (eval.attacker_model=NAME), any OpenAI-compatible server")
    attacker = _server(recipe, "attacker", recipe.eval.attacker, recipe.eval.attacker_model)
    return Adaptive(attacker, _scorer(recipe) if recipe.eval.scorer else attacker, recipe.eval.rounds)


def _scorer(recipe: Recipe) -> Endpoint:
    given = recipe.eval
    who, url, name = ("scorer", given.scorer, given.scorer_model) if given.scorer else ("attacker", given.attacker, given.attacker_model)
    if not url:
        raise UserError(f"eval.rubrics={','.join(given.rubrics)}: who judges?", "eval.scorer=URL (eval.scorer_model=NAME), any OpenAI-compatible server")
    return _server(recipe, who, url, name)


def _server(recipe: Recipe, who: str, url: str, model: str | None) -> Endpoint:
    from alt_lite.dataset import endpoint_of

    return endpoint_of(replace(recipe, endpoint=recipe.endpoint.model_copy(update={"url": url, "model": model})), f"eval.{who}_model")


def _tiny(recipe: Recipe, suite: str, precision: str) -> tuple[list[Task], Settings]:
    from alt_lite.tiny.splits import Split
    from alt_lite.tiny.tasks import tasks

    drawn = tasks(Split(recipe.data.split_seed), "dev" if suite == "tiny_dev" else "heldout", recipe.eval.limit)
    wanted = [task for task in drawn if not recipe.eval.tasks or task.name in recipe.eval.tasks]
    unknown = sorted(set(recipe.eval.tasks) - {task.name for task in drawn})
    if unknown:
        raise UserError(f"no task {unknown[0]!r} in suite {suite}", f"its tasks are {', '.join(task.name for task in drawn)}")
    return wanted, _settings(recipe, precision, 0.0, 1.0, None, recipe.eval.max_new_tokens, 1)


def _benchmarks(
    recipe: Recipe, suite: str | None, precision: str, sources: list[dict[str, Any]], missing: list[dict[str, str]]
) -> tuple[list[Task], Settings]:
    """Load the suite's benchmarks; `sources` takes where each came from, `missing` what cannot be had, with its reason."""
    from alt_lite.data.places import Reach
    from alt_lite.evals.suites import SUITES, require_tasks
    from alt_lite.evals.tasks import TASKS
    from alt_lite.evals.tasks.benchmark import load, local_copy

    if suite in (None, "none"):
        return [], _settings(recipe, precision, 0.0, 1.0, None, None, 1)
    picked = SUITES[suite or "compact"]
    names = recipe.eval.tasks or picked.tasks
    require_tasks(names)
    tasks, reach = [], Reach()
    if recipe.eval.data:
        _tell_foreign(Path(recipe.eval.data), TASKS)
    for name in names:
        local = local_copy(Path(recipe.eval.data), name) if recipe.eval.data else None
        try:
            task, origin = load(TASKS[name], local, recipe.eval.limit or picked.limit, recipe.eval.seed, reach)
        except UserError as error:
            if local:  # a copy that somebody put there on purpose
                raise
            missing.append({"task": name, "reason": error.message})
            say(f"  {name}: LEFT OUT: {error.message}")
            continue
        say(f"  {name}: {len(task.prompts)} prompts from {origin}")
        sources.append({"task": name, "place": origin.place, "commit": origin.commit, **({"note": origin.note} if origin.note else {})})
        tasks.append(task)
    _require_each_kind(recipe, [TASKS[name] for name in names], tasks, missing, reach.fixes)
    family = FAMILIES.get(recipe.model.family)
    advice = family.sampling if family else None
    return tasks, _settings(recipe, precision, *picked.drawn(advice), advice.top_k if advice else None, picked.max_new_tokens, picked.samples)


def _tell_foreign(folder: Path, known: Collection[str]) -> None:
    """Name the files of eval.data that are no benchmark's, such as one that is misspelt."""
    if folder.is_dir() and (other := sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and not any(is_copy(path, name) for name in known))):
        few = ", ".join(other[:4]) + (f" and {len(other) - 4} more" if len(other) > 4 else "")
        say(f"  eval.data: {few} is no benchmark's name and not read; names are {', '.join(known)}")


def _require_each_kind(recipe: Recipe, asked: Sequence[Benchmark], tasks: Sequence[Task], missing: Sequence[Mapping[str, str]], fixes: Sequence[str]) -> None:
    """Refuse an evaluation that would say nothing on one of the kinds of tasks that it is about.

    Raises:
        UserError: none is left of harm, over-refusal or skill; or one is missing under eval.strict.
    """
    gated = "set HF_TOKEN for what is gated, " if any("gated" in entry["reason"] for entry in missing) else ""
    fix = f"{fixes[0] if fixes else 'check the network'}, " + gated + "or eval.data=FOLDER with " + ", ".join(f"{entry['task']}.jsonl" for entry in missing[:4]) + " (csv, tsv, txt, parquet)"
    if missing and recipe.eval.strict:
        raise UserError(f"eval.strict: {', '.join(entry['task'] for entry in missing)} cannot be had: {missing[0]['reason']}", f"{fix}; eval.strict=false goes on without")
    left = {task.kind for task in tasks}
    for kind in dict.fromkeys(benchmark.kind for benchmark in asked):
        if kind not in left:
            gone = [entry for entry in missing if any(entry["task"] == benchmark.name and benchmark.kind == kind for benchmark in asked)]
            names = ", ".join(entry["task"] for entry in gone)
            raise UserError(f"no {kind.replace('_', '-')} task can be had ({names}): {gone[0]['reason']}", fix)


def _settings(
    recipe: Recipe, precision: str, temperature: float, top_p: float, top_k: int | None, max_new_tokens: int | None, samples: int
) -> Settings:
    given = recipe.eval
    warm = temperature if given.temperature is None else given.temperature
    samples = given.samples or samples
    if samples > 1 and not warm:
        raise UserError("eval.samples: greedy responses are all the same", "eval.temperature=0.6, or eval.samples=1")
    return Settings(
        precision=precision, max_new_tokens=given.max_new_tokens or max_new_tokens, temperature=warm,
        top_p=top_p if given.top_p is None else given.top_p, top_k=(given.top_k or top_k) if warm else given.top_k, samples=samples, seed=given.seed,
    )


def _require_usable(recipe: Recipe) -> None:
    """Find mistakes before anything is loaded, trained or downloaded.

    Raises:
        UserError: an attack, or the run to reuse, does not exist, or vLLM is asked for and not here.
    """
    import difflib

    known = [*attacks.ATTACKS, *ADAPTIVE]
    for name in recipe.eval.attacks:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            raise UserError(f"no attack {name!r}{'; did you mean ' + ' or '.join(near) + '?' if near else ''}", f"attacks are {', '.join(known)}")
    if recipe.eval.base_from and not (Path(recipe.eval.base_from) / "eval").is_dir():
        raise UserError(f"eval.base_from: {recipe.eval.base_from} holds no evaluation", "name the folder of a run whose base was evaluated")
    if recipe.eval.engine == "vllm":
        from alt_lite.generate import vllm

        vllm.require()


def _changed(recipe: Recipe, tasks: list[Task]) -> list[Task]:
    """Ask under the recipe's system prompt and attacks."""
    return [attacks.attacked(_with_system(recipe, task), recipe.eval.attacks) for task in tasks]


def _with_system(recipe: Recipe, task: Task) -> Task:
    """Ask under the system prompt that is trained with, base and tuned alike."""
    from alt_lite.dataset import system_prompt

    system = system_prompt(recipe)
    if not system:
        return task
    first = {"role": "system", "content": system}
    return replace(task, prompts=tuple(replace(prompt, messages=(first, *prompt.messages)) for prompt in task.prompts))


def require_servable(recipe: Recipe) -> None:
    """Refuse what cannot be asked of a server.

    Raises:
        UserError: an attack or a defence writes into the response or leaves the template out.
    """
    local = [name for name in recipe.eval.attacks if name in attacks.LOCAL_ONLY]
    local += [name for name in recipe.eval.defence if name in defences.LOCAL_ONLY]
    if local:
        raise UserError(f"{', '.join(local)} cannot be asked of a server, which applies its own template", "leave it out, or evaluate a folder")


def servable(plan: Protocol) -> Protocol:
    """Leave out the prompts that a suite itself brings with a beginning of the response, which no server takes."""
    kept = [replace(task, prompts=tuple(prompt for prompt in task.prompts if not (prompt.prefill or prompt.raw))) for task in plan.tasks]
    if left := sum(len(task.prompts) for task in plan.tasks) - sum(len(task.prompts) for task in kept):
        say(f"  {left} prompts with a prefilled response are left out: a server cannot be asked them")
    return replace(plan, tasks=[task for task in kept if task.prompts])


def _guards(recipe: Recipe, decisions: Decisions, device: Device, tasks: list[Task]) -> dict[str, Guard]:
    """The models that judge: the guard, where a harm task wants one, then the rubrics."""
    from alt_lite.evals.judging import guards, rubrics

    scorer = _scorer(recipe) if recipe.eval.rubrics else None
    # Another model's verdicts are another judge's.
    by_rubric = {f"{name}@1:{scorer.model}": rubrics.judge(f"{name}@1", scorer) for name in recipe.eval.rubrics if scorer}
    name = chosen(decisions, "eval.guard")
    if not any("guard" in task.judges for task in tasks):
        return by_rubric
    if name == "none":
        if not by_rubric:
            say(f"  no guard: harm tasks are read by the refusal judge alone ({decisions['eval.guard'].reason})")
        return by_rubric
    if "://" in name:
        server = _server(recipe, "guard", name, recipe.eval.guard_model)
        return {f"{server.model}@1": guards.served(server), **by_rubric}
    guards.format_of(name)

    def load_guard() -> tuple[Any, Any]:
        from alt_lite.model import load

        return load.guard(name, device, recipe.eval.guard_precision)

    asked = "" if recipe.eval.guard_precision == "auto" else f":{recipe.eval.guard_precision}"
    return {f"{Path(name).name}@1{asked}": guards.local(name, load_guard), **by_rubric}
