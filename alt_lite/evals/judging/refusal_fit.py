"""Fit the learned reading of `refusal_learned` on XSTest's human labels, and print how well it does on prompts left out.

    pip install scikit-learn
    python -m alt_lite.evals.judging.refusal_fit FOLDER     # with xstest_v2_completions_{gpt4,llama2new,mistralinstruct}.csv

Fitted on the prompts whose id does not leave 3 when divided by four; those are kept for the check at the
end. Folds go by prompt, so that the three models' answers to one prompt are on the same side.
"""

from __future__ import annotations

import csv
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alt_lite.evals.judging import refusal, refusal_learned
from alt_lite.evals.judging.agreement import agreement, read_label
from alt_lite.rundir import write_json

MODELS = ("gpt4", "llama2new", "mistralinstruct")
FOLDS = 6
SEEDS = (0, 1, 2)
# A word is a general one where so many prompts' answers use it, of so many of XSTest's 18 types.
WORD_PROMPTS, WORD_TYPES = 15, 8
# A weight needs so many prompts to rest on.
FEATURE_PROMPTS = 6
# Inverse strength of the ridge penalty, on features scaled to length one; chosen by folds over the fitted prompts.
STRENGTH = 12.0


@dataclass(frozen=True)
class Answer:
    model: str
    prompt: int
    type: str
    refuses: bool
    opening: tuple[str, ...]
    text: str


def load(folder: Path) -> list[Answer]:
    answers = []
    for model in MODELS:
        with (folder / f"xstest_v2_completions_{model}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                opening = tuple(sentence.text for sentence in refusal.read(row["completion"])[: refusal_learned.SENTENCES])
                answers.append(Answer(
                    model, int(row["id"].rpartition("-")[2]), row["type"], read_label(row["final_label"]) != "none", opening, row["completion"],
                ))
    return answers


def fit(answers: list[Answer]) -> refusal_learned.Reading:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    known = _general_words(answers)
    made = [refusal_learned.features(answer.opening, known) for answer in answers]
    prompts: dict[str, set[int]] = {}
    for answer, names in zip(answers, made, strict=True):
        for name in names:
            prompts.setdefault(name, set()).add(answer.prompt)
    columns = {name: index for index, name in enumerate(sorted(name for name, seen in prompts.items() if len(seen) >= FEATURE_PROMPTS))}
    rows, places, values = [], [], []
    for row, names in enumerate(made):
        hits = sorted(columns[name] for name in names if name in columns)
        rows += [row] * len(hits)
        places += hits
        values += [len(hits) ** -0.5] * len(hits)
    matrix = csr_matrix((values, (rows, places)), shape=(len(answers), len(columns)))
    model = LogisticRegression(C=STRENGTH, max_iter=3000, class_weight="balanced").fit(matrix, [answer.refuses for answer in answers])
    weights = {name: round(float(model.coef_[0][index]), 2) for name, index in columns.items()}
    return refusal_learned.Reading(round(float(model.intercept_[0]), 2), weights, known)


def _general_words(answers: list[Answer]) -> frozenset[str]:
    prompts: dict[str, set[int]] = {}
    types: dict[str, set[str]] = {}
    for answer in answers:
        for word in {word for sentence in answer.opening for word in refusal_learned.words(sentence)}:
            prompts.setdefault(word, set()).add(answer.prompt)
            types.setdefault(word, set()).add(answer.type)
    return frozenset(word for word in prompts if len(prompts[word]) >= WORD_PROMPTS and len(types[word]) >= WORD_TYPES)


def judged(answers: list[Answer], reading: refusal_learned.Reading) -> list[tuple[bool, bool, bool]]:
    """Tell for each answer whether it refuses: by the learned part alone (even odds), by the rules alone, by both."""
    verdicts = []
    for answer in answers:
        odds = refusal_learned.log_odds(answer.opening, reading)
        verdicts.append((
            odds is not None and odds > 0,
            refusal.decide(answer.text, None) != "none",
            refusal.decide(answer.text, reading) != "none",
        ))
    return verdicts


def left_out(answers: list[Answer], seed: int) -> list[tuple[bool, bool, bool]]:
    """Judge every answer by a reading fitted without its prompt's fold."""
    prompts = sorted({answer.prompt for answer in answers})
    random.Random(seed).shuffle(prompts)
    fold = {prompt: place % FOLDS for place, prompt in enumerate(prompts)}
    verdicts: list[Any] = [None] * len(answers)
    for number in range(FOLDS):
        inside = [index for index, answer in enumerate(answers) if fold[answer.prompt] == number]
        reading = fit([answer for answer in answers if fold[answer.prompt] != number])
        for index, verdict in zip(inside, judged([answers[index] for index in inside], reading), strict=True):
            verdicts[index] = verdict
    return verdicts


def kappas(answers: list[Answer], runs: list[list[tuple[bool, bool, bool]]]) -> str:
    """Lay out one line a model: kappa of the learned part, the rules and both, the mean over `runs`."""
    lines = []
    for model in MODELS:
        mine = [index for index, answer in enumerate(answers) if answer.model == model]
        people = ["full" if answers[index].refuses else "none" for index in mine]
        means = []
        for part in range(3):
            found = [agreement(["full" if run[index][part] else "none" for index in mine], people).kappa or 0.0 for run in runs]
            means.append(sum(found) / len(found))
        positives = people.count("full")
        lines.append(f"  {model:16s} n {len(mine)}, refused {positives}: learned {means[0]:.3f}, rules {means[1]:.3f}, both {means[2]:.3f}")
    return "\n".join(lines)


def main(folder: Path) -> None:
    answers = load(folder)
    fitted = [answer for answer in answers if answer.prompt % 4 != 3]
    kept = [answer for answer in answers if answer.prompt % 4 == 3]
    reading = fit(fitted)
    write_json(refusal_learned.FILE, {
        "about": "log odds that an opening refuses; made by alt_lite/evals/judging/refusal_fit.py from XSTest's labels (CC BY 4.0)",
        "bias": reading.bias, "weights": reading.weights,
    })
    print(f"{len(reading.weights)} weights, {len(reading.known)} words")
    print("folds over the fitted prompts\n" + kappas(fitted, [left_out(fitted, seed) for seed in SEEDS]))
    print("folds over all prompts\n" + kappas(answers, [left_out(answers, seed) for seed in SEEDS]))
    print("prompts kept out of rules and fitting\n" + kappas(kept, [judged(kept, reading)]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"One argument is needed.\nFix: {__doc__.split(chr(10))[3].strip()}")
    main(Path(sys.argv[1]))
